"""Every stored notebook keeps the shape that people, papermill, nbval and screen readers rely on."""

from __future__ import annotations

import ast
import itertools
import re
from pathlib import Path

import nbformat
import pytest

from workbench.reporting.catalogue import ACCESS, notebook_facts
from workbench.reporting.refresh import KERNELSPEC

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
TAGS = {"parameters", "remove-input", "nbval-ignore-output", "nbval-check-output", "nbval-skip"}
MAX_BYTES = 400_000
MAX_LINES = 12
SECRET = re.compile(r"[a-z+]+://[^/\s@\"']+:[^/\s@\"']+@|password\s*=\s*[\"']|BEGIN [A-Z ]*PRIVATE KEY", re.IGNORECASE)
ABSOLUTE_PATH = re.compile(r"(?<![\w.:/<-])/(?:home|root|tmp|work|Users|opt|var|usr)/|[A-Z]:\\\\Users")

pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def headings(nb: nbformat.NotebookNode) -> list[tuple[int, str]]:
    """Level and text of all headings in order; code fences in markdown are left out."""
    text = "\n\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [(len(level), words) for level, words in re.findall(r"^(#{1,6})\s+(.+)$", text, re.MULTILINE)]


def code_cells(nb: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def tags(cell: nbformat.NotebookNode) -> list[str]:
    return list(cell.metadata.get("tags", []))


def test_it_is_a_valid_notebook_of_a_modest_size(path: Path) -> None:
    nbformat.validate(read(path))
    assert path.stat().st_size < MAX_BYTES


def test_the_kernel_is_the_plain_one(path: Path) -> None:
    assert dict(read(path).metadata.kernelspec) == KERNELSPEC


def test_the_first_cell_is_the_one_h1_and_says_what_the_notebook_is_for(path: Path) -> None:
    nb = read(path)
    assert nb.cells[0].cell_type == "markdown"
    assert nb.cells[0].source.startswith("# ")
    assert [level for level, _ in headings(nb)].count(1) == 1
    assert notebook_facts(path).purpose


def test_headings_do_not_skip_a_level(path: Path) -> None:
    levels = [level for level, _ in headings(read(path))]
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_it_says_what_it_may_change_and_how_long_it_takes(path: Path) -> None:
    facts = notebook_facts(path)
    assert facts.access in ACCESS, f'metadata "workbench": {{"access": one of {ACCESS}, "duration": "5 s"}} is missing'
    assert re.fullmatch(r"\d+ (s|min)( .*)?", facts.duration)


def test_parameters_are_in_one_cell_and_each_has_help(path: Path) -> None:
    cells = [cell for cell in code_cells(read(path)) if "parameters" in tags(cell)]
    assert len(cells) <= 1
    parameters = notebook_facts(path).parameters  # raises on what is not `name: type = default`
    assert bool(parameters) == bool(cells)
    assert [p.name for p in parameters if not p.help] == []
    assert [p.name for p in parameters if p.default != p.check(p.default)] == []


def test_only_known_tags(path: Path) -> None:
    assert {tag for cell in read(path).cells for tag in tags(cell)} <= TAGS


def test_code_cells_are_thin(path: Path) -> None:
    for cell in code_cells(read(path)):
        if "parameters" in tags(cell):
            continue
        work = re.sub(r"^(import|from) .*", "", cell.source, flags=re.MULTILINE)
        lines = [line for line in work.splitlines() if line.strip()]
        assert len(lines) <= MAX_LINES, cell.source
        defined = [n for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.FunctionDef | ast.ClassDef)]
        assert not defined, cell.source


def test_it_ends_with_a_verdict(path: Path) -> None:
    assert "verdict(" in code_cells(read(path))[-1].source


def test_nothing_of_this_machine_and_no_secret_is_stored(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not ABSOLUTE_PATH.search(text)
    assert not SECRET.search(text)


def test_outputs_are_stored_only_where_they_are_compared(path: Path) -> None:
    validated = notebook_facts(path).validated
    for cell in code_cells(read(path)):
        if not validated or "nbval-ignore-output" in tags(cell):
            assert not cell.outputs, cell.source


def test_stored_pictures_have_alternative_texts(path: Path) -> None:
    for cell in code_cells(read(path)):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                assert output.metadata["image/png"]["alt"].strip()
