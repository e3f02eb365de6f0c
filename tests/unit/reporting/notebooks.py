"""Tiny notebooks for tests."""

from __future__ import annotations

from pathlib import Path

import nbformat

KERNELSPEC = {"name": "python3", "display_name": "Python 3", "language": "python"}


def write_notebook(folder: Path, name: str, *cells: str, parameters: str | None = None) -> Path:
    """A notebook of markdown cells (texts that start with #) and code cells; `parameters` makes the tagged cell."""
    made = [nbformat.v4.new_markdown_cell(c) if c.startswith("#") else nbformat.v4.new_code_cell(c) for c in cells]
    if parameters is not None:
        made.insert(1, nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}))
    path = folder / f"{name}.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": KERNELSPEC}), path)
    return path
