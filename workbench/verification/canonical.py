"""The canonical form of a value: what has to be equal on both sides, and nothing else.

Two values are the same if their canonical forms are equal. The form depends on the kind of the column only, never on
the side it came from: whole numbers by value, doubles bit by bit, numerics digit by digit with their scale (1.50 is
not 1.5), timestamps as PostgreSQL's integer microseconds since 2000 or an infinity, JSON by value (order of keys and
whitespace do not matter, the order of arrays does). A number in JSON is an int, a double or a decimal, as the
migration stores it by its spelling, and these three are different. NULL, empty text and an absent key are three
different things.
"""

from __future__ import annotations

import json
import marshal
import math
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

from bson.binary import UUID_SUBTYPE, Binary
from bson.decimal128 import Decimal128

from workbench.verification.doubles import DOUBLE, Tree

MAX_SHOWN_CHARACTERS = 120
NAN: Final = math.nan
"""The one form of every NaN: its sign and payload are no data to either server."""
_VERSION_WITHOUT_REFERENCES = 2
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST_INT, _LAST_INT = -(2**63), 2**63 - 1
_TWO_WORDS: Final = struct.Struct("<QQ").unpack
_COEFFICIENT, _NO_NUMBER, _LARGEST = (1 << 49) - 1, 3 << 61, 10**34 - 1
"""Of a Decimal128: the upper bits of its coefficient, the bits that only what is no plain number has, 34 nines."""


class Kind(StrEnum):
    """What a column holds, as far as equality is concerned."""

    TEXT = "text"
    INTEGER = "integer"
    DOUBLE = "double"
    NUMERIC = "numeric"
    BOOLEAN = "boolean"
    UUID = "uuid"
    TIMESTAMP = "timestamp"
    JSON = "json"


class Absent:
    """The value of a field that is not there; it equals nothing but itself."""

    def __repr__(self) -> str:
        return "(absent)"


ABSENT: Final = Absent()


def canonical(kind: Kind, value: Any, doubles: Tree | None = None) -> Any:
    """The canonical form of `value`: built of tuples, texts, ints, floats, bools and None.

    A value that its kind does not allow gets a form of its own that equals no allowed one; nothing is raised.

    Args:
        doubles: of JSON from the source, see `json_form`.
    """
    if value is None or value is ABSENT:
        return value
    try:
        return _json(value, doubles) if kind is Kind.JSON else _FORMS[kind](value)
    except (ValueError, TypeError, OverflowError, InvalidOperation, RecursionError):
        return ("malformed", type(value).__name__, str(value))


def encoded(form: Any) -> bytes:
    """A canonical form as bytes, which are equal if and only if the values are the same.

    They tell 1, 1.0 and true apart, which Python holds equal. Good within one version of Python only; at a quarter of
    the time of `repr`, which serves the few forms that `marshal` refuses: those that hold `ABSENT` or a `bson.Code`.
    """
    try:
        return marshal.dumps(form, _VERSION_WITHOUT_REFERENCES)
    except ValueError:
        return b"repr" + repr(form).encode("utf-8", "surrogatepass")


def same(one: Any, other: Any) -> bool:
    """Whether two canonical forms stand for the same value."""
    return encoded(one) == encoded(other)


def digest(form: Any) -> bytes:
    """128 bits of BLAKE2b over a canonical form."""
    return blake2b(encoded(form), digest_size=16).digest()


def show(form: Any, *, secret: bool = False) -> str:
    """A canonical form for people, shortened; a secret only as a short hash that tells two values apart."""
    if form is None:
        return "NULL"
    if secret:
        return f"secret #{digest(form).hex()[:10]}"
    text = str(form) if isinstance(form, (str, Absent)) else json.dumps(_plain(form), ensure_ascii=False, default=str)
    if text == "":
        return "(empty text)"
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[: MAX_SHOWN_CHARACTERS - 1]}…"


def show_timestamp(form: Any) -> str:
    """A canonical timestamp as ISO 8601 text with microseconds."""
    if not isinstance(form, int) or isinstance(form, bool):
        return show(form)
    try:
        return (_EPOCH + form * _MICROSECOND).isoformat(timespec="microseconds")
    except OverflowError:
        return f"{form} microseconds since 2000"


def _text(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, UUID):
        return str(value)
    return ("not text", type(value).__name__, str(value)[:1000])


def _integer(value: Any) -> Any:
    if isinstance(value, bool):
        return ("not a number", str(value))
    number = int(value)
    return number if number == value else ("not whole", str(value))


def _double(value: Any) -> Any:
    if isinstance(value, (bool, str)):
        return ("not a number", str(value))
    number = float(value)
    return number if number == number else NAN


def _numeric(value: Any) -> Any:
    if isinstance(value, bool):
        return ("not a number", str(value))
    if isinstance(value, Decimal128):
        return ("#", decimal_text(value))
    return ("#", str(value if isinstance(value, Decimal) else Decimal(repr(value))))


