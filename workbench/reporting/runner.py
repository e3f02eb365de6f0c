"""Run notebooks headless: one folder a run, a `run.json` that tells the truth at any moment, and the index."""

from __future__ import annotations

import contextlib
import re
import secrets as random
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench.errors import ConfigurationError, NotebookError
from workbench.reporting import index
from workbench.reporting.execution import (
    DEFAULT_TIMEOUT_SECONDS,
    CellProgress,
    OnProgress,
    checked_parameters,
    rerun_command,
    run_notebook,
)
from workbench.reporting.parameters import describe
from workbench.reporting.provenance import git_sha, package_versions
from workbench.reporting.runs import NotebookRun, RunRecord, RunState, own_process, utc_now

__all__ = ["CellProgress", "NotebookRun", "OnProgress", "RunRecord", "run_notebook", "run_series"]


def run_series(
    name: str,
    notebooks: Sequence[tuple[Path, Mapping[str, object]]],
    *,
    reports_dir: Path,
    title: str,
    environment: Mapping[str, str] | None = None,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    on_progress: OnProgress | None = None,
    secrets: Sequence[str] = (),
    require_verdict: bool = True,
    rerun: str = "",
) -> RunRecord:
    """Run notebooks one after the other into one new folder of `reports_dir`, and refresh the index of runs.

    A notebook that breaks ends the series (those after it are `skipped`); one that finds the data wanting does not.
    `run.json` is replaced at each step, so that it tells the truth also when this process is killed.

    Args:
        name: Short name of the run; part of the folder's name.
        notebooks: Path and parameters of each; all are checked before the first kernel starts.
        reports_dir: The folder of all runs.
        title: The run's title in the index.
        environment: Variables for the kernels.
        timeout_seconds: Limit of each notebook.
        on_progress: See `run_notebook`.
        secrets: See `run_notebook`.
        require_verdict: See `run_notebook`.
        rerun: The command that repeats the run; without it, that of a single notebook is made.

    Raises:
        ParameterError: A parameter of any of the notebooks is wrong; nothing was started or written.
        ConfigurationError: A notebook cannot be read, or `reports_dir` cannot be used.
        NotebookError: A file of the run could not be written, for instance on a full disk.
    """
    if len({path.stem for path, _ in notebooks}) < len(notebooks):
        raise ValueError("A notebook can be in a series only once: its files would be overwritten.")
    for path, given in notebooks:
        checked_parameters(path, describe(path), given, secrets)
    record = _new_record(name, title, notebooks, reports_dir, rerun)
    started = time.monotonic()
    with _terminate_as_interrupt(), _write_errors(reports_dir):
        _save(record, reports_dir)
        for path, given in notebooks:
            record = record.with_notebook(NotebookRun(path.stem, status="running", started_at=utc_now()))
            _save(record, reports_dir)
            run = run_notebook(
                path,
                parameters=given,
                run_dir=record.folder,
                environment=environment,
                timeout_seconds=timeout_seconds,
                on_progress=on_progress,
                secrets=secrets,
                require_verdict=require_verdict,
                siblings=[other.stem for other, _ in notebooks],
            )
            record = replace(record.with_notebook(run), versions={**record.versions, **run.versions})
            if run.broke:
                break
        record = _concluded(record, round(time.monotonic() - started, 3))
        _save(record, reports_dir)
    return record


def _new_record(
    name: str, title: str, notebooks: Sequence[tuple[Path, Mapping[str, object]]], reports_dir: Path, rerun: str
) -> RunRecord:
    started_at = utc_now()
    stamp = re.sub(r"[-:]", "", started_at[:19])
    identity = f"{stamp}Z-{re.sub(r'[^A-Za-z0-9_.-]+', '-', name)}-{random.token_hex(2)}"
    folder = reports_dir / identity
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise ConfigurationError(
            f"The folder of the reports, {reports_dir}, cannot be used: {error.strerror}.",
            todo="Set WORKBENCH_REPORTS_DIR or --reports-dir.",
        ) from error
    pid, pid_started = own_process()
    if not rerun and len(notebooks) == 1:
        path, given = notebooks[0]
        rerun = rerun_command(path, describe(path), given)
    return RunRecord(
        id=identity,
        name=name,
        title=title,
        started_at=started_at,
        folder=folder,
        notebooks=tuple(NotebookRun(path.stem) for path, _ in notebooks),
        versions=package_versions(),
        git_sha=git_sha(notebooks[0][0].parent) if notebooks else "",
        rerun_command=rerun,
        pid=pid,
        pid_started=pid_started,
    )


def _concluded(record: RunRecord, seconds: float) -> RunRecord:
    """The record with its verdict: that of the notebook that broke, else the first wanting, else the last."""
    runs = [replace(n, status="skipped") if n.status == "pending" else n for n in record.notebooks]
    record = replace(record, notebooks=tuple(runs), seconds=seconds, finished_at=utc_now())
    broken = next((n for n in runs if n.broke), None)
    if broken:
        where = f" in cell {broken.cell}" if broken.cell else ""
        state: RunState = "interrupted" if broken.status == "interrupted" else "done"
        reason = broken.error.splitlines()[0] if broken.error else broken.status
        return replace(record, state=state, verdict="broke", headline=f"{broken.name} broke{where}: {reason}")
    wanting = next((n for n in runs if n.status == "wanting"), None)
    chosen = wanting or next((n for n in reversed(runs) if n.verdict), None)
    verdict: Mapping[str, Any] = chosen.verdict if chosen and chosen.verdict else {"headline": "All notebooks ran."}
    return replace(
        record,
        state="done",
        verdict="wanting" if wanting else "good",
        headline=verdict["headline"],
        number=verdict.get("number"),
        unit=verdict.get("unit", ""),
    )


def _save(record: RunRecord, reports_dir: Path) -> None:
    record.write()
    index.refresh_index(reports_dir)


@contextlib.contextmanager
def _write_errors(reports_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"The run could not be recorded in {reports_dir}: {error.strerror or error}."
        raise NotebookError(what, todo="Free space, or set another --reports-dir.") from error


@contextlib.contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """While it lasts, SIGTERM ends the run like Ctrl-C: recorded, with the kernel stopped."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread: signals do not come here
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
