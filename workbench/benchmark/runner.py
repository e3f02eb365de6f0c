"""Measure the workloads: both databases in one run, one sample of each in turn, in an order that is drawn anew.

A sample is one execution until its rows are fetched and decoded; connecting and building parameters are not in it.
The Python client shares the machine with servers that run on it: that is in the figures, on both sides alike.

Warm samples come after `warmup` executions. A cold one is the first execution of a question on a connection opened
for it, whose opening is not in the sample: nothing is prepared or cached for it in the client or, in PostgreSQL, in
its process. What the servers share stays warm: page caches, and MongoDB's plan cache. Both databases get the same
parameters, in an order that is drawn, and a sample counts only where both succeeded.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import psycopg
from pymongo.errors import PyMongoError

from workbench.benchmark.answers import Difference, first_difference
from workbench.benchmark.draws import Draws
from workbench.benchmark.sessions import Session, SourceSession, TargetSession
from workbench.benchmark.statistics import TARGET_QUANTILE, Summary, minimum_samples, summarize
from workbench.benchmark.workloads import Side, Workload
from workbench.benchmark.workloads.base import Kind
from workbench.errors import WorkbenchError
from workbench.settings import Settings

Tick: TypeAlias = Callable[[int], None]
FAILURES = (psycopg.Error, PyMongoError, WorkbenchError)
"""What counts as a failed execution; anything else is a defect of the benchmark and ends it."""
LEAST_RECALL = 0.8
"""Share of the exact neighbours that an approximate index must find."""
_ESTIMATED_FROM = 20
"""Samples from which a workload's time is estimated."""
_AFFORDABLE = 0.8
"""Share of the time for workloads that can get all their samples in it."""


@dataclass(frozen=True)
class Effort:
    """How much to measure.

    Attributes:
        samples: warm samples of each workload and database.
        pair_seconds: a pair leaves the rotation when it has used so many seconds, but not before `least_samples`.
        total_seconds: after so many seconds of measuring, every pair leaves that has `least_samples`.
        least_samples: samples that even the slowest pair gets, time allowing or not.
        warmup: executions before the first warm sample.
        cold: cold samples.
        checks: sets of parameters for which the answers are compared.
    """

    samples: int = minimum_samples(TARGET_QUANTILE)
    pair_seconds: float = 60.0
    total_seconds: float = 900.0
    least_samples: int = minimum_samples(0.5)
    warmup: int = 5
    cold: int = 10
    checks: int = 5


QUICK = Effort(pair_seconds=10.0, total_seconds=20, warmup=1, cold=1, checks=2)


@dataclass(frozen=True)
class Measurement:
    """The samples of one workload on one database, in milliseconds, and what went wrong by kind of error."""

    workload: str
    side: Side
    warm_ms: tuple[float, ...]
    cold_ms: tuple[float, ...]
    errors: Mapping[str, int]
    busy_seconds: float

    @cached_property
    def summary(self) -> Summary | None:
        """What the warm samples say; None where there are none."""
        return summarize(self.warm_ms) if self.warm_ms else None

    @property
    def throughput(self) -> float:
        """Executions a second of one client that does nothing else."""
        return len(self.warm_ms) / self.busy_seconds if self.busy_seconds else 0.0


@dataclass(frozen=True)
class Check:
    """Whether both databases gave the same answers, for so many sets of parameters."""

    workload: str
    compared: int
    rows: int
    difference: Difference | None = None
    note: str = ""

    @property
    def same(self) -> bool:
        """Whether no difference was found."""
        return self.difference is None


@dataclass
class _Pair:
    """A workload and a session that take their turns."""

    workload: Workload
    session: Session
    samples: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    spent: float = 0.0

    def take(self, parameters: Mapping[str, Any], *, keep: bool = True) -> None:
        elapsed, error = timed(self.session, self.workload, parameters)
        self.spent += elapsed
        if error:
            self.errors[error] += 1
        elif keep:
            self.samples.append(elapsed * 1000)

    @property
    def tries(self) -> int:
        return len(self.samples) + self.errors.total()

    def seconds_to(self, samples: int) -> float:
        """The time to so many samples, by the mean of those so far."""
        return max(0, samples - self.tries) * self.spent / max(1, self.tries)

    def is_done(self, effort: Effort, *, late: bool) -> bool:
        enough = late or self.spent >= effort.pair_seconds
        return self.tries >= effort.samples or (enough and self.tries >= effort.least_samples)


def timed(session: Session, workload: Workload, parameters: Mapping[str, Any]) -> tuple[float, str]:
    """Seconds of one execution, and the kind of error it ended with, if any."""
    execute = session.prepare(workload, parameters)
    started = time.perf_counter()
    try:
        execute()
    except FAILURES as error:
        return time.perf_counter() - started, type(error).__name__
    return time.perf_counter() - started, ""


def check(workload: Workload, source: Session, target: TargetSession, draws: Draws, count: int) -> Check:
    """Compare both answers for `count` sets of parameters. A write is read back on both sides."""
    rows = 0
    note = ""
    for _ in range(count):
        parameters = workload.parameters(draws)
        for question in [workload, *([workload.readback] if workload.readback else [])]:
            try:
                one, two = (session.prepare(question, parameters)() for session in (source, target))
            except FAILURES as error:
                found = Difference("execution", "-", type(error).__name__)
                if isinstance(error, psycopg.Error):
                    found = Difference("execution", type(error).__name__, "-")
                return Check(workload.name, count, rows, found)
            rows += len(one)
            if question.kind is Kind.VECTOR_SEARCH and target.searches_approximately:
                difference = _recall_below(one, two)
                note = f"approximate index: at least {LEAST_RECALL:.0%} of the exact neighbours"
            else:
                difference = first_difference(
                    one,
                    two,
                    columns=question.columns,
                    ordered_by=question.ordered_by,
                    limit=question.limit,
                    tolerance=question.tolerance,
                )
            if difference:
                return Check(workload.name, count, rows, difference, note)
    return Check(workload.name, count, rows, note=note)


