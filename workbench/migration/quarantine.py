"""Rows that could not be loaded: table, key, field, reason, and the row itself, until someone decides about them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from pymongo import InsertOne, ReplaceOne
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from workbench.migration.build import Rejected
from workbench.migration.ledger import DURABLE
from workbench.migration.partition import Partition
from workbench.migration.tables.columns import EPOCH, INFINITY, MINUS_INFINITY, Column
from workbench.migration.tables.table import Row, Table
from workbench.models.fields import derive_id, utc_now

COLLECTION = "migration_quarantine"
OPEN, LOADED, WAIVED, GONE = "open", "loaded", "waived", "gone"
"""Open: needs a decision. Loaded: mended and replayed. Waived: a person decided that the row stays behind. Gone: it
is no longer in the source."""
STATES = (OPEN, LOADED, WAIVED, GONE)
UNLOADED = (OPEN, WAIVED)
"""States of rows that the ledger counts as quarantined."""
_SHOWN_CHARACTERS = 20_000
_PORTION = 200
_DUPLICATE_KEY = 11000
"""Entries in one command: rows may be large, and it must stay far below 48 MB."""


class Quarantine:
    """The quarantine of one target database. One document a row, with the `_id` that its document would have."""

    def __init__(self, database: Database[Any]) -> None:
        self.collection: Collection[Any] = database.get_collection(COLLECTION, write_concern=DURABLE)

    def forget(self, table: str) -> None:
        """Drop a table's open entries: its partitions are planned anew and will all be read again."""
        self.collection.delete_many({"table": table, "state": OPEN})

    def entries(
        self, *, tables: Iterable[str] | None = None, reason: str | None = None, state: str | None = OPEN
    ) -> list[dict[str, Any]]:
        """Entries in the order of table and key."""
        query: dict[str, Any] = {}
        if tables is not None:
            query["table"] = {"$in": list(tables)}
        if reason is not None:
            query["reason"] = {"$eq": reason}
        if state is not None:
            query["state"] = {"$eq": state}
        return list(self.collection.find(query).sort([("table", 1), ("key", 1)]))

    def causes(self, *, examples: int = 3) -> list[dict[str, Any]]:
        """Open entries grouped by table, field and reason: count, keys of some examples, one message. Largest first."""
        groups: dict[tuple[str, str, str], dict[str, Any]] = {}
        fields = {"table": 1, "field": 1, "reason": 1, "key": 1, "message": 1}
        for entry in self.collection.find({"state": OPEN}, fields).sort([("table", 1), ("key", 1)]):
            cause = (entry["table"], entry["field"], entry["reason"])
            group = groups.setdefault(
                cause,
                {"table": cause[0], "field": cause[1], "reason": cause[2], "rows": 0, "examples": [], "message": ""},
            )
            group["rows"] += 1
            group["message"] = group["message"] or entry["message"]
            if len(group["examples"]) < examples:
                group["examples"].append("/".join(entry["key"]))
        return sorted(groups.values(), key=lambda group: (-group["rows"], group["table"], group["field"]))

    def settle(self, ids: Sequence[Any], state: str, by: str, **facts: Any) -> int:
        """Give entries another state; the number of those that changed."""
        change = {"$set": {"state": state, "settled_by": by, "settled_at": utc_now(), **facts}}
        return self.collection.update_many({"_id": {"$in": list(ids)}}, change).modified_count

    def keep_open(self, table: Table, rejected: Iterable[Rejected]) -> None:
        """Note the present problem and row of entries that were examined again and are still bad."""
        for item in rejected:
            entry = _facts(table, item)
            self.collection.update_one({"_id": entry.pop("_id")}, {"$set": entry})

    def counts(self) -> dict[str, int]:
        """Open entries of each table."""
        groups = self.collection.aggregate(
            [{"$match": {"state": OPEN}}, {"$group": {"_id": "$table", "rows": {"$sum": 1}}}]
        )
        return {group["_id"]: group["rows"] for group in groups}


