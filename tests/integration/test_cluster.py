"""The same partitions on a real Dask cluster: scheduler, two worker processes, one of them killed in the middle."""

from __future__ import annotations

import os
import pickle
import platform
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path

import pytest
from distributed import LocalCluster
from pydantic import SecretStr

from tests.integration.test_migration import FEW, require_balance, run, target
from workbench.errors import UnavailableError
from workbench.migration.content import content
from workbench.migration.drill import environment
from workbench.migration.executors import _Cluster, dask_cluster
from workbench.migration.ledger import Ledger
from workbench.migration.partition import Partition
from workbench.migration.results import Progress
from workbench.migration.worker import Job, run_partition
from workbench.settings import Settings


@pytest.fixture
def cluster(small_settings: Settings) -> Iterator[LocalCluster]:
    """A scheduler and two worker processes of one thread each, which know the servers by their own environment."""
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        silence_logs="CRITICAL",
        env=environment(small_settings),
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
            for at_work in () if killed else list(database.migration_ledger.find({"state": "started"})):
                pid = int(at_work["worker"])
                os.kill(pid, signal.SIGSTOP)
                time.sleep(0.2)  # what it has sent arrives: it may have been about to end this partition
                if database.migration_ledger.find_one({"_id": at_work["_id"], "state": "started"}):
                    os.kill(pid, signal.SIGKILL)
                    killed[pid] = at_work["_id"]
                    return
                os.kill(pid, signal.SIGCONT)

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


def test_ctrl_c_takes_the_waiting_tasks_back(small_settings: Settings, cluster: LocalCluster) -> None:
    def interrupt(step: Progress) -> None:
        raise KeyboardInterrupt

    settings = small_settings.model_copy(update={"workers": 2, "partition_rows": 100})
    executor, _ = dask_cluster(cluster.scheduler_address)
    with pytest.raises(KeyboardInterrupt):
        run(settings, tables=FEW, executor=executor, on_progress=interrupt)
    deadline = time.monotonic() + 20
    while cluster.scheduler.tasks:
        assert time.monotonic() < deadline, f"still on the cluster: {list(cluster.scheduler.tasks)}"
        time.sleep(0.05)
    with target(settings) as database:
        last = Ledger(database).last_run()
    assert last is not None
    assert last["state"] == "interrupted"
    assert run(settings, tables=FEW, executor=executor).complete


def job(settings: Settings) -> Job:
    return Job(settings, "run", Partition("detectors", 0, None, None), "", "", frozenset(), target_was_empty=True)


def test_no_password_travels_to_a_cluster() -> None:
    own = Settings(
        _env_file=None,
        database_url=SecretStr("postgresql://reader:s3cret-pg@db.example.net/app"),
        mongodb_uri=SecretStr("mongodb://writer:s3cret-mongo@db.example.net/"),
    )
    assert b"s3cret" in pickle.dumps(job(own))
    sent: list[Job] = []
    with dask_like(sent) as pool:
        pool.submit(print, job(own))
    assert b"s3cret" not in pickle.dumps(sent)
    assert b"db.example.net" not in pickle.dumps(sent)
    assert sent[0].own_settings == ("database_url", "mongodb_uri")


class _Recorder:
    """Stands for Dask's client: what would go over the network."""

    def __init__(self, sent: list[Job]) -> None:
        self.sent = sent

    def get_executor(self, **options: object) -> _Recorder:
        return self

    def submit(self, function: object, *arguments: Job) -> None:
        self.sent += arguments

    def shutdown(self, wait: bool) -> None:
        """Nothing runs."""


def dask_like(sent: list[Job]) -> Executor:
    return _Cluster(_Recorder(sent))  # type: ignore[arg-type]


def test_a_worker_without_the_uris_says_which(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WORKBENCH_DATABASE_URL", "DATABASE_URL", "MONGODB_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORKBENCH_MONGODB_URI", "mongodb://127.0.0.1:1/")
    monkeypatch.chdir(tmp_path)
    own = Settings(_env_file=None, database_url=SecretStr("postgresql://h/d"), mongodb_uri=SecretStr("mongodb://h/"))
    result = run_partition(job(own).without_secrets())
    assert f"The worker on {platform.node()} (process {os.getpid()}) has no WORKBENCH_DATABASE_URL." in result.error


def test_a_scheduler_that_does_not_answer_is_unavailable() -> None:
    with pytest.raises(UnavailableError, match=r"No Dask scheduler answers at tcp://127\.0\.0\.1:1"):
        dask_cluster("tcp://127.0.0.1:1")
