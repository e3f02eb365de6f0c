"""A verification from end to end: read both sides, compare, say what was found. Writes nothing but its own state."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Collection, Iterable
from contextlib import ExitStack
from typing import Any

from pymongo.database import Database
from pymongo.errors import PyMongoError

from workbench import connections
from workbench.errors import ConfigurationError
from workbench.migration.executors import local_processes
from workbench.migration.extract import count_rows, export_snapshot, open_snapshot
from workbench.migration.tables import TABLES
from workbench.models.fields import utc_now
from workbench.settings import Settings
from workbench.verification import scan, state
from workbench.verification.accounts import load_rate
from workbench.verification.embeddings import embeddings_of
from workbench.verification.findings import Check
from workbench.verification.results import SampleBound, TableResult, VerificationResult
from workbench.verification.sampling import upper_bound
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
        resume: take over the tables that the newest run finished before it was interrupted, if it was asked the same
            and is not still going on.
        on_progress: called now and then.

    Returns:
        What was found; differences are data, so nothing is raised for them. Memory grows with the rows in quarantine
        and with the keys that references lead to, not with the other rows.

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
    arguments = _arguments(context, names, since_run)
    taken, earlier, notes = _earlier(context.database, names, since_run, resume, arguments)
    if since_run:
        names = [name for name in names if name in earlier]
        arguments["tables"] = names
    state.begin(context.database, run_id, started_at, arguments)
    try:
        results, tables = _results(context, run_id, names, taken, earlier)
    except BaseException:
        with contextlib.suppress(PyMongoError):  # the reason that is raised may be the same server
            state.interrupt(context.database, run_id)
        raise
    notes += [f"{name}: taken over from the run that was interrupted" for name in taken if name in names]
    if since_run and not names:
        notes.append(f"run {since_run} found nothing wrong, so nothing was checked again; verify without --since-run")
    result = VerificationResult(
        run_id,
        started_at,
        time.perf_counter() - began,
        tuple(results[name] for name in names),
        _bound([table.sampled for table in tables], context) if context.sample else None,
        tuple(notes),
        compare_seconds=_compare_seconds(context, tables, results, began),
        load_rate=load_rate(context.database),
    )
    state.finish(context.database, result)
    return result


def _arguments(context: Context, names: list[str], since_run: str) -> dict[str, Any]:
    """What decides how closely a run looks, and what it expects."""
    settings = context.settings
    return {
        "tables": names,
        "checks": sorted(context.checks),
        "sample": context.sample,
        "seed": context.seed if context.sample else 0,
        "since_run": since_run,
        "tenancy": f"{settings.tenancy_rule} {settings.default_tenant}",
        "embedding_model": f"{settings.embedding_model} {settings.vector_dimensions}",
    }


def _results(
    context: Context, run_id: str, names: list[str], taken: dict[str, TableResult], earlier: dict[str, TableResult]
) -> tuple[dict[str, TableResult], list[TableRun]]:
    """The result of each table, saved as soon as it is there; and the runs of those that were not taken over."""
    context.sizes.update({name: count_rows(context.source, TABLES[name]) for name in names})
    context.on_progress = _with_beat(context, run_id)
    tables = {name: TableRun(context, name, earlier.get(name)) for name in names if name not in taken}
    results: dict[str, TableResult] = {}

    def finish(*those: str) -> None:
        for name in those:
            results[name] = tables[name].to_end() if name in tables else taken[name]
            state.save_table(context.database, run_id, results[name])

    with ExitStack() as stack:
        workers = _start_workers(context, stack, tables.values())
        if context.emulated:  # one process that works at one thing at a time: all at once only takes longer
            for table in tables.values():
                table.wait()
        asked: list[str] = []
        for name in names:
            if name in tables:
                tables[name].ask()
            asked.append(name)
            ready = [one for one in asked if not workers or one in taken or tables[one].is_ready]
            finish(*ready)
            asked = [one for one in asked if one not in ready]
        finish(*asked)
    return results, list(tables.values())


def _with_beat(context: Context, run_id: str) -> Progress:
    """The caller's progress, and now and then a sign of life for those who would resume this run."""
    tell, last = context.on_progress, time.monotonic()

    def progress(table: str, read: int) -> None:
        nonlocal last
        if time.monotonic() - last > state.BEAT_SECONDS:
            state.beat(context.database, run_id)
            last = time.monotonic()
        tell(table, read)

    return progress


def _compare_seconds(
    context: Context, tables: list[TableRun], results: dict[str, TableResult], began: float
) -> float:  # fmt: skip
    """Wall-clock seconds of levels 1 and 2, of all tables together."""
    if any(table.source_futures for table in tables):
        return max(table.compared_at for table in tables) - began
    found = [results[table.name] for table in tables]
    return sum(check.seconds for table in found for check in table.checks if check.check is Check.FIELDS)


def _earlier(
    database: Database[Any], names: list[str], since_run: str, resume: bool, arguments: dict[str, Any]
) -> tuple[dict[str, TableResult], dict[str, TableResult], list[str]]:
    """The results that are taken over, the earlier results of the tables that are checked again, and notes."""
    if since_run:
        found = state.finished_tables(database, since_run)
        return {}, {name: result for name, result in found.items() if not result.passed and name in names}, []
    if resume:
        taken, note = state.to_resume(database, arguments)
        return taken, {}, [note] if note else []
    return {}, {}, []


def _start_workers(context: Context, stack: ExitStack, tables: Iterable[TableRun]) -> bool:
    """Let worker processes read all tables, the largest first, while this one asks the databases; whether there are."""
    if context.workers < 2 or not context.checks & {Check.COUNTS, Check.FIELDS}:
        return False
    settings = context.settings.model_copy(update={"workers": context.workers})
    pool = stack.enter_context(local_processes(settings, scan.__name__))
    stack.callback(pool.shutdown, wait=False, cancel_futures=True)
    tables = sorted(tables, key=lambda table: -context.sizes[table.name])
    for table in tables:
        if not table.known_buckets:
            table.target_futures = [pool.submit(scan.target_fingerprints, part) for part in table.target_parts]
            table.source_futures = [pool.submit(scan.source_fingerprints, part) for part in table.source_parts]
            for future in (*table.source_futures, *table.target_futures):
                future.add_done_callback(table.note_time)
    for table in tables:  # after all rows, whose comparison nothing else should slow down
        if table.spec.vector and Check.STRUCTURE in context.checks:
            table.embeddings = pool.submit(embeddings_of, context.settings, table.name, context.seed)
    return True


def _bound(sampled: list[tuple[int, int]], context: Context) -> SampleBound:
    rows, wrong = sum(rows for rows, _ in sampled), sum(wrong for _, wrong in sampled)
    return SampleBound(rows, sum(context.sizes.values()), wrong, upper_bound(rows, wrong))
