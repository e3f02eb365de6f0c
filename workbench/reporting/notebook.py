"""What a notebook calls to be read by people and by the runner: the verdict, figures and tables.

Under the runner the folder of the notebook's artefacts is in the variable WORKBENCH_RUN_DIR: the verdict is
written to `verdict.json` there, and the data behind each figure and table to `data/`. Without the variable (in
JupyterLab, in nbval) nothing is written.
"""

from __future__ import annotations

import base64
import io
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from IPython.display import display
from matplotlib.figure import Figure

from workbench.reporting import RUN_DIR_VARIABLE
from workbench.reporting.states import look_of
from workbench.reporting.tables import cell_text, table_html, write_csv

VERDICT_FILE = "verdict.json"
VERSIONS_FILE = "versions.json"
DATA_FOLDER = "data"
_LONG, _LONG_CHARACTERS = ' class="wb-long"', 12
MAX_FAILURES = 20  # samples in the banner; the CSV holds all


@dataclass(frozen=True)
class Verdict:
    """What a notebook found. As the last value of a cell it shows itself as a banner."""

    status: Literal["good", "wanting"]
    headline: str
    number: float | int | None = None
    unit: str = ""
    numbers: Mapping[str, float | int | str] = field(default_factory=dict)
    failures: pd.DataFrame | None = field(default=None, repr=False, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """The verdict as JSON types, without the rows of failures beyond the samples."""
        failures = pd.DataFrame() if self.failures is None else self.failures
        return {
            "status": self.status,
            "headline": self.headline,
            "number": self.number,
            "unit": self.unit,
            "numbers": dict(self.numbers),
            "failure_rows": len(failures),
            "failures": failures.head(MAX_FAILURES).map(_number_or_text).to_dict("records"),
        }

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, str], dict[str, Any]]:
        text = f"{self.status.upper()}: {self.headline}"
        parts = [banner_html(self.status, self.headline)]
        if self.numbers:
            parts.append(numbers_html(self.numbers))
        if self.failures is not None and len(self.failures):
            parts.append(table_html(self.failures, "What was found wanting", max_rows=MAX_FAILURES))
        return {"text/plain": text, "text/html": "".join(parts)}, {"workbench": {"role": "verdict"}}


def verdict(
    status: Literal["good", "wanting"],
    headline: str,
    *,
    number: float | int | None = None,
    unit: str = "",
    numbers: Mapping[str, float | int | str] | None = None,
    failures: pd.DataFrame | None = None,
) -> Verdict:
    """Say what the notebook found; the last statement of its last cell.

    Args:
        status: `good`, or `wanting` where the data or the setup is not as it must be. A notebook that cannot
            tell raises instead: that it broke is not a finding.
        headline: One sentence for the banner, plain text.
        number: The one number that matters, and its `unit` ("rows accounted for").
        unit: What `number` counts.
        numbers: Further key numbers, name -> value, shown in this order.
        failures: Rows that were found wanting; the banner shows samples, `data/failures.csv` holds all.

    Side effects: under the runner writes `verdict.json` and `data/failures.csv`.
    """
    if status not in ("good", "wanting"):
        raise ValueError(f"A verdict is 'good' or 'wanting', not {status!r}.")
    said = Verdict(status, headline, _plain(number), unit, {k: _plain(v) for k, v in (numbers or {}).items()}, failures)
    folder = _run_dir()
    if folder is not None:
        (folder / VERDICT_FILE).write_text(json.dumps(said.as_dict(), indent=2), encoding="utf-8")
        if failures is not None and len(failures):
            write_csv(failures, folder / DATA_FOLDER / "failures.csv")
    return said


def record_versions(**versions: str) -> None:
    """Name what the notebook worked with (`postgresql="18.1"`); under the runner it goes to `run.json`."""
    folder = _run_dir()
    if folder is not None:
        file = folder / VERSIONS_FILE
        known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        file.write_text(json.dumps({**known, **versions}), encoding="utf-8")


