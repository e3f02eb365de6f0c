"""How the fields of a document are read: one reader a column, and what fields without a column must hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from workbench.migration.tables.columns import (
    Column,
    Instant,
    JsonText,
    Notes,
    Numeric,
    to_micros,
)
from workbench.migration.tables.table import Table
from workbench.models.document import bson_value
from workbench.verification.canonical import ABSENT, Kind, canonical, json_form

KINDS = {
    "text": Kind.TEXT,
    "int": Kind.INTEGER,
    "float": Kind.DOUBLE,
    "numeric": Kind.NUMERIC,
    "bool": Kind.BOOLEAN,
    "uuid": Kind.UUID,
    "instant": Kind.TIMESTAMP,
    "json": Kind.JSON,
    "tags": Kind.JSON,
}
"""Kind of a column -> how its values are compared."""
Reader = Callable[[Mapping[str, Any], Mapping[str, int]], Any]
_PLAIN = {Kind.TEXT: str, Kind.INTEGER: int, Kind.DOUBLE: float, Kind.BOOLEAN: bool}
"""Kinds whose values are their own canonical form if they are of this type, and no NaN."""
_NO_NOTES = Notes()
_FIRST, _LAST = -63_082_281_600_000_000, 252_455_615_999_999_999
"""The years 1 to 9999 in microseconds since 2000: a BSON date beyond them is stored as null."""


def _minutes(row: Mapping[str, Any]) -> Any:
    return _milliseconds(row["window_start"], row["window_end"], 60_000)


def _duration(row: Mapping[str, Any]) -> Any:
    return _milliseconds(row["started_at"], row["completed_at"], 1)


def _milliseconds(start: int | None, end: int | None, unit: int) -> float | None:
    """The time between two instants, each cut to the millisecond of a BSON date, in `unit` milliseconds."""
    if start is None or end is None or not (_FIRST <= start <= _LAST and _FIRST <= end <= _LAST):
        return None
    return (end // 1000 - start // 1000) / unit


Derived = tuple[str, Kind, Callable[[Mapping[str, Any]], Any]]
"""A field, its kind, and its canonical value for the columns of a row."""
DERIVED: dict[str, tuple[Derived, ...]] = {
    "anomaly_events": (("window.duration_minutes", Kind.DOUBLE, _minutes),),
    "soar_playbook_executions": (("duration_ms", Kind.DOUBLE, _duration),),
}
_FROM_ELSEWHERE = {"provenance", "results", "embedding", "embedding_model"}
"""Fields without a column of their own: results come from the progress column, embeddings are judged apart."""


def defaults(table: Table) -> Iterator[Derived]:
    """Fields that no column fills: a migrated document has their defaults."""
    filled = {path.partition(".")[0] for path in (*(c.path for c in table.columns), *(e.path for e in table.extras))}
    filled |= {table.collection.tenant_path.partition(".")[0]} | _FROM_ELSEWHERE
    filled |= {path.partition(".")[0] for path, _, _ in DERIVED.get(table.name, ())}
    for name, info in table.collection.document.model_fields.items():
        if name not in filled:
            form = json_form(bson_value(info.get_default(call_default_factory=True)))
            yield name, Kind.JSON, _always(form)


def _always(form: Any) -> Callable[[Mapping[str, Any]], Any]:
    return lambda row: form


def reader(column: Column) -> Reader:
    """How a column is read from a document none of whose values is kept in `provenance.exact`."""
    kind = KINDS[column.kind]
    parent, _, leaf = column.path.rpartition(".")
    plain = _PLAIN.get(kind)

    def take(document: Mapping[str, Any]) -> Any:
        return (document[parent] if parent else document)[leaf]

    def read_plain(document: Mapping[str, Any], micros: Mapping[str, int]) -> Any:
        value = (document[parent] if parent else document)[leaf]
        return value if type(value) is plain and value == value else canonical(kind, value)

    def read_instant(document: Mapping[str, Any], micros: Mapping[str, int]) -> Any:
        value = take(document)
        if value is None:
            return None
        return to_micros(value) + micros.get(column.path, 0)

    def read_value(document: Mapping[str, Any], micros: Mapping[str, int]) -> Any:
        return canonical(kind, take(document))

    def read_by_column(document: Mapping[str, Any], micros: Mapping[str, int]) -> Any:
        return canonical(kind, column.dump(document, Notes({"micros": micros})))

    if isinstance(column, JsonText):
        return _json_reader(column)
    if type(column) is Instant:
        return read_instant
    if type(column) is Numeric:
        return read_value
    if type(column).dump is not Column.dump:
        return read_by_column
    return read_plain if plain else read_value


def _json_reader(column: JsonText) -> Reader:
    def read(document: Mapping[str, Any], micros: Mapping[str, int]) -> Any:
        return json_form(column.value(document, Notes({"micros": micros})))

    def read_as_it_is(document: Mapping[str, Any], micros: Mapping[str, int]) -> Any:
        return json_form(column.value(document, _NO_NOTES))

    return read_as_it_is if type(column).value is JsonText.value else read


def reader_at(path: str, kind: Kind) -> Callable[[Mapping[str, Any]], Any]:
    """How a field without a column is read."""
    names, plain = path.split("."), _PLAIN.get(kind)

    def read(document: Mapping[str, Any]) -> Any:
        value = at(document, names)
        return value if type(value) is plain and value == value else canonical(kind, value)

    return read


def at(document: Any, path: Sequence[str]) -> Any:
    """The value at a path of a document; ABSENT where there is none."""
    for name in path:
        if not isinstance(document, dict) or name not in document:
            return ABSENT
        document = document[name]
    return document
