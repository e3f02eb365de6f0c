"""Jobs on an executor whose processes may die: the others go on, and what kills a process fails alone.

A dead process takes every job with it that was at work beside it, and the executor cannot tell whose fault it was. So
the jobs of the first death are simply repeated. A job that was there at two deaths is a suspect: it is repeated when
nothing else is left, with nothing beside it. If its process dies again, the job is the killer.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass
from typing import Any, Self

from workbench.errors import MigrationError
from workbench.migration.ledger import Counts, Seconds
from workbench.migration.worker import Job, PartitionResult

_DEATHS_OF_A_SUSPECT = 2
_MAX_DEATHS_IN_A_ROW = 10


@dataclass
class _Task:
    """A job on its way, and the number of deaths that it was present at."""

    job: Job
    deaths: int = 0


class Pool:
    """Runs partitions in an executor that is made anew when it breaks. A context manager."""

    def __init__(
        self,
        make: Callable[[], Executor],
        work: Callable[[Job], PartitionResult],
        *,
        width: int,
        on_death: Callable[[str], None],
    ) -> None:
        """
        Args:
            make: makes the executor.
            work: runs one job.
            width: how many jobs the executor is given at a time.
            on_death: called with a note when a process has died.
        """
        self._make, self._work, self._width, self._on_death = make, work, width, on_death
        self._executor = make()
        self._running: dict[Future[PartitionResult], _Task] = {}
        self._again: list[_Task] = []
        self._suspects: list[_Task] = []
        self._alone = False
        self._in_a_row = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)

    @property
    def room(self) -> int:
        """How many further jobs may be submitted now."""
        return 0 if self._alone else max(0, self._width - len(self._running) - len(self._again))

    @property
    def busy(self) -> bool:
        """Whether a submitted job has not ended."""
        return bool(self._running or self._again or self._suspects)

    def submit(self, job: Job) -> None:
        """Take a job."""
        self._start(_Task(job))

    def ended(self, timeout: float) -> list[PartitionResult]:
        """What has ended since the last call, a killer with its error; waits for one no longer than `timeout` seconds.

        Raises:
            MigrationError: processes die again and again, whatever the job.
        """
        self._repeat()
        done, _ = wait(self._running, timeout=timeout, return_when=FIRST_COMPLETED)
        if not self._running or any(isinstance(_error(future), BrokenExecutor) for future in done):
            self._executor.shutdown(wait=True)  # afterwards each of its jobs is over, in one way or the other
            self._executor = self._make()
            done = set(self._running)
        finished: list[PartitionResult] = []
        lost: list[tuple[_Task, BaseException]] = []
        for future in done:
            task, error = self._running.pop(future), _error(future)
            if error is None:
                finished.append(future.result())
            else:
                lost.append((task, error))
        if finished:
            self._in_a_row = 0
        killers = self._after_death(lost) if lost else []
        self._alone = self._alone and bool(self._running)
        return finished + killers

    def _start(self, task: _Task) -> None:
        try:
            self._running[self._executor.submit(self._work, task.job)] = task
        except BrokenExecutor:  # those that run will tell it, too
            self._again.append(task)

    def _repeat(self) -> None:
        again, self._again = self._again, []
        for task in again:
            self._start(task)
        if self._suspects and not self._running and not self._again:
            self._alone = True
            self._start(self._suspects.pop(0))

    def _after_death(self, lost: list[tuple[_Task, BaseException]]) -> list[PartitionResult]:
        cause = f"{type(lost[0][1]).__name__}: {lost[0][1]}"[:200]
        for task, _ in lost:
            task.deaths += 1
        if self._alone:
            return [_killer(task, cause) for task, _ in lost]
        for task, _ in lost:
            (self._again if task.deaths < _DEATHS_OF_A_SUSPECT else self._suspects).append(task)
        self._in_a_row += 1
        if self._in_a_row >= _MAX_DEATHS_IN_A_ROW:
            raise MigrationError(
                f"Worker processes died {self._in_a_row} times, with no partition done in between ({cause}).",
                todo="Look for the out-of-memory killer in the system's log; lower WORKBENCH_BATCH_ROWS or WORKERS.",
            )
        self._on_death(f"a worker died; {len(lost)} partitions that it may have held are run again")
        return []


def _killer(task: _Task, cause: str) -> PartitionResult:
    error = (
        f"Its worker process died {task.deaths} times, at last with no other partition at work ({cause}). "
        "Look for the out-of-memory killer in the system's log; lower WORKBENCH_BATCH_ROWS."
    )
    return PartitionResult(task.job.partition, Counts(), Seconds(), task.deaths, error=error)


def _error(future: Future[Any]) -> BaseException | None:
    """What a job ended with beside a result: its process is dead, or a cluster lost or cancelled it."""
    if future.cancelled():
        return BrokenExecutor("the task was cancelled")
    return future.exception()
