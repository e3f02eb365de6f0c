"""The documents of flat tables, made a column at a time: byte for byte those made row by row, at a fifth of the cost.

A table is flat if every field of its model is one column of a plain type and the model has no rule of its own, so that
each field may be validated for a whole batch by its type. Its BSON (bsonspec.org) is one row of cells after another.
`transaction_scores`, by far the largest table, is flat. A row of which anything is unusual goes the way row by row,
which finds out what is wrong.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain, compress, repeat
from typing import Annotated, Any

import bson
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from workbench.migration.tables import TABLES
from workbench.migration.tables.columns import FIRST_MICROS, LAST_MICROS, UNIX_MICROS, Column, Instant
from workbench.migration.tables.table import Row, Table
from workbench.models import fields
from workbench.models.document import Document

_LENGTH, _DOUBLE, _DATE = struct.Struct("<i").pack, struct.Struct("<d").pack, struct.Struct("<q").pack
Parts = list[Iterable[bytes]]
"""The BSON elements (type, name, value) of a column, in parts that are joined for each row."""


class _Lengths(dict[int, bytes]):
    """Size of a document's or text's content -> its length as BSON writes it, which counts some bytes besides."""

    def __init__(self, besides: int) -> None:
        self._besides = besides

    def __missing__(self, size: int) -> bytes:
        self[size] = encoded = _LENGTH(size + self._besides)
        return encoded


_DOCUMENT_LENGTH, _TEXT_LENGTH = _Lengths(besides=4), _Lengths(besides=1)  # the length itself, the closing zero


@dataclass(frozen=True)
class _Field:
    """One field of the model.

    Attributes:
        position: where its value stands in a selected row.
        parts: the BSON elements of a column of valid values.
        suspects: the positions of the values that the model may refuse, or that BSON cannot hold.
    """

    position: int
    is_instant: bool
    parts: Callable[[Sequence[Any]], Parts]
    suspects: Callable[[Sequence[Any]], set[int]]


class FlatTable:
    """How the rows of one flat table become BSON."""

    def __init__(self, table: Table, members: Sequence[_Field]) -> None:
        self._table, self._fields = table, members
        names = [column.name for column in table.columns]
        self._key = [names.index(name) for name in table.key]
        self._micros = [member.position for member in members if member.is_instant]
        paths = [table.columns[position].path for position in self._micros]

        @lru_cache(maxsize=4096)
        def provenance(micros: tuple[int, ...]) -> bytes:
            found = {path: value for path, value in zip(paths, micros, strict=True) if value}
            notes = {"table": table.name, **({"micros": found} if found else {})}
            return bson.encode({"provenance": notes})[4:-1]

        self._provenance = provenance

    def encode(self, rows: Sequence[Row]) -> tuple[list[bytes], Sequence[Row], Sequence[Row]]:
        """The documents of a batch with their rows, and the rows that have to go the way row by row."""
        columns = list(zip(*rows, strict=True))
        suspects = {position for position, broken in enumerate(columns[-1]) if broken is not None}
        for member in self._fields:
            suspects |= member.suspects(columns[member.position])
        left: Sequence[Row] = []
        if suspects:
            left = [rows[position] for position in suspects]
            rows = list(compress(rows, (position not in suspects for position in range(len(rows)))))
            columns = list(zip(*rows, strict=True))
        if not rows:
            return [], [], left
        ids = fields.derive_ids(self._table.name, [columns[position] for position in self._key])
        micros = [[value % 1000 for value in columns[position]] for position in self._micros]
        provenances = map(self._provenance, zip(*micros, strict=True) if micros else repeat(()))
        parts = chain.from_iterable(member.parts(columns[member.position]) for member in self._fields)
        bodies = map(b"".join, zip(repeat(b"\x07_id\0"), ids, provenances, *parts, repeat(b"\0")))
        return [_DOCUMENT_LENGTH[len(body)] + body for body in bodies], rows, left


@cache
def flat_table(name: str) -> FlatTable | None:
    """How a source table's rows become BSON a column at a time; None if the table is not flat."""
    table = TABLES[name]
    model = table.collection.document
    if table.derive or table.extras or table.collection.vector or _has_rules(model):
        return None
    columns = {column.path: (position, column) for position, column in enumerate(table.selected)}
    members = [
        _flat_field(*columns[path], info)
        for path, info in model.model_fields.items()
        if path != "provenance" and path in columns
    ]
    whole = len(members) == len(columns) == len(model.model_fields) - 1
    flat = [member for member in members if member is not None]
    return FlatTable(table, flat) if whole and len(flat) == len(members) else None


def _has_rules(model: type[Document]) -> bool:
    rules = model.__pydantic_decorators__
    return bool(rules.model_validators or rules.field_validators or model.__pydantic_post_init__)


def _flat_field(position: int, column: Column, info: FieldInfo) -> _Field | None:
    head = column.path.encode() + b"\0"
    if type(column) is Instant and info.annotation == fields.Instant and not info.metadata:
        return _Field(position, True, _dates(b"\x09" + head), _outside)
    if not column.is_copied or info.annotation not in _PLAIN:
        return None
    suspects = _refused_by(TypeAdapter(list[Annotated[info.annotation, *info.metadata]]))  # type: ignore[name-defined]
    code, parts = _PLAIN[info.annotation]
    return _Field(position, False, parts(code + head), suspects)


def _refused_by(adapter: TypeAdapter[list[Any]]) -> Callable[[Sequence[Any]], set[int]]:
    validate = adapter.validator.validate_python

    def suspects(values: Sequence[Any]) -> set[int]:
        try:
            validate(list(values), strict=True)
        except ValidationError as error:
            return {int(problem["loc"][0]) for problem in error.errors(include_url=False, include_input=False)}
        return set()

    return suspects


def _outside(values: Sequence[int | None]) -> set[int]:
    if None not in values and min(values) >= FIRST_MICROS and max(values) <= LAST_MICROS:  # type: ignore[type-var,operator]
        return set()
    return {n for n, value in enumerate(values) if value is None or not FIRST_MICROS <= value <= LAST_MICROS}


def _texts(head: bytes) -> Callable[[Sequence[str]], Parts]:
    def parts(values: Sequence[str]) -> Parts:
        if values.count(values[0]) == len(values):  # the tenant, as a rule
            text = values[0].encode()
            return [repeat(head + _TEXT_LENGTH[len(text)] + text + b"\0")]
        texts = [value.encode() for value in values]
        return [repeat(head), map(_TEXT_LENGTH.__getitem__, map(len, texts)), texts, repeat(b"\0")]

    return parts


def _doubles(head: bytes) -> Callable[[Sequence[float]], Parts]:
    return lambda values: [repeat(head), map(_DOUBLE, values)]


def _dates(head: bytes) -> Callable[[Sequence[int]], Parts]:
    return lambda values: [repeat(head), [_DATE((value + UNIX_MICROS) // 1000) for value in values]]


_PLAIN: dict[Any, tuple[bytes, Callable[[bytes], Callable[[Sequence[Any]], Parts]]]] = {
    str: (b"\x02", _texts),
    float: (b"\x01", _doubles),
}
"""Types of fields that may be flat -> the code of their BSON type, and how it is written. Strict: nothing is turned
into them."""
