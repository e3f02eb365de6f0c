"""Waivers: signed lines, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.errors import ConfigurationError
from workbench.verification.waivers import add_waiver, read_waivers


def test_a_signed_waiver_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "waivers.txt"
    assert read_waivers(path) == []
    signed = add_waiver("performance", "R. Chen", "measured next week", "missed | its\ntarget", path)
    assert signed.finding == "missed / its target"
    path.write_text(f"# reviewed monthly\n\n{path.read_text()}")
    assert read_waivers(path) == [signed]


@pytest.mark.parametrize("edit", [("R. Chen", "Someone"), ("performance", "ledger"), (" | ", " "), ("3 m", "4 m")])
def test_an_altered_line_is_refused(tmp_path: Path, edit: tuple[str, str]) -> None:
    path = tmp_path / "waivers.txt"
    add_waiver("performance", "R. Chen", "measured next week", "3 mismatches", path)
    path.write_text(path.read_text().replace(*edit))
    with pytest.raises(ConfigurationError, match="line 1: not a waiver, or altered"):
        read_waivers(path)


@pytest.mark.parametrize(("who", "reason"), [("", "why"), ("me", "  "), ("a|b", "why"), ("me", "two\nlines")])
def test_a_waiver_needs_a_name_and_a_reason(tmp_path: Path, who: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match="A waiver needs"):
        add_waiver("performance", who, reason, "finding", tmp_path / "waivers.txt")
    assert not (tmp_path / "waivers.txt").exists()
