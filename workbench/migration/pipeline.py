"""The migration: plan, hand partitions to workers, account for every row.

Stopping it at any moment, by Ctrl-C or by SIGKILL of any process, leaves a target that the same command completes:
each partition's state is in the ledger before its first write, and loading one again is idempotent.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from hashlib import blake2b
from itertools import count
from typing import Any

import psycopg
from psycopg import errors
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError

from workbench import connections, schema
from workbench.errors import ConfigurationError, LossError, MigrationError, SourceUnavailable
from workbench.migration import extract, fence, load, settlement, surplus
from workbench.migration.executors import local_processes
from workbench.migration.ledger import Ledger, State
from workbench.migration.loss import require_columns
from workbench.migration.partition import Partition, plan_partitions, rows_each
from workbench.migration.pool import Pool
from workbench.migration.quarantine import Quarantine
from workbench.migration.results import MigrationResult, Progress, TableResult
from workbench.migration.tables import chosen_tables
from workbench.migration.tables.table import Table
from workbench.migration.worker import Job, PartitionResult, run_partition
from workbench.models.fields import utc_now
from workbench.models.spec import Kind
from workbench.settings import Settings
from workbench.similarity.embedder import embedder_for

_MAPPING_VERSION = 1
"""Raise it when the same row becomes another document, so that loaded partitions are loaded again."""
_MAX_RESTARTS = 5
_POLL_SECONDS = 1.0
ExecutorFactory = Callable[[Settings], Executor]


def migrate(
    settings: Settings,
    *,
    tables: Iterable[str] | None = None,
    dry_run: bool = False,
    recheck: bool = False,
    prune: bool = False,
    executor: ExecutorFactory = local_processes,
    rows_per_second: float = 0.0,
    on_progress: Callable[[Progress], None] | None = None,
) -> MigrationResult:
    """Bring the target's documents into line with the source's rows, as of one moment.

    Args:
        settings: both servers, batch and partition sizes, workers.
        tables: source tables; all where not given.
        dry_run: do everything but write; the counts are those that a real run would have.
        recheck: compare every row with its document, also in partitions that have not changed, and mend what differs.
        prune: delete migrated documents whose row is gone from the source; implies `recheck`.
        executor: makes the `concurrent.futures.Executor` that runs the partitions; called again if it breaks.
        rows_per_second: upper limit over all workers, 0 is none.
        on_progress: called after each partition, and for each note.

    Side effects: creates collections and indexes, writes documents, the ledger and the quarantine. It never deletes
    a document except in a time-series range that it loads again, and those that `prune` names.

    Raises:
        ConfigurationError: a table is unknown, or the target contradicts its specs. Nothing was written.
        UnavailableError: a server cannot be reached.
        MigrationError: another migration is at work, or the workers died again and again.
    """
    chosen = chosen_tables(tables)
    with connections.open_target(settings, bulk=True) as client:
        run = _Run(settings, client[settings.mongodb_database], chosen, dry_run, rows_per_second, on_progress)
        run.recheck, run.prune = recheck or prune, prune
        try:
            return run.to_end(executor)
        except PyMongoError as error:
            raise connections.translate_target_error(error) from None  # the error may quote documents
        except psycopg.Error as error:
            raise connections.translate_source_error(error) from None


def mapping_id(settings: Settings, table: Table) -> str:
    """Identifies what turns a row of the table into a document: columns, rule of tenancy, embedder."""
    embedder = embedder_for(settings).name if table.collection.vector else ""
    facts = (_MAPPING_VERSION, table.columns, settings.tenancy_rule, settings.default_tenant, embedder)
    return blake2b(repr(facts).encode(), digest_size=8).hexdigest()


class _Run:
    """One run of the migration, from the plan to the last line of the account."""

    def __init__(
        self,
        settings: Settings,
        database: Database[Any],
        tables: list[Table],
        dry_run: bool,
        rows_per_second: float,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.settings, self.database, self.tables, self.dry_run = settings, database, tables, dry_run
        self.ledger = Ledger(database)
        self.run_id = f"{utc_now():%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        self.workers = max(1, min(settings.workers, settings.max_source_connections - 1))
        self.recheck = self.prune = False
        self.share = rows_per_second / self.workers
        self.on_progress = on_progress or (lambda progress: None)
        self.results: dict[str, TableResult] = {}
        self.empty: dict[str, bool] = {}
        self.started_at = utc_now()
        self.recorded = False

    def to_end(self, executor: ExecutorFactory) -> MigrationResult:
        began = time.perf_counter()
        try:
            self._load_under_one_snapshot(executor)
            loaded = time.perf_counter()
            if not self.dry_run:
                self._durably(self._finish_schema)
        except BaseException as error:
            if self.recorded:
                with contextlib.suppress(PyMongoError):
                    self._save(State.INTERRUPTED if isinstance(error, KeyboardInterrupt) else State.FAILED)
            raise
        ended = time.perf_counter()
        result = MigrationResult(self.run_id, self.dry_run, self.results, ended - began, loaded - began, ended - loaded)
        if not self.dry_run:
            self._save(result.state, load_seconds=loaded - began, schema_seconds=ended - loaded)
        return result

    def _durably(self, action: Callable[[], None]) -> None:
        """Run an action that can be repeated until the target does not restart, and so perhaps forget it, meanwhile."""
        for _ in range(_MAX_RESTARTS):
            incarnation = connections.server_incarnation(self.database.client)
            action()
            self._save(State.STARTED)  # journalled, and with it all that this server acknowledged before
            if connections.server_incarnation(self.database.client) == incarnation:
                return
        raise MigrationError("The target restarted again and again.", todo="Look into its log.")

    def _prepare(self) -> None:
        collections = [table.collection for table in self.tables]
        plan = schema.plan(self.database, self.settings, phase=schema.Phase.LOAD, collections=collections)
        schema.apply(self.database, plan)
        self.recorded = True
        self.ledger.save_run(
            self.run_id,
            started_at=self.started_at,
            tables=[table.name for table in self.tables],
            settings={name: getattr(self.settings, name) for name in ("batch_rows", "partition_rows", "workers")},
        )

    def _save(self, state: State, **facts: Any) -> None:
        tables = [table.as_dict() for table in self.results.values()]
        ended_at = None if state == State.STARTED else utc_now()
        self.ledger.save_run(self.run_id, state=state.value, ended_at=ended_at, results=tables, **facts)

    def _finish_schema(self) -> None:
        """Indexes and validators of each collection; one that the server refuses stops no other."""
        refused: dict[str, str] = {}
        plans = {
            table.name: schema.plan(
                self.database, self.settings, phase=schema.Phase.PROVE, collections=[table.collection]
            )
            for table in self.tables
        }
        steps, total = count(0), sum(len(plan.steps) for plan in plans.values())
        for name, plan in plans.items():
            try:
                schema.apply(
                    self.database, plan, on_step=lambda _: self.on_progress(Progress("schema", next(steps), total))
                )
            except ConfigurationError as error:
                refused[name] = str(error)
            except OperationFailure as error:
                if connections.is_transient(error):
                    raise
                refused[name] = str(connections.translate_target_error(error))
        for name, problem in refused.items():
            told = f"indexes and validator: {problem}"
            if told not in self.results[name].errors:  # a restart of the target repeats all of this
                self.results[name].errors.append(told)
                self._note(told)
        if total:
            self.on_progress(Progress("schema", total, total))

    def _note(self, note: str) -> None:
        done = sum(table.counts.read for table in self.results.values())
        planned = sum(table.source_rows for table in self.results.values())
        self.on_progress(Progress("rows", done, planned, note))

    # -- one snapshot -------------------------------------------------------------------------------------------

    def _load_under_one_snapshot(self, executor: ExecutorFactory) -> None:
        """Run every partition under one snapshot; if PostgreSQL loses it, take another and check all of them again."""
        for restart in range(_MAX_RESTARTS):
            try:
                with extract.open_snapshot(self.settings, None) as exporter:
                    snapshot = extract.export_snapshot(exporter)
                    if not self.dry_run:
                        fence.claim(exporter, self.settings, self._note)
                        self._durably(self._prepare)
                        settlement.finish(Quarantine(self.database), self.ledger)
                    partitions = self._plan(exporter)
                    if not self.dry_run:
                        self._save(State.STARTED)  # `workbench status` tells how far each table has come
                    if self._run_partitions(executor, partitions, snapshot):
                        self._count_repeated()
                        self._find_surplus(exporter)
                        return
            except (psycopg.OperationalError, SourceUnavailable) as error:
                if restart == _MAX_RESTARTS - 1:
                    raise
                self._note(f"PostgreSQL went away ({type(error).__name__}); waiting for it")
            time.sleep(min(10.0, 2.0**restart))
            self._note("the source's snapshot was lost: checking all partitions under a new one")
        raise MigrationError(
            "PostgreSQL lost the snapshot again and again.",
            todo="Run the same command later. On a cluster: do all workers' WORKBENCH_DATABASE_URL name this server?",
        )

    def _plan(self, source: psycopg.Connection[Any]) -> list[Partition]:
        """The partitions of every table; one that the source does not let us read fails alone."""
        partitions: list[Partition] = []
        for table in self.tables:
            result = self.results[table.name] = TableResult(table.name)
            try:
                with source.transaction():
                    result.source_rows = extract.count_rows(source, table)
                    require_columns(source, self.settings, table)
                    planned = self._plan_table(source, table)
            except (errors.UndefinedTable, errors.UndefinedColumn, errors.InsufficientPrivilege) as error:
                result.errors.append(f"PostgreSQL: {error.diag.message_primary}")
                continue
            except LossError as error:
                result.errors.append(str(error))
                continue
            result.partitions = len(planned)
            partitions += planned
        refused = [table.errors[0] for table in self.results.values() if table.errors]
        if len(refused) == len(self.tables):
            raise ConfigurationError(
                f"No table can be read from the source's schema {self.settings.source_schema}. {refused[0]}.",
                todo="Check WORKBENCH_DATABASE_URL and WORKBENCH_SOURCE_SCHEMA.",
            )
        return partitions

    def _plan_table(self, source: psycopg.Connection[Any], table: Table) -> tuple[Partition, ...]:
        if table.name not in self.empty:
            self.empty[table.name] = self.database[table.collection.name].find_one({}, {"_id": 1}) is None
        if self.ledger.is_planned(table.name):
            return self.ledger.plan_of(table.name)
        count = self.results[table.name].source_rows
        rows = rows_each(count, at_most=self.settings.partition_rows, workers=self.workers)
        planned = plan_partitions(source, table, rows=rows)
        if not self.dry_run:
            Quarantine(self.database).forget(table.name)
            self.ledger.save_plan(table.name, planned)
        return planned

    # -- the workers --------------------------------------------------------------------------------------------

    def _run_partitions(self, executor: ExecutorFactory, partitions: list[Partition], snapshot: str) -> bool:
        """Run all partitions; False if the snapshot was lost on the way."""
        waiting = list(partitions)
        rules = {table.name: self.ledger.rules(table.name) for table in self.tables}
        mappings = {table.name: mapping_id(self.settings, table) for table in self.tables}
        settings = self.settings.model_copy(update={"workers": self.workers})
        with Pool(lambda: executor(settings), run_partition, width=2 * self.workers, on_death=self._note) as pool:
            while waiting or pool.busy:
                paused = set(self.ledger.control().get("paused") or ())
                ready = [partition for partition in waiting if partition.table not in paused]
                for partition in ready[: pool.room]:
                    waiting.remove(partition)
                    pool.submit(self._job(partition, snapshot, mappings[partition.table], rules[partition.table]))
                if not pool.busy:  # all that is left is paused
                    break
                for result in pool.ended(_POLL_SECONDS):
                    if result.snapshot_lost:
                        return False
                    self._account(result)
        for partition in waiting:
            self.results[partition.table].paused = True
        return True

    def _count_repeated(self) -> None:
        """Find documents that a worker, thought dead, still wrote into a time series beside the repeated load."""
        tables = {table.name: table for table in self.tables if table.collection.kind is Kind.TIME_SERIES}
        for partition, counts in self.ledger.repeated(tables, self.run_id):
            table = tables[partition.table]
            stored = load.count_range(self.database[table.collection.name], table, partition)
            expected = counts.read - counts.quarantined
            if stored != expected:
                problem = (
                    f"{stored:,} documents where {expected:,} were loaded: a worker that seemed dead wrote as well. "
                    "Run the same command again: it loads this partition anew."
                )
                self.ledger.doubt(partition, problem, self.run_id)
                self.results[table.name].done -= 1
                self.results[table.name].errors.append(f"{partition.id}: {problem}")
                self._note(self.results[table.name].errors[-1])

    def _find_surplus(self, source: psycopg.Connection[Any]) -> None:
        """Tell, or prune, the documents without a row: by a scan on request, else only if their number says so."""
        for table in self.tables:
            if table.name not in self.empty:  # the source did not let us read it
                continue
            result, collection = self.results[table.name], self.database[table.collection.name]
            expected = result.counts.read - result.counts.quarantined
            if self.empty[table.name]:
                result.surplus = 0
            elif self.recheck or (result.complete and not self.dry_run):
                there = expected if self.recheck else surplus.count_migrated(collection, table, expected)
                result.missing = max(0, expected - there)
                result.surplus = 0
                if self.recheck or there != expected:
                    for ids in surplus.find_surplus(source, collection, table):
                        result.surplus += len(ids)
                        if self.prune and ids and result.source_rows and not self.dry_run:
                            result.pruned += surplus.prune(collection, table, ids)
            if self.prune and result.surplus and not result.source_rows:
                result.errors.append(
                    "The source has no row of this table. Prune does not delete all of its documents: "
                    "if that is meant, drop the collection by hand."
                )
            if result.missing:
                self._note(
                    f"{table.name}: {result.missing:,} documents are no longer there; --recheck loads them again"
                )

    def _job(self, partition: Partition, snapshot: str, mapping: str, rules: frozenset[str]) -> Job:
        return Job(
            self.settings,
            self.run_id,
            partition,
            snapshot,
            mapping,
            rules,
            target_was_empty=self.empty[partition.table],
            dry_run=self.dry_run,
            recheck=self.recheck,
            rows_per_second=self.share,
        )

    def _account(self, result: PartitionResult) -> None:
        table = self.results[result.partition.table]
        table.counts += result.counts
        table.seconds += result.seconds
        table.retries += result.attempts - 1
        if result.error:
            table.errors.append(f"{result.partition.id}: {result.error}")
            self._record_failure(result)
        else:
            table.done += 1
        self._note(table.errors[-1] if result.error else "")

    def _record_failure(self, result: PartitionResult) -> None:
        """A worker that died, or could not reach the target, has not recorded it."""
        known = self.ledger.get(result.partition)
        if not self.dry_run and (known.get("run_id"), known.get("state")) != (self.run_id, State.FAILED):
            self.ledger.fail(result.partition, result.error, self.run_id)
