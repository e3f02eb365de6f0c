"""Load one partition, from the first row to its line in the ledger. Runs in any process that can be given a `Job`."""

from __future__ import annotations

import os
import platform
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from pymongo import errors
from pymongo.collection import Collection as MongoCollection

from workbench import connections, faults
from workbench.errors import ConfigurationError, MigrationError, SnapshotLost, UnavailableError, WorkbenchError
from workbench.migration import extract, fence, load
from workbench.migration.build import Rejected, build_batch
from workbench.migration.ledger import DURABLE, Counts, Ledger, Seconds, State, Superseded
from workbench.migration.load import Written
from workbench.migration.partition import Partition
from workbench.migration.quarantine import PartitionEntries, Quarantine
from workbench.migration.tables import TABLES
from workbench.migration.tables.columns import Rules
from workbench.models.spec import Kind
from workbench.settings import Settings, environment_names, load_settings
from workbench.similarity.embedder import embedder_for

_BACKOFF_SECONDS = 0.5
_MAX_BACKOFF_SECONDS = 15.0
Reject = Callable[[list[Rejected]], None]


@dataclass(frozen=True)
class Job:
    """What a worker needs to know.

    Attributes:
        own_settings: settings that are secret: the worker takes them from its own environment.
        snapshot: the source's moment that all partitions of the run see.
        mapping: identifies the code and settings that turn rows into documents.
        target_was_empty: no document of this table was in the target when the run began.
        recheck: compare every row with its document, also where the source has not changed.
        rows_per_second: this worker's share of the throttle, 0 is none.
    """

    settings: Settings
    run_id: str
    partition: Partition
    snapshot: str
    mapping: str
    rules: Rules
    target_was_empty: bool
    dry_run: bool = False
    recheck: bool = False
    rows_per_second: float = 0.0
    own_settings: tuple[str, ...] = ()

    def without_secrets(self) -> Job:
        """The job as it may travel to another machine."""
        settings, left_out = self.settings.without_secrets()
        return replace(self, settings=settings, own_settings=left_out)


@dataclass(frozen=True)
class PartitionResult:
    """What became of one partition in this run. `unchanged`: the source equals what was loaded before."""

    partition: Partition
    counts: Counts
    seconds: Seconds
    attempts: int = 1
    unchanged: bool = False
    error: str = ""
    snapshot_lost: bool = False


def run_partition(job: Job) -> PartitionResult:
    """Load the job's partition, or find that there is nothing to do. Never raises for what one partition can do wrong.

    Transient errors of either server are retried with growing, jittered pauses, each time from a clean state. If the
    target's primary restarted meanwhile, writes that it had acknowledged may be gone: that is an attempt, too.
    """
    try:
        job = replace(job, settings=_completed(job))
    except ConfigurationError as error:
        return PartitionResult(job.partition, Counts(), Seconds(), error=str(error))
    for attempt in range(1, job.settings.max_attempts + 1):
        try:
            return replace(_attempt(job), attempts=attempt)
        except SnapshotLost as error:
            return _failed(job, attempt, error, snapshot_lost=True)
        except Exception as error:
            if not (_is_transient(error) and attempt < job.settings.max_attempts):
                return _failed(job, attempt, error)
            pause = min(_MAX_BACKOFF_SECONDS, _BACKOFF_SECONDS * 2 ** (attempt - 1))
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter needs no secrecy
    raise AssertionError("unreachable: the last attempt returns")


class _TargetChanged(Exception):
    """The target's primary is another process than when the attempt began, or somebody else wrote meanwhile."""


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, (_TargetChanged, Superseded, UnavailableError)) or connections.is_transient(error)


def _completed(job: Job) -> Settings:
    """The job's settings with what is secret from the environment of this worker.

    Raises:
        ConfigurationError: it has not all of it.
    """
    if not job.own_settings:
        return job.settings
    own = load_settings()
    missing = [environment_names(name)[0] for name in job.own_settings if getattr(own, name) is None]
    if missing:
        raise ConfigurationError(
            f"The worker on {platform.node()} (process {os.getpid()}) has no {' and no '.join(missing)}.",
            todo="Set it in the environment of `dask worker`, or in .env where it is started, and start it again.",
        )
    return job.settings.model_copy(update={name: getattr(own, name) for name in job.own_settings})


def _failed(job: Job, attempts: int, error: Exception, *, snapshot_lost: bool = False) -> PartitionResult:
    message = str(error) if isinstance(error, WorkbenchError) else f"{type(error).__name__}: {_safe(error)}"
    if not job.dry_run and not snapshot_lost:
        try:
            with connections.open_target(job.settings) as client:
                Ledger(client[job.settings.mongodb_database]).fail(job.partition, message, job.run_id)
        except (WorkbenchError, errors.PyMongoError):
            pass  # the target is gone: the partition stays `started`, which a later run repairs as well
    return PartitionResult(job.partition, Counts(), Seconds(), attempts, error=message, snapshot_lost=snapshot_lost)


def _safe(error: Exception) -> str:
    """The first line of a message; a driver's details may quote documents."""
    return (str(error).split(", full error", 1)[0].splitlines() or [""])[0][:300]


