"""Tables escape what comes from data, say where they are cut, and head their columns and rows."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pandas as pd
import pytest

from workbench.reporting.tables import cell_text, table_html, write_csv

EVIL = "<script>alert(1)</script>"


def test_data_column_names_and_caption_are_escaped() -> None:
    html = table_html(pd.DataFrame({EVIL: [EVIL]}), EVIL)
    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 3


def test_headers_have_scope_and_numbers_their_class() -> None:
    html = table_html(pd.DataFrame({"table": ["a"], "rows": [1234]}), "Rows")
    assert '<th scope="col">table</th><th scope="col" class="wb-number">rows</th>' in html
    assert '<th scope="row">a</th><td class="wb-number">1,234</td>' in html


def test_the_row_cap_is_stated() -> None:
    html = table_html(pd.DataFrame({"n": range(3000)}), "Numbers", max_rows=10)
    assert "Numbers (first 10 of 3,000 rows)" in html
    assert html.count("<tr>") == 11


def test_an_empty_table_says_so() -> None:
    assert "no rows" in table_html(pd.DataFrame({"a": []}), "Nothing")


def test_columns_of_one_name_are_all_shown() -> None:
    assert table_html(pd.DataFrame([[1, 2]], columns=["a", "a"]), "Twice").count('scope="col"') == 2


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (pd.NaT, "–"),
        (True, "yes"),
        (1234567, "1,234,567"),
        (0.12345, "0.123"),
        (dt.datetime(2026, 1, 2, 3, 4, 5, 600, tzinfo=dt.UTC), "2026-01-02 03:04:05.000600+00:00"),
        ("x" * 400, "x" * 299 + "…"),
    ],
)
def test_cells_read_well(value: object, text: str) -> None:
    assert cell_text(value) == text


def test_csv_does_not_start_formulas(tmp_path: Path) -> None:
    write_csv(pd.DataFrame({"a": ["=1+1", "fine", "-x"], "n": [-1, 2, 3]}), tmp_path / "data" / "x.csv")
    assert (tmp_path / "data" / "x.csv").read_text().splitlines() == ["a,n", "'=1+1,-1", "fine,2", "'-x,3"]
