"""JupyterLab as the analysts' front door: this environment's kernel, the project's settings, one link."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from pydantic import SecretStr

from workbench.errors import ConfigurationError, UnavailableError
from workbench.settings import Settings, environment_names

START_SECONDS = 60.0
STOP_SECONDS = 20.0
_HOST = "127.0.0.1"


@dataclass
class LabServer:
    """A JupyterLab that runs; `url` opens a notebook in it and holds its token."""

    process: subprocess.Popen[bytes]
    port: int
    token: str
    notebook: str

    def __repr__(self) -> str:
        return f"LabServer(port={self.port}, notebook={self.notebook!r})"

    @property
    def url(self) -> str:
        """The link for people."""
        return f"http://{_HOST}:{self.port}/lab/tree/{quote(self.notebook)}?token={self.token}"

    def stop(self) -> None:
        """Shut down the kernels, then the server; a server that does not answer is ended."""
        if self.process.poll() is None:
            try:
                self._call("api/shutdown", method="POST")
            except OSError:
                self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def wait_until_ready(self, log: Path) -> None:
        """Return when it answers.

        Raises:
            UnavailableError: it ended, or did not answer in time; the message has the end of its log.
        """
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self._call("api/status")
                return
            except OSError:
                time.sleep(0.1)
        self.stop()
        tail = log.read_text(encoding="utf-8", errors="replace")[-1_500:].replace(self.token, "…")
        raise UnavailableError(
            f"JupyterLab did not start on {_HOST}:{self.port}.\n{tail}", todo="Try another port with --port."
        )

    def _call(self, path: str, method: str = "GET") -> None:
        request = urllib.request.Request(
            f"http://{_HOST}:{self.port}/{path}", method=method, headers={"Authorization": f"token {self.token}"}
        )
        with urllib.request.urlopen(request, timeout=5):  # noqa: S310
            pass


def start_lab(settings: Settings, folder: Path, *, notebook: str, port: int = 0, allow_root: bool = False) -> LabServer:
    """Start JupyterLab on a folder of notebooks and wait until it answers.

    It listens on loopback with a random token. Its settings, workspaces and log lie under `data_dir`/lab, apart from
    those of the user; kernels run this interpreter, and get the settings that are in force through their environment.

    Args:
        settings: passed on; also names the folder for JupyterLab's own files.
        folder: what it shows.
        notebook: which one the link opens.
        port: 0 is any free one.
        allow_root: run although this user is root.

    Raises:
        ConfigurationError: this user is root and may not, or the port is taken.
        UnavailableError: it did not start.
    """
    if os.name == "posix" and os.geteuid() == 0 and not allow_root:
        raise ConfigurationError(
            "JupyterLab runs any code that its pages send, and you are root: a mistake there can harm the machine.",
            todo="Use another user, or say --allow-root.",
        )
    home = settings.data_dir.resolve() / "lab"
    _write_home(home)
    token = secrets.token_urlsafe(24)
    port = _free_port(port)
    log = home / "jupyterlab.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            _command(home, folder, port, allow_root),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            env={**os.environ, **_environment(settings, home), "JUPYTER_TOKEN": token},
            start_new_session=True,  # Ctrl-C is ours: we shut its kernels down first
        )
    server = LabServer(process, port, token, notebook)
    try:
        server.wait_until_ready(log)
    except BaseException:  # Ctrl-C does not reach a session of its own
        server.stop()
        raise
    return server


def settings_environment(settings: Settings) -> dict[str, str]:
    """The variables that make another process load the same settings, wherever it runs. Holds secrets."""
    variables: dict[str, str] = {}
    for name in sorted({*settings.model_fields_set, "data_dir", "reports_dir", "workspace_dir"}):
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        if isinstance(value, Path):
            value = value.resolve()
        variables[environment_names(name)[0]] = "" if value is None else str(value)
    return variables


def _command(home: Path, folder: Path, port: int, allow_root: bool) -> list[str]:
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        f"--ServerApp.ip={_HOST}",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={folder.resolve()}",
        f"--LabApp.app_settings_dir={home / 'settings'}",
        f"--LabApp.user_settings_dir={home / 'user-settings'}",
        f"--LabApp.workspaces_dir={home / 'workspaces'}",
        "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate",
        "--LabApp.news_url=None",
    ]
    return [*command, "--allow-root"] if allow_root else command


def _environment(settings: Settings, home: Path) -> Mapping[str, str]:
    found = os.pathsep.join(part for part in (str(home / "jupyter"), os.environ.get("JUPYTER_PATH", "")) if part)
    return {**settings_environment(settings), "JUPYTER_PATH": found}


def _write_home(home: Path) -> None:
    """JupyterLab's settings, and a kernel `python3` that is this interpreter before any that a user has installed."""
    kernel = {
        "argv": [sys.executable, "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Python 3",
        "language": "python",
        "metadata": {"debugger": True},
    }
    contents = {
        home / "settings" / "overrides.json": files(__package__).joinpath("overrides.json").read_text("utf-8"),
        home / "jupyter" / "kernels" / "python3" / "kernel.json": json.dumps(kernel, indent=2),
    }
    try:
        for path, text in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        home.chmod(0o700)
    except OSError as error:
        raise ConfigurationError(
            f"The folder {home} cannot be written: {error.strerror}.", todo="Choose another with --data-dir."
        ) from error


def _free_port(wanted: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, wanted))
        except OSError:
            raise ConfigurationError(f"Port {wanted} is taken.", todo="Leave out --port for a free one.") from None
        return int(probe.getsockname()[1])