def _attempt(job: Job) -> PartitionResult:
    settings, table = job.settings, TABLES[job.partition.table]
    with (
        extract.open_snapshot(settings, job.snapshot) as source,
        # The driver must not send a batch twice by itself: a time series would keep both. We repeat the partition.
        connections.open_target(settings, bulk=True, retryWrites=False) as client,
    ):
        if not job.dry_run:
            fence.enter(source, settings)
            fence.hold(source, settings, job.partition)
        database = client[settings.mongodb_database]
        ledger = Ledger(database)
        known = ledger.get(job.partition)
        if job.own_settings and not known and not job.dry_run:
            raise MigrationError(
                f"The target that the worker on {platform.node()} reaches has no plan of this migration.",
                todo="Its WORKBENCH_MONGODB_URI must name the driver's server.",
            )
        started = time.perf_counter()
        rows, fingerprint = extract.fingerprint(source, table, job.partition, settings)
        checking = Seconds(extract=time.perf_counter() - started)
        facts = {"run_id": job.run_id, "fingerprint": fingerprint, "mapping": job.mapping}
        loaded_before = known.get("state") == State.DONE and known.get("mapping") == job.mapping
        if loaded_before and known.get("fingerprint") == fingerprint and known.get("run_id") == job.run_id:
            # this run loaded it, but the driver was not told: the worker or the snapshot was lost meanwhile
            return PartitionResult(job.partition, Counts.of(known["counts"]), Seconds(**known["seconds"]))
        if loaded_before and known.get("fingerprint") == fingerprint and not (job.target_was_empty or job.recheck):
            quarantined = Counts.of(known["counts"]).quarantined
            counts = Counts(read=rows, already_there=rows - quarantined, quarantined=quarantined)
            if not job.dry_run:
                ledger.finish(job.partition, counts, checking, attempt=known["attempts"], **facts)
            return PartitionResult(job.partition, counts, checking, unchanged=True)

        incarnation = connections.server_incarnation(client)
        fresh = job.target_was_empty and known.get("state", State.PLANNED) == State.PLANNED
        if not job.dry_run:
            attempt = ledger.start(job.partition, job.run_id, str(os.getpid()))
            faults.reach("migration.started")
            faults.reach(f"migration.of.{job.partition.id}")
        entries = PartitionEntries(Quarantine(database), job.partition, table, job.run_id)
        reject = (lambda rejected: None) if job.dry_run else entries.add
        counts, seconds = _load(job, source, database[table.collection.name], reject, fresh=fresh)
        if not job.dry_run:
            faults.reach("migration.loaded")
            entries.close()
            ledger.loaded(job.partition)
            if connections.server_incarnation(client) != incarnation:
                raise _TargetChanged("the target restarted while the partition was loaded")
            faults.reach("migration.quarantined")
            ledger.finish(job.partition, counts, seconds + checking, attempt=attempt, **facts)
            faults.reach("migration.done")
    return PartitionResult(job.partition, counts, seconds + checking)


def _load(
    job: Job, source: Any, collection: MongoCollection[Any], reject: Reject, *, fresh: bool
) -> tuple[Counts, Seconds]:
    settings, table = job.settings, TABLES[job.partition.table]
    embedder = embedder_for(settings) if table.collection.vector else None
    sharded = connections.is_sharded(collection.database.client)
    if sharded:  # the ledger's durable write says nothing of what other shards have acknowledged
        collection = collection.with_options(write_concern=DURABLE)
    time_series = table.collection.kind is Kind.TIME_SERIES
    if time_series and job.recheck and not fresh:
        same = _same_series(job, source, collection, reject)
        if same is not None:
            return same
    if time_series and not fresh and not job.dry_run:
        load.clear_range(collection, table, job.partition)
    total, rejected, read = Written(), 0, 0
    extracting = building = loading = 0.0
    began = mark = time.perf_counter()
    for rows in extract.stream(source, table, job.partition, settings):
        extracting += (now := time.perf_counter()) - mark
        batch, refused = build_batch(table, rows, embedder, job.rules)
        building += (mark := time.perf_counter()) - now
        read += len(rows)
        if job.dry_run:
            written = Written(inserted=len(batch)) if fresh or time_series else load.compare(collection, batch)
        elif fresh or time_series:
            written = load.insert(collection, batch, sharded=sharded)
        else:
            written = load.upsert(collection, batch, sharded=sharded)
        loading += (now := time.perf_counter()) - mark
        refused += written.rejected
        written.rejected = []  # they may be many and large: the quarantine takes them batch by batch
        reject(refused)
        rejected += len(refused)
        total.add(written)
        if job.rows_per_second:
            time.sleep(max(0.0, read / job.rows_per_second - (now - began)))
        faults.reach("migration.batch")
        mark = time.perf_counter()
    extracting += time.perf_counter() - mark
    if time_series and not fresh and not job.dry_run:
        stored = load.count_range(collection, table, job.partition)
        if stored != total.inserted:  # a killed worker's last batch can arrive after the range was cleared
            raise _TargetChanged(f"{stored} documents where {total.inserted} were inserted")
    counts = Counts(read, total.inserted, total.replaced, total.already_there, rejected)
    return counts, Seconds(extracting, building, loading)


def _same_series(
    job: Job, source: Any, collection: MongoCollection[Any], reject: Reject
) -> tuple[Counts, Seconds] | None:
    """The account of a time-series partition that holds what the rows say; None where it must be loaded again."""
    table, began = TABLES[job.partition.table], time.perf_counter()
    stored = load.digests(collection, table, job.partition)
    rejected, read = 0, 0
    for rows in extract.stream(source, table, job.partition, job.settings):
        batch, refused = build_batch(table, rows, None, job.rules)
        if load.equal_to(stored, batch) < len(batch):
            return None
        read += len(rows)
        reject(refused)
        rejected += len(refused)
    counts = Counts(read, already_there=read - rejected, quarantined=rejected)
    return counts, Seconds(extract=time.perf_counter() - began)
