"""Secrets are cut out in every form in which they are written."""

from __future__ import annotations

import html
import json
from pathlib import Path
from urllib.parse import quote

import pytest

from workbench.reporting.secrets import REMOVED, Scrubber

SECRET = 'p&ss"wörd/1<2'


@pytest.mark.parametrize("written", [SECRET, json.dumps(SECRET)[1:-1], html.escape(SECRET), quote(SECRET, safe="")])
def test_every_written_form_is_cut_out(written: str) -> None:
    scrubber = Scrubber([SECRET])
    assert scrubber.text(f"before {written} after") == f"before {REMOVED} after"
    assert scrubber.found


def test_innocent_text_is_left_alone() -> None:
    scrubber = Scrubber([SECRET])
    assert scrubber.tree({"a": ["b", 1, None]}) == {"a": ["b", 1, None]}
    assert not scrubber.found


def test_trees_are_scrubbed_in_keys_and_values() -> None:
    assert Scrubber(["topsecret"]).tree({"topsecret": ["x topsecret"]}) == {REMOVED: [f"x {REMOVED}"]}


def test_a_uri_without_a_password_and_very_short_values_are_no_secrets() -> None:
    scrubber = Scrubber(["mongodb://localhost:27017", "abc", ""])
    assert scrubber.text("mongodb://localhost:27017 abc") == "mongodb://localhost:27017 abc"


def test_files_are_scrubbed_in_place(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    leak, other = tmp_path / "data" / "x.csv", tmp_path / "y.csv"
    leak.write_text("a,topsecret\n")
    other.write_text("a,b\n")
    scrubber = Scrubber(["topsecret"])
    scrubber.folder(tmp_path)
    assert scrubber.found
    assert (leak.read_text(), other.read_text()) == (f"a,{REMOVED}\n", "a,b\n")
