"""The ways in which a drill disturbs a migration, and how what died is brought back."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit, urlunsplit

import psutil
from pymongo.errors import PyMongoError

from workbench import connections, embedded
from workbench.errors import ServerStartError, WorkbenchError
from workbench.migration.ledger import Ledger
from workbench.settings import Settings

_FULL_SECONDS = 1.5
_FULL_AT_BYTES = 65_536
"""No file may be written beyond this: the journal, which is longer, cannot be continued."""
_START_ATTEMPTS = 5


class Strike(StrEnum):
    """What happens to the migration."""

    WORKER = "worker killed"
    DRIVER = "driver killed"
    INTERRUPT = "Ctrl-C"
    TARGET = "MongoDB killed"
    SOURCE = "PostgreSQL killed"
    TARGET_CONNECTIONS = "connections to MongoDB dropped"
    SOURCE_CONNECTIONS = "connections to PostgreSQL dropped"
    FULL_DISK = "disk of MongoDB full"


class Missed(Exception):
    """The migration had ended, or there was nothing to strike."""


@dataclass(frozen=True)
class Scene:
    """What a strike can reach: the settings, the migration's process, the proxy before MongoDB if there is one."""

    settings: Settings
    driver: psutil.Process
    proxy: Proxy | None = None


def not_possible(settings: Settings) -> dict[Strike, str]:
    """The strikes that cannot be run against these servers, each with its reason."""
    reasons: dict[Strike, str] = {}
    if settings.mongodb_uri:
        reasons[Strike.TARGET] = "only an embedded MongoDB is killed"
        reasons[Strike.FULL_DISK] = "only an embedded MongoDB's disk is filled: its process is forbidden to write"
    if settings.database_url:
        reasons[Strike.SOURCE] = "only an embedded PostgreSQL is killed"
    parts = urlsplit(connections.target_uri(settings))
    if parts.scheme != "mongodb" or "," in parts.netloc or settings.tls or "tls=true" in parts.query.lower():
        reasons[Strike.TARGET_CONNECTIONS] = "the proxy stands before one server without TLS only"
    return reasons


def strike(kind: Strike, scene: Scene) -> None:
    """Disturb the migration, and bring back what died.

    Raises:
        Missed: there was nothing to strike.
    """
    if not scene.driver.is_running() or scene.driver.status() == psutil.STATUS_ZOMBIE:
        raise Missed
    _STRIKES[kind](scene)


def _kill_worker(scene: Scene) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and scene.driver.is_running():
        with contextlib.suppress(psutil.NoSuchProcess):
            for worker in _workers(scene.driver):
                worker.kill()
                return
        time.sleep(0.02)
    raise Missed


def _workers(driver: psutil.Process) -> Iterator[psutil.Process]:
    """The driver's worker processes: its own, or those of the server that forks them."""
    for child in driver.children():
        command = " ".join(child.cmdline())
        if "spawn_main" in command:
            yield child
        if "forkserver" in command:
            yield from child.children()


def _kill_driver(scene: Scene) -> None:
    scene.driver.kill()


def _interrupt(scene: Scene) -> None:
    os.killpg(scene.driver.pid, signal.SIGINT)


def _kill_target(scene: Scene) -> None:
    _kill_server(scene, "MongoDB")


def _kill_source(scene: Scene) -> None:
    _kill_server(scene, "PostgreSQL")


def _kill_server(scene: Scene, name: str) -> None:
    process = _server(scene, name)
    process.kill()
    process.wait(30)
    _start_servers(scene.settings)


def _server(scene: Scene, name: str) -> psutil.Process:
    pid = {server.name: server.pid for server in embedded.status(scene.settings.data_dir)}[name]
    if pid is None:
        raise Missed
    return psutil.Process(pid)


def _start_servers(settings: Settings) -> None:
    """PostgreSQL refuses to start until the last process of the killed one has ended."""
    for attempt in range(_START_ATTEMPTS):
        try:
            embedded.start(settings.data_dir)
        except ServerStartError:
            if attempt == _START_ATTEMPTS - 1:
                raise
            time.sleep(1)
        else:
            return


def _drop_source_connections(scene: Scene) -> None:
    with connections.open_source(scene.settings, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
            " AND datname = current_database() AND pid <> pg_backend_pid()",
            [connections.APPLICATION_NAME],
        )


def _drop_target_connections(scene: Scene) -> None:
    if scene.proxy is None:
        raise Missed
    scene.proxy.drop()


def _fill_disk(scene: Scene) -> None:
    """Refuse the server's writes for a moment, as a full disk does; if it does not survive that, start it again."""
    process = _server(scene, "MongoDB")
    _, hard = process.rlimit(resource.RLIMIT_FSIZE)
    process.rlimit(resource.RLIMIT_FSIZE, (_FULL_AT_BYTES, hard))
    time.sleep(_FULL_SECONDS)
    with contextlib.suppress(psutil.NoSuchProcess):
        process.rlimit(resource.RLIMIT_FSIZE, (hard, hard))
    if not _can_write(scene.settings):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
            process.wait(30)
        _start_servers(scene.settings)


def _can_write(settings: Settings) -> bool:
    short = settings.model_copy(update={"server_selection_timeout_seconds": 2, "operation_timeout_seconds": 5})
    try:
        with connections.open_target(short) as client:
            Ledger(client[settings.mongodb_database]).barrier()
    except (WorkbenchError, PyMongoError):
        return False
    return True


_STRIKES: dict[Strike, Callable[[Scene], None]] = {
    Strike.WORKER: _kill_worker,
    Strike.DRIVER: _kill_driver,
    Strike.INTERRUPT: _interrupt,
    Strike.TARGET: _kill_target,
    Strike.SOURCE: _kill_source,
    Strike.TARGET_CONNECTIONS: _drop_target_connections,
    Strike.SOURCE_CONNECTIONS: _drop_source_connections,
    Strike.FULL_DISK: _fill_disk,
}


class Proxy:
    """Passes bytes between clients and one server, and can drop all of its connections at once. Loopback only."""

    def __init__(self, uri: str) -> None:
        parts = urlsplit(uri)
        self._server = (parts.hostname or "127.0.0.1", parts.port or 27017)
        self._listener = socket.create_server(("127.0.0.1", 0))
        user = parts.netloc.rpartition("@")[0]
        address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        query = "&".join(
            filter(None, [parts.query, "" if "directConnection" in parts.query else "directConnection=true"])
        )
        self.uri = urlunsplit(parts._replace(netloc=f"{user}@{address}" if user else address, query=query))
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def drop(self) -> None:
        """Close every connection; new ones are accepted."""
        with self._lock:
            sockets, self._sockets = self._sockets, set()
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def close(self) -> None:
        """Close every connection and the listener."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._server, timeout=10)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            with self._lock:
                self._sockets |= {client, server}
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, sink), name="proxy-pump", daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        with self._lock:
            self._sockets -= {source, sink}
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