class PartitionEntries:
    """Makes a partition's open entries be exactly the rows that are added; memory is a portion of them.

    When each was first seen is kept. A row that a person waived stays waived as long as neither it nor its problem
    changes.
    """

    def __init__(self, quarantine: Quarantine, partition: Partition, table: Table, run_id: str) -> None:
        self._collection = quarantine.collection
        self._partition, self._table, self._run_id = partition, table, run_id
        self._waiting: list[Rejected] = []
        self._seen: set[Any] = set()

    def add(self, rejected: Iterable[Rejected]) -> None:
        """Take rows; a full portion is written."""
        for item in rejected:
            self._waiting.append(item)
            if len(self._waiting) == _PORTION:
                self._flush()

    def close(self) -> None:
        """Write the rest, and drop the entries of rows that were not added."""
        self._flush()
        query = {"table": self._table.name, "partition": self._partition.id, "state": {"$in": list(UNLOADED)}}
        gone = [entry["_id"] for entry in self._collection.find(query, {"_id": 1}) if entry["_id"] not in self._seen]
        for start in range(0, len(gone), 1_000):
            self._collection.delete_many({"_id": {"$in": gone[start : start + 1_000]}})

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        entries = {
            entry["_id"]: entry
            for entry in (_entry(self._partition, self._table, item, self._run_id) for item in waiting)
        }
        if not entries:
            return
        self._seen.update(entries)
        known = {entry["_id"]: entry for entry in self._collection.find({"_id": {"$in": list(entries)}})}
        now = utc_now()
        for key, entry in entries.items():
            before = known.get(key, {"state": OPEN, "first_seen": now})
            if before["state"] == WAIVED and _same_problem(entry, before):
                entries[key] = {**before, "partition": self._partition.id}
            else:
                entry["first_seen"] = before["first_seen"]
        replaced = {key: ReplaceOne({"_id": key}, entry, upsert=True) for key, entry in entries.items()}
        changes = [replaced[key] if key in known else InsertOne(entry) for key, entry in entries.items()]
        try:
            self._collection.bulk_write(changes, ordered=False)  # to insert is several times cheaper than to upsert
        except BulkWriteError as error:
            if any(problem["code"] != _DUPLICATE_KEY for problem in error.details["writeErrors"]):
                raise
            self._collection.bulk_write(list(replaced.values()), ordered=False)  # a stale worker was there, too


def _same_problem(entry: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(entry[name] == other[name] for name in ("field", "reason", "row"))


def _entry(partition: Partition, table: Table, rejected: Rejected, run_id: str) -> dict[str, Any]:
    return {**_facts(table, rejected), "partition": partition.id, "run_id": run_id, "state": OPEN}


def _facts(table: Table, rejected: Rejected) -> dict[str, Any]:
    key = table.row_key(rejected.row)
    return {
        "_id": derive_id(table.name, *key),
        "table": table.name,
        "key": [_readable(part) for part in key],
        "field": _readable(rejected.problem.field),
        "reason": rejected.problem.reason,
        "message": _readable(rejected.problem.message)[:500],
        "row": raw_row(table, rejected.row),
    }


def raw_row(table: Table, row: Row) -> dict[str, str | None]:
    """The source row as text, a value a column. Secrets are masked, very long texts cut with their length stated."""
    return {column.name: _shown(column, value) for column, value in zip(table.columns, row, strict=False)}


def _shown(column: Column, value: Any) -> str | None:
    if value is None:
        return None
    if column.secret:
        return "(secret)"
    if column.kind == "instant":
        return _instant_text(value)
    text = _readable(str(value))
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}... ({len(text):,} characters)"


def _instant_text(micros: int) -> str:
    if micros in (INFINITY, MINUS_INFINITY):
        return "infinity" if micros > 0 else "-infinity"
    try:
        return (EPOCH + timedelta(microseconds=micros)).isoformat()
    except OverflowError:
        return f"{micros} microseconds since 2000"


def _readable(text: str) -> str:
    """The text without lone surrogates, which BSON refuses."""
    return text.encode("utf-8", "backslashreplace").decode()


def as_json(entry: Mapping[str, Any]) -> str:
    """An entry as one line of JSON."""
    return json.dumps(dict(entry), default=str, sort_keys=True)
