"""Execute one notebook by papermill, and say truthfully how it ended.

papermill's own metadata calls a dead kernel or a timeout a success, so the outcome is taken from what was raised.
"""

from __future__ import annotations

import contextlib
import json
import re
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import Any

import nbformat
import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.exceptions import PapermillExecutionError

from workbench.errors import ParameterError
from workbench.progress import MODE_VARIABLE
from workbench.reporting import RUN_DIR_VARIABLE, html
from workbench.reporting.kernel import ENGINE, Session
from workbench.reporting.notebook import DATA_FOLDER, VERDICT_FILE, VERSIONS_FILE
from workbench.reporting.parameters import Parameter, describe, validate
from workbench.reporting.provenance import package_versions
from workbench.reporting.runs import NotebookRun, utc_now
from workbench.reporting.secrets import Scrubber

DEFAULT_TIMEOUT_SECONDS = 3600.0
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_ERROR_CHARACTERS = 2_000


@dataclass(frozen=True)
class CellProgress:
    """Where a run is: cell `cell` of `cells` code cells, under `heading`; `line` is what the cell said last."""

    notebook: str
    cell: int
    cells: int
    heading: str
    line: str = ""


OnProgress = Callable[[CellProgress], None]


def run_notebook(
    path: Path,
    *,
    parameters: Mapping[str, object],
    run_dir: Path,
    environment: Mapping[str, str] | None = None,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    on_progress: OnProgress | None = None,
    secrets: Sequence[str] = (),
    require_verdict: bool = True,
    siblings: Sequence[str] = (),
) -> NotebookRun:
    """Execute one notebook in this environment's interpreter and write its files into `run_dir`.

    The files are `<name>.ipynb` (executed as far as it came, also after a failure), `<name>.html`, and the folder
    `<name>/` with the verdict and the data behind figures and tables. The stored notebook is not changed.

    Args:
        path: The notebook. Its folder does not matter: the kernel works in the caller's working directory.
        parameters: Values by name; checked before a kernel starts.
        run_dir: Folder for the files; made if it is missing.
        environment: Variables for the kernel, over those of this process.
        timeout_seconds: Limit of the whole notebook, without the start of its kernel.
        on_progress: Called when a code cell starts and for each line that one writes to stderr.
        secrets: Values that must not appear in any artefact. One that does is cut out, and the run failed.
        require_verdict: Whether a notebook that ends without a verdict has failed.
        siblings: Names of the notebooks of the same run, for links in the report.

    Raises:
        ParameterError: A parameter is unknown, ill-typed or carries credentials.
        ConfigurationError: The notebook cannot be read.
    """
    known = describe(path)
    given = checked_parameters(path, known, parameters, secrets)
    nb = nbformat.read(path, as_version=4)
    scrubber = Scrubber(secrets)
    folder = run_dir / path.stem
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in (folder / VERDICT_FILE, folder / VERSIONS_FILE):
        leftover.unlink(missing_ok=True)

    run = NotebookRun(
        name=path.stem,
        title=html.title_of(nb) or path.stem,
        status="running",
        parameters=non_default(known, given),
        started_at=utc_now(),
        versions=package_versions(),
        paths={"notebook": f"{path.stem}.ipynb", "html": f"{path.stem}.html", "data": f"{path.stem}/{DATA_FOLDER}"},
        rerun_command=rerun_command(path, known, given),
    )
    session, outline = _session(nb, run.name, given, folder, environment, timeout_seconds, scrubber, on_progress)
    output = run_dir / run.paths["notebook"]
    started = time.monotonic()
    outcome = _execute(nb, output, given, session)
    outcome |= {"seconds": round(time.monotonic() - started, 3)}
    if outcome["status"] != "passed":
        outcome |= outline.place(session.cell_index)

    scrubber.folder(folder)
    run = _with_findings(replace(run, **outcome), folder, require_verdict=require_verdict)
    _finish_notebook(output, run, session)
    scrubber.file(output)
    run = replace(run, error=scrubber.text(run.error))
    if scrubber.found:
        leak = "A secret was in its output and was cut out; it must not get there."
        run = replace(run, status=run.status if run.broke else "failed", error=f"{leak}\n{run.error}".strip())
    scrubber.file(html.write_report(output, run, known, siblings=siblings))
    return run


def checked_parameters(
    path: Path, known: Sequence[Parameter], given: Mapping[str, object], secrets: Sequence[str]
) -> dict[str, Any]:
    """The given values after every check that needs no kernel.

    Raises:
        ParameterError: A parameter is unknown, ill-typed, or carries a secret.
    """
    checked = validate(known, given, notebook=path.stem)
    scrubber = Scrubber(secrets)
    for name, value in checked.items():
        scrubber.tree(value)
        if scrubber.found:
            raise ParameterError(
                f"Parameter {name!r} carries a secret; parameters are stored in the report.",
                todo="Set it in the environment or .env.",
            )
    return checked


