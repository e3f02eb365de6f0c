"""Turn a batch of rows into encoded documents, and set aside the rows that cannot become one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import bson
from bson import CodecOptions, ObjectId
from bson.binary import UuidRepresentation
from bson.raw_bson import RawBSONDocument

from workbench.migration.flat import flat_table
from workbench.migration.tables.columns import Fields, RowProblem, Rules
from workbench.migration.tables.table import Row, Table
from workbench.models.document import Document
from workbench.models.fields import MAX_DOCUMENT_BYTES, MAX_MEASUREMENT_BYTES
from workbench.models.spec import Kind
from workbench.similarity.embedder import Embedder, to_binary

_CODEC: CodecOptions[dict[str, Any]] = CodecOptions(uuid_representation=UuidRepresentation.STANDARD)


class Encoded(RawBSONDocument):
    """One validated document as BSON, which the driver sends as it is, and the row it came from.

    What the base needs to read fields is made when a field is read, as few ever are: made for each document, it would
    cost a tenth of the whole way from row to server.
    """

    __slots__ = ("raw", "row")
    raw: bytes

    def __init__(self, raw: bytes, row: Row) -> None:
        self.raw, self.row = raw, row

    def __getattr__(self, name: str) -> Any:
        super().__init__(self.raw)
        return object.__getattribute__(self, name)

    @property
    def id(self) -> ObjectId:
        """The document's `_id`, its first field: 4 bytes of length and 5 of type and name stand before it."""
        return ObjectId(self.raw[9:21])


@dataclass(frozen=True, slots=True)
class Rejected:
    """One row that cannot become a document, and why."""

    row: Row
    problem: RowProblem


def build_batch(
    table: Table, rows: Sequence[Row], embedder: Embedder | None, rules: Rules = frozenset()
) -> tuple[list[Encoded], list[Rejected]]:
    """The documents of a batch, and the rows without one. Every document passed its model."""
    flat = flat_table(table.name)
    if flat is None or not rows:
        return build_row_by_row(table, rows, embedder, rules)
    raws, done, left = flat.encode(rows)
    encoded, rejected = build_row_by_row(table, left, embedder, rules)
    encoded += map(Encoded, raws, done)
    return encoded, rejected


def build_row_by_row(
    table: Table, rows: Sequence[Row], embedder: Embedder | None, rules: Rules = frozenset()
) -> tuple[list[Encoded], list[Rejected]]:
    """The same for any table, and for rows of which anything is unusual."""
    rejected: list[Rejected] = []
    documents: Iterable[tuple[Row, Document]] = _validated(table, rows, rules, rejected)
    if embedder is not None and table.collection.vector:
        documents = list(documents)
        _embed([document for _, document in documents], embedder)
    limit = MAX_MEASUREMENT_BYTES if table.collection.kind is Kind.TIME_SERIES else MAX_DOCUMENT_BYTES
    encoded: list[Encoded] = []
    for row, document in documents:
        try:
            encoded.append(Encoded(_encode(document.to_bson(), limit), row))
        except RowProblem as problem:
            rejected.append(_rejected(row, problem))
    return encoded, rejected


def _validated(
    table: Table, rows: Sequence[Row], rules: Rules, rejected: list[Rejected]
) -> Iterator[tuple[Row, Document]]:
    """The documents one by one: each is encoded and gone before the next is made, which spares the memory's caches."""
    for row in rows:
        try:
            document = table.validate(table.build(row, rules))
        except RowProblem as problem:
            rejected.append(_rejected(row, problem))
        else:
            yield row, document


def _rejected(row: Row, problem: RowProblem) -> Rejected:
    problem.__context__ = None  # what it came from, and its traceback, would keep the whole batch alive
    return Rejected(row, problem.with_traceback(None))


def _encode(fields: Fields, limit: int) -> bytes:
    try:
        raw = bson.encode(fields, codec_options=_CODEC)
    except (bson.errors.BSONError, UnicodeEncodeError, OverflowError) as error:
        raise RowProblem("", "not_encodable", str(error)[:200]) from None
    if len(raw) > limit:
        raise RowProblem("", "oversize", f"the document has {len(raw):,} bytes, the limit is {limit:,}")
    return raw


def _embed(documents: Sequence[Any], embedder: Embedder) -> None:
    if not documents:
        return
    events = [
        {
            "metric": event.metric,
            "cohort": event.cohort,
            "observed": event.observed,
            "expected": event.expected,
            "score": event.score,
            "severity": event.severity,
            "evidence": event.evidence,
        }
        for event in documents
    ]
    for event, vector in zip(documents, to_binary(embedder.embed(events)), strict=True):
        event.embedding, event.embedding_model = vector, embedder.name
