"""What a run leaves behind for machines: `run.json`, its states, and the one place that reads and writes it."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import psutil

RUN_FILE = "run.json"
SCHEMA_VERSION = 1

NotebookStatus = Literal[
    "pending", "running", "passed", "wanting", "failed", "dead_kernel", "timeout", "interrupted", "skipped"
]
RunState = Literal["running", "done", "interrupted"]
RunVerdict = Literal["good", "wanting", "broke"]

_EXIT_CODES: dict[str, int] = {"good": 0, "wanting": 1, "broke": 3}


@dataclass(frozen=True)
class NotebookRun:
    """One notebook of a run: how it ended, what it found, where its files are (relative to the run's folder)."""

    name: str
    title: str = ""
    status: NotebookStatus = "pending"
    verdict: Mapping[str, Any] | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    cell: int | None = None  # In[n] of the cell that broke
    heading: str = ""
    error: str = ""
    seconds: float = 0.0
    started_at: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)
    rerun_command: str = ""

    @property
    def numbers(self) -> Mapping[str, Any]:
        """The key numbers of its verdict."""
        return self.verdict["numbers"] if self.verdict else {}

    @property
    def broke(self) -> bool:
        """Whether it ended without having said what it found."""
        return self.status in ("failed", "dead_kernel", "timeout", "interrupted")

    def as_dict(self) -> dict[str, Any]:
        """The run as JSON types."""
        return asdict(self)


@dataclass(frozen=True)
class RunRecord:
    """A run of one or several notebooks, as `run.json` holds it.

    `state` is `running` until the end; a record whose process is gone before is `interrupted` when it is read.
    `verdict` is None until the end.
    """

    id: str
    name: str
    title: str
    started_at: str
    folder: Path
    state: RunState = "running"
    verdict: RunVerdict | None = None
    headline: str = ""
    number: float | int | None = None
    unit: str = ""
    notebooks: tuple[NotebookRun, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    git_sha: str = ""
    rerun_command: str = ""
    finished_at: str = ""
    seconds: float = 0.0
    pid: int = 0
    pid_started: float = 0.0
    schema_version: int = SCHEMA_VERSION

    @property
    def exit_code(self) -> int:
        """0 good, 1 found wanting, 3 could not run or still runs."""
        return _EXIT_CODES.get(self.verdict or "", 3)

    @property
    def shown_state(self) -> str:
        """The word for people: the verdict, or the state while there is none."""
        return self.state if self.state != "done" or self.verdict is None else self.verdict

    @property
    def report(self) -> Path:
        """The report to open first: that of the notebook that broke or was found wanting, else of the last."""
        done = [n for n in self.notebooks if "html" in n.paths]
        chosen = next((n for n in done if n.broke), None) or next((n for n in done if n.status == "wanting"), None)
        chosen = chosen or (done[-1] if done else None)
        return self.folder / chosen.paths["html"] if chosen else self.folder

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON types, without the folder: a run may be moved to another place or host."""
        return {key: value for key, value in asdict(self).items() if key != "folder"}

    def write(self) -> None:
        """Replace `run.json` in one step, so that a reader never sees half of it."""
        write_atomically(self.folder / RUN_FILE, json.dumps(self.as_dict(), indent=2, default=str))

    def with_notebook(self, run: NotebookRun) -> RunRecord:
        """This record with the notebook of that name replaced."""
        return replace(self, notebooks=tuple(run if n.name == run.name else n for n in self.notebooks))


def read_run(file: Path) -> RunRecord:
    """The record in a `run.json`.

    Raises:
        ValueError: The file is not one, or of a newer schema version.
    """
    data = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(data, dict) or data.get("schema_version", 0) > SCHEMA_VERSION:
        raise ValueError(f"{file} is no run record that this version can read")
    known = {f.name for f in fields(RunRecord)} - {"folder"}
    notebook_fields = {f.name for f in fields(NotebookRun)}
    notebooks = tuple(
        NotebookRun(**{k: v for k, v in entry.items() if k in notebook_fields}) for entry in data.pop("notebooks", [])
    )
    try:
        kept = {k: v for k, v in data.items() if k in known}
        record = RunRecord(folder=file.parent, notebooks=notebooks, **kept)
    except TypeError as error:
        raise ValueError(f"{file} lacks a field: {error}") from error
    return record if record.state != "running" or _is_alive(record) else replace(record, state="interrupted")


def read_runs(reports_dir: Path) -> tuple[list[RunRecord], list[Path]]:
    """All runs under a folder, newest first, and the `run.json` files that could not be read."""
    runs: list[RunRecord] = []
    unreadable: list[Path] = []
    for file in sorted(reports_dir.glob(f"*/{RUN_FILE}")):
        try:
            runs.append(read_run(file))
        except (OSError, ValueError, TypeError):
            unreadable.append(file)
    return sorted(runs, key=lambda run: (run.started_at, run.id), reverse=True), unreadable


def utc_now() -> str:
    """Now in UTC as `2026-11-24T22:52:18.123Z`; the milliseconds keep quick runs in order."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def own_process() -> tuple[int, float]:
    """The id and the start time of this process; the two together are not used again after it ended."""
    return os.getpid(), psutil.Process().create_time()


def write_atomically(file: Path, text: str) -> None:
    """Write a text file by way of a temporary neighbour."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(file)


def _is_alive(record: RunRecord) -> bool:
    try:
        return bool(abs(psutil.Process(record.pid).create_time() - record.pid_started) < 2)
    except (psutil.Error, ValueError):
        return False
