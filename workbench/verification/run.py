"""A verification from end to end: read both sides, compare, say what was found. Writes nothing but its own state."""

from __future__ import annotations

import multiprocessing
import secrets
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from pymongo.database import Database

from workbench import connections
from workbench.errors import ConfigurationError
from workbench.migration.extract import count_rows, export_snapshot, open_snapshot
from workbench.migration.partition import plan_partitions
from workbench.migration.tables import TABLES
from workbench.models.fields import utc_now
from workbench.models.spec import Kind
from workbench.settings import Settings
from workbench.verification import state
from workbench.verification.accounts import Excluded, compare_accounts, excluded_rows
from workbench.verification.aggregates import compare_aggregates
from workbench.verification.compare import examine, groups_of
from workbench.verification.fingerprints import Fingerprints, buckets_for, merged
from workbench.verification.forms import Forms, forms_of
from workbench.verification.references import compare_references, compare_versions
from workbench.verification.results import (
    Check,
    CheckResult,
    Findings,
    SampleBound,
    Status,
    TableResult,
    VerificationResult,
)
from workbench.verification.sampling import compare_sample, upper_bound
from workbench.verification.scan import SourcePart, TargetPart, source_fingerprints, target_fingerprints
from workbench.verification.structure import compare_embeddings, compare_structure

ALL_CHECKS = frozenset(Check)
Progress = Callable[[str, int], None]
"""Called with a table and the number of rows and documents that were just read."""


def verify(
    settings: Settings,
    *,
    tables: Iterable[str] | None = None,
    checks: Collection[Check] = ALL_CHECKS,
    sample: int = 0,
    seed: int = 1,
    since_run: str = "",
    resume: bool = False,
    on_progress: Progress | None = None,
) -> VerificationResult:
    """Compare the target with the source.

    Args:
        settings: both servers, and the number of worker processes.
        tables: source tables; all where not given.
        checks: what is checked; counts and fields are one check in fact, and run if either is named.
        sample: compare only about this many rows in all, chosen at random; 0 compares every row.
        since_run: look only at what this run found wrong; `last` is the newest one.
        resume: take over the tables that the newest run finished before it was interrupted.
        on_progress: called now and then.

    Returns:
        What was found; differences are data, so nothing is raised for them. Memory does not grow with the tables.

    Side effects: writes its state to the collection `verification_runs` of the target.

    Raises:
        ConfigurationError: a table or a run is unknown.
        UnavailableError: a server cannot be reached.
    """
    with connections.open_target(settings, bulk=True) as client:
        run = _Run(settings, client[settings.mongodb_database], frozenset(checks), sample, seed, on_progress)
        return run.to_end(_chosen(tables), since_run, resume)


def _chosen(names: Iterable[str] | None) -> list[str]:
    wanted = list(names) if names is not None else list(TABLES)
    unknown = [name for name in wanted if name not in TABLES]
    if unknown:
        raise ConfigurationError(f"Unknown table {', '.join(unknown)}.", todo=f"Choose from: {', '.join(TABLES)}.")
    return [name for name in TABLES if name in wanted]


@dataclass
class _Table:
    """One table while it is verified."""

    forms: Forms
    excluded: Excluded
    findings: Findings
    source_parts: list[SourcePart]
    target_parts: list[TargetPart]
    buckets: int
    earlier: TableResult | None = None
    rows: int = 0
    documents: int = 0
    skipped: int = 0
    wrong: tuple[int, ...] = ()
    fingerprints: tuple[str, str] = ("", "")
    notes: list[str] = field(default_factory=list)
    checks: list[CheckResult] = field(default_factory=list)
    sampled: tuple[int, int] = (0, 0)
    source_futures: list[Future[Fingerprints]] = field(default_factory=list)
    target_futures: list[Future[Fingerprints]] = field(default_factory=list)


