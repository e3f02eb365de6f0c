"""Read one side of a table, or a part of it: into fingerprints, or the rows of some buckets themselves.

Both sides are streamed: a server-side cursor on PostgreSQL, a natural-order scan (or a range of `_id`) on MongoDB.
Nothing is sorted. The functions take plain values only, so that they run in any process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain, islice
from typing import Any

import bson
import psycopg
from bson import ObjectId
from bson.binary import Binary, UuidRepresentation
from bson.codec_options import CodecOptions
from psycopg import sql
from pymongo.collection import Collection

from workbench import connections
from workbench.ahead import ahead
from workbench.migration.extract import open_snapshot
from workbench.migration.partition import Partition
from workbench.settings import Settings
from workbench.verification.canonical import Kind, canonical
from workbench.verification.fingerprints import Fingerprints, bucket_of, bucket_range
from workbench.verification.forms import DOUBLED, Form, Forms, forms_of, identity

FETCH_ROWS = 2_000
WIRE_DOCUMENTS = 5_000
"""Documents in one answer of the server, as far as its 16 MB hold them: each answer costs a round trip, and the
embedded server moves all that it still has to send. They are decoded `FETCH_ROWS` at a time, since values take ten
times the memory."""
AS_COMPARED: Mapping[str, Any] = {"tz_aware": False, "uuid_representation": UuidRepresentation.UNSPECIFIED}
"""How BSON is read here: dates without a zone (they are UTC) and UUIDs as bytes. What the driver otherwise makes of
them, in Python, takes longer than all the rest of a small document."""
Ids = tuple[bytes, bytes | None]
"""A range of `_id`: the first one, and the first one after it; None: there is none after it."""
NO_OBJECT_IDS: Ids = (b"", None)
"""The documents whose `_id` is no ObjectId, which lie in no range."""
Read = Callable[[int], None]
"""Called with the number of rows or documents that were just read."""


@dataclass(frozen=True)
class Row:
    """One row or document in comparable form. `key` is the row's key, for people."""

    id: bytes
    key: str
    form: Form


@dataclass(frozen=True)
class SourcePart:
    """A part of a source table to be read: a partition (None: all of it), seen at a snapshot."""

    settings: Settings
    table: str
    buckets: int
    excluded: frozenset[bytes]
    snapshot: str | None = None
    partition: Partition | None = None


@dataclass(frozen=True)
class TargetPart:
    """A part of a collection to be read: a range of `_id` (None: all of it)."""

    settings: Settings
    table: str
    buckets: int
    ids: Ids | None = None


def source_fingerprints(part: SourcePart, on_read: Read | None = None) -> Fingerprints:
    """The fingerprints of a part of the source."""
    found, began = Fingerprints(part.buckets), time.perf_counter()
    forms = forms_of(part.table, part.settings)
    with open_snapshot(part.settings, part.snapshot) as connection:
        for batch in ahead(batches(connection, forms, part.partition)):
            for row, row_id in zip(batch, forms.row_ids(batch), strict=True):
                if row_id in part.excluded:
                    found.skipped += 1
                else:
                    found.add(row_id, forms.row_form(row))
            if on_read:
                on_read(len(batch))
    found.seconds = time.perf_counter() - began
    return found


def target_fingerprints(part: TargetPart, on_read: Read | None = None) -> Fingerprints:
    """The fingerprints of a part of the target."""
    found, began = Fingerprints(part.buckets), time.perf_counter()
    forms = forms_of(part.table, part.settings)
    with connections.open_target(part.settings, bulk=True) as client:
        stream = documents(client, forms, part.settings, part.ids)
        for batch in ahead(iter(lambda: list(islice(stream, FETCH_ROWS)), [])):
            for document in batch:
                found.add(identity(document), forms.document_form(document))
            if on_read:
                on_read(len(batch))
    found.seconds = time.perf_counter() - began
    return found


def source_rows(part: SourcePart, wanted: frozenset[int]) -> Iterator[Row]:
    """The rows of some buckets, by reading the part once more."""
    forms = forms_of(part.table, part.settings)
    with open_snapshot(part.settings, part.snapshot) as connection:
        for batch in batches(connection, forms, part.partition):
            for row, row_id in zip(batch, forms.row_ids(batch), strict=True):
                if bucket_of(row_id, part.buckets) in wanted and row_id not in part.excluded:
                    yield Row(row_id, "/".join(forms.row_key(row)), forms.row_form(row))


def target_rows(part: TargetPart, wanted: frozenset[int], *, by_range: bool) -> Iterator[Row]:
    """The documents of some buckets: by ranges of `_id` where the server has that index, else by one scan."""
    forms = forms_of(part.table, part.settings)
    ranges: list[Ids | None] = [part.ids]
    if by_range:
        ranges = [*(bucket_range(bucket, part.buckets) for bucket in sorted(wanted)), NO_OBJECT_IDS]
    with connections.open_target(part.settings, bulk=True) as client:
        for ids in ranges:
            for document in documents(client, forms, part.settings, ids):
                row_id = identity(document)
                if bucket_of(row_id, part.buckets) in wanted:
                    yield Row(row_id, document_key(forms, document), forms.document_form(document))


