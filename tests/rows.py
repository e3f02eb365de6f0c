"""Generated rows of the ten source tables, as PostgreSQL's driver returns them, and equality of such rows.

Every generated row is legal: it must arrive in the target and come back equal.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from workbench.migration.tables.columns import EPOCH, INFINITY, MINUS_INFINITY
from workbench.migration.tables.table import Table

MICROS_YEAR_1, MICROS_YEAR_10000 = -63_082_281_600_000_000, 252_455_616_000_000_000
MICROS_4714_BC, MICROS_YEAR_294277 = -211_813_488_000_000_000, 9_223_371_331_200_000_000
"""The range of PostgreSQL's timestamps (manual, date/time types)."""

# -- scalars ------------------------------------------------------------------------------------------------------

unicode_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
keys = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=255)
nullable_text = st.none() | unicode_text
int4 = st.integers(0, 2**31 - 1)
uuids = st.uuids()
instants = st.one_of(
    st.integers(MICROS_YEAR_1, MICROS_YEAR_10000 - 1),
    st.integers(-(2**51), 2**52),  # the years 1898 to 2112
    st.sampled_from([0, -1, 1, 999, 1000, -999, MICROS_YEAR_1, MICROS_YEAR_10000 - 1]),
)
nullable_instants = st.one_of(
    st.none(),
    instants,
    st.sampled_from([INFINITY, MINUS_INFINITY, MICROS_YEAR_10000, MICROS_YEAR_1 - 1]),
    st.integers(MICROS_4714_BC, MICROS_YEAR_294277 - 1),
)
scores = st.floats(0, 1)
finite = st.floats(allow_nan=False, allow_infinity=False)
numerics = st.one_of(
    st.sampled_from([Decimal(text) for text in ("NaN", "Infinity", "-Infinity", "0", "0.00", "1E-6177", "9" * 400)]),
    st.tuples(st.sampled_from([0, 1]), st.integers(0, 10**60), st.integers(0, 60)).map(
        lambda parts: Decimal((parts[0] if parts[1] else 0, tuple(map(int, str(parts[1]))), -parts[2]))
    ),
)


# -- JSON ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Number:
    """A JSON number in one of its spellings."""

    spelling: str


def spell(value: Any, *, ascii_only: bool = False) -> str:
    """JSON text of a generated value."""
    if isinstance(value, Number):
        return value.spelling
    if isinstance(value, dict):
        members = (
            f"{json.dumps(key, ensure_ascii=ascii_only)}: {spell(item, ascii_only=ascii_only)}"
            for key, item in value.items()
        )
        return "{" + ", ".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(spell(item, ascii_only=ascii_only) for item in value) + "]"
    return json.dumps(value, ensure_ascii=ascii_only)


