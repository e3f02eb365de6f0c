"""What changed between two states, field by field, in the form of the source's audit entries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAX_CHANGES = 1_000
OMITTED = "omitted_changes"


def changed_fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that differ, nested as the states are, each as `{"old": ..., "new": ...}`.

    Lists are compared as a whole; an object that appears or goes is told field by field. Beyond 1,000 fields the
    rest is only counted, under `omitted_changes`: the snapshot beside it holds the values.
    """
    counter = [0]
    found = _differences(before, after, counter)
    if counter[0] > MAX_CHANGES:
        found[OMITTED] = counter[0] - MAX_CHANGES
    return found


def _differences(before: Mapping[str, Any], after: Mapping[str, Any], counter: list[int]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in (*before, *(name for name in after if name not in before)):
        old, new = before.get(name), after.get(name)
        if old == new and type(old) is type(new):
            continue
        if all(side is None or isinstance(side, Mapping) for side in (old, new)) and (old or new):
            inner = _differences(old or {}, new or {}, counter)
            if inner:
                found[name] = inner
            continue
        counter[0] += 1
        if counter[0] <= MAX_CHANGES:
            found[name] = {"old": old, "new": new}
    return found