def _recall_below(exact: Sequence[tuple[Any, ...]], found: Sequence[tuple[Any, ...]]) -> Difference | None:
    wanted = {row[0] for row in exact}
    recall = len(wanted & {row[0] for row in found}) / len(wanted) if wanted else 1.0
    return None if recall >= LEAST_RECALL else Difference("recall", "1.00", f"{recall:.2f}")


def measure(
    workloads: Sequence[Workload],
    source: Session,
    target: Session,
    settings: Settings,
    draws: Draws,
    effort: Effort,
    *,
    seed: int = 0,
    deadline: float = math.inf,
    tick: Tick = lambda samples: None,
) -> list[Measurement]:
    """Warm and cold samples of each workload on both databases, by one client.

    Args:
        workloads: those to run; `scratch` has made what they need.
        source: the client of the warm samples, on PostgreSQL.
        target: the same, on MongoDB.
        settings: for the connections of the cold samples.
        draws: the parameters; both databases get the same.
        effort: how much to measure.
        seed: of the order of the turns.
        deadline: time of `time.monotonic` from which no more cold samples are taken.
        tick: is told of each sample that was taken.
    """
    streams = {workload.name: draws.stream(f"measure {workload.name}") for workload in workloads}
    pairs = [(_Pair(workload, source), _Pair(workload, target)) for workload in workloads]
    for both in pairs:
        for _ in range(effort.warmup):
            _take_turns(both, streams, keep=False)
        for pair in both:
            pair.spent, pair.errors = 0.0, Counter()
    for turn in _rotation(pairs, effort, seed):
        _take_turns(turn, streams)
        tick(len(turn))
    random = np.random.default_rng([seed, 1])
    found = []
    for both in pairs:
        cold = _cold(both, settings, streams[both[0].workload.name], effort.cold, random, deadline)
        for pair in both:
            side = pair.session.side
            found.append(
                Measurement(
                    pair.workload.name, side, tuple(pair.samples), tuple(cold[side]), dict(pair.errors), pair.spent
                )
            )
    return found


def _rotation(pairs: Sequence[tuple[_Pair, _Pair]], effort: Effort, seed: int) -> Iterator[tuple[_Pair, ...]]:
    """Rounds in which each workload that is due has one turn; which database goes first is drawn."""
    random = np.random.default_rng(seed)
    started = time.monotonic()
    deadline = started + effort.total_seconds
    while True:
        now = time.monotonic()
        left = [both for both in pairs if not all(pair.is_done(effort, late=now >= deadline) for pair in both)]
        if not left:
            return
        timed_share = sum(pair.spent for both in pairs for pair in both) / max(now - started, 1e-9)
        due = _due(left, effort, (deadline - now) * min(1.0, timed_share))  # the rest prepares the questions
        for place in random.permutation(len(due)):
            one, two = due[place]
            waiting = (one, two) if random.random() < 0.5 else (two, one)
            # A write needs both turns, so that the copies stay the same on both sides.
            yield tuple(
                pair for pair in waiting if pair.workload.writes_to or not pair.is_done(effort, late=now >= deadline)
            )


def _due(left: list[tuple[_Pair, _Pair]], effort: Effort, seconds: float) -> list[tuple[_Pair, _Pair]]:
    """The workloads whose turn it is: where the time is too short for all, those that can still get all their samples,
    the quickest first, and when these are done the rest. Shared alike, the time would decide no target at all."""
    fresh = [both for both in left if both[0].tries < _ESTIMATED_FROM]
    if fresh or seconds <= 0:
        return fresh or left
    needs = [(both, sum(pair.seconds_to(effort.samples) for pair in both)) for both in left]
    affordable, used = [], 0.0
    for both, need in sorted(needs, key=lambda one: one[1]):
        used += need
        if used > _AFFORDABLE * seconds:
            break
        affordable.append(both)
    return affordable or left


def _take_turns(pairs: Sequence[_Pair], streams: Mapping[str, Draws], *, keep: bool = True) -> None:
    workload = pairs[0].workload
    parameters = workload.parameters(streams[workload.name])
    for pair in pairs:
        pair.take(parameters, keep=keep)


def _cold(
    pairs: Sequence[_Pair], settings: Settings, draws: Draws, count: int, random: np.random.Generator, deadline: float
) -> dict[Side, list[float]]:
    """Cold samples in milliseconds, equally many of each side; errors are counted with the warm ones."""
    samples: dict[Side, list[float]] = {pair.session.side: [] for pair in pairs}
    for _ in range(count):
        if time.monotonic() >= deadline:
            break
        parameters = pairs[0].workload.parameters(draws)
        taken: dict[Side, float] = {}
        for place in random.permutation(len(pairs)):
            pair = pairs[place]
            with contextlib.closing(open_session(pair.session.side, settings)) as session:
                elapsed, error = timed(session, pair.workload, parameters)
            if error:
                pair.errors[error] += 1
            else:
                taken[pair.session.side] = elapsed * 1000
        if len(taken) == len(pairs):
            for side, elapsed in taken.items():
                samples[side].append(elapsed)
    return samples


def open_session(side: Side, settings: Settings) -> Session:
    """A client of one database with a connection of its own."""
    return SourceSession(settings) if side is Side.POSTGRESQL else TargetSession(settings)
