"""Two answers are the same by type and value, in order where the question has one, and only then."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from bson.decimal128 import Decimal128

from workbench.benchmark.answers import canonical, first_difference, same

ID = UUID("8b663de7-1e62-46e1-867c-1467ceff8986")
NOON = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (3, 3.0),
        (Decimal("3.50"), Decimal128("3.5")),
        (Decimal("0.1"), 0.1),
        (0.1 + 0.2, 0.3),
        (float("nan"), float("nan")),
        (NOON, NOON.replace(microsecond=123000)),
        (NOON.replace(tzinfo=None), NOON.astimezone(timezone(timedelta(hours=5))).replace(microsecond=123999)),
        (ID, UUID(str(ID))),
        ({"a": [1, None, {"b": 2.0}]}, {"a": [1.0, None, {"b": 2}]}),
    ],
)
def test_equal_values_of_both_drivers(source: Any, target: Any) -> None:
    assert first_difference([(source,)], [(target,)], columns=("value",)) is None


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (1, True),
        ("1", 1),
        (str(ID), ID),
        (None, 0),
        (0.3, 0.3001),
        (10**17, 10**17 + 1),
        (NOON, NOON + timedelta(milliseconds=1)),
        ({"a": 1}, {"a": 1, "b": None}),
        ([1, 2], [2, 1]),
        (b"1", "1"),
    ],
)
def test_values_that_only_look_alike(source: Any, target: Any) -> None:
    found = first_difference([(source,)], [(target,)], columns=("value",))
    assert found is not None
    assert found.where == "row 0, value"


def test_the_number_of_rows_is_compared_first() -> None:
    assert str(first_difference([(1,)], [], columns=("n",))) == "rows: PostgreSQL 1, MongoDB 0"


def test_order_matters_only_where_the_question_has_one() -> None:
    rows = [("b", 2), ("a", 1)]
    columns = ("name", "n")
    assert first_difference(rows, rows[::-1], columns=columns) is None
    found = first_difference(rows, rows[::-1], columns=columns, ordered_by=("n",))
    assert found is not None
    assert found.where == "order, row 0, n"


def test_rows_that_tie_may_stand_in_any_order_but_must_be_the_same() -> None:
    columns = ("name", "n")
    ties = [("a", 2), ("b", 1), ("c", 1)]
    assert first_difference(ties, [ties[0], ties[2], ties[1]], columns=columns, ordered_by=("n",)) is None
    assert first_difference(ties, [ties[0], ("x", 1), ties[1]], columns=columns, ordered_by=("n",))


def test_rows_that_tie_with_the_last_one_of_a_cut_off_answer_are_interchangeable() -> None:
    columns = ("name", "n")
    one, two = [("a", 2), ("b", 1)], [("a", 2), ("c", 1)]
    assert first_difference(one, two, columns=columns, ordered_by=("n",), limit=2) is None
    assert first_difference(one, two, columns=columns, ordered_by=("n",), limit=3)
    assert first_difference(one, [("x", 2), ("c", 1)], columns=columns, ordered_by=("n",), limit=2)


def test_the_tolerance_is_relative() -> None:
    assert same(1e12, 1e12 + 100, 1e-9)
    assert not same(1.0, 1.0001, 1e-9)
    assert same(1.0, 1.0001, 1e-3)


def test_a_long_value_is_cut_in_the_message() -> None:
    found = first_difference([("x" * 500,)], [("y",)], columns=("text",))
    assert found is not None
    assert len(found.source) == 80


def test_times_are_cut_towards_the_past_also_before_1970() -> None:
    assert canonical(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)).microsecond == 999_000
