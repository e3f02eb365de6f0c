"""Differences between two versions, from changes and snapshots."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cases import entry
from workbench.explorer.diff import changed_fields, text_of, version_diff

ENTRIES = [entry(version).model_dump() for version in (3, 1, 2, 5, 4)]


def differences(before: int, after: int, entries: list[dict[str, Any]] = ENTRIES) -> dict[str, tuple[str, str, str]]:
    frame = version_diff(entries, before, after)
    return {row.field: (row.change, row.before, row.after) for row in frame.itertuples()}


def test_a_field_that_changed_more_than_once_is_one_line() -> None:
    assert differences(1, 5) == {
        "status": ("changed", "CREATED", "COMPLETED"),
        "settings.tools": ("changed", '["t1"]', '["t5"]'),
        "note.text": ("changed", "v1", "v5"),
    }


def test_from_before_the_creation_everything_is_added() -> None:
    found = differences(0, 1)
    assert found["status"] == ("added", "", "CREATED")
    assert found["note.text"] == ("added", "", "v1")


def test_backwards_is_the_mirror_of_forwards() -> None:
    assert differences(5, 2)["status"] == ("changed", "COMPLETED", "SETTINGS")
    assert differences(1, 0)["status"] == ("removed", "CREATED", "")


def test_a_version_does_not_differ_from_itself() -> None:
    assert differences(3, 3) == {}


def test_a_change_that_was_taken_back_is_no_difference() -> None:
    entries = [
        {"to_version": 2, "changes": {"a": {"old": 1, "new": 2}}},
        {"to_version": 3, "changes": {"a": {"old": 2, "new": 1}}},
    ]
    assert differences(1, 3, entries) == {}


@pytest.mark.parametrize("changes", [None, [], "text", 3, {}], ids=repr)
def test_changes_of_any_json_shape_are_borne(changes: Any) -> None:
    entries = [{"to_version": 1, "changes": changes, "state_snapshot": changes}]
    assert differences(0, 1, entries) == {}
    assert changed_fields(entries[0]) == ()


def test_a_change_without_old_and_new_is_the_new_value() -> None:
    assert differences(0, 1, [{"to_version": 1, "changes": {"omitted_changes": 7}}]) == {
        "omitted_changes": ("added", "", "7")
    }


def test_an_object_that_changed_is_told_field_by_field() -> None:
    entries = [
        {"to_version": 2, "changes": {"results": {"old": None, "new": {"risk": 0.5, "by": {"device": 0.4}}}}},
        {"to_version": 3, "changes": {"results": {"old": {"risk": 0.5, "by": {}}, "new": {"risk": 0.9, "by": {}}}}},
    ]
    assert differences(1, 2, entries) == {
        "results.risk": ("added", "", "0.5"),
        "results.by.device": ("added", "", "0.4"),
    }
    assert differences(2, 3, entries) == {"results.risk": ("changed", "0.5", "0.9")}


def test_text_of_values() -> None:
    assert [text_of(v) for v in (None, "a", 1.5, True, {"é": [1]})] == ["", "a", "1.5", "true", '{"é": [1]}']
