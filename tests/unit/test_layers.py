"""Imports go one way, so that the migration can be deleted once the move is over, and models know no driver."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import workbench

PACKAGE = Path(workbench.__file__).parent
LAYERS = (
    ("errors", "settings", "faults", "progress", "ahead"),
    ("models",),
    ("embedded", "connections"),
    ("schema", "repositories", "sample"),
    ("services", "migration", "verification", "benchmark", "similarity"),
    ("explorer", "reporting"),
    ("cli",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
DRIVERS = {"pymongo", "psycopg", "gridfs"}
LIMIT = 400


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "workbench":
                yield from (f"workbench.{alias.name}" for alias in node.names)
            else:
                yield node.module


def area(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_nothing_from_above(path: Path) -> None:
    own = LEVEL[area(path)]
    names = [name.split(".")[1] for name in imported(path) if name.startswith("workbench.")]
    above = sorted({name for name in names if name in LEVEL and LEVEL[name] > own})
    assert not above, f"{area(path)} must not import {above}"


def test_models_import_no_driver() -> None:
    found = {name.split(".")[0] for path in (PACKAGE / "models").rglob("*.py") for name in imported(path)}
    assert not found & DRIVERS


def test_nothing_but_command_line_notebooks_and_proofs_needs_the_migration() -> None:
    """`migration/` is for the move only: what serves afterwards must not need it."""
    users = {area(path) for path in modules() if any(n.startswith("workbench.migration") for n in imported(path))}
    assert users <= {"migration", "verification", "benchmark", "cli"}


def test_the_gpl_server_is_never_imported() -> None:
    assert not [path for path in modules() if any(name.split(".")[0] == "secantus" for name in imported(path))]


def test_no_module_is_longer_than_a_reader_can_hold() -> None:
    long = {str(path.relative_to(PACKAGE)): len(path.read_text().splitlines()) for path in modules()}
    assert not {name: lines for name, lines in long.items() if lines > LIMIT}
