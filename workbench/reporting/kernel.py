"""The kernel of a headless run: this environment's interpreter, private sockets, a deadline, and events.

A papermill engine, because papermill alone runs whatever kernel is registered as `python3`, limits cells but not
notebooks, and tells nobody which cell it is in.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, NotebookExecutionManager, papermill_engines

from workbench.reporting.secrets import Scrubber

ENGINE = "workbench"
START_TIMEOUT_SECONDS = 60
_LOG_TAIL_CHARACTERS = 2_000


@dataclass
class Session:
    """One execution: what it is given, and what is known of it while and after it runs."""

    environment: Mapping[str, str]
    timeout_seconds: float
    scrubber: Scrubber
    on_cell: Callable[[int], None]  # the index of the cell that starts
    on_line: Callable[[str], None]  # a line that the notebook wrote to stderr
    cell_index: int | None = None
    process: subprocess.Popen[bytes] | None = None
    exit_code: int | None = None
    log_tail: str = ""
    _deadline: float | None = None

    def seconds_left(self, _cell: object = None) -> int:
        """Whole seconds until the deadline, counted from the first call; at least one, since zero means no limit."""
        if self._deadline is None:
            self._deadline = time.monotonic() + self.timeout_seconds
        return max(1, round(self._deadline - time.monotonic()))


class PinnedKernelManager(AsyncKernelManager):
    """Starts this interpreter's ipykernel, whatever kernelspecs a user has installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        argv = [sys.executable, "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python")


@contextlib.contextmanager
def private_kernel(extra: Mapping[str, str]) -> Iterator[tuple[PinnedKernelManager, dict[str, str], Path]]:
    """A kernel that is not started yet, the variables to start it with, and its temporary folder.

    The folder holds its sockets and its IPython profile: no start-up files of the user, no history in the home
    folder. The variables are those of this process with `extra` over them.
    """
    with tempfile.TemporaryDirectory(prefix="wb-kernel-", ignore_cleanup_errors=True) as folder:
        manager = PinnedKernelManager(
            connection_file=str(Path(folder, "kernel.json")), transport="ipc" if os.name == "posix" else "tcp"
        )
        own = {"PYTHONHASHSEED": "0", "PYDEVD_DISABLE_FILE_VALIDATION": "1", "IPYTHONDIR": folder}
        yield manager, {**os.environ, **own, **extra}, Path(folder)


class _Client(PapermillNotebookClient):  # type: ignore[misc]
    def __init__(self, nb_man: NotebookExecutionManager, session: Session, **options: Any) -> None:
        super().__init__(nb_man, **options)
        self._session = session

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        # Before the message becomes an output: nothing secret is written even for a moment.
        msg["content"] = self._session.scrubber.tree(msg["content"])
        if msg["msg_type"] == "stream" and msg["content"]["name"] == "stderr":
            for line in msg["content"]["text"].splitlines():
                self._session.on_line(line)
        return super().process_message(msg, cell, cell_index)


class WorkbenchEngine(Engine):  # type: ignore[misc]
    """Runs a notebook in a `Session`. A run that does not end well takes the kernel's processes with it."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: NotebookExecutionManager, kernel_name: str, *, session: Session, **_: Any
    ) -> None:
        with private_kernel(session.environment) as (manager, environment, folder):
            log = folder / "kernel.log"

            def cell_starts(cell: Any, cell_index: int) -> None:
                session.process = getattr(manager.provisioner, "process", None)
                if cell.cell_type == "code":
                    session.cell_index = cell_index
                    session.on_cell(cell_index)

            client = _Client(
                nb_man,
                session,
                km=manager,
                kernel_name=kernel_name,
                timeout_func=session.seconds_left,
                startup_timeout=START_TIMEOUT_SECONDS,
                on_cell_start=cell_starts,
            )
            with log.open("wb") as kernel_log:
                try:
                    client.execute(cleanup_kc=True, env=environment, stderr=kernel_log)
                except BaseException:
                    _end_group(session)
                    raise
                finally:
                    session.log_tail = log.read_text(errors="replace")[-_LOG_TAIL_CHARACTERS:]


def _end_group(session: Session) -> None:
    """Note how the kernel ended, and kill what it started and left behind."""
    if session.process is None:
        return
    session.exit_code = session.process.poll()
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(session.process.pid, signal.SIGKILL)  # the kernel leads a session of its own


papermill_engines.register(ENGINE, WorkbenchEngine)
