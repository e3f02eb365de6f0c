"""Flat tables: a batch made by columns holds the very bytes that it holds row by row, and refuses the same rows."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rows import INFINITY, MICROS_YEAR_1, MICROS_YEAR_10000, ROWS
from workbench.migration.build import build_batch, build_row_by_row
from workbench.migration.flat import flat_table
from workbench.migration.tables import TABLES

SCORES = TABLES["transaction_scores"]
ODD = st.sampled_from(
    [
        {0: ""}, {0: None}, {1: "x" * 256}, {0: 7}, {1: b"bytes"}, {0: "lone \ud800"},
        {2: -0.1}, {2: 1.5}, {2: math.nan}, {2: math.inf}, {2: None}, {2: "0.5"}, {2: 1}, {2: -0.0}, {2: True},
        {3: None}, {3: INFINITY}, {3: MICROS_YEAR_10000}, {3: MICROS_YEAR_1 - 1}, {4: None}, {4: "other"},
        {5: "orphan investigation_id"},
    ]
)  # fmt: skip
"""Position -> value: rows that are refused, or hold what a flat document cannot."""


def _changed(row: tuple[Any, ...], change: dict[int, Any]) -> tuple[Any, ...]:
    return tuple(change.get(position, value) for position, value in enumerate(row))


GOOD = ROWS["transaction_scores"]
BATCHES = st.lists(st.one_of(GOOD, st.builds(_changed, GOOD, ODD)), min_size=1, max_size=12)


def _outcome(built: tuple[list[Any], list[Any]]) -> tuple[dict[str, bytes], dict[str, tuple[str, str]]]:
    documents, rejected = built
    return (
        {repr(document.row): document.raw for document in documents},
        {repr(one.row): (one.problem.field, one.problem.reason) for one in rejected},
    )


@settings(deadline=None, max_examples=300)
@given(BATCHES, st.sampled_from([frozenset(), frozenset({"accept-orphan"})]))
def test_by_columns_and_row_by_row_give_the_same_bytes_and_refusals(
    rows: list[tuple[Any, ...]], rules: frozenset[str]
) -> None:
    assert _outcome(build_batch(SCORES, rows, None, rules)) == _outcome(build_row_by_row(SCORES, rows, None, rules))


@settings(deadline=None, max_examples=50)
@given(st.lists(GOOD, min_size=1, max_size=5))
def test_ordinary_rows_are_not_left_to_the_slow_way(rows: list[tuple[Any, ...]]) -> None:
    flat = flat_table("transaction_scores")
    assert flat is not None
    raws, done, left = flat.encode(rows)
    assert len(raws) == len(done) == len(rows)
    assert not left


def test_only_tables_of_plain_columns_are_flat() -> None:
    assert [name for name in TABLES if flat_table(name)] == ["transaction_scores"]
