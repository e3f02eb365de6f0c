"""A part as HTML: everything from data is escaped, and it carries its data and its query."""

from __future__ import annotations

import base64
import io
import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import pandas as pd
import pytest

from workbench.explorer.part import Part, part_html, queries_html
from workbench.explorer.question import Question
from workbench.models import COLLECTIONS
from workbench.reporting import figures

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


class Tags(HTMLParser):
    """The tags of a page, and whether any has an event handler."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.handlers: list[str] = []
        self.alts: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        if tag == "img":
            self.alts.append(dict(attrs).get("alt"))


def tags(html: str) -> Tags:
    found = Tags()
    found.feed(html)
    return found


def evil_part() -> Part:
    frame = pd.DataFrame({EVIL: [EVIL], "n": [1.0]})
    question = Question(COLLECTIONS["investigations"], ("acme",), {"user_id": EVIL})
    return Part(
        EVIL,
        frame,
        (question,),
        note=EVIL,
        draw=lambda data: figures.bar_by_table(data, value="n", label=EVIL, title="t", xlabel="x"),
        alt=EVIL,
    )


def test_nothing_from_data_becomes_markup() -> None:
    found = tags(part_html(evil_part()))
    assert "script" not in found.names
    assert found.handlers == []
    assert found.names.count("img") == 1
    assert found.alts == [EVIL]


def test_the_link_carries_all_rows_and_no_formula() -> None:
    part = Part("Data", pd.DataFrame({"a": ["=1+1", "é"] * 60}))
    (data,) = re.findall(r'href="data:text/csv;charset=utf-8;base64,([^"]+)"', part_html(part))
    frame = pd.read_csv(io.StringIO(base64.b64decode(data).decode()))
    assert len(frame) == 120
    assert frame["a"][0] == "'=1+1"
    assert 'download="data.csv"' in part_html(part)


def test_the_query_can_be_copied() -> None:
    html = queries_html(evil_part())
    assert "query (copy)" in html
    assert "<textarea readonly" in html
    assert queries_html(Part("No query", pd.DataFrame())) == ""


def test_times_are_shown_to_the_second_and_kept_exactly() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
    part = Part("Times", pd.DataFrame({"time (UTC)": [moment, pd.NaT]}))
    assert "2026-01-02 03:04:05<" in part_html(part)
    assert "03:04:05.678" in part.csv


def test_a_figure_needs_an_alternative_text_and_something_to_draw() -> None:
    with pytest.raises(ValueError, match="alternative text"):
        Part("Figure", pd.DataFrame(), draw=lambda frame: figures.figure("t")[0])
    empty = Part("Figure", pd.DataFrame(), draw=lambda frame: figures.figure("t")[0], alt="nothing")
    assert empty.figure() is None


def test_letters_that_the_font_lacks_are_no_warning() -> None:
    frame = pd.DataFrame({"name": ["東京"], "n": [1]})
    part = Part(
        "Names", frame, draw=lambda d: figures.bar_by_table(d, value="n", label="name", title="t", xlabel="x"), alt="a"
    )
    assert tags(part_html(part)).alts == ["a"]