def decimal_text(value: Decimal128) -> str:
    """The text of a Decimal128, digit by digit with its scale, as `str(value.to_decimal())` in a fifth of its time.

    Source: IEEE 754-2008, 3.5.2, binary encoding: sign, 14 bits of exponent + 6176, 113 bits of coefficient. What is
    encoded otherwise (infinities, NaN, coefficients that are out of range) is left to the driver.
    """
    low, high = _TWO_WORDS(value.bid)
    coefficient = (high & _COEFFICIENT) << 64 | low
    if high & _NO_NUMBER == _NO_NUMBER or coefficient > _LARGEST:
        return str(value.to_decimal())
    return str(Decimal(f"{'-' if high >> 63 else ''}{coefficient}E{(high >> 49 & 0x3FFF) - 6176}"))


def _boolean(value: Any) -> Any:
    return value if isinstance(value, bool) else ("not a boolean", str(value))


def _uuid(value: Any) -> Any:
    if isinstance(value, Binary):  # the driver's UUID takes ten times as long
        text = value.hex()
        if value.subtype != UUID_SUBTYPE or len(text) != 32:
            return ("not a UUID", value.subtype, text[:100])
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
    return str(value if isinstance(value, UUID) else UUID(str(value)))


def _timestamp(value: Any) -> Any:
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        return (moment - _EPOCH) // _MICROSECOND
    if isinstance(value, bool):
        return ("not a timestamp", str(value))
    if isinstance(value, int):
        return value
    if isinstance(value, float) and math.isinf(value):
        return "infinity" if value > 0 else "-infinity"
    text = str(value).strip()
    if text in ("infinity", "-infinity"):
        return text
    return _timestamp(datetime.fromisoformat(text))


def _json(value: Any, doubles: Tree | None) -> Any:
    if isinstance(value, str):
        if not value.strip():
            return ("empty text",)
        value = _DECODER.decode(value)
        if value is None:
            return ("null",)  # JSON's null is not NULL
    return json_form(value, doubles)


def json_form(value: Any, doubles: Tree | None = None) -> Any:
    """The canonical form of a parsed JSON value. Recursive: 90 levels at most are stored, 1,000 are refused.

    Args:
        doubles: where the model has doubles, which whole numbers become; for a value of the source.
    """
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return value
    if kind is dict:
        if type(doubles) is not tuple:
            return ("{}", tuple([(key, json_form(value[key])) for key in sorted(value)]))
        named, other = doubles
        return ("{}", tuple([(key, json_form(value[key], named.get(key, other))) for key in sorted(value)]))
    if kind is list:
        other = doubles[1] if type(doubles) is tuple else None
        return ("[]", tuple([json_form(item, other) for item in value]))
    if kind is float:
        return value
    if isinstance(value, int):
        if not _FIRST_INT <= value <= _LAST_INT:
            return ("#", str(Decimal(value)))
        return float(value) if doubles == DOUBLE else int(value)
    if isinstance(value, Decimal):
        return ("#", str(value))
    if isinstance(value, datetime):
        return ("date", _timestamp(value))
    if isinstance(value, Decimal128):
        return ("#", decimal_text(value))
    return ("not JSON", type(value).__name__, str(value)[:1000])


def _parse_number(text: str) -> float | Decimal:
    """A double where it is exact in its shortest spelling, else a decimal; written apart from the migration's own."""
    double = float(text)
    if repr(double) == text:
        return double
    number = Decimal(text)
    return double if math.isfinite(double) and Decimal(repr(double)) == number else number


def _parse_integer(text: str) -> int | Decimal:
    """Python refuses to convert more than 4,300 digits; what needs more than 64 bits is stored as a decimal anyway."""
    if len(text) > 20:
        return Decimal(text)
    number = int(text)
    return number if _FIRST_INT <= number <= _LAST_INT else Decimal(text)


_DECODER = json.JSONDecoder(parse_float=_parse_number, parse_int=_parse_integer)
_FORMS: dict[Kind, Callable[[Any], Any]] = {
    Kind.TEXT: _text,
    Kind.INTEGER: _integer,
    Kind.DOUBLE: _double,
    Kind.NUMERIC: _numeric,
    Kind.BOOLEAN: _boolean,
    Kind.UUID: _uuid,
    Kind.TIMESTAMP: _timestamp,
}


def _plain(form: Any) -> Any:
    """A canonical form as the JSON value it stands for, for display."""
    match form:
        case ("{}", tuple(items)):
            return {key: _plain(item) for key, item in items}
        case ("[]", tuple(items)):
            return [_plain(item) for item in items]
        case ("#", str(text)):
            return text
        case tuple():
            return ": ".join(str(part) for part in form)
    return form
