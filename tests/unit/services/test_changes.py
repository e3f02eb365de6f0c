"""The field-level difference of two states."""

from __future__ import annotations

import pytest

from workbench.services.changes import MAX_CHANGES, OMITTED, changed_fields


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ({}, {}, {}),
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1}, {"a": 2}, {"a": {"old": 1, "new": 2}}),
        ({"a": 1}, {"a": True}, {"a": {"old": 1, "new": True}}),
        ({"a": None}, {"a": 0}, {"a": {"old": None, "new": 0}}),
        ({"a": {"b": 1, "c": 1}}, {"a": {"b": 1, "c": 2}}, {"a": {"c": {"old": 1, "new": 2}}}),
        ({"a": None}, {"a": {"b": 1}}, {"a": {"b": {"old": None, "new": 1}}}),
        ({"a": {"b": 1}}, {"a": None}, {"a": {"b": {"old": 1, "new": None}}}),
        ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": {"old": 1, "new": None}}}),
        ({"a": None}, {"a": {}}, {"a": {"old": None, "new": {}}}),
        ({"a": {"b": 1}}, {"a": 7}, {"a": {"old": {"b": 1}, "new": 7}}),
        ({"a": [1, 2]}, {"a": [2]}, {"a": {"old": [1, 2], "new": [2]}}),
        ({"a": 1}, {"b": 1}, {"a": {"old": 1, "new": None}, "b": {"old": None, "new": 1}}),
    ],
)
def test_what_differs_is_told(before: dict[str, object], after: dict[str, object], changes: dict[str, object]) -> None:
    assert changed_fields(before, after) == changes


def test_beyond_the_bound_changes_are_counted() -> None:
    after = {"scores": {f"t{number}": 0.5 for number in range(MAX_CHANGES + 7)}}
    found = changed_fields({}, after)
    assert len(found["scores"]) == MAX_CHANGES
    assert found[OMITTED] == 7
