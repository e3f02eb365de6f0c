"""The embedded servers: start, attach, recover, stop. They are started anew here, apart from those of the session."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg
import pymongo
import pytest
from pymongo.errors import OperationFailure

from workbench import embedded
from workbench.errors import ConfigurationError, ServerStartError, UnavailableError


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_from_start_to_stop(data_dir: Path) -> None:
    with pytest.raises(UnavailableError, match="workbench start"):
        embedded.attach(data_dir)
    try:
        endpoints = embedded.start(data_dir)
        assert embedded.start(data_dir) == endpoints == embedded.attach(data_dir)
        _write_to_both(endpoints)

        # Both ask for a password, and only the owner can read it.
        bare = endpoints.source_uri.replace(embedded.passwords(data_dir)[0], "wrong")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(bare)
        port = endpoints.target_uri.split("127.0.0.1:")[1].split("/")[0]
        with (
            pymongo.MongoClient(f"mongodb://127.0.0.1:{port}/?directConnection=true") as nobody,
            pytest.raises(OperationFailure, match="requires authentication"),
        ):
            nobody.kept.kept.find_one()
        assert stat.S_IMODE((data_dir / "servers.json").stat().st_mode) == 0o600
        assert embedded.passwords(data_dir)[0] not in repr(endpoints)

        # A machine that died: no process had time to tidy up.
        pids = [server.pid for server in embedded.status(data_dir)]
        for pid in pids:
            assert pid is not None
            for process in [psutil.Process(pid), *psutil.Process(pid).children()]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=10)
        again = embedded.start(data_dir)
        with psycopg.connect(again.source_uri) as source:
            assert source.execute("SELECT value FROM kept").fetchone() == (1,)
        with pymongo.MongoClient(again.target_uri) as client:
            assert client.kept.kept.count_documents({}) <= 1  # its last writes may be gone, the folder is not
    finally:
        stopped = embedded.stop(data_dir)
    assert stopped == ("PostgreSQL", "MongoDB")
    assert not any(server.running for server in embedded.status(data_dir))
    assert embedded.stop(data_dir) == ()
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(data_dir) in " ".join(p.info["cmdline"] or [])]


def _write_to_both(endpoints: embedded.Endpoints) -> None:
    with psycopg.connect(endpoints.source_uri) as source:
        source.execute("CREATE TABLE kept (value int)")
        source.execute("INSERT INTO kept VALUES (1)")
    with pymongo.MongoClient(endpoints.target_uri) as client:
        client.kept.kept.insert_one({"value": 1})


def test_the_servers_outlive_their_parent(data_dir: Path) -> None:
    script = "import sys, pathlib; from workbench import embedded; embedded.start(pathlib.Path(sys.argv[1])); input()"
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(data_dir)], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        deadline = 600
        while not all(server.running for server in embedded.status(data_dir)) and deadline:
            deadline -= 1
            if parent.poll() is not None:
                break
            signal.sigtimedwait([], 0.1)
        os.killpg(parent.pid, signal.SIGKILL)
        parent.wait()
        embedded.start(data_dir)  # whatever the parent had come to
        assert all(server.running for server in embedded.status(data_dir))
    finally:
        assert parent.stdin is not None
        parent.stdin.close()
        embedded.stop(data_dir)


def test_a_port_in_use_is_named(data_dir: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        try:
            with pytest.raises(ServerStartError, match=f"Port {port} .* in use"):
                embedded.start(data_dir, mongodb_port=port)
        finally:
            embedded.stop(data_dir)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="--data-dir"):
        embedded.start(tmp_path / "file" / "data")


def test_a_broken_folder_shows_the_end_of_the_log(data_dir: Path) -> None:
    (data_dir / "postgresql").mkdir(parents=True)
    (data_dir / "postgresql" / "PG_VERSION").write_text("18\n")
    with pytest.raises(ServerStartError, match="did not start"):
        embedded.start(data_dir)