def show_figure(fig: Figure, alt: str, data: pd.DataFrame, caption: str = "") -> None:
    """Show a figure with its alternative text, and beneath it the data it was drawn from, folded.

    Args:
        fig: The figure; it is cleared afterwards.
        alt: What the figure says, one or two sentences for those who do not see it.
        data: What was drawn. Under the runner all of it is written as CSV; 200 rows are shown.
        caption: A line under the figure, plain text.
    """
    if not alt.strip():
        raise ValueError("A figure needs an alternative text: say what it shows.")
    png = io.BytesIO()
    fig.savefig(png, format="png")
    fig.clear()
    display(
        {"image/png": base64.b64encode(png.getvalue()).decode("ascii"), "text/plain": f"[Figure: {alt}]"},
        metadata={"image/png": {"alt": alt}},
        raw=True,
    )
    name = caption or alt
    under = f'<p class="wb-caption">{escape(caption)}</p>' if caption else ""
    table = table_html(data, "Data of the figure", max_rows=200)
    _show_html(f"{under}<details><summary>Data</summary>{table}{_csv_link(data, name)}</details>", f"[Data: {name}]")


def show_table(frame: pd.DataFrame, caption: str, max_rows: int = 50, *, headed: bool = False) -> None:
    """Show a DataFrame as an escaped, accessible HTML table; under the runner all rows are written as CSV.

    `headed` says that a heading just above tells the caption, which is then there for screen readers only.
    """
    _show_html(
        table_html(frame, caption, max_rows=max_rows, headed=headed) + _csv_link(frame, caption), f"[Table: {caption}]"
    )


def _show_html(html: str, text: str) -> None:
    display({"text/html": html, "text/plain": text}, raw=True)


def _run_dir() -> Path | None:
    folder = os.environ.get(RUN_DIR_VARIABLE)
    return Path(folder) if folder else None


def _csv_link(frame: pd.DataFrame, name: str) -> str:
    folder = _run_dir()
    if folder is None:
        return ""
    number = len(list((folder / DATA_FOLDER).glob("[0-9]*.csv"))) + 1
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].rstrip("-")
    file = folder / DATA_FOLDER / f"{number:02d}-{slug}.csv"
    write_csv(frame, file)
    # The report stands next to the folder of its notebook.
    link = escape(f"{folder.name}/{DATA_FOLDER}/{file.name}")
    return f'<p class="wb-caption"><a href="{link}">Data as CSV</a></p>'


def banner_html(state: str, headline: str) -> str:
    """A state and its sentence as a banner with word, shape and colour; `headline` is plain text."""
    look = look_of(state)
    # The inline border is for JupyterLab, which does not have the report's style sheet.
    return (
        f'<div class="wb-banner wb-{look.tone}" style="border-left: .5em solid {look.colour}; padding: .5em 1em">'
        f'<span class="wb-shape" aria-hidden="true">{look.symbol}</span> '
        f"<strong>{escape(look.word.upper())}</strong> {escape(headline)}</div>"
    )


def numbers_html(values: Mapping[str, float | int | str]) -> str:
    """Key numbers as a definition list, names above their values."""
    texts = {name: cell_text(value) for name, value in values.items()}
    cells = "".join(
        f"<div{_LONG if len(text) > _LONG_CHARACTERS else ''}><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>"
        for name, text in texts.items()
    )
    return f'<dl class="wb-numbers">{cells}</dl>'


def _number_or_text(value: Any) -> Any:
    """A cell as a JSON type: a finite number as it is, anything else as text for people."""
    number = _plain(value)
    return number if isinstance(number, (int, float)) and math.isfinite(number) else cell_text(value)


def _plain(value: Any) -> Any:
    """A numpy scalar as the Python number that JSON can hold."""
    return value.item() if hasattr(value, "item") else value
