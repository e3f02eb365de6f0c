"""What a notebook says reaches people escaped and accessible, and the runner as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workbench.reporting import notebook
from workbench.reporting.figures import bar_by_table
from workbench.reporting.notebook import record_versions, show_figure, show_table, verdict

FRAME = pd.DataFrame({"table": ["a", "b"], "rows": [1, 2]})


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, str], dict[str, Any]]]:
    """What is displayed, in order: mime bundle and metadata."""
    calls: list[tuple[dict[str, str], dict[str, Any]]] = []

    def keep(bundle: dict[str, str], *, raw: bool, metadata: dict[str, Any] | None = None) -> None:
        assert raw
        calls.append((bundle, metadata or {}))

    monkeypatch.setattr(notebook, "display", keep)
    return calls


@pytest.fixture
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "02_migrate"
    folder.mkdir()
    monkeypatch.setenv("WORKBENCH_RUN_DIR", str(folder))
    return folder


def test_a_verdict_is_a_banner_with_word_shape_and_colour() -> None:
    bundle, metadata = verdict("wanting", "<b>3 rows</b> differ", numbers={"rows": 3})._repr_mimebundle_()
    assert bundle["text/plain"] == "WANTING: <b>3 rows</b> differ"
    for part in ("WANTING", "▲", "#E69F00", "&lt;b&gt;3 rows"):
        assert part in bundle["text/html"]
    assert metadata == {"workbench": {"role": "verdict"}}


def test_a_verdict_is_written_for_the_runner(run_dir: Path) -> None:
    shares, day = [np.nan, *[0.5] * 29], pd.Timestamp("2026-01-01")
    failures = pd.DataFrame({"key": range(30), "share": shares, "at": [day] * 30})
    verdict(
        "wanting", "30 differ", number=np.int64(30), unit="rows", numbers={"share": np.float64(0.5)}, failures=failures
    )
    stored = json.loads((run_dir / "verdict.json").read_text())
    assert (stored["status"], stored["number"], stored["numbers"]) == ("wanting", 30, {"share": 0.5})
    assert (stored["failure_rows"], len(stored["failures"])) == (30, 20)
    assert stored["failures"][:2] == [
        {"key": 0, "share": "–", "at": "2026-01-01 00:00:00"},
        {"key": 1, "share": 0.5, "at": "2026-01-01 00:00:00"},
    ]
    assert len((run_dir / "data" / "failures.csv").read_text().splitlines()) == 31


def test_nothing_is_written_without_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORKBENCH_RUN_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    verdict("good", "fine", failures=FRAME)
    record_versions(mongodb="8.0")
    assert list(tmp_path.iterdir()) == []


def test_another_status_is_refused() -> None:
    with pytest.raises(ValueError, match="'good' or 'wanting'"):
        verdict("bad", "no")  # type: ignore[arg-type]


def test_versions_add_up(run_dir: Path) -> None:
    record_versions(postgresql="18.1")
    record_versions(mongodb="8.0")
    assert json.loads((run_dir / "versions.json").read_text()) == {"postgresql": "18.1", "mongodb": "8.0"}


def test_a_figure_has_alt_text_and_its_data_beneath(shown: list[tuple[dict[str, str], dict[str, Any]]]) -> None:
    fig = bar_by_table(FRAME, value="rows", title="T", xlabel="rows")
    show_figure(fig, "b has <most> rows", FRAME, "Rows")
    (picture, metadata), (beneath, _) = shown
    assert picture["image/png"].startswith("iVBOR")
    assert metadata == {"image/png": {"alt": "b has <most> rows"}}
    assert "<details><summary>Data</summary>" in beneath["text/html"]
    assert '<th scope="col">table</th>' in beneath["text/html"]
    assert fig.axes == []


def test_a_figure_without_alt_text_is_refused() -> None:
    with pytest.raises(ValueError, match="alternative text"):
        show_figure(bar_by_table(FRAME, value="rows", title="T", xlabel="x"), " ", FRAME)


def test_under_the_runner_data_is_written_and_linked_from_the_report(
    run_dir: Path, shown: list[tuple[dict[str, str], dict[str, Any]]]
) -> None:
    show_figure(bar_by_table(FRAME, value="rows", title="T", xlabel="x"), "alt", FRAME, "Rows by table")
    show_table(FRAME, "Rows by table")
    assert sorted(f.name for f in (run_dir / "data").iterdir()) == ["01-rows-by-table.csv", "02-rows-by-table.csv"]
    assert 'href="02_migrate/data/02-rows-by-table.csv"' in shown[-1][0]["text/html"]
    assert (run_dir / "data" / "01-rows-by-table.csv").read_text() == "table,rows\na,1\nb,2\n"


def test_a_table_names_itself_in_plain_text_for_comparisons(shown: list[tuple[dict[str, str], dict[str, Any]]]) -> None:
    show_table(FRAME, "Rows")
    assert shown[0][0]["text/plain"] == "[Table: Rows]"
