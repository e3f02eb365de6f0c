"""Whether two databases gave the same answer: values by type, order where the question has one.

The rules: numbers are equal by value, doubles within a relative tolerance; times to the millisecond, which is what
a BSON date holds; UUIDs, texts and bytes exactly; JSON level by level. Rows that tie in what an answer is ordered by
may stand in any order among themselves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeAlias

from bson.decimal128 import Decimal128

Row: TypeAlias = tuple[Any, ...]
_SORT_DIGITS = 6


@dataclass(frozen=True)
class Difference:
    """Where two answers differ first: the row and column, or the number of rows."""

    where: str
    source: str
    target: str

    def __str__(self) -> str:
        return f"{self.where}: PostgreSQL {self.source}, MongoDB {self.target}"


def first_difference(
    source: Sequence[Row],
    target: Sequence[Row],
    *,
    columns: Sequence[str],
    ordered_by: Sequence[str] = (),
    limit: int = 0,
    tolerance: float = 1e-9,
) -> Difference | None:
    """The first difference of two answers, or None if they are the same.

    Args:
        source: PostgreSQL's rows.
        target: MongoDB's rows, with the same columns.
        columns: names of the columns.
        ordered_by: the columns that the answer is ordered by; none means that order does not matter.
        limit: where the answers were cut off. Rows that tie with the last one could as well have been cut off, so of
            those only the order columns are compared.
        tolerance: relative tolerance of doubles; sums in another order differ in their last digits.
    """
    if len(source) != len(target):
        return Difference("rows", str(len(source)), str(len(target)))
    one, two = ([tuple(map(canonical, row)) for row in rows] for rows in (source, target))
    places = [columns.index(name) for name in ordered_by]
    for number, (left, right) in enumerate(zip(one, two, strict=True)):
        for place in places:
            if not same(left[place], right[place], tolerance):
                return Difference(f"order, row {number}, {columns[place]}", _short(left[place]), _short(right[place]))
    if limit and len(one) >= limit and places:
        one, two = (_above_last(rows, places, tolerance) for rows in (one, two))
    for number, (left, right) in enumerate(zip(sorted(one, key=_sort_key), sorted(two, key=_sort_key), strict=True)):
        for name, mine, theirs in zip(columns, left, right, strict=True):
            if not same(mine, theirs, tolerance):
                return Difference(f"row {number}, {name}", _short(mine), _short(theirs))
    return None


def _above_last(rows: list[Row], places: list[int], tolerance: float) -> list[Row]:
    last = rows[-1]
    return [row for row in rows if not all(same(row[place], last[place], tolerance) for place in places)]


def canonical(value: Any) -> Any:
    """A driver's value as both sides hold it: UTC times cut to the millisecond, `Decimal` for decimals."""
    if isinstance(value, datetime):
        moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    if isinstance(value, Decimal128):
        return value.to_decimal()
    if isinstance(value, Mapping):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [canonical(item) for item in value]
    return value


def same(one: Any, two: Any, tolerance: float) -> bool:
    """Whether two canonical values are equal by the rules above."""
    if _is_number(one) and _is_number(two):
        if isinstance(one, float) or isinstance(two, float):
            return math.isclose(one, two, rel_tol=tolerance, abs_tol=tolerance) or (one != one and two != two)
        return bool(one == two)
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key], tolerance) for key in one)
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(same(a, b, tolerance) for a, b in zip(one, two, strict=True))
    return type(one) is type(two) and bool(one == two)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def _sort_key(row: Row) -> tuple[tuple[str, str], ...]:
    """A total order in which numbers that are equal by value or differ in their last digits come together."""
    return tuple(
        ("number", f"{float(value):.{_SORT_DIGITS}g}") if _is_number(value) else (type(value).__name__, str(value))
        for value in row
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
