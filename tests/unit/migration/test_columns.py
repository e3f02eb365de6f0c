"""Columns: what is kept beside the document, and what no document can hold."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from workbench.migration.build import build_batch
from workbench.migration.tables import TABLES
from workbench.migration.tables.columns import (
    ESCAPE_KEYS,
    INFINITY,
    KEEP_UNREADABLE_JSON,
    MINUS_INFINITY,
    RULES,
    Column,
    Instant,
    JsonText,
    Notes,
    Numeric,
    RowProblem,
    Tags,
    Text,
    parse_json,
    rule_for,
)


def load(column: Column, value: Any, *rules: str) -> tuple[Any, Notes]:
    """What a column stores for a value, and its notes."""
    notes, fields = Notes(rules=frozenset(rules)), {}
    column.load(value, fields, notes)
    assert column.dump(fields, notes) == value or "json" in column.kind or column.kind == "tags"
    return fields[column.path], notes


def test_instants_keep_microseconds_beside() -> None:
    stored, notes = load(Instant("at"), 800_000_000_123_456)
    assert stored == datetime(2025, 5, 8, 6, 13, 20, 123_000, UTC)
    assert notes.micros == {"at": 456}
    stored, notes = load(Instant("at"), -1)
    assert stored == datetime(1999, 12, 31, 23, 59, 59, 999_000, UTC), "floored, as PostgreSQL's date_trunc"
    assert notes.micros == {"at": 999}
    stored, notes = load(Instant("at"), 5_000)
    assert notes.micros == {}


@pytest.mark.parametrize(
    ("value", "text"),
    [(INFINITY, "infinity"), (MINUS_INFINITY, "-infinity"), (252_455_616_000_000_000, "253402300800000000")],
)
def test_instants_without_a_date_are_null_and_kept_exactly(value: int, text: str) -> None:
    stored, notes = load(Instant("at"), value)
    assert stored is None
    assert notes.exact == {"at": text}


def test_numerics_beyond_34_digits_are_rounded_and_kept_exactly() -> None:
    wide = Decimal("1" * 20 + "." + "2" * 20)
    stored, notes = load(Numeric("n"), wide)
    assert len(stored.as_tuple().digits) == 34
    assert notes.exact == {"n": str(wide)}
    assert load(Numeric("n"), Decimal("9" * 34))[1].exact == {}
    assert load(Numeric("n"), Decimal("-Infinity"))[1].exact == {}
    assert load(Numeric("n"), None)[0] is None


@pytest.mark.parametrize("text", ["", " \n", "null", "  null "])
def test_empty_json_is_null_but_remembered(text: str) -> None:
    stored, notes = load(JsonText("j"), text)
    assert stored is None
    assert notes.exact == {"j": text}
    assert load(JsonText("j"), None)[1].exact == {}


def test_numbers_in_json_are_exact() -> None:
    stored, notes = load(JsonText("j"), '[1, 1.5, 0.1, 9223372036854775808, 1e400, 1E-7000, "x"]')
    assert stored[:3] == [1, 1.5, 0.1]
    assert [type(item) for item in stored[:3]] == [int, float, float]
    assert stored[3:5] == [Decimal(2**63), Decimal("1E+400")]
    assert notes.exact == {"j.5": "1E-7000"}, "beyond Decimal128"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "malformed_json"),
        ("[1,]", "malformed_json"),
        ("\ufeff{}", "malformed_json"),
        ("{} {}", "malformed_json"),
        ('{"a": NaN}', "not_finite"),
        ("[-Infinity]", "not_finite"),
        ('{"a": 1, "a": 2}', "duplicate_json_key"),
    ],
)
def test_what_is_no_json_is_a_problem_of_the_row(text: str, reason: str) -> None:
    with pytest.raises(RowProblem) as refused:
        load(JsonText("j"), text)
    assert (refused.value.field, refused.value.reason) == ("j", reason)


def test_json_of_any_depth_is_a_problem_of_the_row_never_a_crash() -> None:
    executed = ("e", "a", None, "t", "n", "bank", None)
    for levels in (95, 300, 900, 3_000, 100_000):
        row = (*executed, '{"n":' * levels + "1" + "}" * levels, None, "failed", 0, 0, None, None)
        for rules in (frozenset[str](), frozenset({ESCAPE_KEYS})):
            _, rejected = build_batch(TABLES["composio_action_audits"], [row], None, rules)
            assert [item.problem.reason for item in rejected] == ["nested_too_deep"], levels


def test_problems_name_the_field_and_the_place() -> None:
    with pytest.raises(RowProblem, match="settings_json: Expecting value at character 7"):
        parse_json('{"a": [}', "settings_json")


@pytest.mark.parametrize(
    ("text", "stored", "exact"),
    [
        ('["ato", "mule"]', ["ato", "mule"], {}),
        ("ato, mule,,", ["ato", "mule"], {"tags": "ato, mule,,"}),
        ("", None, {"tags": ""}),
        ("null", None, {"tags": "null"}),
    ],
)
def test_tags_in_both_spellings(text: str, stored: Any, exact: dict[str, str]) -> None:
    found, notes = load(Tags("tags"), text)
    assert (found, notes.exact) == (stored, exact)


def test_rules_keep_the_original_text() -> None:
    text = '{"a.b": {"$c": 1}}'
    stored, notes = load(JsonText("j"), text, ESCAPE_KEYS)
    assert stored == {"a\uff0eb": {"\uff04c": 1}}
    assert notes.exact == {"j": text}
    assert load(JsonText("j"), '{"a": 1}', ESCAPE_KEYS)[1].exact == {}
    stored, notes = load(JsonText("j"), "{", KEEP_UNREADABLE_JSON)
    assert (stored, notes.exact) == (None, {"j": "{"})


def test_every_rule_is_found_by_a_reason() -> None:
    reasons = ("key_not_storable", "malformed_json", "orphan", "duplicate_after_normalisation")
    assert {rule_for(reason) for reason in reasons} == set(RULES)
    assert rule_for("out_of_range") == ""


def test_nested_paths() -> None:
    column, notes, fields = Text("window_from", "window.start"), Notes(), {"window": {}}
    column.load("x", fields, notes)
    assert fields == {"window": {"start": "x"}}
    assert column.dump(fields, notes) == "x"
