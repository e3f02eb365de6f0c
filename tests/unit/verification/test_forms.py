"""A row and the document that the migration makes of it have one form; a change of either shows in its field."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any
from uuid import UUID

import bson
import pytest
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.decimal128 import Decimal128
from hypothesis import given
from hypothesis import strategies as st

from workbench.migration.tables import TABLES
from workbench.migration.tables.columns import RULES, RowProblem
from workbench.settings import Settings
from workbench.verification.forms import DOUBLED, Forms, identity
from workbench.verification.mutations import MUTATIONS
from workbench.verification.scan import AS_COMPARED, decoded

CODEC: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True,
    uuid_representation=bson.binary.UuidRepresentation.STANDARD,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)
SETTINGS = Settings(_env_file=None)
ID = UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")
T0 = 1_700_000_000_123_456
ROWS: dict[str, tuple[Any, ...]] = {
    "anomaly_events": (
        ID, ID, ID, "inv-1", '{"country": "BR"}', T0, T0 + 900_000_000, "tx_count", Decimal("1.50"), Decimal(2), 0.25,
        "info", "new", 1, '{"signals": ["a", "b"], "n": 1.0}', T0,
    ),
    "soar_playbook_executions": (
        "e1", "p1", "inv-1", str(ID), "tenant", None, "completed", T0, T0 + 5_000_001,
        '[{"action_id": "a", "started_at": "2026-01-01T00:00:00.123456Z", "result": {"n": 1}}]', None,
    ),
    "investigation_states": (
        "inv-1", "ann", "COMPLETED", "", '{"current_phase": "done", "risk_score": 0.5, "steps": 3}', "COMPLETED", 3,
        T0, T0, None,
    ),
    "investigation_templates": (
        "t1", "ann", "Näme", None, "aml, kyc", '{"steps": [{"order": 1}]}', 0, None, T0, T0,
    ),
    "composio_connections": (
        "c1", "tenant", "slack", "conn", "active", "enc:SECRET", None, T0, T0, T0, None,
    ),
}  # fmt: skip
instants = st.integers(-63_082_281_600_000_000, 252_455_615_999_999_999)
json_leaves = st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text()
json_objects = st.dictionaries(
    st.text(min_size=1), st.recursive(json_leaves, lambda inner: st.lists(inner, max_size=3), max_leaves=5), max_size=4
)


def selected(table: str, changes: dict[str, Any]) -> tuple[Any, ...]:
    """A row as the migration selects it: columns, then the tenant where it is derived."""
    names = [column.name for column in TABLES[table].columns]
    row = tuple(changes.get(name, value) for name, value in zip(names, ROWS[table], strict=True))
    return row if TABLES[table].has_tenant else (*row, SETTINGS.default_tenant)


def stored(table: str, row: tuple[Any, ...], rules: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The document of a row as it comes back from MongoDB."""
    spec = TABLES[table]
    no_broken_rule = None
    document = spec.validate(spec.build((*row, no_broken_rule), rules)).to_bson()
    if spec.collection.vector:
        del document[spec.collection.vector.path]
    return bson.decode(bson.encode(document, codec_options=CODEC), codec_options=CODEC)


def _micros(table: str, *paths: str) -> dict[str, Any]:
    return {"table": table, "micros": dict.fromkeys(paths, 5)}


