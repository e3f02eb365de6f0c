"""Files of completed investigations: safe names, whole contents, a registry that processes share."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.services.workspace import Workspace, folder_name, json_bytes


@given(st.text(min_size=1, max_size=255), st.text(min_size=1, max_size=255))
def test_any_id_has_a_safe_folder_of_its_own(one: str, other: str) -> None:
    name = folder_name(one)
    assert Path(name).name == name
    assert name not in ("", ".", "..")
    assert len(name.encode()) <= 80
    assert (folder_name(one) == folder_name(other)) == (one == other)


@pytest.mark.parametrize("hostile", ["../../etc/passwd", "..", "/root", "a\x00b", "con", "\ud800", "x" * 255])
def test_a_hostile_id_stays_inside_the_workspace(tmp_path: Path, hostile: str) -> None:
    workspace = Workspace(tmp_path, "../t", hostile)
    workspace.write("manifest.json", b"{}")
    assert workspace.folder.resolve().parent.parent == tmp_path.resolve()


def test_the_registry_keeps_every_entry_of_concurrent_writers(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: Workspace(tmp_path, "acme", f"case-{number}").register({"version": 1}), range(40)))
    registry = json.loads((tmp_path / folder_name("acme") / "registry.json").read_text())
    assert sorted(registry) == sorted(f"case-{number}" for number in range(40))
    assert Workspace(tmp_path, "acme", "case-1").register({"version": 2}) == 40


def test_a_package_of_the_same_files_has_the_same_bytes(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, "acme", "case")
    workspace.write("b.json", b"2")
    workspace.write("a.json", b"1")
    assert workspace.pack("package.zip", ["b.json", "a.json", "missing.json"]) > 0
    first = (workspace.folder / "package.zip").read_bytes()
    workspace.pack("package.zip", ["a.json", "b.json"])
    assert (workspace.folder / "package.zip").read_bytes() == first
    assert [fact["name"] for fact in workspace.facts(["a.json", "missing.json"])] == ["a.json"]


def test_json_is_sorted_and_readable() -> None:
    assert json_bytes({"b": "ü", "a": 1}, indent=None) == '{"a": 1, "b": "ü"}\n'.encode()
