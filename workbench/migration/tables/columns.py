"""The kinds of columns: each reads a source value into a document and gives it back, with the rule about loss.

`load` puts a value that the driver returned into the fields of a document; `dump` takes it out again, so that
`dump(load(value)) == value` for every value that `load` accepts. What a BSON value cannot hold goes into `Notes`,
which become the document's `provenance`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, InvalidOperation
from typing import Any, ClassVar

from bson.decimal128 import Decimal128

from workbench.models.fields import DECIMAL128, fits_decimal128, json_problem

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""Instants in rows are PostgreSQL's own count: microseconds since this moment (its source, datatype/timestamp.h).
The driver need not make anything of them, and unlike `datetime` they have infinities and the year 10000."""
_EPOCH_WITHOUT_ZONE = EPOCH.replace(tzinfo=None)
_MICROSECOND = timedelta(microseconds=1)
UNIX_MICROS = 946_684_800_000_000
"""What to add for microseconds since 1970, which documents hold where a date cannot."""
INFINITY = 2**63 - 1
"""PostgreSQL's binary form of the timestamp 'infinity'."""
MINUS_INFINITY = -(2**63)
FIRST_MICROS = -62_135_596_800_000_000 - UNIX_MICROS  # 0001-01-01
LAST_MICROS = 253_402_300_799_999_999 - UNIX_MICROS  # 9999-12-31T23:59:59.999999; no datetime is beyond
Fields = dict[str, Any]
Rules = frozenset[str]
"""Names of the rules that a person accepted for a table; see `RULES`."""
ESCAPE_KEYS, KEEP_UNREADABLE_JSON = "escape-keys", "keep-unreadable-json"
RULES = {
    ESCAPE_KEYS: "JSON keys with dots or dollar signs are stored with full-width ones; the original text is kept",
    KEEP_UNREADABLE_JSON: "JSON that cannot be read becomes null; the original text is kept in provenance",
    "accept-orphan": "rows that refer to a missing row are loaded as they are",
    "accept-duplicate_after_normalisation": "names that differ only by white space or Unicode form are loaded",
}
"""Rules by which rows can leave the quarantine without a change of the source; none of them loses anything."""
_RULE_FOR = {
    "key_not_storable": ESCAPE_KEYS,
    **dict.fromkeys(("malformed_json", "duplicate_json_key"), KEEP_UNREADABLE_JSON),
}
_ESCAPES = str.maketrans({".": "\uff0e", "$": "\uff04"})


def rule_for(reason: str) -> str:
    """The rule that may let rows with this reason leave the quarantine, or an empty text."""
    rule = _RULE_FOR.get(reason, f"accept-{reason}")
    return rule if rule in RULES else ""


class RowProblem(Exception):
    """A value cannot become part of a document: the row goes to quarantine with this field and reason."""

    def __init__(self, field: str, reason: str, message: str) -> None:
        self.field, self.reason, self.message = field, reason, message
        super().__init__(f"{field}: {message}")


class Notes:
    """What one row's BSON values cannot hold, by field path; and the rules under which the row is read."""

    __slots__ = ("exact", "micros", "rules")

    def __init__(self, provenance: Mapping[str, Any] | None = None, rules: Rules = frozenset()) -> None:
        self.rules = rules
        self.micros: dict[str, int] = {}
        self.exact: dict[str, str] = {}
        if provenance:
            self.micros.update(provenance.get("micros") or {})
            self.exact.update(provenance.get("exact") or {})


@dataclass(frozen=True)
class Column:
    """A column whose value BSON holds as it is.

    Attributes:
        name: the source column.
        path: the field of the document, at most two levels; the column's name where not given.
        secret: the value must never be shown.
    """

    name: str
    path: str = ""
    secret: bool = False

    kind: ClassVar[str] = "value"
    cast: ClassVar[str] = ""
    rule: ClassVar[str] = "kept as it is"

    def __post_init__(self) -> None:
        path = self.path or self.name
        parent, _, leaf = path.rpartition(".")
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "_parent", parent)
        object.__setattr__(self, "_leaf", leaf)

    @property
    def is_copied(self) -> bool:
        """Whether `load` does no more than to put the value, unchanged, into a field of the first level."""
        return type(self).load is Column.load and "." not in self.path

    def load(self, value: Any, fields: Fields, notes: Notes) -> None:
        """Put a source value into the fields of a document."""
        self._put(value, fields)

    def dump(self, document: Mapping[str, Any], notes: Notes) -> Any:
        """The source value that a stored document stands for."""
        return self._take(document)

    def _put(self, value: Any, fields: Fields) -> None:
        parent: str = self._parent  # type: ignore[attr-defined]
        (fields[parent] if parent else fields)[self._leaf] = value  # type: ignore[attr-defined]

    def _take(self, document: Mapping[str, Any]) -> Any:
        parent: str = self._parent  # type: ignore[attr-defined]
        return (document[parent] if parent else document)[self._leaf]  # type: ignore[attr-defined]


