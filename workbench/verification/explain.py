"""Why two values differ: a short cause, the same for all rows that went wrong in the same way."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from workbench.verification.canonical import ABSENT, Kind, encoded, same

_HOUR = 3_600_000_000
_CLOSE = 1e-6


def cause(kind: Kind, expected: Any, found: Any) -> str:
    """How `found` differs from `expected`, both canonical, in words that follow "differ in <field>: "."""
    if found is ABSENT:
        return "the field is absent"
    if found is None:
        return "null in place of a value"
    if expected is None:
        return "a value in place of NULL"
    if isinstance(found, tuple) and found[:1] == ("malformed",):
        return f"a value of type {found[1]}"
    match kind:
        case Kind.TIMESTAMP:
            return _of_timestamps(expected, found)
        case Kind.TEXT | Kind.UUID:
            return _of_texts(expected, found)
        case Kind.INTEGER | Kind.DOUBLE | Kind.NUMERIC:
            return _of_numbers(expected, found)
        case Kind.JSON:
            return _of_json(expected, found)
    return "another value"


def _of_timestamps(expected: Any, found: Any) -> str:
    if not (isinstance(expected, int) and isinstance(found, int)):
        return "another kind of value"
    shift = found - expected
    if expected // 1000 == found // 1000:
        return "the microseconds"
    if shift % _HOUR == 0 and abs(shift) < 48 * _HOUR:
        return f"shifted by {shift // _HOUR:+d} h"
    if abs(shift) < 1_000_000:
        return "less than a second"
    return "another time"


def _of_texts(expected: Any, found: Any) -> str:
    if not (isinstance(expected, str) and isinstance(found, str)):
        return "another type"
    if not found:
        return "empty text in place of a value"
    if expected.startswith(found):
        return "truncated"
    if expected.casefold() == found.casefold():
        return "upper and lower case"
    if expected.strip() == found.strip():
        return "white space at the ends"
    return "another text"


def _of_numbers(expected: Any, found: Any) -> str:
    first, second = _as_float(expected), _as_float(found)
    if first is None or second is None:
        return "another type"
    if first == second and isinstance(expected, tuple) and isinstance(found, tuple):
        return "the scale" if Decimal(expected[1]) == Decimal(found[1]) else "the last digits"
    if first == second or abs(first - second) <= _CLOSE * max(abs(first), abs(second)):
        return "the last digits"
    if first == -second:
        return "the sign"
    return "another number"


def _as_float(form: Any) -> float | None:
    if isinstance(form, (int, float)) and not isinstance(form, bool):
        return float(form)
    if isinstance(form, tuple) and form[:1] == ("#",):
        return float(form[1])
    return None


def _of_json(expected: Any, found: Any) -> str:
    path, first, second = difference(expected, found)
    place = f"at {path}: " if path else ""
    if first is ABSENT:
        return f"{place}a part that the source does not have"
    if second is ABSENT:
        return f"{place}a part is absent"
    match first, second:
        case ("[]", tuple(left)), ("[]", tuple(right)):
            if sorted(map(encoded, left)) == sorted(map(encoded, right)):
                return f"{place}the order of an array"
            return f"{place}an array of {len(right)} in place of {len(left)} elements"
    if type(first) is not type(second):
        return f"{place}another type"
    return f"{place}another value"


def difference(expected: Any, found: Any, path: str = "") -> tuple[str, Any, Any]:
    """The first place where two canonical JSON values differ: its path (array positions as []), and both values.

    Arrays of different length or order are named as a whole.
    """
    match expected, found:
        case ("{}", tuple(left)), ("{}", tuple(right)):
            first, second = dict(left), dict(right)
            for key in sorted(first.keys() | second.keys()):
                one, other = first.get(key, ABSENT), second.get(key, ABSENT)
                if not same(one, other):
                    return difference(one, other, f"{path}.{key}" if path else key)
        case ("[]", tuple(left)), ("[]", tuple(right)) if len(left) == len(right):
            if sorted(map(encoded, left)) != sorted(map(encoded, right)):
                for one, other in zip(left, right, strict=True):
                    if not same(one, other):
                        return difference(one, other, f"{path}[]")
    return path, expected, found