numbers = st.one_of(
    st.integers().map(str),
    st.integers(-(10**60), 10**60).map(str),
    finite.map(repr),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.sampled_from(
        ["-0", "-0.0", "1E400", "1e-400", "9e9999", "-1e-9999", "0.1000", "1.0", "12345678901234567890e-3"]
    ),
).map(Number)
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0."), max_size=12).filter(
    lambda name: not name.startswith("$")
)
strings = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)  # JSON may hold NUL, as an escape
values = st.recursive(
    st.none() | st.booleans() | strings | numbers,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(names, values, max_size=5)


def texts(of: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    """Generated values as JSON text, in several spellings of white space and escapes."""
    return st.builds(
        lambda value, ascii_only, before, after: before + spell(value, ascii_only=ascii_only) + after,
        of,
        st.booleans(),
        st.sampled_from(["", " ", "\n\t"]),
        st.sampled_from(["", " ", "\r\n"]),
    )


no_json = st.sampled_from([None, "", "null", " null\n", "  "])
json_objects = no_json | texts(objects)
json_values = no_json | texts(values)
text_lists = texts(st.lists(strings, max_size=4))
tags = st.one_of(
    no_json,
    text_lists,
    unicode_text.filter(lambda text: not text.lstrip().startswith(("[", "{", '"'))),
)
json_scores = st.one_of(scores.map(repr), st.sampled_from(["0", "1", "0.50", "5e-1"])).map(Number) | st.none()
field_names = names.filter(lambda name: 1 <= len(name) <= 255)
findings = st.fixed_dictionaries(
    {},
    optional={"risk_score": json_scores, "confidence": json_scores, "evidence": values, "": values, "notes": strings},
)
progress = st.builds(
    lambda known, other: {**other, **known},
    st.fixed_dictionaries(
        {},
        optional={
            "current_phase": st.none() | strings,
            "progress_percentage": st.none() | st.floats(0, 100).map(repr).map(Number),
            "risk_score": json_scores,
            "domain_findings": st.none() | st.dictionaries(field_names, findings, max_size=3),
            "transaction_scores": st.none()
            | st.dictionaries(field_names, json_scores.filter(lambda score: score is not None), max_size=3),
        },
    ),
    objects,
)


def _iso(micros: int, style: str) -> str:
    moment = EPOCH + timedelta(microseconds=micros)
    match style:
        case "Z":
            return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
        case "naive":
            return moment.replace(tzinfo=None).isoformat(" ")
        case "zone":
            return moment.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat()
    return moment.date().isoformat()


iso_dates = st.builds(
    _iso,
    st.integers(MICROS_YEAR_1 + 10**12, MICROS_YEAR_10000 - 10**12),
    st.sampled_from(["Z", "naive", "zone", "date"]),
)
action_fields = {
    "action_id": st.none() | keys,
    "action_type": st.none() | strings,
    "status": st.none() | strings,
    "started_at": st.none() | iso_dates,
    "completed_at": st.none() | iso_dates,
    "result": st.one_of(values, st.fixed_dictionaries({"started_at": numbers, "completed_at": strings})),
    "error": st.none() | strings,
}
actions = st.lists(
    st.builds(lambda known, other: {**other, **known}, st.fixed_dictionaries({}, optional=action_fields), objects),
    max_size=3,
)

# -- rows ---------------------------------------------------------------------------------------------------------


def _ordered(first: st.SearchStrategy[int], span: st.SearchStrategy[int | None]) -> st.SearchStrategy[Any]:
    """Two instants, the second not before the first, or NULL."""
    return st.tuples(first, span).map(
        lambda pair: (pair[0], None if pair[1] is None else min(pair[0] + pair[1], MICROS_YEAR_10000 - 1))
    )


spans = st.integers(0, 10**13)
windows = _ordered(instants, spans)
open_windows = _ordered(instants, st.none() | spans)


def _row(*parts: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    """A row: its values in the order of `Table.select`, without a broken rule. A tuple of values is spliced in."""
    return st.tuples(*parts).map(
        lambda row: (*(value for part in row for value in (part if isinstance(part, tuple) else (part,))), None)
    )


stages = st.sampled_from(["CREATED", "SETTINGS", "IN_PROGRESS", "COMPLETED"])
run_states = st.sampled_from(["queued", "running", "success", "failed"])
ROWS: dict[str, st.SearchStrategy[tuple[Any, ...]]] = {
    "investigation_states": _row(
        keys, keys, stages, json_objects, no_json | texts(progress), stages, st.integers(1, 2**31 - 1),
        instants, instants, nullable_instants, keys,
    ),
    "investigation_templates": _row(
        keys, keys, keys, nullable_text, tags, texts(objects), int4, nullable_instants, instants, instants, keys,
    ),
    "investigation_audit_log": _row(
        keys, keys, keys, st.sampled_from(["CREATED", "DELETED", "STATE_CHANGE"]), json_values, json_values,
        st.sampled_from(["UI", "API", "POLLING"]), st.none() | int4, st.none() | int4, instants, keys,
    ),
    "detectors": _row(
        uuids, keys, keys, text_lists, text_lists, json_objects, st.booleans(), instants, instants, keys,
    ),
    "detection_runs": _row(
        uuids, uuids, run_states, open_windows, windows, json_objects, keys, keys,
    ),
    "anomaly_events": _row(
        uuids, uuids, uuids, st.none() | keys, json_objects, windows, keys, numerics, numerics, finite,
        st.sampled_from(["info", "warn", "critical"]), st.sampled_from(["new", "triaged", "closed"]), int4,
        json_values, instants, keys,
    ),
    "transaction_scores": _row(keys, keys, scores, instants, keys),
    "composio_connections": _row(
        keys, keys, keys, keys, st.sampled_from(["active", "expired", "revoked"]), unicode_text, nullable_text,
        nullable_instants, instants, instants, nullable_instants,
    ),
    "composio_action_audits": _row(
        keys, keys, st.none() | keys, keys, keys, keys, st.none() | keys, json_values, json_values,
        st.sampled_from(["success", "failed", "retrying"]), instants, int4, nullable_text,
    ),
    "soar_playbook_executions": _row(
        keys, keys, st.none() | keys, st.none() | uuids.map(str), keys, nullable_text,
        st.sampled_from(["running", "completed", "failed", "cancelled"]), open_windows,
        no_json | texts(actions), nullable_text,
    ),
}  # fmt: skip
"""For each table, legal rows of every type that it uses."""

# -- equality -----------------------------------------------------------------------------------------------------


def canonical_json(text: str) -> Any:
    """The value of a JSON text: numbers exact, true not 1, order of keys without meaning."""
    return _tagged(json.loads(text, parse_int=Decimal, parse_float=Decimal))


def _tagged(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tagged(item) for key, item in value.items()}
    return [_tagged(item) for item in value] if isinstance(value, list) else (type(value).__name__, value)


def _same_json(found: str | None, expected: str | None) -> bool:
    if found == expected or found is None or expected is None or not expected.strip():
        return found == expected
    return bool(canonical_json(found) == canonical_json(expected))


def _same_tags(found: str | None, expected: str | None) -> bool:
    return found == expected or _same_json(found, expected)


def _same_numeric(found: Decimal | None, expected: Decimal | None) -> bool:
    if found is None or expected is None:
        return found is expected
    return found.compare_total(expected) == 0


def _same_float(found: float | None, expected: float | None) -> bool:
    if found is None or expected is None:
        return found is expected
    return found == expected and math.copysign(1, found) == math.copysign(1, expected)


_SAME: dict[str, Callable[[Any, Any], bool]] = {
    "json": _same_json,
    "tags": _same_tags,
    "numeric": _same_numeric,
    "float": _same_float,
}


def differences(table: Table, found: tuple[Any, ...], expected: tuple[Any, ...]) -> dict[str, tuple[Any, Any]]:
    """Columns in which a restored row differs from the source's: found and expected value."""
    return {
        column.name: (left, right)
        for column, left, right in zip(table.columns, found, expected, strict=True)
        if not _SAME.get(column.kind, _same_value)(left, right)
    }


def _same_value(found: Any, expected: Any) -> bool:
    return type(found) is type(expected) and bool(found == expected)
