"""What changed between two versions of an investigation, field by field, from its audit history."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

MAX_DEPTH = 20
_COLUMNS = ["field", "change", "before", "after"]


def version_diff(entries: Iterable[Mapping[str, Any]], before: int, after: int) -> pd.DataFrame:
    """The fields that differ between two versions, in either direction.

    The changes that entries tell are put together (a field that changed twice is one line, one that changed back is
    none); the snapshots add what no change named.

    Args:
        entries: audit entries with `to_version`, `changes` and `state_snapshot`, in any order.
        before: the version to start from; 0 is before the creation.
        after: the version to end with.

    Returns:
        Columns field, change (added, removed, changed), before, after; values as JSON text.
    """
    if before > after:
        turned = version_diff(entries, after, before)
        turned = turned.rename(columns={"before": "after", "after": "before"})[_COLUMNS]
        turned["change"] = turned["change"].replace({"added": "removed", "removed": "added"})
        return turned
    known = sorted((e for e in entries if e.get("to_version") is not None), key=lambda e: int(e["to_version"]))
    fields: dict[str, list[Any]] = {}
    for entry in known:
        if before < entry["to_version"] <= after:
            for name, (old, new) in _changes(entry.get("changes")).items():
                fields.setdefault(name, [old, new])[1] = new
    one, other = _state(known, before), _state(known, after)
    if one is not None and other is not None:
        for name in one.keys() | other.keys():
            fields.setdefault(name, [one.get(name), other.get(name)])
    rows = [
        {"field": name, "change": _kind(old, new), "before": text_of(old), "after": text_of(new)}
        for name, (old, new) in sorted(fields.items())
        if old != new
    ]
    return pd.DataFrame(rows, columns=_COLUMNS)


def changed_fields(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields that one entry changed."""
    return tuple(_changes(entry.get("changes")))


def text_of(value: Any) -> str:
    """A value as text, of objects and lists their JSON; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, (dict, list, bool)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _changes(changes: Any, prefix: str = "", depth: int = 0) -> dict[str, tuple[Any, Any]]:
    """Path -> (old, new). A change that does not say what was there before is taken as the new value."""
    found: dict[str, tuple[Any, Any]] = {}
    for name, change in changes.items() if isinstance(changes, Mapping) else ():
        path = f"{prefix}{name}"
        if not isinstance(change, Mapping) or depth >= MAX_DEPTH:
            found[path] = (None, change)
        elif change and change.keys() <= {"old", "new"}:
            found |= _leaves(path, change.get("old"), change.get("new"))
        else:
            found |= _changes(change, f"{path}.", depth + 1)
    return found


def _leaves(path: str, old: Any, new: Any) -> dict[str, tuple[Any, Any]]:
    """A change of an object as changes of its fields, which are what the snapshots and the other entries name."""
    one = _flat({path: old}) if isinstance(old, Mapping) and old else {path: old}
    other = _flat({path: new}) if isinstance(new, Mapping) and new else {path: new}
    names = [name for name in (one | other) if name != path or one.get(path) is not None or other.get(path) is not None]
    return {name: (one.get(name), other.get(name)) for name in names or [path]}


def _state(known: list[Mapping[str, Any]], version: int) -> dict[str, Any] | None:
    """The snapshot of a version as path -> scalar or list; empty before the creation, None where there is none."""
    if version == 0:
        return {}
    for entry in reversed(known):
        if entry["to_version"] == version and isinstance(entry.get("state_snapshot"), Mapping):
            return _flat(entry["state_snapshot"])
    return None


def _flat(value: Mapping[str, Any], prefix: str = "", depth: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, item in value.items():
        path = f"{prefix}{key}"
        if isinstance(item, Mapping) and item and depth < MAX_DEPTH:
            found |= _flat(item, f"{path}.", depth + 1)
        else:
            found[path] = item
    return found


def _kind(old: Any, new: Any) -> str:
    return "added" if old is None else "removed" if new is None else "changed"
