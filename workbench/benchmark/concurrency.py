"""Many clients at once: a sweep over their number, and a fixed rate measured from the intended start.

In a sweep each client sends its next question when the last one is answered, so a slow server is asked less often
and looks better than its users find it (coordinated omission). The fixed rate sends by the clock: a question that
had to wait for a free client counts from when it should have been sent.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.benchmark.draws import Draws
from workbench.benchmark.runner import FAILURES, timed
from workbench.benchmark.sessions import Session, SourceSession, TargetSession
from workbench.benchmark.workloads import Side, Workload
from workbench.connections import open_target
from workbench.errors import ConfigurationError, WorkbenchError
from workbench.settings import Settings

CLIENTS = (1, 4, 16, 64)


@dataclass(frozen=True)
class Load:
    """One level of load: its samples in milliseconds, the rate that was reached, errors by kind.

    `offered_rate` is the questions a second that were meant to be sent, None in a sweep. `note` says why a level
    could not be measured.
    """

    workload: str
    side: Side
    clients: int
    samples_ms: tuple[float, ...]
    elapsed_seconds: float
    errors: Mapping[str, int]
    offered_rate: float | None = None
    note: str = ""

    @property
    def throughput(self) -> float:
        """Questions answered a second by all clients together."""
        return len(self.samples_ms) / self.elapsed_seconds if self.elapsed_seconds else 0.0


def sweep(
    workload: Workload,
    settings: Settings,
    draws: Draws,
    *,
    clients: Sequence[int] = CLIENTS,
    seconds: float = 5.0,
    tick: Callable[[int], None] = lambda levels: None,
) -> list[Load]:
    """Each number of clients on each database for so many seconds, as fast as answers come."""
    found = []
    for side, count in itertools.product(Side, clients):
        found.append(_closed_loop(workload, side, settings, draws, count, seconds))
        tick(1)
    return found


def fixed_rate(
    workload: Workload,
    side: Side,
    settings: Settings,
    draws: Draws,
    *,
    rate: float,
    seconds: float = 10.0,
    clients: int = 16,
) -> Load:
    """`rate` questions a second for so many seconds; latency counts from when each should have been sent.

    Raises:
        ConfigurationError: the rate is not positive.
    """
    if rate <= 0:
        raise ConfigurationError(f"A rate must be positive, found {rate:g} a second.")
    due = [number / rate for number in range(max(1, int(rate * seconds)))]
    turns = itertools.count()

    def work(session: Session, crowd: _Crowd, started: float) -> None:
        while not crowd.stop.is_set() and (turn := next(turns)) < len(due):
            parameters = crowd.parameters()
            intended = started + due[turn]
            crowd.stop.wait(max(0.0, intended - time.perf_counter()))
            _, error = timed(session, workload, parameters)
            crowd.record((time.perf_counter() - intended) * 1000, error)

    return _run(workload, side, settings, draws, clients, work, offered_rate=rate)


def _closed_loop(
    workload: Workload, side: Side, settings: Settings, draws: Draws, clients: int, seconds: float
) -> Load:
    def work(session: Session, crowd: _Crowd, started: float) -> None:
        while not crowd.stop.is_set() and time.perf_counter() < started + seconds:
            elapsed, error = timed(session, workload, crowd.parameters())
            crowd.record(elapsed * 1000, error)

    return _run(workload, side, settings, draws, clients, work)


class _Crowd:
    """What the threads of one level share. Appending to a list is atomic; the rest is locked."""

    def __init__(self, workload: Workload, draws: Draws) -> None:
        self._workload, self._draws = workload, draws
        self.stop = threading.Event()
        self.samples: list[float] = []
        self.errors: Counter[str] = Counter()
        self._lock = threading.Lock()

    def parameters(self) -> dict[str, Any]:
        """A set that no other client gets: writes need keys of their own."""
        with self._lock:
            return self._workload.parameters(self._draws)

    def record(self, milliseconds: float, error: str) -> None:
        if error:
            with self._lock:
                self.errors[error] += 1
        else:
            self.samples.append(milliseconds)


def _run(
    workload: Workload,
    side: Side,
    settings: Settings,
    draws: Draws,
    clients: int,
    work: Callable[[Session, _Crowd, float], None],
    *,
    offered_rate: float | None = None,
) -> Load:
    crowd = _Crowd(workload, draws)
    broken: list[BaseException] = []

    def client(session: Session, started: float) -> None:
        try:
            work(session, crowd, started)
        except BaseException as error:
            broken.append(error)
            crowd.stop.set()

    with contextlib.ExitStack() as stack:
        try:
            sessions = [stack.enter_context(contextlib.closing(s)) for s in _sessions(side, settings, clients, stack)]
        except FAILURES as error:
            what = error.what if isinstance(error, WorkbenchError) else type(error).__name__
            return Load(workload.name, side, clients, (), 0.0, {}, offered_rate, f"no connection: {what}")
        started = time.perf_counter()
        threads = [threading.Thread(target=client, args=(session, started), daemon=True) for session in sessions]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:  # by Ctrl-C: nobody may still write when the copies are dropped
            crowd.stop.set()
            for thread in threads:
                thread.join(settings.operation_timeout_seconds)
        elapsed = time.perf_counter() - started
    if broken:
        raise broken[0]
    return Load(workload.name, side, clients, tuple(crowd.samples), elapsed, dict(crowd.errors), offered_rate)


def _sessions(side: Side, settings: Settings, clients: int, stack: contextlib.ExitStack) -> Iterator[Session]:
    """Sessions with a connection each: MongoDB's share a client, whose pool gives each thread its own."""
    if side is Side.POSTGRESQL:
        for _ in range(clients):
            yield SourceSession(settings)
        return
    pooled = settings.model_copy(update={"max_pool_size": clients, "min_pool_size": 0})
    client = stack.enter_context(open_target(pooled))
    for _ in range(clients):
        yield TargetSession(pooled, client)
