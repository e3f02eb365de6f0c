"""Options of `workbench verify` that exclude one another are refused, not ignored; Ctrl-C says how to go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from workbench import verification
from workbench.cli.main import app


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--self-test", "--tables", "detectors"], "--self-test does not go with --tables"),
        (["--waive", "parity", "--self-test"], "--waive does not go with --self-test"),
        (["--since-run", "last", "--resume"], "--since-run goes neither with"),
        (["--since-run", "last", "--sample", "5"], "--since-run goes neither with"),
        (["--who", "me"], "--who and --reason sign a waiver"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(arguments: list[str], named: str) -> None:
    done = CliRunner().invoke(app, ["verify", *arguments])
    assert done.exit_code == 2
    assert named in done.output


def test_ctrl_c_names_the_command_that_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(verification, "verify", stopped)
    done = CliRunner().invoke(app, ["verify"])
    assert done.exit_code == 3
    assert "workbench verify --resume" in done.output