def non_default(known: Sequence[Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """The given values that differ from the notebook's defaults, in the order of declaration."""
    return {p.name: given[p.name] for p in known if p.name in given and given[p.name] != p.default}


def rerun_command(path: Path, known: Sequence[Parameter], given: Mapping[str, Any]) -> str:
    """The command line that repeats a notebook with these parameters."""

    def text(value: object) -> str:
        if isinstance(value, list):
            return ",".join(value)
        return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)

    pairs = [f"-p {quote(f'{key}={text(value)}')}" for key, value in non_default(known, given).items()]
    return " ".join(["workbench run", path.stem, *pairs])


@dataclass(frozen=True)
class _Outline:
    """The code cells of a notebook by index in the executed notebook: number among code cells, and heading."""

    numbers: dict[int, int]
    headings: dict[int, str]

    def place(self, cell_index: int | None) -> dict[str, Any]:
        if cell_index is None:
            return {}
        return {"cell": self.numbers.get(cell_index), "heading": self.headings.get(cell_index, "")}


def _outline(nb: nbformat.NotebookNode, *, injected: bool) -> _Outline:
    numbers: dict[int, int] = {}
    headings: dict[int, str] = {}
    heading, position = "", 0
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            found = re.findall(r"^#{1,6}\s+(.+)$", cell.source, re.MULTILINE)
            heading = found[-1].strip() if found else heading
        elif cell.cell_type == "code" and cell.source.strip():
            numbers[position], headings[position] = len(numbers) + 1, heading
            if injected and "parameters" in cell.metadata.get("tags", []):
                position += 1  # papermill puts its cell after this one
                numbers[position], headings[position] = len(numbers) + 1, heading
        position += 1
    return _Outline(numbers, headings)


def _session(
    nb: nbformat.NotebookNode,
    name: str,
    given: Mapping[str, Any],
    folder: Path,
    environment: Mapping[str, str] | None,
    timeout_seconds: float,
    scrubber: Scrubber,
    on_progress: OnProgress | None,
) -> tuple[Session, _Outline]:
    outline = _outline(nb, injected=bool(given))
    variables = {**(environment or {}), MODE_VARIABLE: "lines", RUN_DIR_VARIABLE: str(folder.resolve())}

    def tell(line: str = "") -> None:
        position = session.cell_index
        if on_progress is not None and position is not None and position in outline.numbers:
            number, heading = outline.numbers[position], outline.headings[position]
            on_progress(CellProgress(name, number, len(outline.numbers), heading, line))

    session = Session(variables, timeout_seconds, scrubber, on_cell=lambda _: tell(), on_line=tell)
    return session, outline


def _execute(nb: nbformat.NotebookNode, output: Path, given: Mapping[str, Any], session: Session) -> dict[str, Any]:
    """Run it; how it ended as fields of a NotebookRun."""
    try:
        papermill.execute_notebook(
            nb,
            str(output).replace("{", "{{").replace("}", "}}"),  # papermill formats paths
            parameters=dict(given) or None,
            engine_name=ENGINE,
            kernel_name="python3",
            language="python",
            progress_bar=False,
            session=session,
        )
    except PapermillExecutionError as error:
        return {"status": "failed", "error": _short(f"{error.ename}: {error.evalue}")}
    except CellTimeoutError:
        limit = f"{session.timeout_seconds:g} s"
        return {"status": "timeout", "error": f"The notebook did not end within {limit}; its kernel was stopped."}
    except DeadKernelError:
        return {"status": "dead_kernel", "error": _death(session)}
    except KeyboardInterrupt:
        return {"status": "interrupted", "error": "Interrupted; the kernel was stopped."}
    except RuntimeError as error:  # nbclient: the kernel died or hung while it started
        return {"status": "dead_kernel", "error": _short(f"The kernel did not start: {error}\n{session.log_tail}")}
    return {"status": "passed"}


def _death(session: Session) -> str:
    code = session.exit_code
    if code is None:
        how = "for an unknown reason"
    elif code < 0:
        how = f"by signal {signal.Signals(-code).name}"
        how += ", which mostly means that the machine ran out of memory" if code == -9 else ""
    else:
        how = f"with exit code {code}"
    return _short(f"The kernel died {how}.\n{session.log_tail}")


def _short(text: str) -> str:
    return _ANSI.sub("", text).strip()[:_ERROR_CHARACTERS]


def _with_findings(run: NotebookRun, folder: Path, *, require_verdict: bool) -> NotebookRun:
    """The run with the verdict and the versions that its notebook wrote."""
    with contextlib.suppress(FileNotFoundError):
        named = json.loads((folder / VERSIONS_FILE).read_text(encoding="utf-8"))
        run = replace(run, versions={**run.versions, **named})
    with contextlib.suppress(FileNotFoundError):
        run = replace(run, verdict=json.loads((folder / VERDICT_FILE).read_text(encoding="utf-8")))
    if run.status != "passed":
        return run
    if run.verdict is None:
        missing = "It ended without a verdict."
        return replace(run, status="failed", error=missing) if require_verdict else run
    return replace(run, status="wanting") if run.verdict["status"] == "wanting" else run


def _finish_notebook(output: Path, run: NotebookRun, session: Session) -> None:
    """Correct what papermill's metadata got wrong, take out this host's paths, and mark the cell that broke."""
    if not output.exists():
        return
    nb = nbformat.read(output, as_version=4)
    nb.metadata.papermill.update(input_path=f"{run.name}.ipynb", output_path=f"{run.name}.ipynb")
    if run.status in ("dead_kernel", "timeout", "interrupted"):
        nb.metadata.papermill["exception"] = True
        for position, cell in enumerate(nb.cells):
            broken = position == session.cell_index
            if broken:
                error = nbformat.v4.new_output("error", ename=run.status, evalue=run.error, traceback=[run.error])
                cell.setdefault("outputs", []).append(error)
            if broken or (session.cell_index is not None and position > session.cell_index):
                cell.metadata.setdefault("papermill", {})["status"] = "failed" if broken else "pending"
    nbformat.write(nb, output)