def verified(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The row as the verification selects it, which takes UUIDs as text."""
    return tuple(str(value) if isinstance(value, UUID) else value for value in row)


def differing(table: str, row: tuple[Any, ...], document: dict[str, Any]) -> list[str]:
    forms = Forms(TABLES[table], SETTINGS)
    read = bson.decode(bson.encode(document, codec_options=CODEC), CODEC.with_options(**AS_COMPARED))
    return [found.field for found in forms.differences(forms.row_form(verified(row)), forms.document_form(read))]


@pytest.mark.parametrize("table", ROWS)
def test_a_row_and_its_document_agree(table: str) -> None:
    row = selected(table, {})
    document = stored(table, row)
    assert differing(table, row, document) == []
    assert [identity(document)] == list(Forms(TABLES[table], SETTINGS).row_ids([row]))


@given(
    st.fixed_dictionaries(
        {
            "created_at": instants,
            "window_start": instants,
            "observed": st.decimals(allow_nan=False) | st.just(Decimal("NaN")),  # PostgreSQL's NaN has no sign
            "expected": st.decimals(places=40, min_value=-(10**30), max_value=10**30),
            "score": st.floats(0, 1e300),
            "metric": st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20),
            "evidence": json_objects.map(json.dumps),
        }
    )
)
def test_whatever_the_migration_accepts_agrees(changes: dict[str, Any]) -> None:
    row = selected("anomaly_events", {**changes, "window_end": changes["window_start"]})
    try:
        document = stored("anomaly_events", row)
    except RowProblem:  # it goes to quarantine, and is not compared
        return
    assert differing("anomaly_events", row, document) == []


@pytest.mark.parametrize("completed", [2**63 - 1, 300_000_000_000_000_000, T0, None])
def test_an_end_that_bson_cannot_hold_agrees(completed: int | None) -> None:
    row = selected("soar_playbook_executions", {"completed_at": completed})
    assert differing("soar_playbook_executions", row, stored("soar_playbook_executions", row)) == []


@pytest.mark.parametrize(
    ("table", "column", "value", "field"),
    [
        ("anomaly_events", "observed", Decimal("1.500000000000000000000000000001"), "observed"),
        ("anomaly_events", "score", math.nextafter(0.25, 1), "score"),
        ("anomaly_events", "created_at", T0 + 1, "created_at"),
        ("anomaly_events", "evidence", '{"signals": ["b", "a"], "n": 1}', "evidence"),
        ("investigation_states", "settings_json", None, "settings_json"),
        ("investigation_states", "progress_json", '{"current_phase": "done", "steps": 3}', "progress_json"),
        ("investigation_templates", "tags", '["aml", "kyc"]', "tags"),
        ("composio_connections", "encrypted_access_token", "enc:OTHER", "encrypted_access_token"),
    ],
)
def test_a_row_that_changed_shows_in_its_column(table: str, column: str, value: Any, field: str) -> None:
    document = stored(table, selected(table, {}))
    assert field in differing(table, selected(table, {column: value}), document)


@pytest.mark.parametrize(
    ("table", "change", "field"),
    [
        ("anomaly_events", {"tenant_id": "other"}, "tenant_id"),
        ("anomaly_events", {"unknown": 1}, "document shape"),
        ("anomaly_events", {"provenance": {"table": "detectors"}}, "provenance.table"),
        ("anomaly_events", {"provenance": {"table": "anomaly_events", "micros": {"window.start": 1456}}}, "provenance"),
        ("investigation_states", {"outbox": [{}]}, "outbox"),
        ("investigation_states", {"progress": {"risk_score": 0.9}}, "document shape"),
        ("investigation_templates", {"tags": ["aml"]}, "provenance"),
        ("soar_playbook_executions", {"duration_ms": 1.0}, "duration_ms"),
        ("soar_playbook_executions", {"actions_executed": "none"}, "actions_executed"),
        ("soar_playbook_executions", {"started_at": 5}, "started_at"),
        ("soar_playbook_executions", {"provenance": _micros("soar_playbook_executions", "a.b.c")}, "provenance"),
        ("investigation_states", {"provenance": _micros("investigation_states", "last_accessed")}, "provenance"),
        ("anomaly_events", {"provenance": _micros("anomaly_events", "metric")}, "provenance"),
        ("composio_connections", {"provenance": {"table": "composio_connections", "exact": {}}}, "provenance"),
        ("anomaly_events", {"evidence": {"signals": ["a", "b"], "n": 1}}, "evidence"),
        ("anomaly_events", {"evidence": {"signals": ["a", "b"], "n": Decimal128("1.0")}}, "evidence"),
        ("anomaly_events", {"observed": Decimal128("1.5")}, "observed"),
        ("anomaly_events", {DOUBLED: True}, "document shape"),
    ],
)
def test_a_document_that_changed_shows_in_its_field(table: str, change: dict[str, Any], field: str) -> None:
    row = selected(table, {})
    assert field in differing(table, row, {**stored(table, row), **change})


@pytest.mark.parametrize(("progress", "invented"), [(None, {"risk_score": 0.9}), (None, {}), ('{"a": 1}', {})])
def test_results_without_a_source_show(progress: str | None, invented: dict[str, Any]) -> None:
    row = selected("investigation_states", {"progress_json": progress, "settings_json": "{}"})
    document = stored("investigation_states", row)
    assert differing("investigation_states", row, document) == []
    assert differing("investigation_states", row, {**document, "results": invented}) == ["document shape"]


@pytest.mark.parametrize("rules", [frozenset(), frozenset(RULES)])
def test_a_whole_number_where_the_model_has_a_double_is_no_difference(rules: frozenset[str]) -> None:
    progress = (
        '{"a": 1, "progress_percentage": 40, "risk_score": 1, "transaction_scores": {"t": 0, "u": 0.5},'
        ' "domain_findings": {"device": {"risk_score": 1, "confidence": 1.0, "n": 3, "wide": 1e-400}}}'
    )
    settings = '{"a.b": 1}' if rules else "{}"
    row = selected("investigation_states", {"progress_json": progress, "settings_json": settings})
    document = stored("investigation_states", row, rules)
    assert document["results"]["transaction_scores"]["t"] == 0.0
    assert type(document["results"]["domain_findings"]["device"]["n"]) is int
    assert differing("investigation_states", row, document) == []
    document["results"]["domain_findings"]["device"]["n"] = 3.0
    assert "progress_json" in differing("investigation_states", row, document)


def test_two_fields_of_one_name_show() -> None:
    row = selected("composio_connections", {})
    raw = bson.encode(stored("composio_connections", row), codec_options=CODEC)
    extra = bson.encode({"status": "revoked"})[4:-1] + raw[4:]  # an element more, before the true one
    doubled = (len(extra) + 4).to_bytes(4, "little") + extra
    assert bson.decode(doubled, CODEC) == bson.decode(raw, CODEC) | {"status": "active"}
    documents = decoded(raw + doubled + raw, CODEC)
    assert [differing("composio_connections", row, document) for document in documents] == [[], ["document shape"], []]


def test_a_document_without_anything_can_be_compared() -> None:
    row = selected("anomaly_events", {})
    forms = Forms(TABLES["anomaly_events"], SETTINGS)
    found = differing("anomaly_events", row, {"_id": 1})
    empty = {name.name for name, value in zip(forms.fields, forms.row_form(row), strict=True) if value is None}
    assert set(found) == {field.name for field in forms.fields} - empty - {"provenance"}
    assert identity({"_id": 1}) == b"\xff" * 12


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        ({"signals": ["a", "b"], "n": None}, ("1.0", "null", "at n: another type")),
        ({"signals": ["a", "c"], "n": 1.0}, ("b", "c", "at signals[]: another value")),
        ({"n": 1.0}, ('["a", "b"]', "(absent)", "at signals: a part is absent")),
        (None, ('{"n": 1.0, "signals": ["a", "b"]}', "NULL", "null in place of a value")),
    ],
)
def test_a_difference_shows_the_part_of_json_that_differs(found: Any, shown: tuple[str, str, str]) -> None:
    forms = Forms(TABLES["anomaly_events"], SETTINGS)
    row = selected("anomaly_events", {})
    document = {**stored("anomaly_events", row), "evidence": found}
    differences = forms.differences(forms.row_form(verified(row)), forms.document_form(document))
    told = [(one.expected, one.found, one.cause) for one in differences if one.field == "evidence"]
    assert told == [shown]


def test_a_secret_stays_secret_in_a_difference() -> None:
    forms = Forms(TABLES["composio_connections"], SETTINGS)
    row = selected("composio_connections", {})
    document = {**stored("composio_connections", row), "encrypted_access_token": "enc:PLANTED"}
    (difference,) = forms.differences(forms.row_form(row), forms.document_form(document))
    assert difference.field == "encrypted_access_token"
    assert "SECRET" not in difference.expected
    assert "PLANTED" not in difference.found
    assert difference.expected != difference.found


@pytest.mark.parametrize("table", ROWS)
def test_corruptions_of_these_tables_show(table: str) -> None:
    """Every kind of the catalogue that applies to these rows, without a database."""
    row = selected(table, {})
    document = stored(table, row)
    collection = TABLES[table].collection.name
    planted = 0
    for mutation in MUTATIONS:
        if mutation.collection != collection or mutation.pair:
            continue
        for corrupted in mutation.corrupt(document) or []:
            if corrupted != document and corrupted["_id"] == document["_id"]:
                planted += 1
                assert differing(table, row, corrupted), mutation.name
    assert planted
