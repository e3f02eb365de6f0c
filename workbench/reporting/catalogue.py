"""The notebooks that there are, described by themselves: first cell, parameters, and their `workbench` metadata.

A notebook says in its metadata what it may change and how long it takes:

    "workbench": {"access": "read-only", "duration": "5 s", "validated": true}

`access` is `read-only` or `writes`; `validated` notebooks keep their outputs, which nbval compares.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from workbench.errors import ConfigurationError
from workbench.reporting import RUN_DIR_VARIABLE
from workbench.reporting.parameters import Parameter, describe, read_cells

ACCESS = ("read-only", "writes")


@dataclass(frozen=True)
class NotebookFacts:
    """What a notebook says about itself."""

    path: Path
    title: str
    purpose: str
    access: str
    duration: str
    validated: bool
    parameters: tuple[Parameter, ...]

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem


def notebooks_dir() -> Path:
    """The folder of the notebooks: `notebooks` here, else this folder if it holds them, else beside the package."""
    beside = Path(__file__).parents[2] / "notebooks"
    here = Path.cwd()
    for folder in (here / "notebooks", here):
        if any(folder.glob("[0-9][0-9]_*.ipynb")):
            return folder
    return beside


def find_notebook(name: str, folder: Path | None = None) -> Path:
    """The notebook of that name (`02_migrate`, or `migrate`), or the file of that path.

    Raises:
        ConfigurationError: There is none; the nearest name is named.
    """
    given = Path(name)
    if given.suffix == ".ipynb" and given.is_file():
        return given
    known = {path.stem: path for path in sorted((folder or notebooks_dir()).glob("*.ipynb"))}
    short = {re.sub(r"^\d+_", "", stem): path for stem, path in known.items()}
    wanted = given.stem if given.suffix == ".ipynb" else name
    if wanted in known or wanted in short:
        return known.get(wanted) or short[wanted]
    near = difflib.get_close_matches(wanted, [*known, *short], n=1)
    hint = f"Did you mean {near[0]!r}?" if near else ""
    raise ConfigurationError(f"There is no notebook {name!r}.", todo=f"{hint} There are: {', '.join(known)}.".strip())


def notebook_facts(path: Path) -> NotebookFacts:
    """What the notebook at `path` says about itself; what it leaves out is an empty text."""
    first = next((_source(cell) for cell in read_cells(path) if cell["cell_type"] == "markdown"), "")
    title, _, rest = first.partition("\n")
    metadata: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["metadata"].get("workbench", {})
    return NotebookFacts(
        path=path,
        title=title.lstrip("# ").strip(),
        purpose=" ".join(rest.strip().partition("\n\n")[0].split()),
        access=str(metadata.get("access", "")),
        duration=str(metadata.get("duration", "")),
        validated=bool(metadata.get("validated", False)),
        parameters=tuple(describe(path)),
    )


def catalogue(folder: Path | None = None) -> list[NotebookFacts]:
    """What each notebook of a folder says about itself, in the order of their names."""
    return [notebook_facts(path) for path in sorted((folder or notebooks_dir()).glob("*.ipynb"))]


def catalogue_html(folder: Path | None = None) -> str:
    """The catalogue as an HTML table: question and purpose, inputs, access, duration.

    In JupyterLab the names open the notebooks; a report stands elsewhere and has no links.
    """
    linked = not os.environ.get(RUN_DIR_VARIABLE)
    heads = "".join(f'<th scope="col">{head}</th>' for head in ("notebook", "question", "inputs", "access", "duration"))
    rows = "".join(
        f'<tr><th scope="row">{_link(f) if linked else escape(f.name)}</th>'
        f"<td><strong>{escape(f.title)}</strong><br>{escape(f.purpose)}</td>"
        f"<td>{escape(', '.join(p.name for p in f.parameters)) or '–'}</td>"
        f"<td>{escape(f.access) or 'not stated'}</td><td>{escape(f.duration) or 'not stated'}</td></tr>"
        for f in catalogue(folder)
    )
    return f'<table class="wb-table"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'


def _link(facts: NotebookFacts) -> str:
    return f'<a href="{escape(facts.path.name)}">{escape(facts.name)}</a>'


def _source(cell: dict[str, Any]) -> str:
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)
