"""One view as data: a table, how it is drawn, what it means, and the queries behind it."""

from __future__ import annotations

import base64
import contextlib
import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

import pandas as pd
from matplotlib.figure import Figure

from workbench.explorer.question import Question
from workbench.reporting.tables import csv_text, table_html

SHOWN_ROWS = 50


@dataclass(frozen=True)
class Part:
    """One view.

    Attributes:
        title: a heading, plain text.
        frame: the data behind it, one row a line; its first column heads each row.
        questions: what was asked of the target.
        note: a sentence on how to read it, or why there is nothing.
        draw: makes its figure from `frame`, where it has one; the figure is never kept.
        alt: what the figure says.
    """

    title: str
    frame: pd.DataFrame
    questions: Sequence[Question] = ()
    note: str = ""
    draw: Callable[[pd.DataFrame], Figure] | None = None
    alt: str = ""

    def __post_init__(self) -> None:
        if self.draw and not self.alt:
            raise ValueError(f"The figure of {self.title!r} needs an alternative text.")

    @property
    def mongosh(self) -> str:
        """The queries behind it, to paste into mongosh."""
        return "\n".join(question.mongosh() for question in self.questions)

    @property
    def csv(self) -> str:
        """All rows as CSV that a spreadsheet cannot run."""
        return csv_text(self.frame)

    def figure(self) -> Figure | None:
        """Its figure, drawn anew, or None where there is nothing to draw."""
        return self.draw(self.frame) if self.draw and len(self.frame) else None


def part_html(part: Part, *, heading: bool = True, max_rows: int = SHOWN_ROWS) -> str:
    """A part as HTML for a widget: note, figure, table, "data (CSV)" and "query (copy)". All data is escaped."""
    pieces = [f"<h3>{escape(part.title)}</h3>"] if heading else []
    if part.note:
        pieces.append(f"<p>{escape(part.note)}</p>")
    figure = part.figure()
    if figure is not None:
        pieces.append(_image(figure, part.alt))
    pieces.append(table_html(for_people(part.frame), part.title, max_rows=max_rows, headed=heading))
    return f'<section class="wb-part">{"".join(pieces)}{exports_html(part)}</section>'


def for_people(frame: pd.DataFrame) -> pd.DataFrame:
    """`frame` with its times to the second, as text; their zone stands in the column's name."""
    return frame.map(lambda v: f"{v:%Y-%m-%d %H:%M:%S}" if isinstance(v, datetime) and not pd.isna(v) else v)


def queries_html(part: Part) -> str:
    """The queries of a part, folded."""
    if not part.questions:
        return ""
    rows = min(10, part.mongosh.count("\n") + 2)
    return (
        "<details><summary>query (copy)</summary>"
        f'<textarea readonly rows="{rows}" style="width: 100%; font-family: monospace" '
        f'aria-label="mongosh query of {escape(part.title)}">{escape(part.mongosh)}</textarea></details>'
    )


def exports_html(part: Part) -> str:
    """All rows of a part as a link, "data (CSV)", and its queries, folded."""
    data = base64.b64encode(part.csv.encode()).decode("ascii")
    name = "-".join("".join(c if c.isalnum() else " " for c in part.title.lower()).split())
    link = f'<a download="{escape(name)}.csv" href="data:text/csv;charset=utf-8;base64,{data}">data (CSV)</a>'
    return f"<p>{link}</p>{queries_html(part)}"


@contextlib.contextmanager
def missing_glyphs_allowed() -> Iterator[None]:
    """Names in scripts that the font lacks become boxes in a figure; the table beneath it has them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield


def _image(figure: Figure, alt: str) -> str:
    png = io.BytesIO()
    with missing_glyphs_allowed():
        figure.savefig(png, format="png")
    data = base64.b64encode(png.getvalue()).decode("ascii")
    return f'<img alt="{escape(alt)}" style="max-width: 100%" src="data:image/png;base64,{data}">'
