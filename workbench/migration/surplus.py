"""Migrated documents whose row the source no longer has. Memory is one batch, however many there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from pymongo.collection import Collection as MongoCollection

from workbench.migration import extract
from workbench.migration.tables.table import Table
from workbench.models.fields import derive_id

_BATCH = 1_000


def find_surplus(
    source: psycopg.Connection[Any], collection: MongoCollection[Any], table: Table
) -> Iterator[Sequence[Any]]:
    """The `_id`s of such documents, a batch at a time. What a service wrote has no provenance and is none of them."""
    fields = dict.fromkeys(table.collection.natural_key, 1)
    keys: dict[Any, tuple[str, ...]] = {}
    for document in collection.find({"provenance.table": table.name}, fields, batch_size=_BATCH):
        keys[document["_id"]] = tuple(str(document.get(name)) for name in fields)
        if len(keys) == _BATCH:
            yield _without_row(source, table, keys)
            keys = {}
    if keys:
        yield _without_row(source, table, keys)


def prune(collection: MongoCollection[Any], table: Table, ids: Sequence[Any]) -> int:
    """Delete these migrated documents; how many there were."""
    return collection.delete_many({"_id": {"$in": list(ids)}, "provenance.table": table.name}).deleted_count


def count_migrated(collection: MongoCollection[Any], table: Table, expected: int) -> int:
    """How many documents the migration has there; the server's own figure if it is the expected one, which is free."""
    if collection.estimated_document_count() == expected:
        return expected
    return collection.count_documents({"provenance.table": table.name})


def _without_row(source: psycopg.Connection[Any], table: Table, keys: dict[Any, tuple[str, ...]]) -> list[Any]:
    present = {derive_id(table.name, *key) for key in extract.existing_keys(source, table, list(keys.values()))}
    return [identity for identity in keys if identity not in present]
