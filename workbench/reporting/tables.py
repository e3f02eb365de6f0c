"""DataFrames as accessible HTML tables and as CSV. Everything that comes from data is escaped."""

from __future__ import annotations

import datetime as dt
import numbers
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.reporting.figures import number_text

MAX_CELL_CHARACTERS = 300
NUMBER_CLASS = ' class="wb-number"'
_UNSEEN = "position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap"
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def table_html(frame: pd.DataFrame, caption: str, *, max_rows: int = 50, headed: bool = False) -> str:
    """`frame` as an HTML table with a caption, headers with scope, and the row cap stated where it cuts.

    Args:
        frame: Its first column heads each row. The index is not shown.
        caption: What the table shows, plain text.
        max_rows: Rows that are shown; the caption names the number that is there.
        headed: A heading above says the caption already: only screen readers get it, and the row cap is seen.
    """
    cut = f"first {max_rows:,} of {len(frame):,} rows" if len(frame) > max_rows else ""
    name = f'<span style="{_UNSEEN}">{escape(caption)}</span>' if headed else escape(caption)
    if cut:
        name += f" {cut}" if headed else f" ({cut})"
    heads = "".join(_head(frame.iloc[:, i]) for i in range(len(frame.columns)))
    body = "".join(
        f"<tr>{''.join(_cell(value, first=i == 0) for i, value in enumerate(row))}</tr>"
        for row in frame.head(max_rows).itertuples(index=False, name=None)
    )
    if frame.empty:
        body = f'<tr><td colspan="{max(1, len(frame.columns))}">no rows</td></tr>'
    return (
        f'<div class="wb-scroll"><table class="wb-table"><caption>{name}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write `frame` as UTF-8 CSV. Text that a spreadsheet would run as a formula gets an apostrophe."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(csv_text(frame), encoding="utf-8")


def csv_text(frame: pd.DataFrame) -> str:
    """`frame` as CSV. Text that a spreadsheet would run as a formula gets an apostrophe."""
    return str(frame.map(_no_formula).to_csv(index=False))


def cell_text(value: object) -> str:
    """A value as text for people: numbers with separators, ISO dates, an en dash for nothing, capped."""
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and pd.isna(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, numbers.Real):
        return number_text(float(value)) if not isinstance(value, numbers.Integral) else f"{int(value):,}"
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ", timespec="auto")
    text = str(value)
    return text if len(text) <= MAX_CELL_CHARACTERS else text[: MAX_CELL_CHARACTERS - 1] + "…"


def _head(column: pd.Series[Any]) -> str:
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    return f'<th scope="col"{NUMBER_CLASS if numeric else ""}>{_breakable(str(column.name))}</th>'


def _cell(value: object, *, first: bool) -> str:
    text = _breakable(cell_text(value))
    if first:
        return f'<th scope="row">{text}</th>'
    numeric = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return f"<td{NUMBER_CLASS if numeric else ''}>{text}</td>"


def _breakable(text: str) -> str:
    """Escaped text that a table which is too wide for its page may break within names and keys as well."""
    return escape(text).replace("_", "_<wbr>").replace("/", "/<wbr>")


def _no_formula(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value
