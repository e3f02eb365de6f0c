"""Causes: rows that went wrong in the same way get the same words."""

from __future__ import annotations

from typing import Any

import pytest

from workbench.verification.canonical import ABSENT, Kind, canonical
from workbench.verification.explain import cause, difference

HOUR = 3_600_000_000


@pytest.mark.parametrize(
    ("kind", "expected", "found", "words"),
    [
        (Kind.TIMESTAMP, 1_000_123, 1_000_000, "the microseconds"),
        (Kind.TIMESTAMP, 0, -5 * HOUR, "shifted by -5 h"),
        (Kind.TIMESTAMP, 0, 1_500, "less than a second"),
        (Kind.TIMESTAMP, 0, 100 * HOUR + 1, "another time"),
        (Kind.TIMESTAMP, 0, "infinity", "another kind of value"),
        (Kind.TEXT, "abc", "ab", "truncated"),
        (Kind.TEXT, "abc", "ABC", "upper and lower case"),
        (Kind.TEXT, "abc", "abc ", "white space at the ends"),
        (Kind.TEXT, "abc", "", "empty text in place of a value"),
        (Kind.TEXT, "abc", "xyz", "another text"),
        (Kind.TEXT, "abc", 7, "another type"),
        (Kind.TEXT, "abc", None, "null in place of a value"),
        (Kind.TEXT, None, "abc", "a value in place of NULL"),
        (Kind.TEXT, "abc", ABSENT, "the field is absent"),
        (Kind.DOUBLE, 0.1, 0.1000000001, "the last digits"),
        (Kind.DOUBLE, 0.1, -0.1, "the sign"),
        (Kind.NUMERIC, ("#", "15e-1"), 3, "another number"),
        (Kind.NUMERIC, ("#", "1.50"), ("#", "1.5"), "the scale"),
        (Kind.NUMERIC, ("#", "1.0000000000000000001"), ("#", "1.0"), "the last digits"),
        (Kind.NUMERIC, 1, "1", "another type"),
        (Kind.NUMERIC, 1, ("malformed", "bytes", "b''"), "a value of type bytes"),
        (Kind.BOOLEAN, True, False, "another value"),
    ],
)
def test_cause_of_scalars(kind: Kind, expected: Any, found: Any, words: str) -> None:
    assert cause(kind, expected, found) == words


@pytest.mark.parametrize(
    ("expected", "found", "words"),
    [
        ('{"a": [1, 2]}', '{"a": [2, 1]}', "at a: the order of an array"),
        ('{"a": [1, 2]}', '{"a": [1]}', "at a: an array of 1 in place of 2 elements"),
        ('{"a": [{"b": 1}]}', '{"a": [{"b": 2}]}', "at a[].b: another value"),
        ('{"a": 1, "b": 2}', '{"a": 1}', "at b: a part is absent"),
        ('{"a": 1}', '{"a": 1, "b": null}', "at b: a part that the source does not have"),
        ('{"a": 1}', '{"a": "1"}', "at a: another type"),
        ('{"a": true}', '{"a": 1}', "at a: another type"),
        ('{"b": {"a": 1}}', '{"b": {"a": 1.0}}', "at b.a: another type"),
        ("[1, 2]", "[1, 2.0]", "at []: another type"),
        ("[1]", "2", "another type"),
    ],
)
def test_cause_of_json_names_the_place(expected: str, found: str, words: str) -> None:
    assert cause(Kind.JSON, canonical(Kind.JSON, expected), canonical(Kind.JSON, found)) == words


def test_the_place_of_a_difference_holds_both_values() -> None:
    one, other = (canonical(Kind.JSON, text) for text in ('{"x": {"y": [0, 1]}}', '{"x": {"y": [0, 5]}}'))
    assert difference(one, other) == ("x.y[]", 1, 5)
