"""Planted bad rows: which, how many, and that each is wrong in the way that its kind says."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterator

import pytest

from workbench.sample.ddl import COLUMNS, KEYS, TABLES
from workbench.sample.dirty import PLACES, PlantedRow, Planter, quotas
from workbench.sample.generate import GENERATORS
from workbench.sample.kinds import KINDS, NESTING_LEVELS, OVERSIZE_BYTES
from workbench.sample.plan import SamplePlan

PLAN = SamplePlan(scale=1, seed=42)

Planted = dict[str, list[PlantedRow]]


@pytest.fixture(scope="module")
def planted() -> Planted:
    planter = Planter(PLAN, 0.01)
    return {table: list(_planted(planter, table)) for table in TABLES}


def _planted(planter: Planter, table: str) -> Iterator[PlantedRow]:
    good = 0
    for block in GENERATORS[table](PLAN):
        good += len(block)
        yield from planter.plant(table, block, min(1.0, good / PLAN.expected_rows()[table]))


def values(planted: Planted, kind: str) -> list[str | None]:
    """The spoiled values of a kind."""
    return [
        dict(zip(COLUMNS[table], bad.row, strict=True))[bad.field]
        for table, rows in planted.items()
        for bad in rows
        if bad.kind.name == kind
    ]


def test_every_kind_is_planted_in_every_place_at_one_percent(planted: Planted) -> None:
    assert len(KINDS) >= 28
    found = {(bad.kind.name, table, bad.field) for table, rows in planted.items() for bad in rows}
    assert found == {(kind.name, table, field) for kind in KINDS.values() for table, field in kind.places}


def test_places_exist_and_key_fields_are_unique_in_effect() -> None:
    for kind in KINDS.values():
        assert all(field in COLUMNS[table] for table, field in kind.places)
        assert kind.what


@pytest.mark.parametrize("dirty", [0.001, 0.01, 0.1, 0.5])
def test_bad_rows_are_the_fraction_that_was_asked_for(dirty: float) -> None:
    bad = sum(quotas(PLAN, dirty).values())
    assert bad / (bad + sum(PLAN.expected_rows().values())) == pytest.approx(dirty, rel=0.03)


def test_clean_data_has_no_bad_rows() -> None:
    assert set(quotas(PLAN, 0).values()) == {0}


def test_bad_rows_lie_among_the_good_ones_under_fresh_keys(planted: Planted) -> None:
    for table, rows in planted.items():
        width = len(KEYS[table])
        good = {row[:width] for block in GENERATORS[table](PLAN) for row in block}
        bad = [tuple(json.loads(row.key)) for row in rows]
        assert len(set(bad)) == len(bad)
        assert not good.intersection(bad)
        first, last = min(good), max(good)
        assert sum(first <= key <= last for key in bad) > 0.5 * len(bad)


def test_planting_is_repeatable_and_counts_itself(planted: Planted) -> None:
    again = Planter(PLAN, 0.01)
    assert {table: list(_planted(again, table)) for table in TABLES} == planted
    assert again.counts == Counter(bad.kind.name for rows in planted.values() for bad in rows)


def test_only_kinds_that_are_legal_are_to_be_kept() -> None:
    kept = {kind.name for kind in KINDS.values() if not kind.quarantined}
    assert kept == {
        "json_wide_integer", "time_beyond_9999", "time_infinite", "time_before_1970",
        "numeric_too_wide", "numeric_nan", "numeric_infinity",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["malformed_json", "truncated_json"])
def test_broken_json_does_not_parse(planted: Planted, kind: str) -> None:
    for value in values(planted, kind):
        with pytest.raises(json.JSONDecodeError):
            json.loads(value or "[]")


def test_json_kinds_parse_in_python_and_are_wrong_in_their_way(planted: Planted) -> None:
    def text(kind: str) -> list[str]:
        found = [value or "" for value in values(planted, kind)]
        assert all(json.loads(value) for value in found)
        return found

    assert all(isinstance(json.loads(value), int) for value in text("json_scalar"))
    assert all(isinstance(json.loads(value), str) for value in text("jsonb_wrong_shape"))
    assert all("NaN" in value for value in text("json_nan"))
    assert all("-Infinity" in value for value in text("json_infinity"))
    assert all(value.count("{") > NESTING_LEVELS for value in text("json_too_deep"))
    assert all("risk.limit" in json.loads(value) for value in text("json_key_with_dot"))
    assert all("$where" in json.loads(value) for value in text("json_key_with_dollar"))
    assert all("a\0b" in json.loads(value) for value in text("json_key_with_nul"))
    assert all(value.count('"owner"') == 2 for value in text("json_duplicate_key"))
    assert all("\ud800" in json.loads(value)["note"] for value in text("json_lone_surrogate"))
    assert all(json.loads(value)["budget"] > 2**63 for value in text("json_wide_integer"))
    assert all(json.loads(value)["progress_percentage"] > 100 for value in text("progress_above_100"))
    (oversize,) = text("oversize_document")
    assert len(oversize) > OVERSIZE_BYTES


def test_no_value_holds_the_separators_of_copy(planted: Planted) -> None:
    for rows in planted.values():
        assert not any(mark in (value or "") for bad in rows for value in bad.row for mark in "\x00\x1e\x1f")


def test_duplicate_names_have_a_good_twin_of_the_same_user(planted: Planted) -> None:
    good = {row[0]: row for block in GENERATORS["investigation_templates"](PLAN) for row in block}
    duplicates = [bad for bad in planted["investigation_templates"] if bad.kind.name.startswith("duplicate_name")]
    assert len({bad.kind.name for bad in duplicates}) == 2
    for bad in duplicates:
        twin = good[str(bad.row[0]).removesuffix("-copy")]
        assert bad.row[1] == twin[1]
        assert bad.row[2] != twin[2]
        assert unicodedata.normalize("NFC", str(bad.row[2])).strip() == twin[2]
        assert str(bad.row[0]) > str(twin[0])


def test_times_and_windows_are_the_wrong_way_round(planted: Planted) -> None:
    for table, kind, start, end in (
        ("anomaly_events", "window_ends_before_start", "window_start", "window_end"),
        ("soar_playbook_executions", "completed_before_started", "started_at", "completed_at"),
    ):
        rows = [dict(zip(COLUMNS[table], bad.row, strict=True)) for bad in planted[table] if bad.kind.name == kind]
        assert rows
        assert all(str(row[end]) < str(row[start]) for row in rows)


def test_places_of_a_table_are_those_of_the_kinds() -> None:
    assert sum(map(len, PLACES.values())) == sum(len(kind.places) for kind in KINDS.values())