class Text(Column):
    """text and varchar."""

    kind = "text"


class Integer(Column):
    """int2, int4, int8."""

    kind = "int"


class Boolean(Column):
    """boolean."""

    kind = "bool"


class Double(Column):
    """double precision."""

    kind = "float"


class Uuid(Column):
    """uuid, stored as BSON binary subtype 4."""

    kind = "uuid"


class UuidText(Column):
    """A uuid or text column that the document holds as text."""

    kind = "text"
    cast = "::text"


class Numeric(Column):
    """numeric, stored as Decimal128: 34 digits, NaN and infinities. Wider values keep their text beside."""

    kind = "numeric"
    rule = "Decimal128; beyond 34 digits the exact text is kept in provenance"

    def load(self, value: Decimal | None, fields: Fields, notes: Notes) -> None:
        if value is not None and not fits_decimal128(value):
            notes.exact[self.path] = str(value)
            value = _rounded(value)
        self._put(value, fields)

    def dump(self, document: Mapping[str, Any], notes: Notes) -> Decimal | None:
        exact = notes.exact.get(self.path)
        if exact is not None:
            return Decimal(exact)
        value = self._take(document)
        return value.to_decimal() if isinstance(value, Decimal128) else value


class Instant(Column):
    """timestamp (UTC) and timestamptz: read as microseconds since `EPOCH`, stored as a BSON date of milliseconds."""

    kind = "instant"
    rule = "BSON date (milliseconds); the microseconds, infinities and years beyond 9999 are kept in provenance"

    def load(self, value: int | None, fields: Fields, notes: Notes) -> None:
        if value is None:
            self._put(None, fields)
            return
        if not FIRST_MICROS <= value <= LAST_MICROS:
            notes.exact[self.path] = _outlying(value)
            self._put(None, fields)
            return
        micros = value % 1000
        if micros:
            notes.micros[self.path] = micros
        self._put(EPOCH + timedelta(0, 0, value - micros), fields)

    def dump(self, document: Mapping[str, Any], notes: Notes) -> int | None:
        exact = notes.exact.get(self.path)
        if exact is not None:
            return _from_outlying(exact)
        value = self._take(document)
        return None if value is None else to_micros(value) + notes.micros.get(self.path, 0)


class JsonText(Column):
    """JSON in text or jsonb: stored as a value. Spelling (white space, order of keys, 1.0 for 1) is not data.

    The empty text is an empty value, and JSON's `null` differs from NULL: both are kept in provenance.
    """

    kind = "json"
    cast = "::text"
    rule = "stored by value; numbers beyond a double or 34 digits keep their text in provenance"

    def load(self, value: str | None, fields: Fields, notes: Notes) -> None:
        self._put(self.parse(value, notes), fields)

    def parse(self, value: str | None, notes: Notes) -> Any:
        """The JSON value of a text; None for NULL, for the empty text and for `null`."""
        if value is None:
            return None
        if not value.strip():
            notes.exact[self.path] = value
            return None
        try:
            parsed = parse_json(value, self.name)
            if parsed is None:  # JSON's null, which is not NULL
                notes.exact[self.path] = value
                return None
            return self._stored(parsed, value, notes)
        except RecursionError:
            raise RowProblem(self.name, "nested_too_deep", "nested deeper than any document may be") from None
        except RowProblem:
            if KEEP_UNREADABLE_JSON not in notes.rules:
                raise
            notes.exact[self.path] = value
            return None

    def _stored(self, parsed: Any, value: str, notes: Notes) -> Any:
        if ESCAPE_KEYS in notes.rules and (problem := json_problem(parsed)) and problem.code == "key_not_storable":
            notes.exact[self.path] = value
            return _escaped(parsed)
        return _keep_wide(parsed, self.path, notes) if _has_wide(parsed) else parsed

    def dump(self, document: Mapping[str, Any], notes: Notes) -> str | None:
        return self.text(self.value(document, notes), notes)

    def value(self, document: Mapping[str, Any], notes: Notes) -> Any:
        """The JSON value of a stored document as the source has it, but for what `notes.exact` keeps."""
        return self._take(document)

    def text(self, value: Any, notes: Notes) -> str | None:
        """The JSON text of a stored value."""
        exact_text = notes.exact.get(self.path)
        if value is None or exact_text is not None:
            return exact_text
        prefix = f"{self.path}."
        for path, exact in notes.exact.items():
            if path.startswith(prefix):
                value = _replaced(value, path.removeprefix(prefix).split("."), Decimal(exact))
        return dump_json(value)


