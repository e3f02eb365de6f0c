"""Runs on real kernels: whatever happens in a notebook, the record, the report and the exit code tell the truth."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil
import pytest

from tests.unit.reporting.notebooks import write_notebook
from workbench.errors import ConfigurationError, ParameterError
from workbench.reporting.execution import CellProgress
from workbench.reporting.index import refresh_index
from workbench.reporting.refresh import refresh_notebook
from workbench.reporting.runner import RunRecord, run_notebook, run_series
from workbench.reporting.runs import read_run, read_runs

SECRET = "pl4nted&secret"
MODE = "import os\nos.environ['WORKBENCH_PROGRESS']"
VERDICT = "from workbench.reporting.notebook import verdict\n"


@dataclass(frozen=True)
class Series:
    record: RunRecord
    progress: list[CellProgress]


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Series:
    """One run of a good notebook, one that finds the data wanting, one that raises, and one that is not reached."""
    folder = tmp_path_factory.mktemp("notebooks")
    good = write_notebook(
        folder,
        "good",
        "# Is it good?",
        "## Work",
        "import os, sys\nprint('at work', file=sys.stderr)\nseen = (os.environ['CITY'], code)\n"
        "assert 'HistoryManager' not in dir() and get_ipython().history_manager.hist_file == ':memory:'\nseen",
        "## Verdict",
        VERDICT + "verdict('good', 'all there', number=3, unit='rows', numbers={'python': sys.executable})",
        parameters='code: str = "001"  # a text of digits',
    )
    differs = VERDICT + "verdict('wanting', 'two differ', number=2, unit='rows')"
    wanting = write_notebook(folder, "wanting", "# Is it?", differs)
    breaks = "raise ValueError('no such column')"
    raising = write_notebook(folder, "raising", "# Broken", "## Load", "x = 1", breaks, "y = 2")
    later = write_notebook(folder, "later", "# Later", "1")
    progress: list[CellProgress] = []
    record = run_series(
        "mixed",
        [(good, {"code": "007"}), (wanting, {}), (raising, {}), (later, {})],
        reports_dir=tmp_path_factory.mktemp("reports"),
        title="Mixed",
        environment={"CITY": "Bern"},
        on_progress=progress.append,
        timeout_seconds=60,
        rerun="workbench demo",
    )
    return Series(record, progress)


def outputs(record: RunRecord, name: str) -> list[nbformat.NotebookNode]:
    nb = nbformat.read(record.folder / f"{name}.ipynb", as_version=4)
    return [output for cell in nb.cells if cell.cell_type == "code" for output in cell.outputs]


def test_each_notebook_has_the_status_that_it_earned(series: Series) -> None:
    assert [n.status for n in series.record.notebooks] == ["passed", "wanting", "failed", "skipped"]


def test_a_notebook_that_broke_decides_over_data_that_is_wanting(series: Series) -> None:
    assert (series.record.verdict, series.record.exit_code, series.record.state) == ("broke", 3, "done")
    assert series.record.headline == "raising broke in cell 2: ValueError: no such column"


def test_the_place_and_cause_of_a_failure_are_recorded(series: Series) -> None:
    broken = series.record.notebooks[2]
    assert (broken.cell, broken.heading, broken.error) == (2, "Load", "ValueError: no such column")
    assert broken.rerun_command == "workbench run raising"


def test_the_record_on_disk_is_the_one_returned(series: Series) -> None:
    assert read_run(series.record.folder / "run.json") == series.record


def test_parameters_and_environment_reach_this_interpreter(series: Series) -> None:
    good = series.record.notebooks[0]
    assert good.parameters == {"code": "007"}
    assert good.numbers["python"] == sys.executable
    assert "('Bern', '007')" in str(outputs(series.record, "good"))
    assert good.rerun_command == "workbench run good -p code=007"


def test_notebooks_reports_and_index_are_written_for_all_that_ran(series: Series) -> None:
    folder = series.record.folder
    for name in ("good", "wanting", "raising"):
        assert (folder / f"{name}.ipynb").exists()
        assert "<h1>" in (folder / f"{name}.html").read_text()
    assert series.record.report == folder / "raising.html"
    assert f'id="{series.record.id}"' in (folder.parent / "index.html").read_text()


def test_progress_names_the_cell_and_passes_on_what_it_says(series: Series) -> None:
    assert CellProgress("good", 3, 4, "Work", "at work") in series.progress
    assert [p.cell for p in series.progress if p.notebook == "good" and not p.line] == [1, 2, 3, 4]


def test_the_record_names_versions_and_nothing_of_this_host(series: Series) -> None:
    assert {"python", "papermill", "ipykernel", "investigation-workbench"} <= set(series.record.versions)
    stored = json.loads((series.record.folder / "run.json").read_text())
    for entry in stored["notebooks"]:
        entry["verdict"] = None  # this test put the interpreter's path there
    assert str(series.record.folder.parent) not in json.dumps(stored)
    metadata = nbformat.read(series.record.folder / "good.ipynb", as_version=4).metadata.papermill
    assert metadata.output_path == "good.ipynb"


@pytest.mark.parametrize(
    ("death", "cause"),
    [("os._exit(5)", "with exit code 5"), ("os.kill(os.getpid(), signal.SIGKILL)", "by signal SIGKILL")],
)
def test_a_dead_kernel_is_recorded_with_its_cause(tmp_path: Path, death: str, cause: str) -> None:
    path = write_notebook(tmp_path, "dies", "# Dies", f"import os, signal\nprint('last words')\n{death}", "1")
    run = run_notebook(path, parameters={}, run_dir=tmp_path / "run", timeout_seconds=60)
    assert (run.status, run.cell) == ("dead_kernel", 1)
    assert cause in run.error
    nb = nbformat.read(tmp_path / "run" / "dies.ipynb", as_version=4)
    assert nb.metadata.papermill.exception is True
    assert [cell.metadata.papermill.status for cell in nb.cells[1:]] == ["failed", "pending"]
    assert cause in (tmp_path / "run" / "dies.html").read_text()


def test_a_hanging_notebook_is_stopped_with_what_it_started(tmp_path: Path) -> None:
    child = "import subprocess, time\nprint(subprocess.Popen(['sleep', '300']).pid, flush=True)\ntime.sleep(300)"
    path = write_notebook(tmp_path, "hangs", "# Hangs", child)
    started = time.monotonic()
    record = run_series("hangs", [(path, {})], reports_dir=tmp_path / "r", title="Hangs", timeout_seconds=2)
    assert time.monotonic() - started < 20
    assert (record.notebooks[0].status, record.exit_code) == ("timeout", 3)
    assert "within 2 s" in record.headline
    pid = int(outputs(record, "hangs")[0].text)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_an_unknown_parameter_is_answered_before_anything_starts(tmp_path: Path) -> None:
    path = write_notebook(tmp_path, "n", "# N", parameters="tables: str = ''  # tables")
    started = time.monotonic()
    with pytest.raises(ParameterError, match="Did you mean 'tables'"):
        run_series("n", [(path, {"tabels": "x"})], reports_dir=tmp_path / "r", title="N")
    assert time.monotonic() - started < 0.5
    assert not (tmp_path / "r").exists()


def test_a_parameter_that_is_a_secret_is_refused(tmp_path: Path) -> None:
    path = write_notebook(tmp_path, "n", "# N", parameters="code: str = ''  # a text")
    with pytest.raises(ParameterError, match="carries a secret") as caught:
        run_series("n", [(path, {"code": SECRET})], reports_dir=tmp_path / "r", title="N", secrets=[SECRET])
    assert SECRET not in str(caught.value)


def test_a_reports_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    path = write_notebook(tmp_path, "n", "# N")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="file"):
        run_series("n", [(path, {})], reports_dir=tmp_path / "file", title="N")


def test_a_planted_secret_is_in_no_artefact_and_fails_the_run(tmp_path: Path) -> None:
    code = """
        import os, sys
        import pandas as pd
        from workbench.reporting.notebook import record_versions, show_table, verdict
        secret = os.environ['PLANTED']
        print(secret); print(secret, file=sys.stderr)
        frame = pd.DataFrame({'a': [secret]})
        show_table(frame, secret)
        record_versions(server=secret)
        verdict('wanting', secret, numbers={secret: secret}, failures=frame)
        {'key': f'mongodb://me:{secret}@host'}
    """
    leaking = write_notebook(tmp_path, "leaking", "# Leak", textwrap.dedent(code), "raise ValueError(secret)")
    record = run_series(
        "leak",
        [(leaking, {})],
        reports_dir=tmp_path / "r",
        title="Leak",
        environment={"PLANTED": SECRET},
        secrets=[SECRET],
        timeout_seconds=60,
    )
    assert record.exit_code == 3
    assert "A secret was in its output" in record.notebooks[0].error
    files = [file for file in (tmp_path / "r").rglob("*") if file.is_file()]
    assert {file.suffix for file in files} == {".csv", ".html", ".ipynb", ".json"}
    for file in files:
        text = file.read_text()
        assert not any(form in text for form in (SECRET, "pl4nted&amp;secret", "pl4nted%26secret")), file


RUN = """
import sys
from pathlib import Path
from workbench.reporting.runner import run_series
record = run_series("long", [(Path(sys.argv[1]), {})], reports_dir=Path(sys.argv[2]), title="Long")
print(record.state, record.exit_code)
"""


@pytest.fixture
def long_run(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A runner process whose notebook waits; it has started its cell."""
    begun = f"open({str(tmp_path / 'in_cell')!r}, 'w').close()"
    path = write_notebook(tmp_path, "long", "# Long", begun, "import time; time.sleep(60)")
    reports = tmp_path / "reports"
    command = [sys.executable, "-c", RUN, str(path), str(reports)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 40
    while not (tmp_path / "in_cell").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (tmp_path / "in_cell").exists()
    yield process, reports
    if process.poll() is None:
        process.kill()
    process.communicate()


def kernels_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def ended(processes: list[psutil.Process]) -> bool:
    """Whether all of them end within seconds (a kernel looks for its parent once a second)."""
    return not psutil.wait_procs(processes, timeout=15)[1]


def test_a_runner_that_was_killed_is_shown_as_interrupted(long_run: tuple[subprocess.Popen[str], Path]) -> None:
    process, reports = long_run
    kernels = kernels_of(process)
    assert [run.state for run in read_runs(reports)[0]] == ["running"]
    process.kill()
    process.wait()
    [run] = read_runs(reports)[0]
    assert (run.state, run.exit_code) == ("interrupted", 3)
    assert "interrupted" in refresh_index(reports).read_text()
    assert kernels
    assert ended(kernels)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_are_recorded_and_stop_the_kernel(
    long_run: tuple[subprocess.Popen[str], Path], sent: signal.Signals
) -> None:
    process, reports = long_run
    kernels = kernels_of(process)
    os.kill(process.pid, sent)
    said, _ = process.communicate(timeout=30)
    assert said.strip() == "interrupted 3"
    [run] = read_runs(reports)[0]
    assert (run.state, run.verdict, run.notebooks[0].status) == ("interrupted", "broke", "interrupted")
    assert (run.folder / "long.html").exists()
    assert ended(kernels)


def test_a_second_refresh_of_stored_outputs_changes_nothing(tmp_path: Path) -> None:
    path = write_notebook(tmp_path, "stored", "# Stored", MODE, "sorted({'b', 'a'})")
    nb = nbformat.read(path, as_version=4)
    nb.cells[2].metadata.tags = ["nbval-ignore-output"]
    nbformat.write(nb, path)
    assert refresh_notebook(path)
    stored = path.read_bytes()
    assert not refresh_notebook(path)
    assert path.read_bytes() == stored
    cells = nbformat.read(path, as_version=4).cells
    assert [cell.execution_count for cell in cells[1:]] == [1, 2]
    assert cells[1].outputs[0].data["text/plain"] == "'silent'"
    assert cells[2].outputs == []


def test_a_notebook_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    path = write_notebook(tmp_path, "n", "# N")
    with pytest.raises(ValueError, match="only once"):
        run_series("n", [(path, {}), (path, {})], reports_dir=tmp_path / "r", title="N")
