"""Stored outputs of validated notebooks: execute again, and keep only what a second refresh would not change."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from workbench.errors import NotebookError
from workbench.progress import MODE_VARIABLE
from workbench.reporting import RUN_DIR_VARIABLE
from workbench.reporting.kernel import private_kernel

KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}
UNCOMPARED_TAG = "nbval-ignore-output"
_NOISE = ("papermill", "execution", "collapsed", "scrolled")


def refresh_notebook(
    path: Path, *, environment: Mapping[str, str] | None = None, timeout_seconds: int = 600, write: bool = True
) -> bool:
    """Execute a notebook where it lies and store its outputs; whether the file changed (or would, without `write`).

    Outputs of cells that nbval does not compare are not stored: they may differ from run to run.

    Raises:
        NotebookError: A cell raised; the stored notebook is not changed.
    """
    before = path.read_text(encoding="utf-8")
    nb = nbformat.reads(before, as_version=4)
    # An empty run folder: a refresh from within a run writes nothing into it.
    quiet = {**(environment or {}), MODE_VARIABLE: "silent", RUN_DIR_VARIABLE: ""}
    with private_kernel(quiet) as (manager, variables, _):
        where = {"metadata": {"path": str(path.parent)}}  # as in nbval
        client = NotebookClient(nb, km=manager, timeout=timeout_seconds, resources=where)
        try:
            client.execute(cleanup_kc=True, env=variables)
        except CellExecutionError as error:
            raise NotebookError(f"{path.name} broke: {error.ename}: {error.evalue}") from error
    normalise(nb)
    after = nbformat.writes(nb) + "\n"
    if write and after != before:
        path.write_text(after, encoding="utf-8")
    changed: bool = after != before
    return changed


def normalise(nb: nbformat.NotebookNode) -> None:
    """Take out of a notebook, in place, what differs between machines and runs but says nothing."""
    nb.metadata = {key: value for key, value in nb.metadata.items() if key == "workbench"}
    nb.metadata["kernelspec"] = dict(KERNELSPEC)
    nb.metadata["language_info"] = {"name": "python"}
    count = 0
    for number, cell in enumerate(nb.cells):
        cell.id = f"cell-{number:02d}"
        for key in _NOISE:
            cell.metadata.pop(key, None)
        if cell.cell_type != "code":
            continue
        count += bool(cell.source.strip())
        cell.execution_count = count if cell.source.strip() else None
        if UNCOMPARED_TAG in cell.metadata.get("tags", []):
            cell.outputs = []
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count
