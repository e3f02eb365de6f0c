"""Plant a corruption in a scratch target at one of five positions, and take it back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pymongo.database import Database

from workbench.errors import WorkbenchError
from workbench.migration.ledger import LEDGER, Ledger
from workbench.migration.quarantine import COLLECTION as QUARANTINE
from workbench.migration.quarantine import OPEN
from workbench.migration.tables import TABLES
from workbench.models import COLLECTIONS
from workbench.models.fields import derive_id
from workbench.models.spec import Kind
from workbench.verification.findings import Check, Cluster, Mismatch
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
class Sought:
    """What the verifier must say to have found a corruption: that it is wrong somewhere is not enough.

    Attributes:
        check: the check that must find it; None where any may.
        keys: natural keys of the rows that must each be named.
        fields: the columns or paths of which one must be named with each key; the empty one is a row as a whole.
        path: of the corrupted value in the document.
        touched: keys that may be named; no other row may be.
        words: what the cause must contain, where a collection as a whole is corrupted.
    """

    check: Check | None
    keys: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset()
    path: str = ""
    touched: frozenset[str] = frozenset()
    words: str = ""

    def lacks(self, table: str, clusters: Iterable[Cluster]) -> str:
        """What is missing in, or wrong about, what was found; empty if the corruption was found at its place."""
        examples = [one for cluster in clusters for one in cluster.examples if one.table == table]
        of_check = [one for one in examples if self.check in (None, one.check)]
        if self.words and not any(self.words in one.cause for one in of_check):
            return f"no finding of {self.check} says {self.words!r}"
        named = {one.key for one in of_check if self._is_named_by(one)}
        if self.keys - named:
            return f"no finding names {' or '.join(sorted(self.fields))} of {', '.join(sorted(self.keys - named))}"
        rows = {one.key for one in examples if one.check in (Check.COUNTS, Check.FIELDS)}
        others = rows - self.touched - {""}
        return f"rows that are right were named: {', '.join(sorted(others))}" if self.keys and others else ""

    def _is_named_by(self, one: Mismatch) -> bool:
        """Whether a finding names the value: as its field, or as the place within a wider one in its cause."""
        if one.field in ("document shape", "provenance"):
            return any(name in one.cause for name in (self.fields | {self.path}) - {""})
        inner = self.path.removeprefix(f"{one.field}.")
        return one.field in self.fields or (inner != self.path and f"at {inner}" in one.cause)


@dataclass(frozen=True)
class Planting:
    """One corruption at one position, and what the verifier must say about it."""

    kind: str
    position: Position
    collection: str
    plant: Callable[[], contextlib.AbstractContextManager[None]]
    sought: Sought

    @property
    def table(self) -> str:
        """The source table to verify."""
        return COLLECTIONS[self.collection].source_table

    def __str__(self) -> str:
        return f"{self.kind} ({self.collection}, {self.position})"


def plantings(database: Database[Any]) -> Iterator[Planting]:
    """Every corruption at every position, then those of collections as a whole.

    Args:
        database: a scratch target that was just loaded; all its documents are held in memory.

    Raises:
        WorkbenchError: a corruption is possible nowhere at a position, so that it would be left out.
    """
    stored = {name: _in_order(database, name) for name in COLLECTIONS}
    edges = {name: _edges(database, name, documents) for name, documents in stored.items()}
    for mutation in MUTATIONS:
        for position in (Position.FIRST, Position.LAST, Position.MIDDLE, Position.PARTITION_EDGE):
            yield _of_documents(database, mutation, position, stored, edges)
        if mutation.inside:
            yield _of_documents(database, mutation.inside, Position.INSIDE_ARRAY, stored, edges)
    yield from _of_collections(database)


def _in_order(database: Database[Any], collection: str) -> list[Doc]:
    """The documents in the order in which the migration partitions them."""
    paths = _order(collection)
    return sorted(database[collection].find({}), key=lambda document: [str(document[path]) for path in paths])


def _order(collection: str) -> tuple[str, ...]:
    spec = COLLECTIONS[collection]
    return (spec.time_series.time_field, *spec.natural_key) if spec.time_series else spec.natural_key


def _edges(database: Database[Any], collection: str, documents: Sequence[Doc]) -> list[int]:
    """The documents on both sides of each cut between two partitions, as the ledger has them."""
    spec = COLLECTIONS[collection]
    width = 1 if spec.time_series else len(spec.natural_key)
    keys = [[str(document[path]) for path in _order(collection)[:width]] for document in documents]
    lowers = [part.lower for part in Ledger(database).plan_of(spec.source_table) if part.lower]
    firsts = [next((n for n, key in enumerate(keys) if key >= list(lower)), 0) for lower in lowers]
    return [index for first in firsts if first for index in (first, first - 1)]


def _places(position: Position, count: int, edges: Sequence[int]) -> Sequence[int]:
    """The documents at a position, the best first: not each has the value that is to be corrupted.

    So the first one is the first of those that have it; a partition edge is never replaced by another place.
    """
    middle = count // 2
    match position:
        case Position.FIRST:
            return range(count)
        case Position.LAST:
            return range(count - 1, -1, -1)
        case Position.PARTITION_EDGE:
            return edges
    within = range(count) if position is Position.INSIDE_ARRAY else range(count // 3, 2 * count // 3)
    return sorted(within, key=lambda index: abs(index - middle))


def _of_documents(
    database: Database[Any],
    mutation: Mutation,
    position: Position,
    stored: Mapping[str, Sequence[Doc]],
    edges: Mapping[str, Sequence[int]],
) -> Planting:
    collection, documents = mutation.collection, stored[mutation.collection]
    for index in _places(position, len(documents), edges[collection]):
        before = [documents[index]]
        if mutation.pair:
            before.append(documents[index - 1])
        after = mutation.corrupt(before if mutation.pair else before[0])
        if after is not None:
            break
    else:
        raise WorkbenchError(
            f"The scratch copy has no document for {mutation.name} ({collection}, {position}).",
            todo="Choose another --seed: the sample of this one has no fitting row there.",
        )

    @contextlib.contextmanager
    def plant() -> Iterator[None]:
        _replace(database, collection, before, after)
        try:
            yield
        finally:
            _replace(database, collection, after, before)

    return Planting(mutation.name, position, collection, plant, _sought(mutation, before, after))


def _sought(mutation: Mutation, before: Sequence[Doc], after: Sequence[Doc]) -> Sought:
    key = COLLECTIONS[mutation.collection].natural_key
    old, new = (frozenset("/".join(str(one[path]) for path in key) for one in those) for those in (before, after))
    fields = _names(mutation.collection, mutation.field) if mutation.field else frozenset({""})
    check = None if mutation.field else Check.COUNTS
    return Sought(check, new - old if mutation.names_new else old, fields, mutation.field, old | new)


def _names(collection: str, path: str) -> frozenset[str]:
    """What the verifier calls the value at a path: its column where it comes from one, else the path."""
    if path.startswith("provenance.micros."):
        path = path.removeprefix("provenance.micros.").replace("/", ".")
    if path.startswith("results."):  # made from one column together with the progress
        path = path.replace("results", "progress", 1)
    columns = TABLES[COLLECTIONS[collection].source_table].columns
    found = {column.name for column in columns if f"{path}.".startswith(f"{column.path}.")}
    return frozenset(found or {path})


def _replace(database: Database[Any], collection: str, old: list[Doc], new: list[Doc]) -> None:
    """Delete and insert, because a time series refuses updates; validators are bypassed, as a defect would."""
    target = database[collection]
    target.delete_many({"_id": {"$in": [document["_id"] for document in old]}})
    if new:
        standard = COLLECTIONS[collection].kind is Kind.STANDARD
        target.insert_many([dict(document) for document in new], bypass_document_validation=standard or None)


def _of_collections(database: Database[Any]) -> Iterator[Planting]:
    """Defects of indexes, validators, the ledger and the quarantine, and the words in which each must be reported."""
    structure, ledger = Check.STRUCTURE, Check.LEDGER
    both = {"$inc": {"counts.read": 1, "counts.inserted": 1}}
    for kind, collection, check, words, plant in (
        ("dropped index", "transaction_scores", structure, "create index",
         lambda: _without_index(database, "transaction_scores")),
        ("dropped index of a time series", "audit_log", structure, "create index",
         lambda: _without_index(database, "audit_log")),
        ("index that is not unique", "investigations", structure, "contradictions of the spec",
         lambda: _without_unique(database, "investigations")),
        ("validator removed", "templates", structure, "validator", lambda: _without_validator(database, "templates")),
        ("ledger that counts a row too many", "transaction_scores", ledger, "do not balance",
         lambda: _ledger_changed(database, "transaction_scores", {"$inc": {"counts.read": 1}})),
        ("ledger that balances with a row too many", "audit_log", ledger, "sums do not agree: rows read",
         lambda: _ledger_changed(database, "investigation_audit_log", both)),
        ("partition that is not done", "anomaly_events", ledger, "partitions are not done",
         lambda: _ledger_changed(database, "anomaly_events", {"$set": {"state": "started"}})),
        ("partition missing in the ledger", "detection_runs", ledger, "sums do not agree: rows read",
         lambda: _ledger_less(database, "detection_runs")),
        ("quarantine entry without a loss", "templates", ledger, "sums do not agree: rows quarantined",
         lambda: _quarantined(database, "templates")),
    ):  # fmt: skip
        yield Planting(kind, Position.WHOLE, collection, plant, Sought(check, words=words))


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
