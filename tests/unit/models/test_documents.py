"""The ten documents: identity, the way to BSON and back, and what they refuse."""

from __future__ import annotations

import bson
import pytest
from bson import Code, CodecOptions
from bson.binary import UuidRepresentation
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.documents import BUILDERS
from workbench.models import COLLECTIONS
from workbench.models.composio_connections import SECRET_FIELDS
from workbench.models.document import Document, bson_value
from workbench.models.fields import MAX_JSON_DEPTH, derive_id, json_problem
from workbench.models.investigations import Progress, Results

CODEC = CodecOptions(uuid_representation=UuidRepresentation.STANDARD, tz_aware=True)


def a_document(name: str) -> Document:
    return BUILDERS[name]("acme", 1)


@pytest.mark.parametrize("name", COLLECTIONS)
def test_a_document_survives_bson(name: str) -> None:
    document = a_document(name)
    stored = bson.decode(bson.encode(document.to_bson(), codec_options=CODEC), CODEC)
    assert type(document).from_bson(stored) == document


@pytest.mark.parametrize("name", COLLECTIONS)
def test_unknown_fields_are_refused(name: str) -> None:
    stored = {**a_document(name).to_bson(), "suprise": 1}
    with pytest.raises(ValidationError, match="suprise"):
        type(a_document(name)).from_bson(stored)


@pytest.mark.parametrize("name", COLLECTIONS)
def test_the_id_is_derived_from_the_natural_key(name: str) -> None:
    document = a_document(name)
    assert document.to_bson()["_id"] == derive_id(COLLECTIONS[name].source_table, *document.key())


@given(st.lists(st.text(), min_size=2, max_size=2), st.lists(st.text(), min_size=2, max_size=2))
def test_different_keys_have_different_ids(one: list[str], other: list[str]) -> None:
    assert (derive_id("t", *one) == derive_id("t", *other)) == (one == other)


def test_an_id_stays_the_same_for_ever() -> None:
    assert str(derive_id("transaction_scores", "inv-1", "txn-1")) == "9fbc782e0b3e136bd0aa1e98"


def test_tokens_are_in_no_repr() -> None:
    connection = a_document("composio_connections")
    for name in SECRET_FIELDS:
        secret = getattr(connection, name).get_secret_value()
        assert secret not in repr(connection) + str(connection)
        assert connection.to_bson()[name] == secret


def test_fields_that_were_never_set_stay_absent() -> None:
    progress = Progress.model_validate({"current_phase": None, "own": [1]})
    assert bson_value(progress) == {"current_phase": None, "own": [1]}
    assert bson_value(Results.model_validate({"risk_score": 0.5})) == {"risk_score": 0.5}


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({"a.b": 1}, "key_not_storable"),
        ({"$set": 1}, "key_not_storable"),
        ({"a\0": 1}, "key_not_storable"),
        ([float("nan")], "not_finite"),
        ([2**63], "integer_too_wide"),
        (["\ud800"], "lone_surrogate"),
        ([object()], "wrong_type"),
        ([Code("while (true) {}")], "wrong_type"),
    ],
)
def test_what_mongodb_cannot_hold_is_found(value: object, code: str) -> None:
    problem = json_problem({"deep": [value]})
    assert problem is not None
    assert problem.code == code


def test_depth_is_limited_and_any_depth_is_safe() -> None:
    value: object = 1
    for _ in range(MAX_JSON_DEPTH - 1):
        value = [value]
    assert json_problem(value) is None
    for _ in range(100_000):
        value = [value]
    problem = json_problem(value)
    assert problem is not None
    assert problem.code == "nested_too_deep"


@pytest.mark.parametrize("field", ["domain_findings", "transaction_scores"])
def test_keys_of_maps_must_be_reachable_by_queries(field: str) -> None:
    with pytest.raises(ValidationError, match="dot or a NUL"):
        Results.model_validate({field: {"a.b": 0.5 if field == "transaction_scores" else {}}})
    with pytest.raises(ValidationError, match="dot or a NUL"):
        Progress.model_validate({"$where": 1})
