"""Plant a corruption in a scratch target at one of five positions, and take it back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pymongo.database import Database

from workbench.migration.ledger import LEDGER
from workbench.migration.quarantine import COLLECTION as QUARANTINE
from workbench.migration.quarantine import OPEN
from workbench.models import COLLECTIONS
from workbench.models.fields import derive_id
from workbench.models.spec import Kind
from workbench.settings import Settings
from workbench.verification.mutations import MUTATIONS, Doc, Mutation


class Position(StrEnum):
    """Where in a table a corruption is planted."""

    FIRST = "first"
    LAST = "last"
    MIDDLE = "middle"
    PARTITION_EDGE = "partition edge"
    INSIDE_ARRAY = "inside an embedded array"
    WHOLE = "the collection as a whole"


@dataclass(frozen=True)
class Planting:
    """One corruption at one position. `key` is the document's natural key; empty for a collection as a whole."""

    kind: str
    position: Position
    collection: str
    plant: Callable[[], contextlib.AbstractContextManager[str]]

    @property
    def table(self) -> str:
        """The source table to verify."""
        return COLLECTIONS[self.collection].source_table

    def __str__(self) -> str:
        return f"{self.kind} ({self.collection}, {self.position})"


def plantings(database: Database[Any], settings: Settings) -> Iterator[Planting]:
    """Every corruption at every position where it is possible.

    Args:
        database: a scratch target that was just loaded; all its documents are held in memory.
        settings: with the number of rows in a partition, which decides where the edge is.
    """
    stored = {name: _in_order(database, name) for name in COLLECTIONS}
    for mutation in MUTATIONS:
        for position in (Position.FIRST, Position.LAST, Position.MIDDLE, Position.PARTITION_EDGE):
            found = _corrupted(mutation, mutation.corrupt, stored[mutation.collection], position, settings)
            if found:
                yield _of_documents(database, mutation.name, position, mutation.collection, *found)
        if mutation.inside:
            collection, corrupt = mutation.inside
            found = _corrupted(mutation, corrupt, stored[collection], Position.MIDDLE, settings)
            if found:
                yield _of_documents(database, mutation.name, Position.INSIDE_ARRAY, collection, *found)
    yield from _of_collections(database)


def _in_order(database: Database[Any], collection: str) -> list[Doc]:
    """The documents in the order in which the migration partitions them."""
    spec = COLLECTIONS[collection]
    paths = (spec.time_series.time_field, *spec.natural_key) if spec.time_series else spec.natural_key
    return sorted(database[collection].find({}), key=lambda document: [str(document[path]) for path in paths])


def _corrupted(
    mutation: Mutation,
    corrupt: Callable[[Any], list[Doc] | None],
    documents: Sequence[Doc],
    position: Position,
    settings: Settings,
) -> tuple[list[Doc], list[Doc]] | None:
    """The documents nearest to the position that can be corrupted so, before and after."""
    start = {
        Position.FIRST: 0,
        Position.LAST: len(documents) - 1,
        Position.MIDDLE: len(documents) // 2,
        Position.PARTITION_EDGE: min(settings.partition_rows, len(documents) - 1),
    }[position]
    indexes = range(start, -1, -1) if position is Position.LAST else [*range(start, len(documents)), *range(start)]
    for index in indexes:
        before = [documents[index]]
        if mutation.pair:
            before.append(documents[index - 1])
        after = corrupt(before if mutation.pair else before[0])
        if after is not None:
            return before, after
    return None


def _of_documents(
    database: Database[Any], kind: str, position: Position, collection: str, before: list[Doc], after: list[Doc]
) -> Planting:
    spec = COLLECTIONS[collection]

    @contextlib.contextmanager
    def plant() -> Iterator[str]:
        _replace(database, collection, before, after)
        try:
            yield "/".join(str(before[0][path]) for path in spec.natural_key)
        finally:
            _replace(database, collection, after, before)

    return Planting(kind, position, collection, plant)


def _replace(database: Database[Any], collection: str, old: list[Doc], new: list[Doc]) -> None:
    """Delete and insert, because a time series refuses updates; validators are bypassed, as a defect would."""
    target = database[collection]
    target.delete_many({"_id": {"$in": [document["_id"] for document in old]}})
    if new:
        standard = COLLECTIONS[collection].kind is Kind.STANDARD
        target.insert_many([dict(document) for document in new], bypass_document_validation=standard or None)


