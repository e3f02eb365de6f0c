"""What a pool makes of processes that die."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor, Executor, Future
from typing import Any

import pytest

from workbench.errors import MigrationError
from workbench.migration.ledger import Counts, Seconds
from workbench.migration.partition import Partition
from workbench.migration.pool import Pool
from workbench.migration.worker import Job, PartitionResult
from workbench.settings import Settings


class Processes(Executor):
    """Breaks as a ProcessPoolExecutor does: when a killer is at work, no job beside it gets a result."""

    def __init__(self, killers: set[int], log: list[list[int]]) -> None:
        self.killers, self.log = killers, log
        self.given: list[tuple[Future[Any], Any, Job]] = []
        self.broken = False

    def submit(self, function: Any, /, *arguments: Any, **_: Any) -> Future[Any]:
        if self.broken:
            raise BrokenExecutor("broken before")
        future: Future[Any] = Future()
        self.given.append((future, function, *arguments))
        if len(self.given) == 4 or arguments[0].partition.index in self.killers:
            self.work()
        return future

    def work(self) -> None:
        given, self.given = self.given, []
        indexes = [job.partition.index for _, _, job in given]
        if indexes:
            self.log.append(indexes)
        self.broken = bool(self.killers & set(indexes))
        for future, function, job in given:
            if self.broken:
                future.set_exception(BrokenExecutor("died"))
            else:
                future.set_result(function(job))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.work()


def job(index: int) -> Job:
    settings = Settings(_env_file=None)
    partition = Partition("detectors", index, None, None)
    return Job(settings, "run", partition, "", "", frozenset(), target_was_empty=True)


def load(job: Job) -> PartitionResult:
    return PartitionResult(job.partition, Counts(read=1, inserted=1), Seconds())


def run(killers: set[int], count: int) -> tuple[dict[int, str], list[list[int]], list[str]]:
    """The error of each partition, what was at work together, and the notes."""
    log: list[list[int]] = []
    notes: list[str] = []
    errors: dict[int, str] = {}
    waiting = [job(index) for index in range(count)]
    with Pool(lambda: Processes(killers, log), load, width=4, on_death=notes.append) as pool:
        while waiting or pool.busy:
            for _ in range(min(pool.room, len(waiting))):
                pool.submit(waiting.pop(0))
            for result in pool.ended(0.0):
                assert result.partition.index not in errors, "each ends once"
                errors[result.partition.index] = result.error
            pool._executor.work()  # type: ignore[attr-defined]
    return errors, log, notes


@pytest.mark.parametrize("killers", [{5}, {0}, {19}, {3, 4, 11}])
def test_what_kills_its_process_fails_alone_and_the_others_finish(killers: set[int]) -> None:
    errors, log, notes = run(killers, 20)
    assert set(errors) == set(range(20))
    assert {index for index, error in errors.items() if error} == killers
    for killer in killers:
        deaths = [together for together in log if killer in together]
        assert deaths[-1] == [killer]
        assert len(deaths) == 3
        assert "died 3 times, at last with no other partition at work (BrokenExecutor: died)" in errors[killer]
    assert notes
    last_crowd = max(number for number, together in enumerate(log) if len(together) > 1)
    ends = [max(number for number, together in enumerate(log) if killer in together) for killer in killers]
    assert min(ends) > last_crowd, "suspects come last, one by one"


def test_without_a_death_nothing_is_run_twice() -> None:
    errors, log, notes = run(set(), 9)
    assert (set(errors), set(errors.values()), notes) == (set(range(9)), {""}, [])
    assert sorted(index for together in log for index in together) == list(range(9))


def test_processes_that_die_whatever_the_job_end_the_run() -> None:
    with pytest.raises(MigrationError, match=r"Worker processes died 10 times, with no partition done in between"):
        run(set(range(100)), 100)
