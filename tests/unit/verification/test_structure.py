"""Options that the embedded server does not have, as a real server tells them: indexes, collections, search indexes."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from workbench import schema
from workbench.models import COLLECTIONS
from workbench.models.spec import VectorIndex
from workbench.settings import Settings
from workbench.verification.findings import Findings
from workbench.verification.structure import compare_indexes, compare_options, compare_search_index

SETTINGS = Settings(_env_file=None)
SPEC, SERIES = COLLECTIONS["investigations"], COLLECTIONS["audit_log"]


def indexes(collection: str = "investigations") -> list[dict[str, Any]]:
    known = [
        {"v": 2, "key": dict(index.keys), "name": index.name, **schema.index_options(index)}
        for index in COLLECTIONS[collection].indexes
    ]
    return [{"v": 2, "key": {"_id": 1}, "name": "_id_"}, *known]


def found(there: list[dict[str, Any]], collection: str = "investigations") -> tuple[list[str], str]:
    findings = Findings("t")
    note = compare_indexes(there, COLLECTIONS[collection], findings)
    return [cluster.cause for cluster in findings.clusters()], note


def test_indexes_as_specified_pass() -> None:
    assert found(indexes()) == ([], "")
    by_itself = {"key": {"metadata": 1, "timestamp": 1}, "name": "metadata_1_timestamp_1"}
    assert found([*indexes("audit_log"), by_itself], "audit_log") == ([], "")


@pytest.mark.parametrize(
    "option",
    [{"hidden": True}, {"sparse": True}, {"collation": {"locale": "de"}}, {"expireAfterSeconds": 0}],
    ids=lambda option: next(iter(option)),
)
def test_an_option_beyond_the_spec_shows(option: dict[str, Any]) -> None:
    there = indexes()
    there[2] |= option
    assert found(there)[0] == [f"an index has another option: {next(iter(option))}"]
    beside = [*indexes(), {**indexes()[2], "name": "beside", **option}]
    causes, note = found(beside)
    assert note == "indexes that no spec has: beside"
    assert bool(causes) is ("expireAfterSeconds" in option)


@pytest.mark.parametrize(
    ("option", "cause"),
    [
        ({}, None),
        ({"expireAfterSeconds": 0}, "an index that no spec has deletes documents"),
        ({"unique": True}, "an index that no spec has refuses documents"),
    ],
)
def test_an_index_that_no_spec_has_is_a_note_unless_it_does_harm(option: dict[str, Any], cause: str | None) -> None:
    causes, note = found([*indexes(), {"key": {"user_id": 1}, "name": "theirs", **option}])
    assert causes == ([cause] if cause else [])
    assert note == "indexes that no spec has: theirs"


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"validationLevel": "strict", "validationAction": "error"}, None),
        ({"validationLevel": "moderate"}, "documents are not validated: validationLevel"),
        ({"validationAction": "warn"}, "documents are not validated: validationAction"),
        ({"capped": True}, "options that the spec does not have: capped"),
        ({"collation": {"locale": "de"}}, "options that the spec does not have: collation"),
    ],
)
def test_options_of_a_standard_collection(options: dict[str, Any], cause: str | None) -> None:
    findings = Findings("t")
    compare_options(options, SPEC, SETTINGS, findings)
    assert [cluster.cause for cluster in findings.clusters()] == ([cause] if cause else [])


def test_a_time_series_that_expires_though_nobody_wants_it() -> None:
    findings = Findings("t")
    compare_options({"expireAfterSeconds": 86_400}, SERIES, SETTINGS, findings)
    assert findings.clusters()[0].cause == "options that the spec does not have: expireAfterSeconds"
    wanted = SETTINGS.model_copy(update={"retention_days": 1})
    none = Findings("t")
    compare_options({"expireAfterSeconds": 86_400}, SERIES, wanted, none)
    assert none.count() == 0
    other = Findings("t")
    compare_options({"expireAfterSeconds": 3_600}, SERIES, wanted, other)
    assert other.clusters()[0].cause == "documents expire at another age than the settings say"


def search(change: Any) -> tuple[list[str], str]:
    vector = COLLECTIONS["anomaly_events"].vector
    assert isinstance(vector, VectorIndex)
    definition = copy.deepcopy(schema.vector_definition(vector, SETTINGS))
    index = {"name": "anomaly_embedding", "status": "READY", "queryable": True, "latestDefinition": definition}
    change(index, definition["fields"])
    findings = Findings("t")
    note = compare_search_index(index, vector, SETTINGS, findings)
    return [cluster.cause for cluster in findings.clusters()], note


@pytest.mark.parametrize(
    ("change", "cause", "note"),
    [
        (lambda index, fields: None, None, ""),
        (lambda index, fields: fields[0].update(numDimensions=3), "another numDimensions of embedding", ""),
        (lambda index, fields: fields[0].update(similarity="euclidean"), "another similarity of embedding", ""),
        (lambda index, fields: fields.pop(), "of severity", ""),
        (lambda index, fields: index.update(status="FAILED"), "the vector index cannot be used", ""),
        (lambda index, fields: index.update(status="BUILDING"), None, "the vector index is BUILDING"),
    ],
    ids=["good", "dimensions", "similarity", "filter", "failed", "building"],
)
def test_a_vector_index_is_compared_with_its_definition(change: Any, cause: str | None, note: str) -> None:
    causes, said = search(change)
    assert said == note
    assert (not causes) if cause is None else (causes and cause in " ".join(causes))
