"""The account of a migration: what each partition read, and what became of every row. Kept in the target.

The equation: read = written + already there + quarantined, for each partition, each table and each run. Written
is inserted + replaced. A run that does not balance is not done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from pymongo import ReplaceOne, ReturnDocument
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.write_concern import WriteConcern

from workbench.migration.partition import Partition
from workbench.models.fields import utc_now

LEDGER, RUNS, CONTROL = "migration_ledger", "migration_runs", "migration_control"
DURABLE = WriteConcern("majority", j=True)
"""A write under it survives a killed server, and so does everything that this server acknowledged before it."""
_HISTORY_LIMIT = 200


class Superseded(Exception):
    """An attempt at a partition ended after another one had begun; what it would record is not true any more."""


class State(StrEnum):
    """How far a partition or a run has come."""

    PLANNED = "planned"
    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    PAUSED = "paused"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Counts:
    """Rows by what became of them."""

    read: int = 0
    inserted: int = 0
    replaced: int = 0
    already_there: int = 0
    quarantined: int = 0

    @property
    def written(self) -> int:
        """Documents that were inserted or replaced."""
        return self.inserted + self.replaced

    @property
    def balanced(self) -> bool:
        """Whether every row that was read is accounted for."""
        return self.read == self.written + self.already_there + self.quarantined

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, item.name) + getattr(other, item.name) for item in fields(self)))

    @classmethod
    def of(cls, document: Mapping[str, Any] | None) -> Self:
        """The counts of a ledger document."""
        return cls(**{item.name: int((document or {}).get(item.name, 0)) for item in fields(cls)})


@dataclass(frozen=True)
class Seconds:
    """Time by stage, in seconds of one worker: waiting for rows, building documents, waiting for the target."""

    extract: float = 0.0
    build: float = 0.0
    load: float = 0.0

    @property
    def total(self) -> float:
        """All stages together."""
        return self.extract + self.build + self.load

    def __add__(self, other: Seconds) -> Seconds:
        return Seconds(self.extract + other.extract, self.build + other.build, self.load + other.load)


class Ledger:
    """The ledger of one target database. Every write waits for a majority and its journal."""

    def __init__(self, database: Database[Any]) -> None:
        self.partitions: Collection[Any] = database.get_collection(LEDGER, write_concern=DURABLE)
        self.runs: Collection[Any] = database.get_collection(RUNS, write_concern=DURABLE)
        self._control: Collection[Any] = database.get_collection(CONTROL, write_concern=DURABLE)

    # -- the plan -----------------------------------------------------------------------------------------------

    def plan_of(self, table: str) -> tuple[Partition, ...]:
        """The table's partitions as planned by the first run; empty before it."""
        return tuple(map(_partition, self.partitions.find({"table": table}).sort("index", 1)))

    def save_plan(self, table: str, partitions: Iterable[Partition]) -> None:
        """Keep a table's plan; a plan that was half saved by a killed run is completed, since it is the same."""
        documents: list[dict[str, Any]] = [
            {
                "_id": item.id,
                "table": item.table,
                "index": item.index,
                "lower": item.lower,
                "upper": item.upper,
                "state": State.PLANNED.value,
                "attempts": 0,
                "history": [],
            }
            for item in partitions
        ]
        self.partitions.delete_many({"table": table})
        self.partitions.bulk_write([ReplaceOne({"_id": d["_id"]}, d, upsert=True) for d in documents], ordered=False)
        self._control.update_one({"_id": "control"}, {"$addToSet": {"planned": table}}, upsert=True)

    def is_planned(self, table: str) -> bool:
        """Whether the whole plan of the table was saved."""
        return table in (self.control().get("planned") or ())

    # -- partitions ---------------------------------------------------------------------------------------------

    def get(self, partition: Partition) -> dict[str, Any]:
        """The partition's document."""
        return self.partitions.find_one({"_id": partition.id}) or {}

    def start(self, partition: Partition, run_id: str, worker: str) -> int:
        """Record, before the first write, that the partition's documents may be half there; the attempt's number.

        An attempt that was started and never ended joins the history as interrupted, until now at the latest. From
        now on it cannot record anything, should its process still live.
        """
        change: dict[str, Any] = {
            "$set": {
                "state": State.STARTED.value,
                "run_id": run_id,
                "worker": worker,
                "started_at": utc_now(),
                "error": None,
            },
            "$unset": {"loaded_at": ""},
            "$inc": {"attempts": 1},
        }
        known = self.get(partition)
        if known.get("state") == State.STARTED:
            attempt = _attempt(known, State.INTERRUPTED, Counts(), Seconds(), utc_now())
            change["$push"] = {"history": {"$each": [attempt], "$slice": -_HISTORY_LIMIT}}
        after = self.partitions.find_one_and_update(
            {"_id": partition.id}, change, {"attempts": 1}, return_document=ReturnDocument.AFTER
        )
        return int((after or {}).get("attempts", 0))

    def loaded(self, partition: Partition) -> None:
        """Make durable what was written before. If the server has not restarted since, all of it is there."""
        self.partitions.update_one({"_id": partition.id}, {"$set": {"loaded_at": utc_now()}})

    def finish(
        self,
        partition: Partition,
        counts: Counts,
        seconds: Seconds,
        *,
        attempt: int,
        run_id: str,
        fingerprint: str,
        mapping: str,
    ) -> None:
        """Record that the partition's documents are all there.

        Raises:
            Superseded: another attempt has begun since the one with this number.
        """
        facts = {"fingerprint": fingerprint, "mapping": mapping, "error": None}
        if not self._end(partition, {"attempts": attempt}, State.DONE, run_id, counts, seconds, **facts):
            raise Superseded(f"Another attempt at {partition.id} has begun.")

    def fail(self, partition: Partition, error: str, run_id: str) -> None:
        """Record why the partition could not be loaded, unless another worker has loaded it in this run."""
        not_done = {"$nor": [{"state": State.DONE.value, "run_id": run_id}]}
        self._end(partition, not_done, State.FAILED, run_id, Counts(), Seconds(), error=error)

    def doubt(self, partition: Partition, error: str, run_id: str) -> None:
        """Take back that the partition is done: a later run loads it again."""
        self._end(partition, {}, State.FAILED, run_id, Counts(), Seconds(), error=error)

    def repeated(self, tables: Iterable[str], run_id: str) -> list[tuple[Partition, Counts]]:
        """Partitions of these tables that were loaded in this run after an attempt that never ended."""
        interrupted = {"$elemMatch": {"run_id": run_id, "state": State.INTERRUPTED.value}}
        query = {"table": {"$in": list(tables)}, "run_id": run_id, "state": State.DONE.value, "history": interrupted}
        return [(_partition(item), Counts.of(item["counts"])) for item in self.partitions.find(query)]

    def _end(
        self,
        partition: Partition,
        condition: Mapping[str, Any],
        state: State,
        run_id: str,
        counts: Counts,
        seconds: Seconds,
        **facts: Any,
    ) -> bool:
        now = utc_now()
        known = self.get(partition)
        if known.get("state") != State.STARTED:  # nothing was to be loaded, so no attempt was recorded before
            known["started_at"] = now - timedelta(seconds=seconds.total)
        attempt = _attempt({**known, "run_id": run_id}, state, counts, seconds, now)
        ended = self.partitions.update_one(
            {"_id": partition.id, **condition},
            {
                "$set": {
                    "state": state.value,
                    "run_id": run_id,
                    "ended_at": now,
                    "counts": asdict(counts),
                    "seconds": asdict(seconds),
                    **facts,
                },
                "$push": {"history": {"$each": [attempt], "$slice": -_HISTORY_LIMIT}},
            },
        )
        return bool(ended.matched_count)

    def barrier(self) -> None:
        """Make durable what was written before, without a partition: see `loaded`."""
        self._control.update_one({"_id": "barrier"}, {"$set": {"at": utc_now()}}, upsert=True)

    def move_from_quarantine(self, partition_id: str, settlement: str, *, loaded: int = 0, gone: int = 0) -> None:
        """Account for quarantined rows that were loaded, or that the source no longer has.

        The settlement's name makes it idempotent: the same one moves nothing twice.
        """
        self.partitions.update_one(
            {"_id": partition_id, "settlements": {"$ne": settlement}},
            {
                "$inc": {"counts.quarantined": -loaded - gone, "counts.inserted": loaded, "counts.read": -gone},
                "$push": {"settlements": {"$each": [settlement], "$slice": -_HISTORY_LIMIT}},
            },
        )

    # -- runs ---------------------------------------------------------------------------------------------------

    def save_run(self, run_id: str, **facts: Any) -> None:
        """Set facts of a run; the first call creates it."""
        self.runs.update_one({"_id": run_id}, {"$set": facts}, upsert=True)

    def last_run(self) -> dict[str, Any] | None:
        """The newest run."""
        return self.runs.find_one(sort=[("started_at", -1)])

    def last_activity(self) -> datetime | None:
        """When a partition last began or ended."""
        moments = {"last": {"$max": {"$max": ["$started_at", "$ended_at"]}}}
        found = list(self.partitions.aggregate([{"$group": {"_id": None, **moments}}]))
        return found[0]["last"] if found else None

    # -- what a person decided ------------------------------------------------------------------------------------

    def control(self) -> dict[str, Any]:
        """Paused tables and accepted rules."""
        return self._control.find_one({"_id": "control"}) or {}

    def pause(self, table: str) -> None:
        """Let no further partition of the table start, in this run and in later ones."""
        self._control.update_one({"_id": "control"}, {"$addToSet": {"paused": table}}, upsert=True)

    def resume(self, table: str) -> None:
        """Take back `pause`."""
        self._control.update_one({"_id": "control"}, {"$pull": {"paused": table}}, upsert=True)

    def accept_rule(self, table: str, rule: str) -> None:
        """Apply a replay rule to the table, now and in later runs."""
        self._control.update_one({"_id": "control"}, {"$addToSet": {f"rules.{table}": rule}}, upsert=True)

    def rules(self, table: str) -> frozenset[str]:
        """The rules that were accepted for the table."""
        return frozenset((self.control().get("rules") or {}).get(table, ()))


def _partition(stored: Mapping[str, Any]) -> Partition:
    return Partition(stored["table"], stored["index"], _bound(stored["lower"]), _bound(stored["upper"]))


def _bound(values: list[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(values)


def _attempt(
    known: Mapping[str, Any], state: State, counts: Counts, seconds: Seconds, ended_at: datetime
) -> dict[str, Any]:
    """One line of a partition's history."""
    return {
        "run_id": known.get("run_id"),
        "state": state.value,
        "started_at": known.get("started_at") or ended_at,
        "ended_at": ended_at,
        "seconds": asdict(seconds),
        "counts": asdict(counts),
    }
