"""The commands of runs: help and typos without a kernel, a list of runs, the map of notebooks behind them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tests.unit.reporting.notebooks import write_notebook
from workbench.cli.reports import reports, run
from workbench.errors import ConfigurationError, ParameterError
from workbench.reporting.catalogue import catalogue, catalogue_html, find_notebook
from workbench.reporting.console import RunConsole, closing_lines
from workbench.reporting.environment import check_environment, environment_verdict
from workbench.reporting.execution import CellProgress
from workbench.reporting.runs import NotebookRun, RunRecord

app = typer.Typer()
app.command()(run)
app.command()(reports)
INTRODUCTION = "# What is there?\n\nCounts rows,\nby table.\n\nMore."


@pytest.fixture
def notebooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory whose `notebooks` folder holds one notebook that says all and one that says nothing."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    path = write_notebook(folder, "01_source_profile", INTRODUCTION, parameters="rows: int = 5  # rows to show")
    content = json.loads(path.read_text())
    content["metadata"]["workbench"] = {"access": "read-only", "duration": "5 s", "validated": True}
    path.write_text(json.dumps(content))
    write_notebook(folder, "02_migrate", "# Move <it>")
    monkeypatch.chdir(tmp_path)
    return folder


def test_help_shows_type_default_and_meaning(notebooks: Path) -> None:
    shown = CliRunner().invoke(app, ["run", "01_source_profile", "--help-notebook"])
    assert shown.exit_code == 0
    assert "01_source_profile: What is there?\nCounts rows, by table." in shown.stdout
    assert "rows: int  rows to show (default 5)" in shown.stdout


def test_a_typo_ends_the_command_before_anything_is_written(notebooks: Path) -> None:
    shown = CliRunner().invoke(app, ["run", "source_profile", "-p", "row=3"])
    assert isinstance(shown.exception, ParameterError)
    assert "Did you mean 'rows'" in str(shown.exception)
    assert not (notebooks.parent / "reports").exists()


@pytest.mark.parametrize("name", ["01_source_profile", "source_profile", "notebooks/01_source_profile.ipynb"])
def test_notebooks_are_found_by_name_and_by_path(notebooks: Path, name: str) -> None:
    assert find_notebook(name).resolve() == notebooks / "01_source_profile.ipynb"


def test_an_unknown_notebook_is_answered_with_the_nearest(notebooks: Path) -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'migrate'"):
        find_notebook("migrat")


def test_the_catalogue_is_what_notebooks_say_about_themselves(notebooks: Path) -> None:
    first, second = catalogue()
    assert (first.title, first.purpose, first.access, first.duration, first.validated) == (
        "What is there?",
        "Counts rows, by table.",
        "read-only",
        "5 s",
        True,
    )
    assert (second.purpose, second.access, second.validated) == ("", "", False)
    html = catalogue_html()
    assert '<a href="01_source_profile.ipynb">' in html
    assert "Move &lt;it&gt;" in html
    assert html.count("not stated") == 2


def test_reports_lists_runs_and_refreshes_the_index(tmp_path: Path) -> None:
    record(tmp_path).write()
    shown = CliRunner().invoke(app, ["reports", "--reports-dir", str(tmp_path)])
    assert shown.exit_code == 0
    assert "▲ wanting" in shown.stdout
    assert "3 rows differ" in (tmp_path / "index.html").read_text()


def test_reports_of_a_missing_folder_is_a_usage_error(tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["reports", "--reports-dir", str(tmp_path / "none")])
    assert isinstance(shown.exception, ConfigurationError)


def record(folder: Path) -> RunRecord:
    """A run that found three rows wanting."""
    place = folder / "20261124T000000Z-demo-0001"
    place.mkdir()
    return RunRecord(
        id=place.name,
        name="demo",
        title="Demo",
        started_at="2026-11-24T00:00:00Z",
        folder=place,
        state="done",
        verdict="wanting",
        headline="3 rows differ",
        number=3,
        unit="rows",
        notebooks=(NotebookRun("a", status="wanting", paths={"html": "a.html"}),),
    )


def test_a_run_ends_with_verdict_number_and_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = record(tmp_path)
    assert closing_lines(found) == ["▲ WANTING: 3 rows differ", "3 rows", f"{found.id}/a.html"]
    assert closing_lines(replace(found, number=None))[1] == "no number"


def test_the_console_says_each_heading_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORKBENCH_PROGRESS", "lines")
    console = RunConsole()
    for cell, heading in ((1, "Load"), (2, "Load"), (3, "Check")):
        console(CellProgress("02_migrate", cell, 3, heading))
    console.close()
    assert capsys.readouterr() == ("", "02_migrate 1/3 Load\n02_migrate 3/3 Check\n")


def test_the_console_rewrites_one_line_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORKBENCH_PROGRESS", "bar")
    monkeypatch.setenv("COLUMNS", "20")
    console = RunConsole()
    console(CellProgress("02_migrate", 1, 3, "Load", "scores: 10 rows"))
    console.close()
    assert capsys.readouterr().err == "\r\x1b[K02_migrate 1/3 Load\r\x1b[K"


def test_this_environment_passes_its_own_checks() -> None:
    checks = check_environment()
    assert set(checks["status"]) <= {"passed", "warned"}
    assert environment_verdict(checks).status == "good"


def test_a_failed_check_is_a_finding() -> None:
    checks = check_environment()
    checks.loc[0, "status"] = "failed"
    assert environment_verdict(checks).status == "wanting"
