"""A verification from end to end: read both sides, compare, say what was found. Writes nothing but its own state."""

from __future__ import annotations

import multiprocessing
import secrets
import time
from collections.abc import Collection, Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from typing import Any

from pymongo.database import Database

from workbench import connections
from workbench.errors import ConfigurationError
from workbench.migration.extract import count_rows, export_snapshot, open_snapshot
from workbench.migration.tables import TABLES
from workbench.models.fields import utc_now
from workbench.settings import Settings
from workbench.verification import state
from workbench.verification.findings import Check
from workbench.verification.results import SampleBound, TableResult, VerificationResult
from workbench.verification.sampling import upper_bound
from workbench.verification.scan import source_fingerprints, target_fingerprints
from workbench.verification.table import Context, Progress, TableRun

ALL_CHECKS = frozenset(Check)


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
        database = client[settings.mongodb_database]
        with open_snapshot(settings, None) as source:
            context = Context(
                settings,
                database,
                source,
                snapshot=export_snapshot(source),
                checks=frozenset(checks),
                sample=sample,
                seed=seed,
                emulated="secantusVersion" in client.admin.command("buildInfo"),
                on_progress=on_progress or (lambda table, read: None),
            )
            return _run(context, _chosen(tables), since_run, resume)


def _chosen(names: Iterable[str] | None) -> list[str]:
    wanted = list(names) if names is not None else list(TABLES)
    unknown = [name for name in wanted if name not in TABLES]
    if unknown:
        raise ConfigurationError(f"Unknown table {', '.join(unknown)}.", todo=f"Choose from: {', '.join(TABLES)}.")
    return [name for name in TABLES if name in wanted]


def _run(context: Context, names: list[str], since_run: str, resume: bool) -> VerificationResult:
    run_id = f"{utc_now():%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    started_at, began = utc_now(), time.perf_counter()
    taken, earlier = _earlier(context.database, names, since_run, resume)
    if since_run:
        names = [name for name in names if name in earlier]
    arguments = {"tables": names, "checks": sorted(context.checks), "sample": context.sample, "since_run": since_run}
    state.begin(context.database, run_id, started_at, arguments)
    context.sizes.update({name: count_rows(context.source, TABLES[name]) for name in names})
    tables = {name: TableRun(context, name, earlier.get(name)) for name in names if name not in taken}
    results: list[TableResult] = []
    with ExitStack() as stack:
        _start_workers(context, stack, tables.values())
        for name in names:
            results.append(tables[name].to_end() if name in tables else taken[name])
            state.save_table(context.database, run_id, results[-1])
    notes = [f"{name}: taken over from the run that was interrupted" for name in taken if name in names]
    if since_run and not names:
        notes.append(f"run {since_run} found nothing wrong, so there was nothing to check again")
    seconds = time.perf_counter() - began
    bound = _bound([table.sampled for table in tables.values()], context) if context.sample else None
    result = VerificationResult(run_id, started_at, seconds, tuple(results), bound, tuple(notes))
    state.finish(context.database, result)
    return result


def _earlier(
    database: Database[Any], names: list[str], since_run: str, resume: bool
) -> tuple[dict[str, TableResult], dict[str, TableResult]]:
    """The results that are taken over, and the earlier results of the tables that are checked again."""
    if since_run:
        found = state.finished_tables(database, since_run)
        return {}, {name: result for name, result in found.items() if not result.passed and name in names}
    if resume:
        last = state.last_run(database)
        if last is not None and last["state"] != "done":
            return state.finished_tables(database, last["_id"]), {}
    return {}, {}


def _start_workers(context: Context, stack: ExitStack, tables: Iterable[TableRun]) -> None:
    """Let worker processes read all tables, while this one asks the databases for aggregates and the like."""
    if context.workers < 2 or not context.checks & {Check.COUNTS, Check.FIELDS}:
        return
    spawn = multiprocessing.get_context("spawn")
    pool = stack.enter_context(ProcessPoolExecutor(context.workers, mp_context=spawn))
    stack.callback(pool.shutdown, wait=False, cancel_futures=True)
    for table in tables:
        if not table.known_buckets:
            table.source_futures = [pool.submit(source_fingerprints, part) for part in table.source_parts]
            table.target_futures = [pool.submit(target_fingerprints, part) for part in table.target_parts]


def _bound(sampled: list[tuple[int, int]], context: Context) -> SampleBound:
    rows, wrong = sum(rows for rows, _ in sampled), sum(wrong for _, wrong in sampled)
    return SampleBound(rows, sum(context.sizes.values()), wrong, upper_bound(rows, wrong))