class _Run:
    def __init__(
        self,
        settings: Settings,
        database: Database[Any],
        checks: frozenset[Check],
        sample: int,
        seed: int,
        on_progress: Progress | None,
    ) -> None:
        self.settings, self.database, self.checks = settings, database, checks
        self.sample, self.seed = sample, seed
        self.on_progress = on_progress or (lambda table, read: None)
        self.run_id = f"{utc_now():%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        self.emulated = "secantus" in database.client.admin.command("serverStatus")
        self.excluded: dict[str, Excluded] = {}

    def to_end(self, names: list[str], since_run: str, resume: bool) -> VerificationResult:
        started_at, began = utc_now(), time.perf_counter()
        taken, earlier = self._earlier(names, since_run, resume)
        if since_run:
            names = [name for name in names if name in earlier]
        arguments = {"tables": names, "checks": sorted(self.checks), "sample": self.sample, "since_run": since_run}
        state.begin(self.database, self.run_id, started_at, arguments)
        results: list[TableResult] = []
        sampled: list[tuple[int, int]] = []
        with ExitStack() as stack:
            source = stack.enter_context(open_snapshot(self.settings, None))
            snapshot = export_snapshot(source)
            sizes = {name: count_rows(source, TABLES[name]) for name in names}
            tables = {
                name: self._prepare(source, name, sizes[name], snapshot, earlier.get(name))
                for name in names
                if name not in taken
            }
            self._start_workers(stack, tables.values())
            for name in names:
                table = tables.get(name)
                if table is None:
                    results.append(taken[name])
                else:
                    results.append(self._table(source, table, sizes))
                    sampled.append(table.sampled)
                state.save_table(self.database, self.run_id, results[-1])
        notes = [f"{name}: taken over from the run that was interrupted" for name in taken if name in names]
        if since_run and not names:
            notes.append(f"run {since_run} found nothing wrong, so there was nothing to check again")
        bound = self._bound(sampled, sum(sizes.values())) if self.sample else None
        result = VerificationResult(
            self.run_id, started_at, time.perf_counter() - began, tuple(results), bound, tuple(notes)
        )
        state.finish(self.database, result)
        return result

    def _earlier(
        self, names: list[str], since_run: str, resume: bool
    ) -> tuple[dict[str, TableResult], dict[str, TableResult]]:
        """The results that are taken over, and the earlier results of the tables that are checked again."""
        if since_run:
            found = state.finished_tables(self.database, since_run)
            return {}, {name: result for name, result in found.items() if not result.passed and name in names}
        if resume:
            last = state.last_run(self.database)
            if last is not None and last["state"] != "done":
                return state.finished_tables(self.database, last["_id"]), {}
        return {}, {}

    def _start_workers(self, stack: ExitStack, tables: Iterable[_Table]) -> None:
        """Let worker processes read all tables, while this one asks the databases for aggregates and the like."""
        workers = min(self.settings.workers, self.settings.max_source_connections - 1)
        if workers < 2 or self.sample or not self.checks & {Check.COUNTS, Check.FIELDS}:
            return
        context = multiprocessing.get_context("spawn")
        pool = stack.enter_context(ProcessPoolExecutor(workers, mp_context=context))
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        for table in tables:
            if not (table.earlier and table.earlier.wrong_buckets):
                table.source_futures = [pool.submit(source_fingerprints, part) for part in table.source_parts]
                table.target_futures = [pool.submit(target_fingerprints, part) for part in table.target_parts]

    def _prepare(
        self, source: psycopg.Connection[Any], name: str, rows: int, snapshot: str, earlier: TableResult | None
    ) -> _Table:
        excluded = self.excluded[name] = excluded_rows(self.database, name)
        buckets = earlier.buckets if earlier and earlier.buckets else buckets_for(rows)
        part = SourcePart(self.settings, name, buckets, excluded.ids, snapshot)
        source_parts, target_parts = [part], [TargetPart(self.settings, name, buckets)]
        workers = self.settings.workers
        if workers > 1 and not self.sample and rows > 2 * self.settings.batch_rows:
            partitions = plan_partitions(source, TABLES[name], rows=max(self.settings.batch_rows, rows // workers + 1))
            source_parts = [replace(part, partition=partition) for partition in partitions]
            if TABLES[name].collection.kind is Kind.STANDARD and not self.emulated:
                target_parts = _ranges(target_parts[0], workers)
        return _Table(
            forms_of(name, self.settings), excluded, Findings(name), source_parts, target_parts, buckets, earlier
        )

    # -- one table ------------------------------------------------------------------------------------------------

    def _table(
        self,
        source: psycopg.Connection[Any],
        table: _Table,
        sizes: dict[str, int],
    ) -> TableResult:
        began = time.perf_counter()
        name, spec = table.forms.table.name, table.forms.table.collection
        if self.checks & {Check.COUNTS, Check.FIELDS}:
            if self.sample:
                self._compare_sample(source, table, sizes)
            elif table.earlier and table.earlier.wrong_buckets:
                self._compare_again(table, table.earlier)
            else:
                self._compare_all(table)
        if Check.AGGREGATES in self.checks and not self.sample:
            self._check(
                table,
                Check.AGGREGATES,
                lambda: compare_aggregates(
                    source,
                    self.database,
                    table=name,
                    collection=spec.name,
                    excluded=table.excluded.keys,
                    key=table.forms.table.key,
                    rows=sizes[name],
                    findings=table.findings,
                ),
            )
        if Check.REFERENCES in self.checks and not self.sample:
            self._check(table, Check.REFERENCES, lambda: (self._references(source, table), ""))
        if Check.STRUCTURE in self.checks:
            self._check(table, Check.STRUCTURE, lambda: (self._structure(table), ""))
        if Check.LEDGER in self.checks:
            complete = bool(table.fingerprints[0])
            self._check(
                table,
                Check.LEDGER,
                lambda: compare_accounts(
                    self.database,
                    name,
                    rows=table.rows if complete else None,
                    documents=table.documents if complete else None,
                    findings=table.findings,
                ),
            )
        return TableResult(
            name, spec.name, table.rows, table.documents, len(table.excluded.ids), tuple(table.checks),
            table.findings.clusters(), table.buckets, table.wrong, *table.fingerprints,
            seconds=time.perf_counter() - began, note="; ".join(filter(None, table.notes)),
        )  # fmt: skip

    def _check(self, table: _Table, check: Check, compare: Callable[[], tuple[int, str]]) -> None:
        began = time.perf_counter()
        examined, note = compare()
        self._record(table, check, examined, note, time.perf_counter() - began)

    def _record(self, table: _Table, check: Check, examined: int, note: str, seconds: float) -> None:
        wrong = table.findings.count(check)
        status: Status = "failed" if wrong else "passed" if examined else "skipped"
        table.checks.append(CheckResult(table.forms.table.name, check, status, examined, wrong, note, seconds))

    def _compare_all(self, table: _Table) -> None:
        source, found = self._fingerprints(table)
        began = time.perf_counter() - source.seconds - found.seconds
        table.rows, table.documents, table.skipped = source.rows + source.skipped, found.rows, source.skipped
        table.fingerprints = (source.total, found.total)
        table.wrong = tuple(source.differing(found))
        groups = groups_of(table.wrong, lambda bucket: source.counts[bucket] + found.counts[bucket])
        self._examine(table, groups)
        self._record_levels(table, time.perf_counter() - began)

    def _compare_again(self, table: _Table, earlier: TableResult) -> None:
        """Only the buckets that an earlier run found wrong."""
        began = time.perf_counter()
        average = (earlier.rows + earlier.documents) / max(1, earlier.buckets)
        self._examine(table, groups_of(earlier.wrong_buckets, lambda bucket: average))
        still = table.findings.count(Check.COUNTS, Check.FIELDS)
        table.wrong = earlier.wrong_buckets if still else ()
        table.rows, table.documents = earlier.rows, earlier.documents
        table.notes.append(f"only the {len(earlier.wrong_buckets):,} of {earlier.buckets:,} buckets that were wrong")
        self._record_levels(table, time.perf_counter() - began)

    def _record_levels(self, table: _Table, seconds: float) -> None:
        self._record(table, Check.COUNTS, max(table.rows, table.documents, 1), "", 0.0)
        compared = len(table.forms.fields) * max(1, table.rows - table.skipped)
        self._record(table, Check.FIELDS, compared, f"{table.buckets:,} buckets, {len(table.wrong):,} differ", seconds)

    def _examine(self, table: _Table, groups: list[frozenset[int]]) -> None:
        whole = replace(table.target_parts[0], ids=None)
        cheap = table.forms.table.collection.kind is Kind.STANDARD and not self.emulated
        table.notes.append(
            examine(table.forms, table.source_parts, whole, groups, table.findings, ranges_are_cheap=cheap)
        )

    def _fingerprints(self, table: _Table) -> tuple[Fingerprints, Fingerprints]:
        name, buckets = table.forms.table.name, table.buckets
        if table.source_futures:
            return (
                merged(self._results(name, table.source_futures), buckets),
                merged(self._results(name, table.target_futures), buckets),
            )

        def read(count: int) -> None:
            self.on_progress(name, count)

        return (
            merged((source_fingerprints(part, read) for part in table.source_parts), buckets),
            merged((target_fingerprints(part, read) for part in table.target_parts), buckets),
        )

    def _results(self, name: str, futures: list[Future[Fingerprints]]) -> Iterable[Fingerprints]:
        for future in futures:
            result = future.result()
            self.on_progress(name, result.rows + result.skipped)
            yield result

    def _compare_sample(self, source: psycopg.Connection[Any], table: _Table, sizes: dict[str, int]) -> None:
        began = time.perf_counter()
        name, rows = table.forms.table.name, sizes[table.forms.table.name]
        wanted = max(1, round(self.sample * rows / max(1, sum(sizes.values()))))
        table.sampled = compare_sample(
            source, self.database, table.forms, rows=rows, wanted=wanted, seed=self.seed,
            excluded=table.excluded.ids, findings=table.findings,
        )  # fmt: skip
        table.rows, table.documents = rows, self.database[table.forms.table.collection.name].count_documents({})
        if table.rows - len(table.excluded.ids) != table.documents:
            table.findings.add(
                Check.COUNTS,
                "counts differ",
                expected=f"{table.rows - len(table.excluded.ids):,}",
                found=f"{table.documents:,}",
            )
        self.on_progress(name, table.sampled[0])
        self._record(table, Check.COUNTS, max(rows, 1), "", 0.0)
        self._record(table, Check.FIELDS, table.sampled[0], "sampled rows", time.perf_counter() - began)

    def _bound(self, sampled: list[tuple[int, int]], population: int) -> SampleBound:
        rows, wrong = sum(rows for rows, _ in sampled), sum(wrong for _, wrong in sampled)
        return SampleBound(rows, population, wrong, upper_bound(rows, wrong))

    def _references(self, source: psycopg.Connection[Any], table: _Table) -> int:
        name = table.forms.table.name
        keys = {
            other: (self.excluded.get(other) or excluded_rows(self.database, other)).keys
            for other in ("detectors", "detection_runs", "investigation_states")
        }
        examined = compare_references(source, self.database, name, keys, table.findings)
        if name == "investigation_audit_log":
            examined += compare_versions(source, self.database, table.findings)
        return examined

    def _structure(self, table: _Table) -> int:
        spec = table.forms.table.collection
        examined = compare_structure(self.database, spec, self.settings, table.findings)
        if not self.sample:
            examined += compare_embeddings(self.database, spec, self.settings, table.findings)
        return examined


def _ranges(part: TargetPart, count: int) -> list[TargetPart]:
    """A collection in ranges of `_id`, which are about equally large, because an `_id` is a hash."""
    step = (1 << 96) // count
    edges = [(index * step).to_bytes(12, "big") for index in range(count)]
    ends: list[bytes | None] = [*edges[1:], None]
    return [replace(part, ids=(edge, end)) for edge, end in zip(edges, ends, strict=True)]