def _of_collections(database: Database[Any]) -> Iterator[Planting]:
    """Defects of indexes, validators, the ledger and the quarantine."""
    yield _whole("dropped index", "transaction_scores", lambda: _without_index(database, "transaction_scores"))
    yield _whole("dropped index of a time series", "audit_log", lambda: _without_index(database, "audit_log"))
    yield _whole("index that is not unique", "investigations", lambda: _without_unique(database, "investigations"))
    yield _whole("validator removed", "templates", lambda: _without_validator(database, "templates"))
    yield _whole(
        "ledger that counts a row too many",
        "transaction_scores",
        lambda: _ledger_changed(database, "transaction_scores", {"$inc": {"counts.read": 1}}),
    )
    both = {"$inc": {"counts.read": 1, "counts.inserted": 1}}
    yield _whole(
        "ledger that balances with a row too many",
        "audit_log",
        lambda: _ledger_changed(database, "investigation_audit_log", both),
    )
    yield _whole(
        "partition that is not done",
        "anomaly_events",
        lambda: _ledger_changed(database, "anomaly_events", {"$set": {"state": "started"}}),
    )
    yield _whole("partition missing in the ledger", "detection_runs", lambda: _ledger_less(database, "detection_runs"))
    yield _whole("quarantine entry without a loss", "templates", lambda: _quarantined(database, "templates"))


def _whole(kind: str, collection: str, plant: Callable[[], contextlib.AbstractContextManager[None]]) -> Planting:
    @contextlib.contextmanager
    def without_key() -> Iterator[str]:
        with plant():
            yield ""

    return Planting(kind, Position.WHOLE, collection, without_key)


@contextlib.contextmanager
def _without_index(database: Database[Any], collection: str, *, unique: bool = False) -> Iterator[None]:
    index = next(index for index in COLLECTIONS[collection].indexes if index.unique is unique)
    database[collection].drop_index(list(index.keys))
    try:
        yield
    finally:
        database[collection].create_index(list(index.keys), name=index.name, unique=index.unique)


@contextlib.contextmanager
def _without_unique(database: Database[Any], collection: str) -> Iterator[None]:
    with _without_index(database, collection, unique=True):
        index = next(index for index in COLLECTIONS[collection].indexes if index.unique)
        database[collection].create_index(list(index.keys), name=index.name)
        try:
            yield
        finally:
            database[collection].drop_index(list(index.keys))


@contextlib.contextmanager
def _without_validator(database: Database[Any], collection: str) -> Iterator[None]:
    options = next(database.list_collections(filter={"name": collection}))["options"]
    database.command("collMod", collection, validator={})
    try:
        yield
    finally:
        database.command("collMod", collection, validator=options["validator"])


@contextlib.contextmanager
def _ledger_changed(database: Database[Any], table: str, change: dict[str, Any]) -> Iterator[None]:
    before = database[LEDGER].find_one({"table": table}) or {}
    database[LEDGER].update_one({"_id": before["_id"]}, change)
    try:
        yield
    finally:
        database[LEDGER].replace_one({"_id": before["_id"]}, before)


@contextlib.contextmanager
def _ledger_less(database: Database[Any], table: str) -> Iterator[None]:
    before = database[LEDGER].find_one({"table": table}) or {}
    database[LEDGER].delete_one({"_id": before["_id"]})
    try:
        yield
    finally:
        database[LEDGER].insert_one(before)


@contextlib.contextmanager
def _quarantined(database: Database[Any], collection: str) -> Iterator[None]:
    """An entry that claims a row stayed behind although its document is there."""
    spec = COLLECTIONS[collection]
    key = [str(value) for value in ((database[collection].find_one({}) or {})[path] for path in spec.natural_key)]
    entry_id = derive_id(spec.source_table, *key)
    database[QUARANTINE].insert_one({"_id": entry_id, "table": spec.source_table, "key": key, "state": OPEN})
    try:
        yield
    finally:
        database[QUARANTINE].delete_one({"_id": entry_id})