def document_key(forms: Forms, document: Mapping[str, Any]) -> str:
    """The key that a document claims to have, for people."""
    return "/".join(_shown(document.get(path, "(absent)")) for path in forms.table.collection.natural_key)


def _shown(value: Any) -> str:
    return str(canonical(Kind.UUID, value) if isinstance(value, Binary) else value)


def documents(client: Any, forms: Forms, settings: Settings, ids: Ids | None) -> Iterator[Mapping[str, Any]]:
    """The documents of a collection, or of a range of its `_id`s, in the server's order, without their vectors."""
    query: dict[str, Any] = {}
    if ids == NO_OBJECT_IDS:
        query = {"_id": {"$not": {"$type": "objectId"}}}
    elif ids is not None:
        query = {"_id": {"$gte": ObjectId(ids[0]), **({"$lt": ObjectId(ids[1])} if ids[1] else {})}}
    collection = as_compared(client[settings.mongodb_database][forms.table.collection.name])
    vector = forms.table.collection.vector
    # The embedded server needs twice as long to leave a field out as to send it.
    projection = {vector.path: 0} if vector and settings.mongodb_uri else None
    with collection.find_raw_batches(query, projection, batch_size=WIRE_DOCUMENTS) as cursor:
        for portion in chain.from_iterable(map(portions, cursor)):
            found = decoded(portion, collection.codec_options)
            if vector:
                for document in found:
                    document.pop(vector.path, None)
            yield from found


def as_compared(collection: Collection[Any]) -> Collection[Any]:
    """The same collection, read with the options `AS_COMPARED`."""
    return collection.with_options(codec_options=collection.codec_options.with_options(**AS_COMPARED))


_SHORTEST = 5
"""Bytes of an empty document; one that says it is shorter is broken, which its decoder will tell."""


def portions(answer: bytes) -> Iterator[bytes]:
    """The documents of a raw answer, `FETCH_ROWS` at a time."""
    start = end = count = 0
    while end < len(answer):
        end += max(_SHORTEST, int.from_bytes(answer[end : end + 4], "little"))
        count += 1
        if count == FETCH_ROWS or end >= len(answer):
            yield answer[start:end]
            start, count = end, 0


def decoded(batch: bytes, codec: CodecOptions[dict[str, Any]]) -> list[dict[str, Any]]:
    """The documents of a raw batch; one with two fields of one name, of which a dict keeps one, is marked `DOUBLED`.

    Such a document is longer in BSON than what was read of it. To encode all once more, in one array, costs about a
    microsecond each.
    """
    found = bson.decode_all(batch, codec)
    array = bson.encode({"": found}, False, codec)
    if len(array) != len(batch) + _array_overhead(len(found)):
        start = 0
        for document in found:
            stored = int.from_bytes(batch[start : start + 4], "little")
            start += stored
            if stored != len(bson.encode(document, False, codec)):
                document[DOUBLED] = True
    return found


@cache
def _array_overhead(items: int) -> int:
    """Bytes of `{"": [...]}` in BSON beside its documents: two lengths, two ends, a type and an empty name; and for
    each item its type, its position as text, and a NUL."""
    digits = sum(len(str(position)) for position in range(items))
    return 4 + 1 + 1 + 4 + 1 + 1 + 2 * items + digits


def batches(
    connection: psycopg.Connection[Any], forms: Forms, partition: Partition | None
) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a table, or of a partition of it, `FETCH_ROWS` at a time, in no order."""
    query = forms.select()
    if partition is not None:
        query += sql.SQL(" WHERE ") + partition.where(forms.table)
    with connection.cursor(name="verification", binary=True) as cursor:
        cursor.execute(query)
        while batch := cursor.fetchmany(FETCH_ROWS):
            yield batch


def rows_by_sample(
    connection: psycopg.Connection[Any], forms: Forms, *, rows: int, wanted: int, seed: int
) -> list[tuple[Any, ...]]:
    """About `wanted` rows of a table with `rows` rows, chosen at random; the same seed chooses the same rows."""
    percent = min(100.0, 100.0 * (wanted + 5 * wanted**0.5) / max(1, rows))
    sampled = sql.SQL(" TABLESAMPLE BERNOULLI ({}) REPEATABLE ({})").format(sql.Literal(percent), sql.Literal(seed))
    key = sql.SQL(", ").join(sql.SQL("t.{}::text").format(sql.Identifier(name)) for name in forms.table.key)
    order = sql.SQL(" ORDER BY hashtextextended(concat_ws('/', {}), {}) LIMIT {}").format(
        key, sql.Literal(seed), sql.Literal(wanted)
    )
    with connection.cursor(binary=True) as cursor:
        return cursor.execute(forms.select() + sampled + order).fetchall()
