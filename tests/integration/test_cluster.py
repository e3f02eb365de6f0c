"""The same partitions on a real Dask cluster: scheduler, two worker processes, one of them killed in the middle."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from distributed import LocalCluster

from tests.integration.test_migration import FEW, require_balance, run, target
from workbench.errors import UnavailableError
from workbench.migration.content import content
from workbench.migration.executors import dask_cluster
from workbench.migration.results import Progress
from workbench.settings import Settings


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """A scheduler and two worker processes of one thread each, without a dashboard."""
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs="CRITICAL"
    ) as running:
        yield running


def worker_pids(cluster: LocalCluster) -> list[int]:
    return [nanny.pid for nanny in cluster.workers.values()]


def test_a_killed_worker_of_the_cluster_changes_nothing(small_settings: Settings, cluster: LocalCluster) -> None:
    expected = run(
        small_settings.model_copy(update={"mongodb_database": f"{small_settings.mongodb_database}_x"}), tables=FEW
    )
    with target(small_settings) as database:
        reference = database.client[f"{small_settings.mongodb_database}_x"]
        undisturbed = content(reference)
        database.client.drop_database(reference.name)

    before = worker_pids(cluster)
    killed: dict[int, str] = {}

    def kill_one_at_work(step: Progress) -> None:
        with target(small_settings) as database:
            at_work = database.migration_ledger.find_one({"state": "started"})
        if at_work and not killed:
            pid = int(at_work["worker"])
            os.kill(pid, signal.SIGKILL)
            killed[pid] = at_work["_id"]

    executor, link = dask_cluster(cluster.scheduler_address)
    assert isinstance(link, str)
    settings = small_settings.model_copy(update={"workers": 2})
    result = run(settings, tables=FEW, executor=executor, on_progress=kill_one_at_work)
    assert set(killed) <= set(before)
    assert len(killed) == 1
    require_balance(settings, result)
    assert result.counts.read == expected.counts.read
    with target(settings) as database:
        found = content(database)
        assert found == undisturbed
        assert all(each.duplicates == 0 for each in found.values())
        (interrupted,) = killed.values()
        redone = database.migration_ledger.find_one({"_id": interrupted})
    assert redone is not None
    assert redone["attempts"] == 2
    assert int(redone["worker"]) not in killed
    again = run(settings, tables=FEW, executor=executor)
    assert again.counts.written == 0


def test_a_scheduler_that_does_not_answer_is_unavailable() -> None:
    with pytest.raises(UnavailableError, match=r"No Dask scheduler answers at tcp://127\.0\.0\.1:1"):
        dask_cluster("tcp://127.0.0.1:1")
