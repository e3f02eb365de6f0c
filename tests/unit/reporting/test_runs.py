"""`run.json` survives a round trip, maps to exit codes, and tells when its process is gone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from workbench.reporting.runs import NotebookRun, RunRecord, own_process, read_run, read_runs

PID, PID_STARTED = own_process()


@pytest.fixture
def record(tmp_path: Path) -> RunRecord:
    folder = tmp_path / "20261124T000000Z-demo-0001"
    folder.mkdir()
    notebooks = (
        NotebookRun("a", status="passed", paths={"html": "a.html"}),
        NotebookRun("b", status="wanting", paths={"html": "b.html"}, verdict={"numbers": {"rows": 3}}),
        NotebookRun("c", status="passed", paths={"html": "c.html"}),
    )
    return RunRecord(
        folder.name,
        "demo",
        "Demo",
        "2026-11-24T00:00:00Z",
        folder,
        notebooks=notebooks,
        pid=PID,
        pid_started=PID_STARTED,
    )


def test_a_record_reads_back_as_it_was_written(record: RunRecord) -> None:
    record.write()
    assert read_run(record.folder / "run.json") == record
    assert [f.name for f in record.folder.iterdir()] == ["run.json"]


def test_the_stored_record_names_no_folder_of_this_host(record: RunRecord) -> None:
    record.write()
    assert str(record.folder.parent) not in (record.folder / "run.json").read_text()


@pytest.mark.parametrize(("verdict", "code"), [("good", 0), ("wanting", 1), ("broke", 3), (None, 3)])
def test_exit_codes(record: RunRecord, verdict: str | None, code: int) -> None:
    assert replace(record, verdict=verdict).exit_code == code  # type: ignore[arg-type]


def test_a_running_record_of_a_process_that_is_gone_is_interrupted(record: RunRecord) -> None:
    replace(record, pid_started=PID_STARTED - 1000).write()  # the id was used again by another process
    assert read_run(record.folder / "run.json").state == "interrupted"
    record.write()
    assert read_run(record.folder / "run.json").state == "running"


def test_the_report_to_open_is_the_one_that_matters(record: RunRecord) -> None:
    assert record.report.name == "b.html"
    broke = record.with_notebook(NotebookRun("c", status="timeout", paths={"html": "c.html"}))
    assert broke.report.name == "c.html"
    good = record.with_notebook(replace(record.notebooks[1], status="passed"))
    assert good.report.name == "c.html"
    assert replace(record, notebooks=()).report == record.folder


def test_numbers_of_a_notebook_are_those_of_its_verdict(record: RunRecord) -> None:
    assert [n.numbers for n in record.notebooks] == [{}, {"rows": 3}, {}]


def test_unreadable_and_newer_files_are_told_not_raised(record: RunRecord) -> None:
    record.write()
    reports = record.folder.parent
    for name, text in (("x", "{"), ("y", json.dumps({"schema_version": 99})), ("z", "{}"), ("w", "[]")):
        (reports / name).mkdir()
        (reports / name / "run.json").write_text(text)
    runs, unreadable = read_runs(reports)
    assert [run.id for run in runs] == [record.id]
    assert sorted(f.parent.name for f in unreadable) == ["w", "x", "y", "z"]


def test_runs_come_newest_first(record: RunRecord) -> None:
    for stamp in ("2026-11-24T00:00:01Z", "2026-11-24T00:00:03Z", "2026-11-24T00:00:02Z"):
        folder = record.folder.parent / stamp
        folder.mkdir()
        replace(record, id=stamp, started_at=stamp, folder=folder).write()
    assert [run.started_at[-3:-1] for run in read_runs(record.folder.parent)[0]] == ["03", "02", "01"]
