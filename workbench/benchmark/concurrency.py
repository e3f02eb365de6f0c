"""Many clients at once: a sweep over their number, and a fixed rate measured from the intended start.

In a sweep each client sends its next question when the last one is answered, so a slow server is asked less often
and looks better than its users find it (coordinated omission). The fixed rate sends by the clock: a question that
had to wait for a free client counts from when it should have been sent.

All connections of a level are open before its clock starts, and each client has asked once.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pymongo import monitoring

from workbench.benchmark.draws import Draws
from workbench.benchmark.runner import FAILURES, timed
from workbench.benchmark.sessions import Session, SourceSession, TargetSession
from workbench.benchmark.workloads import Side, Workload
from workbench.connections import open_target
from workbench.errors import ConfigurationError, TargetUnavailable, WorkbenchError
from workbench.settings import Settings

CLIENTS = (1, 4, 16, 64)
OVERRUN = 1.0
"""A fixed rate that the server cannot follow is given up after so many times its duration more."""
TIME_ENDED = "not measured: the time ended"


@dataclass(frozen=True)
class Load:
    """One level of load: its samples in milliseconds, the rate that was reached, errors by kind.

    `offered_rate` is the questions a second that were meant to be sent, None in a sweep; `not_sent` counts those that
    no client was free for before the measurement was given up. `note` says why a level could not be measured, or
    what its figures do not hold.
    """

    workload: str
    side: Side
    clients: int
    samples_ms: tuple[float, ...]
    elapsed_seconds: float
    errors: Mapping[str, int]
    offered_rate: float | None = None
    not_sent: int = 0
    note: str = ""

    @property
    def throughput(self) -> float:
        """Questions answered a second by all clients together."""
        return len(self.samples_ms) / self.elapsed_seconds if self.elapsed_seconds else 0.0


def sweep(
    workloads: Sequence[Workload],
    settings: Settings,
    draws: Draws,
    *,
    clients: Sequence[int] = CLIENTS,
    seconds: float = 5.0,
    deadline: float = math.inf,
    tick: Callable[[int], None] = lambda levels: None,
) -> list[Load]:
    """Each workload by each number of clients on each database for so many seconds, as fast as answers come.

    Low levels come first, so that all workloads have some. Those that would begin after `deadline` (of
    `time.monotonic`) are noted as not measured.
    """
    found = []
    with _crews(settings, max(clients)) as crews:
        for count, workload, side in itertools.product(clients, workloads, Side):
            if time.monotonic() >= deadline:
                found.append(Load(workload.name, side, count, (), 0.0, {}, note=TIME_ENDED))
            else:
                stream = draws.stream(f"load {workload.name}")
                found.append(_closed_loop(workload, crews[side], stream, count, seconds))
            tick(1)
    places = {workload.name: place for place, workload in enumerate(workloads)}
    return sorted(found, key=lambda load: (places[load.workload], list(Side).index(load.side)))


def fixed_rate(
    workloads: Sequence[Workload],
    settings: Settings,
    draws: Draws,
    *,
    rate: float,
    seconds: float = 10.0,
    clients: int = 16,
    deadline: float = math.inf,
    tick: Callable[[int], None] = lambda levels: None,
) -> list[Load]:
    """`rate` questions a second for so many seconds; latency counts from when each should have been sent.

    A database that cannot follow is given `OVERRUN` times as long; what was not sent by then is counted.

    Raises:
        ConfigurationError: the rate is not positive.
    """
    if rate <= 0:
        raise ConfigurationError(f"A rate must be positive, found {rate:g} a second.")
    found = []
    with _crews(settings, clients) as crews:
        for workload, side in itertools.product(workloads, Side):
            if time.monotonic() >= deadline:
                found.append(Load(workload.name, side, clients, (), 0.0, {}, rate, note=TIME_ENDED))
            else:
                stream = draws.stream(f"rate {workload.name}")
                found.append(_open_loop(workload, crews[side], stream, clients, rate, seconds))
            tick(1)
    return found


def _closed_loop(workload: Workload, crew: _Crew, draws: Draws, clients: int, seconds: float) -> Load:
    def work(session: Session, crowd: _Crowd) -> None:
        while not crowd.stop.is_set() and time.perf_counter() < crowd.started + seconds:
            elapsed, error = timed(session, workload, crowd.parameters())
            crowd.record(elapsed * 1000, error)

    return _run(workload, crew, _Crowd(workload, draws, clients), clients, work)


def _open_loop(workload: Workload, crew: _Crew, draws: Draws, clients: int, rate: float, seconds: float) -> Load:
    questions = max(1, int(rate * seconds))
    turns = itertools.count()  # advancing it is atomic

    def work(session: Session, crowd: _Crowd) -> None:
        parameters = crowd.parameters()
        while not crowd.stop.is_set() and (turn := next(turns)) < questions:
            intended = crowd.started + turn / rate
            if time.perf_counter() > crowd.started + seconds * (1 + OVERRUN):
                return
            crowd.stop.wait(max(0.0, intended - time.perf_counter()))
            _, error = timed(session, workload, parameters)
            crowd.record((time.perf_counter() - intended) * 1000, error)
            parameters = crowd.parameters()

    load = _run(workload, crew, _Crowd(workload, draws, clients), clients, work, offered_rate=rate)
    if load.note:
        return load
    not_sent = questions - len(load.samples_ms) - sum(load.errors.values())
    note = f"cannot follow: {not_sent:,} of {questions:,} were not sent, whose wait no quantile holds"
    return replace(load, not_sent=not_sent, note=note if not_sent else "")


class _Crowd:
    """What the threads of one level share. Appending to a list is atomic; the rest is locked."""

    def __init__(self, workload: Workload, draws: Draws, clients: int) -> None:
        self._workload, self._draws = workload, draws
        self.stop = threading.Event()
        self.samples: list[float] = []
        self.errors: Counter[str] = Counter()
        self.started = 0.0
        self.ready = threading.Barrier(clients, action=self._start)
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

    def give_up(self) -> None:
        self.stop.set()
        self.ready.abort()

    def _start(self) -> None:
        self.started = time.perf_counter()


def _run(
    workload: Workload,
    crew: _Crew,
    crowd: _Crowd,
    clients: int,
    work: Callable[[Session, _Crowd], None],
    *,
    offered_rate: float | None = None,
) -> Load:
    broken: list[BaseException] = []

    def client(session: Session) -> None:
        try:
            timed(session, workload, crowd.parameters())
            crowd.ready.wait()
            work(session, crowd)
        except threading.BrokenBarrierError:
            return  # another client broke, or Ctrl-C
        except BaseException as error:
            broken.append(error)
            crowd.give_up()

    try:
        sessions = crew.sessions(clients)
    except FAILURES as error:
        what = error.what if isinstance(error, WorkbenchError) else type(error).__name__
        return Load(workload.name, crew.side, clients, (), 0.0, {}, offered_rate, note=f"no connection: {what}")
    threads = [threading.Thread(target=client, args=(session,), daemon=True) for session in sessions]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except BaseException:  # Ctrl-C: nobody may still write when the copies are dropped
        crowd.give_up()
        for thread in threads:
            if thread.ident:
                thread.join(crew.timeout)
        raise
    elapsed = time.perf_counter() - crowd.started
    if broken:
        raise broken[0]
    return Load(workload.name, crew.side, clients, tuple(crowd.samples), elapsed, dict(crowd.errors), offered_rate)


@contextlib.contextmanager
def _crews(settings: Settings, most: int) -> Iterator[dict[Side, _Crew]]:
    with contextlib.ExitStack() as stack:
        yield {side: stack.enter_context(contextlib.closing(_Crew(side, settings, most))) for side in Side}


class _Crew:
    """The clients of one database, with an open connection each: made when a level first needs so many.

    MongoDB's share a client, as the threads of a service do; its pool opens `most` connections by itself, which is
    waited for.
    """

    def __init__(self, side: Side, settings: Settings, most: int) -> None:
        self.side, self.timeout = side, settings.operation_timeout_seconds
        self._settings = settings.model_copy(update={"max_pool_size": most, "min_pool_size": most})
        self._most, self._opened = most, _OpenConnections()
        self._pooled: int | None = None  # connections that were open when they were waited for
        self._sessions: list[Session] = []
        self._first: TargetSession | None = None
        self._stack = contextlib.ExitStack()

    def sessions(self, count: int) -> list[Session]:
        """So many sessions.

        Raises:
            WorkbenchError, psycopg.Error, PyMongoError: the server does not take so many connections.
        """
        while len(self._sessions) < count:
            self._sessions.append(self._stack.enter_context(contextlib.closing(self._open())))
        if self._first and self._pooled is None:
            self._pooled = self._opened.wait(self._first.client.address, self._most, self.timeout)
        if self._pooled is not None and self._pooled < count:
            raise TargetUnavailable(f"only {self._pooled} of {count} connections were open after {self.timeout:g} s.")
        return self._sessions[:count]

    def close(self) -> None:
        self._stack.close()

    def _open(self) -> Session:
        if self.side is Side.POSTGRESQL:
            return SourceSession(self._settings)
        if self._first:
            return TargetSession(self._settings, beside=self._first)
        client = self._stack.enter_context(open_target(self._settings, event_listeners=[self._opened]))
        self._first = TargetSession(self._settings, client)
        return self._first


class _OpenConnections(monitoring.ConnectionPoolListener):
    """Counts the open connections of a client to each server."""

    def __init__(self) -> None:
        self._counts: Counter[Any] = Counter()
        self._changed = threading.Condition()

    def wait(self, address: Any, count: int, seconds: float) -> int:
        """Wait until so many are open to one server; how many are."""
        with self._changed:
            self._changed.wait_for(lambda: self._counts[address] >= count, seconds)
            return self._counts[address]

    def connection_ready(self, event: monitoring.ConnectionReadyEvent) -> None:
        with self._changed:
            self._counts[event.address] += 1
            self._changed.notify_all()

    def connection_closed(self, event: monitoring.ConnectionClosedEvent) -> None:
        with self._changed:
            self._counts[event.address] -= 1

    def pool_created(self, event: object) -> None: ...
    def pool_ready(self, event: object) -> None: ...
    def pool_cleared(self, event: object) -> None: ...
    def pool_closed(self, event: object) -> None: ...
    def connection_created(self, event: object) -> None: ...
    def connection_check_out_started(self, event: object) -> None: ...
    def connection_check_out_failed(self, event: object) -> None: ...
    def connection_checked_out(self, event: object) -> None: ...
    def connection_checked_in(self, event: object) -> None: ...