class Tags(JsonText):
    """A list of texts: JSON in newer rows, separated by commas in older ones; both occur."""

    kind = "tags"
    rule = "stored as a list; a text that is not JSON is kept in provenance as well"

    def parse(self, value: str | None, notes: Notes) -> Any:
        if value is None or value.strip() in ("", "null") or value.lstrip().startswith(("[", "{", '"')):
            return super().parse(value, notes)
        notes.exact[self.path] = value
        return [tag.strip() for tag in value.split(",") if tag.strip()]


def to_micros(value: datetime) -> int:
    """Microseconds since `EPOCH` of a date that MongoDB returned: with its zone, or without one and in UTC."""
    return (value - (_EPOCH_WITHOUT_ZONE if value.tzinfo is None else EPOCH)) // _MICROSECOND


def _outlying(micros: int) -> str:
    return {INFINITY: "infinity", MINUS_INFINITY: "-infinity"}.get(micros) or str(micros + UNIX_MICROS)


def _from_outlying(exact: str) -> int:
    return {"infinity": INFINITY, "-infinity": MINUS_INFINITY}.get(exact) or int(exact) - UNIX_MICROS


def _rounded(value: Decimal) -> Decimal:
    return Context(prec=34, Emin=DECIMAL128.Emin, Emax=DECIMAL128.Emax, traps=[]).create_decimal(value)


def _number(text: str) -> float | Decimal:
    """A JSON number as a double where that is exact, else as a decimal."""
    number = float(text)
    if math.isfinite(number) and Decimal(repr(number)) == Decimal(text):
        return number
    return Decimal(text)


def _integer(text: str) -> int | Decimal:
    if len(text) < 19:
        return int(text)
    try:
        number = int(text)
    except ValueError:  # Python refuses to convert more than 4,300 digits
        return Decimal(text)
    return number if -(2**63) <= number < 2**63 else Decimal(text)


def _refuse_constant(name: str) -> Any:
    raise RowProblem("", "not_finite", f"{name} is not JSON")


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise RowProblem("", "duplicate_json_key", "an object has the same key twice; one value would be lost")
    return result


_DECODER = json.JSONDecoder(
    parse_float=_number, parse_int=_integer, parse_constant=_refuse_constant, object_pairs_hook=_unique_pairs
)


def parse_json(text: str, field: str) -> Any:
    """A JSON text without loss: no duplicate key, no NaN, every number exact.

    Raises:
        RowProblem: the text is not such JSON.
    """
    try:
        return _DECODER.decode(text)
    except RowProblem as problem:
        raise RowProblem(field, problem.reason, problem.message) from None
    except json.JSONDecodeError as error:
        raise RowProblem(field, "malformed_json", f"{error.msg} at character {error.pos}") from None
    except RecursionError:
        raise RowProblem(field, "nested_too_deep", "nested deeper than any document may be") from None
    except (InvalidOperation, ValueError) as error:
        raise RowProblem(field, "malformed_json", str(error)) from None


def _escaped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key.translate(_ESCAPES): _escaped(item) for key, item in value.items()}
    return [_escaped(item) for item in value] if isinstance(value, list) else value


def _has_wide(value: Any) -> bool:
    if isinstance(value, Decimal):
        return True
    if isinstance(value, dict):
        return any(map(_has_wide, value.values()))
    return isinstance(value, list) and any(map(_has_wide, value))


def _keep_wide(value: Any, path: str, notes: Notes) -> Any:
    """The value with each decimal that Decimal128 cannot hold noted by its path, and rounded."""
    if isinstance(value, Decimal) and not fits_decimal128(value):
        notes.exact[path] = str(value)
        return _rounded(value)
    if isinstance(value, dict):
        return {key: _keep_wide(item, f"{path}.{key}", notes) for key, item in value.items()}
    if isinstance(value, list):
        return [_keep_wide(item, f"{path}.{index}", notes) for index, item in enumerate(value)]
    return value


def _replaced(value: Any, path: list[str], leaf: Any) -> Any:
    if not path:
        return leaf
    if isinstance(value, list):
        position = int(path[0])
        return [_replaced(item, path[1:], leaf) if i == position else item for i, item in enumerate(value)]
    return {key: _replaced(item, path[1:], leaf) if key == path[0] else item for key, item in value.items()}


def dump_json(value: Any) -> str:
    """The JSON text of a stored value, with every digit of its decimals and dates as UTC text."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{dump_json(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(dump_json, value)) + "]"
    if isinstance(value, Decimal128):
        return str(value.to_decimal())
    if isinstance(value, Decimal):
        return str(value)
    return json.dumps(value)
