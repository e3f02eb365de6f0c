"""The main job, from nothing to a verified report; killed in the middle, it ends in the same state."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pymongo
import pytest

from workbench import embedded

WORKBENCH = str(Path(sys.executable).with_name("workbench"))


def environment() -> dict[str, str]:
    """No settings but some that are meant for one's own servers, which must not reach the demo's."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("WORKBENCH_", "COV_"))}
    return {**clean, "WORKBENCH_TLS": "true", "WORKBENCH_SOURCE_SCHEMA": "elsewhere"}


@pytest.mark.timeout(600)
def test_a_demo_that_was_killed_ends_in_the_same_state(tmp_path: Path, repository_root: Path) -> None:
    data, reports = tmp_path / "data", tmp_path / "reports"
    command = [WORKBENCH, "demo", "--data-dir", str(data), "--reports-dir", str(reports)]
    try:
        killed = subprocess.Popen(
            command, cwd=repository_root, env=environment(), stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        assert killed.stderr is not None
        for line in killed.stderr:
            if "migrate:" in line:  # the first rows are in the target
                break
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
        killed.stderr.close()
        _wait_until_workers_are_gone(str(data))

        first = _demo(command, repository_root)
        numbers = _numbers(reports)
        assert numbers["02_migrate"]["quarantined"] == 0
        assert numbers["03_verify"]["mismatches"] == 0
        before = _content(data)

        second = _demo(command, repository_root)
        assert _numbers(reports)["02_migrate"]["written"] == 0
        assert _content(data) == before
        assert len(first) == len(second) == 3
        assert Path(first[2].strip()).is_absolute() or (repository_root / first[2].strip()).exists()
        assert (reports / "index.html").exists()
        secrets = embedded.passwords(data)
        for file in reports.rglob("*"):
            if file.is_file():
                text = file.read_text(errors="replace")
                assert not any(secret in text for secret in secrets), file
    finally:
        embedded.stop(data)


def _demo(command: list[str], cwd: Path) -> list[str]:
    done = subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def _numbers(reports: Path) -> dict[str, dict[str, float]]:
    """The key numbers of each notebook of the newest run."""
    newest = max(reports.glob("*/run.json"))
    notebooks = json.loads(newest.read_text())["notebooks"]
    return {notebook["name"]: notebook["verdict"]["numbers"] for notebook in notebooks}


def _content(data: Path) -> dict[str, int]:
    with pymongo.MongoClient(embedded.attach(data).target_uri) as client:
        database = client.investigations
        return {
            name: database[name].count_documents({})
            for name in database.list_collection_names()
            if not name.startswith(("migration_", "verification_"))
        }


def _wait_until_workers_are_gone(data: str) -> None:
    """The kernel and its workers notice by themselves that the runner was killed."""
    import psutil

    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        kernels = [
            p for p in psutil.process_iter(["cmdline"]) if "ipykernel_launcher" in " ".join(p.info["cmdline"] or [])
        ]
        if not any(data in "".join(p.environ().values()) for p in kernels if p.is_running()):
            return
        time.sleep(0.5)
