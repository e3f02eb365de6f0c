"""Write encoded documents into their collection, and say exactly what became of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import ReplaceOne
from pymongo.collection import Collection as MongoCollection
from pymongo.errors import BulkWriteError

from workbench.errors import TargetUnavailable
from workbench.migration.build import Encoded, Rejected
from workbench.migration.content import CODEC, decode, digest
from workbench.migration.partition import Partition
from workbench.migration.tables.columns import RowProblem
from workbench.migration.tables.table import Table
from workbench.models import COLLECTIONS
from workbench.models.document import resolve

_DUPLICATE_KEY = 11000
_TOO_LARGE = 10334
_ABOUT_THE_DOCUMENT = {_DUPLICATE_KEY, _TOO_LARGE, 2, 15, 22, 52, 55, 56, 57, 121, 5739101}
"""Duplicate key, too large, bad value, overflow, invalid BSON, bad field names, validation, measurement too large.
Every other refusal (full disk, no primary, interrupted, ...) is about the server: nothing is quarantined for it."""

_MAX_COMMAND_BYTES = 15_000_000
"""Of documents in one command: they fit into the 16 MiB and 16 KiB of the command itself (MongoDB manual, limits)."""
_FIRST, _LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
"""The first and the last moment that a document of a time series can have."""


@dataclass
class Written:
    """What became of a batch: new documents, documents whose content was mended, equal ones, refused rows."""

    inserted: int = 0
    replaced: int = 0
    already_there: int = 0
    rejected: list[Rejected] = field(default_factory=list)

    def add(self, other: Written) -> None:
        """Add another batch to this one."""
        self.inserted += other.inserted
        self.replaced += other.replaced
        self.already_there += other.already_there
        self.rejected += other.rejected


def insert(collection: MongoCollection[Any], batch: Sequence[Encoded], *, sharded: bool) -> Written:
    """Insert a batch, unordered. A document whose `_id` is there already is compared, and replaced if it differs."""
    if not batch:
        return Written()
    outcome = insert_encoded(collection, batch)
    if outcome["writeErrors"] or outcome["writeConcernErrors"]:
        return _after_errors(collection, batch, outcome, sharded=sharded)
    if outcome["nInserted"] != len(batch):
        raise TargetUnavailable(f"MongoDB was given {len(batch)} documents and tells of {outcome['nInserted']}.")
    return Written(inserted=len(batch))


def insert_encoded(collection: MongoCollection[Any], documents: Sequence[RawBSONDocument]) -> Mapping[str, Any]:
    """Insert encoded documents, unordered. Returns what the driver's bulk writes return: `nInserted`, `writeErrors`...

    A command of our own costs the client half of what `insert_many` does, which looks at each document several times.
    Documents that are too large for one command go by `insert_many`, which splits them.
    """
    if sum(len(document.raw) for document in documents) > _MAX_COMMAND_BYTES:
        try:
            collection.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            return error.details
        return {"nInserted": len(documents), "writeErrors": [], "writeConcernErrors": []}
    command: dict[str, Any] = {"insert": collection.name, "documents": documents, "ordered": False}
    if not collection.write_concern.is_server_default:
        command["writeConcern"] = collection.write_concern.document
    reply = collection.database.command(command)
    unsure = reply.get("writeConcernError")
    return {
        "nInserted": reply["n"],
        "writeErrors": reply.get("writeErrors", []),
        "writeConcernErrors": [unsure] if unsure else [],
    }


def upsert(collection: MongoCollection[Any], batch: Sequence[Encoded], *, sharded: bool) -> Written:
    """Make the stored documents equal to the batch; the server compares, so an equal document is not written."""
    if not batch:
        return Written()
    operations: list[ReplaceOne[Any]] = [
        ReplaceOne(_filter(collection, item, sharded), item, upsert=True) for item in batch
    ]
    rejected: list[Rejected] = []
    try:
        result: Mapping[str, Any] = collection.bulk_write(operations, ordered=False).bulk_api_result
    except BulkWriteError as error:
        result = error.details
        _require_causes_in_documents(result)
        rejected = [_refused(batch[item["index"]], item) for item in result["writeErrors"]]
    return Written(
        inserted=result["nUpserted"],
        replaced=result["nModified"],
        already_there=result["nMatched"] - result["nModified"],
        rejected=rejected,
    )


def compare(collection: MongoCollection[Any], batch: Sequence[Encoded]) -> Written:
    """What `upsert` would do, without writing: for the dry run."""
    encoded = collection.with_options(codec_options=CodecOptions(document_class=RawBSONDocument))
    stored = {document["_id"]: document.raw for document in encoded.find({"_id": {"$in": [item.id for item in batch]}})}
    written = Written()
    for item in batch:
        raw = stored.get(item.id)
        if raw is None:
            written.inserted += 1
        elif raw == item.raw:
            written.already_there += 1
        else:
            written.replaced += 1
    return written


def clear_range(collection: MongoCollection[Any], table: Table, partition: Partition) -> int:
    """Delete the migrated documents of a time-series partition, which is the only way to load it again.

    Time series have neither unique keys nor upserts. Documents that a service wrote have no provenance and stay.
    Returns the number of deleted documents.
    """
    return collection.delete_many(_range(table, partition)).deleted_count


def count_range(collection: MongoCollection[Any], table: Table, partition: Partition) -> int:
    """How many migrated documents a time-series partition has."""
    return collection.count_documents(_range(table, partition))


def digests(collection: MongoCollection[Any], table: Table, partition: Partition) -> dict[Any, bytes]:
    """What a time-series partition holds: a hash for each `_id`, an empty one where it is there twice."""
    found: dict[Any, bytes] = {}
    for document in collection.with_options(codec_options=CODEC).find(_range(table, partition)):
        found[document["_id"]] = b"" if document["_id"] in found else digest(document)
    return found


def equal_to(found: Mapping[Any, bytes], batch: Sequence[Encoded]) -> int:
    """How many documents of a batch are stored exactly so."""
    return sum(found.get(item.id) == digest(decode(item.raw)) for item in batch)


def _range(table: Table, partition: Partition) -> dict[str, Any]:
    bounds: dict[str, datetime] = {}
    if partition.lower:
        bounds["$gte"] = _instant(partition.lower[0])
    if partition.upper:
        bounds["$lt"] = _instant(partition.upper[0])
    if bounds.get("$gte") == _LAST:
        bounds["$gt"] = bounds.pop("$gte")
    if bounds.get("$lt") == _LAST:
        del bounds["$lt"]
    time_field = next(column.path for column in table.columns if column.name == table.time_column)
    query: dict[str, Any] = {"provenance.table": table.name}
    if bounds:
        query[time_field] = bounds
    return query


def _instant(text: str) -> datetime:
    """A bound as PostgreSQL writes it; `_FIRST` or `_LAST` for one beyond, where no document can be."""
    if text.endswith(" BC"):
        return _FIRST
    if len(text.split("-", 1)[0]) > len("9999"):
        return _LAST
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _after_errors(
    collection: MongoCollection[Any], batch: Sequence[Encoded], outcome: Mapping[str, Any], *, sharded: bool
) -> Written:
    _require_causes_in_documents(outcome)
    existing: list[Encoded] = []
    rejected: list[Rejected] = []
    for item in outcome["writeErrors"]:
        encoded = batch[item["index"]]
        if item["code"] == _DUPLICATE_KEY and list(item.get("keyPattern") or {"_id": 1}) == ["_id"]:
            existing.append(encoded)
        else:
            rejected.append(_refused(encoded, item))
    written = Written(inserted=len(batch) - len(existing) - len(rejected), rejected=rejected)
    written.add(upsert(collection, existing, sharded=sharded))
    return written


def _require_causes_in_documents(outcome: Mapping[str, Any]) -> None:
    """Let only errors pass that a document caused.

    Raises:
        TargetUnavailable: the server could not write, or not durably; the partition is to be loaded again.
    """
    codes = {item["code"] for item in outcome["writeErrors"]} - _ABOUT_THE_DOCUMENT
    codes |= {item.get("code", 64) for item in outcome.get("writeConcernErrors") or ()}
    if codes:
        raise TargetUnavailable(
            f"MongoDB could not write (code {', '.join(map(str, sorted(codes)))}).",
            todo="Look into its log: a full disk, a change of primary, a limit of its deployment.",
        ) from None


def _refused(encoded: Encoded, error: Mapping[str, Any]) -> Rejected:
    """The server's refusal as a problem of the row; its message is not kept, it quotes the document."""
    code = error["code"]
    if code == _DUPLICATE_KEY:
        keys = ", ".join(error.get("keyPattern") or {})
        return Rejected(encoded.row, RowProblem(keys, "duplicate_key", f"another document has the same {keys}"))
    if code == _TOO_LARGE:
        return Rejected(encoded.row, RowProblem("", "oversize", "the server refuses a document of this size"))
    return Rejected(encoded.row, RowProblem("", "refused_by_server", f"the server refused it with code {code}"))


def _filter(collection: MongoCollection[Any], item: Encoded, sharded: bool) -> dict[str, Any]:
    if not sharded:
        return {"_id": item.id}
    # an upsert on a sharded collection must name the whole shard key
    paths = [path for path, _ in COLLECTIONS[collection.name].shard_key]
    return {"_id": item.id, **{path: resolve(item, path) for path in paths}}
