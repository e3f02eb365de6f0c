"""Progress speaks in the mode that was asked for, and its summary is right."""

from __future__ import annotations

import pytest

from workbench import progress as module
from workbench.errors import ConfigurationError
from workbench.progress import progress, progress_mode, summary


def test_summary_names_amount_time_and_rate() -> None:
    assert summary(12_400, 3.2, "rows") == "12,400 rows in 3.2 s, 3,875 rows/s"


def test_summary_of_nothing_has_no_rate() -> None:
    assert summary(0, 0.0, "rows") == "0 rows in 0.0 s"


def test_lines_mode_ends_with_one_summary_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORKBENCH_PROGRESS", "lines")
    with progress(10, "detectors") as shown:
        shown.update(4)
        shown.update(6)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("detectors: 10 rows in ")
    assert captured.err.count("\n") == 1


def test_lines_mode_says_the_share_that_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORKBENCH_PROGRESS", "lines")
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LINES", 0.0)
    shown = progress(200, "scores", "documents")
    shown.update(50)
    assert "scores: 50 of 200 (25%) documents, " in capsys.readouterr().err


def test_an_error_ends_it_as_stopped(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("WORKBENCH_PROGRESS", "lines")
    with pytest.raises(ZeroDivisionError), progress(None, "scores") as shown:
        shown.update(3 // 0)
    assert "scores: stopped after 0 rows in " in capsys.readouterr().err


def test_silent_mode_says_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("WORKBENCH_PROGRESS", "silent")
    with progress(1, "scores") as shown:
        shown.update()
    assert capsys.readouterr() == ("", "")


def test_bar_mode_draws_on_stderr_and_leaves_the_summary(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORKBENCH_PROGRESS", "bar")
    with progress(2, "scores") as shown:
        shown.update(2)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1].endswith("rows/s")


def test_without_a_terminal_the_mode_is_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORKBENCH_PROGRESS", raising=False)
    assert progress_mode() == "lines"


def test_an_unknown_mode_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_PROGRESS", "loud")
    with pytest.raises(ConfigurationError, match="bar, lines, silent"):
        progress_mode()
