"""One run of the benchmark from end to end: check the answers, measure, load, explain, judge, write."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pydantic import SecretStr

from workbench.benchmark.concurrency import CLIENTS, Load, fixed_rate, sweep
from workbench.benchmark.draws import Draws, NothingToAskError
from workbench.benchmark.environment import describe_environment
from workbench.benchmark.explain import PlanPair, compare_plans
from workbench.benchmark.index_effect import IndexEffect, measure_index_effect
from workbench.benchmark.quarantined import VIEWS, quarantined_keys
from workbench.benchmark.results import BenchmarkRun, describe_workloads
from workbench.benchmark.runner import QUICK, Effort, Measurement, check, measure
from workbench.benchmark.scratch import scratch
from workbench.benchmark.sessions import SourceSession, both_sessions
from workbench.benchmark.workloads import Side, Workload, choose
from workbench.connections import open_source, open_target, source_uri, target_uri
from workbench.errors import ConfigurationError
from workbench.progress import progress, progress_mode
from workbench.settings import Settings

DEFAULT_SEED = 20261124


@dataclass(frozen=True)
class Scope:
    """What a run does.

    Attributes:
        mode: its name in the results.
        effort: of the measurements.
        clients: levels of the concurrency sweep; none leaves it out.
        sweep_seconds: of each level and database.
        explained: plans are shown of so many workloads, the slowest on MongoDB.
        copied_rows: that the copies for the writes begin with.
        effect_rows: rows of the copy that shows what an index does; 0 leaves it out.
        rate: questions a second of the fixed-rate measurement; 0 leaves it out.
        rate_seconds: its duration for each workload and database.
        swept: names or kinds of the workloads that many clients ask; one of each kind where empty.
        budget_seconds: of the whole run. What its end leaves out is told; only answers and plans are never cut.
    """

    mode: str
    effort: Effort
    clients: tuple[int, ...] = CLIENTS
    sweep_seconds: float = 5.0
    explained: int = 5
    copied_rows: int = 20_000
    effect_rows: int = 20_000
    rate: float = 0.0
    rate_seconds: float = 10.0
    swept: tuple[str, ...] = ()
    budget_seconds: float = math.inf


QUICK_SCOPE = Scope(
    "quick", QUICK, sweep_seconds=0.2, explained=3, copied_rows=1_000, effect_rows=1_500, rate_seconds=2.0,
    budget_seconds=50.0,
)  # fmt: skip
FULL_SCOPE = Scope("full", Effort())
SCOPES = {scope.mode: scope for scope in (QUICK_SCOPE, FULL_SCOPE)}
_MEASURING = 0.5
"""Share of what is left of the budget that the samples may take."""
_WARM = 0.85
"""Share of that for the warm ones; the cold ones come after them."""
_EFFECT_SECONDS = 4.0
"""What the effect of an index needs at most in a quick run."""
_OVERRUN_SECONDS = 3.0
"""By how much the last level of load may run over, as its questions are answered."""


def run_benchmark(
    settings: Settings,
    *,
    scope: Scope = FULL_SCOPE,
    only: Sequence[str] = (),
    seed: int = DEFAULT_SEED,
) -> BenchmarkRun:
    """Measure both databases in one run.

    Args:
        settings: of both databases; the target must hold the migrated data.
        scope: quick or full.
        only: names, parts of names or kinds of workloads; all where empty.
        seed: of parameters and order.

    Side effects: copies in both databases, dropped at the end; the real data is not written to. Progress on stderr.

    Raises:
        ConfigurationError: the target is empty, a workload is unknown, or another benchmark runs.
        UnavailableError: a database cannot be reached.
    """
    started_at, started = datetime.now(UTC), time.monotonic()
    settings = _resolved(settings)
    workloads = choose(settings, only)
    swept = _swept(settings, workloads, scope.swept)
    deadline = started + scope.budget_seconds
    with open_source(settings, autocommit=True) as connection, open_target(settings) as client:
        database = client[settings.mongodb_database]
        environment = describe_environment(connection, database, settings)
        if not any(environment["documents"].values()):
            raise ConfigurationError(
                f"The target database {settings.mongodb_database} is empty.",
                todo="Run `workbench migrate` first: the benchmark compares the two.",
            )
        quarantined = quarantined_keys(database)
        draws = Draws(connection, settings, seed=seed, quarantined=quarantined)
    environment |= {
        "quarantined": {table: len(keys) for table, keys in quarantined.items()},
        "copied_rows": scope.copied_rows,
    }
    empty = _without_parameters(workloads, draws)
    if len(empty) == len(workloads):
        raise ConfigurationError(f"Nothing can be measured: {'; '.join(sorted(set(empty.values())))}.")
    asked = [workload for workload in workloads if workload.name not in empty]
    with scratch(
        settings, asked, draws, rows=scope.copied_rows, quarantined=quarantined, say=_announce
    ) as without_vectors:
        left_out = {**empty, **without_vectors}
        chosen = [workload for workload in asked if workload.name not in left_out]
        with both_sessions(settings) as (source, target):
            views = VIEWS if quarantined else ""
            with (
                contextlib.closing(SourceSession(settings, views=views)) as migrated,
                progress(len(chosen), "compare answers", "workloads") as bar,
            ):
                checks = []
                for one in chosen:
                    stream = draws.stream(f"check {one.name}")
                    checks.append(check(one, migrated, target, stream, scope.effort.checks))
                    bar.update()
            with progress(None, "measure", "samples") as bar:
                now = time.monotonic()
                until = now + max(0.0, deadline - now) * _MEASURING
                effort = replace(scope.effort, total_seconds=min(scope.effort.total_seconds, (until - now) * _WARM))
                measurements = measure(
                    chosen, source, target, settings, draws, effort, seed=seed, deadline=until, tick=bar.update
                )
        plans = explain_workloads(_slowest(chosen, measurements, scope.explained), settings, draws)
        loads = _load(
            [w for w in swept if w in chosen], settings, draws, scope, deadline - _EFFECT_SECONDS - _OVERRUN_SECONDS
        )
        effect: tuple[IndexEffect, ...] = ()
        if deadline - time.monotonic() > _EFFECT_SECONDS:
            effect = _index_effect(settings, draws, scope.effect_rows)
    return BenchmarkRun(
        started_at=started_at.isoformat(),
        mode=scope.mode,
        seed=seed,
        elapsed_seconds=time.monotonic() - started,
        asked_samples=scope.effort.samples,
        limit_seconds=effort.total_seconds,
        environment=environment,
        workloads=describe_workloads(workloads),
        checks=tuple(checks),
        measurements=tuple(measurements),
        loads=tuple(loads),
        left_out=left_out,
        plans={pair.workload: pair.as_dict() for pair in plans},
        index_effect=tuple(one.as_dict() for one in effect),
    )


def explain_workloads(workloads: Sequence[Workload], settings: Settings, draws: Draws) -> list[PlanPair]:
    """The plans of both sides for one set of parameters of each workload."""
    with both_sessions(settings) as (source, target):
        return [
            compare_plans(workload, workload.parameters(draws.stream(f"explain {workload.name}")), source, target)
            for workload in workloads
        ]


def _without_parameters(workloads: Sequence[Workload], draws: Draws) -> dict[str, str]:
    """The workloads that have nothing to ask about, and why."""
    found = {}
    for workload in workloads:
        try:
            workload.parameters(draws.stream(f"probe {workload.name}"))
        except NothingToAskError as error:
            found[workload.name] = f"the source table {error.table} is empty"
    return found


def _resolved(settings: Settings) -> Settings:
    """The settings with the URIs that they stand for: asking for those of embedded servers takes longer than most
    questions."""
    return settings.model_copy(
        update={
            "database_url": SecretStr(source_uri(settings)),
            "mongodb_uri": SecretStr(target_uri(settings)),
        }
    )


def _swept(settings: Settings, workloads: Sequence[Workload], names: Sequence[str]) -> list[Workload]:
    """The workloads that many clients ask: those that are named, or the first of each kind."""
    if not names:
        return list({workload.kind: workload for workload in reversed(workloads)}.values())[::-1]
    named = choose(settings, names)
    missing = [workload.name for workload in named if workload not in workloads]
    if missing:
        raise ConfigurationError(f"--sweep names what --only leaves out: {', '.join(missing)}.")
    return list(named)


def _load(workloads: Sequence[Workload], settings: Settings, draws: Draws, scope: Scope, deadline: float) -> list[Load]:
    """The sweep and the fixed rate."""
    found: list[Load] = []
    if workloads and scope.clients:
        with progress(len(workloads) * len(Side) * len(scope.clients), "many clients", "levels") as bar:
            found += sweep(
                workloads,
                settings,
                draws,
                clients=scope.clients,
                seconds=scope.sweep_seconds,
                deadline=deadline,
                tick=bar.update,
            )
    if workloads and scope.rate:
        with progress(len(workloads) * len(Side), "fixed rate", "levels") as bar:
            found += fixed_rate(
                workloads,
                settings,
                draws,
                rate=scope.rate,
                seconds=scope.rate_seconds,
                deadline=deadline,
                tick=bar.update,
            )
    return found


def _slowest(workloads: Sequence[Workload], measurements: Sequence[Measurement], count: int) -> list[Workload]:
    """The workloads that are slowest on MongoDB, the slowest first."""
    medians = {m.workload: m.summary.median for m in measurements if m.side is Side.MONGODB and m.summary}
    return sorted((w for w in workloads if w.name in medians), key=lambda w: -medians[w.name])[:count]


def _index_effect(settings: Settings, draws: Draws, rows: int) -> tuple[IndexEffect, ...]:
    return measure_index_effect(settings, draws.stream("index"), rows=rows) if rows and draws.rows("score") else ()


def _announce(text: str) -> None:
    if progress_mode() != "silent":
        print(f"benchmark: {text}", file=sys.stderr, flush=True)


def with_options(
    scope: Scope,
    *,
    samples: int | None = None,
    seconds: float | None = None,
    clients: tuple[int, ...] | None = None,
    swept: Sequence[str] = (),
    rate: float = 0.0,
) -> Scope:
    """A scope with what the user chose in place of its own."""
    effort = scope.effort
    if samples is not None:
        effort = replace(effort, samples=samples, pair_seconds=math.inf)
    if seconds is not None:
        effort = replace(effort, total_seconds=seconds, pair_seconds=math.inf)
        scope = replace(scope, budget_seconds=math.inf)
    clients = scope.clients if clients is None else clients
    return replace(scope, effort=effort, clients=clients, swept=tuple(swept), rate=rate)
