"""Figures say one thing, carry direct labels, and survive empty and missing data."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from workbench.reporting import figures

BARS = pd.DataFrame({"table": ["scores", "audit"], "rows": [40_123, 12], "bad": [3, 0]})
SPANS = pd.DataFrame(
    {
        "table": ["a", "a", "b"],
        "start": pd.to_datetime(["2026-01-01 00:00:00", "2026-01-01 00:00:01", "2026-01-01 00:00:02"], utc=True),
        "end": pd.to_datetime(["2026-01-01 00:00:03", "2026-01-01 00:00:04", "2026-01-01 00:00:02"], utc=True),
        "state": ["done", "failed", "done"],
        "retries": [0, 2, 0],
    }
)
CHECKS = pd.DataFrame(
    [("a", "counts", "passed"), ("a", "fields", "failed"), ("b", "counts", "not_applicable")],
    columns=["table", "check", "status"],
)


def texts(fig: Figure) -> set[str]:
    """All the words that a reader of the figure sees."""
    fig.savefig(io.BytesIO(), format="png")
    found = {t.get_text() for ax in fig.axes for t in ax.texts}
    found |= {t.get_text() for ax in fig.axes for t in (*ax.get_xticklabels(), *ax.get_yticklabels())}
    return found | {t.get_text() for legend in fig.legends for t in legend.get_texts()}


def test_bars_are_labelled_with_their_values() -> None:
    fig = figures.bar_by_table(BARS, value="rows", title="Scores lead", xlabel="rows")
    assert {"scores", "audit", "40,123", "12"} <= texts(fig)
    assert fig.axes[0].get_title(loc="left") == "Scores lead"


def test_stacked_bars_show_totals_and_name_their_parts() -> None:
    fig = figures.stacked_bars(BARS, parts={"rows": "written", "bad": "quarantined"}, title="T", xlabel="rows")
    assert {"40,126", "12", "written", "quarantined"} <= texts(fig)


def test_grouped_bars_name_both_sides() -> None:
    fig = figures.grouped_bars(BARS, values={"rows": "source", "bad": "target"}, title="T", xlabel="rows")
    assert {"source", "target", "40,123", "3"} <= texts(fig)


def test_rate_says_its_share_of_the_ceiling_where_one_is_known() -> None:
    frame = pd.DataFrame(
        {"stage": ["load", "read", "none"], "rate": [900.0, 50.0, np.nan], "ceiling": [1000.0, None, 5.0]}
    )
    assert {"900, 90% of 1,000", "50"} <= texts(figures.rate_against_ceiling(frame, title="T"))


def test_timeline_puts_overlapping_bars_under_one_another() -> None:
    fig = figures.timeline(SPANS, title="T")
    heights = {round(p.get_y(), 1) for p in fig.axes[0].patches}  # type: ignore[attr-defined]
    assert len(heights) == 3
    assert {"a", "b", "↻2", "✔ done", "✖ failed"} <= texts(fig)


def test_timeline_takes_seconds_too() -> None:
    frame = pd.DataFrame({"table": ["a"], "start": [1.0], "end": [2.5], "state": ["done"]})
    [bar] = figures.timeline(frame, title="T").axes[0].patches
    assert bar.get_width() == 1.5  # type: ignore[attr-defined]


def test_matrix_says_each_state_in_words_and_leaves_out_what_was_not_checked() -> None:
    fig = figures.matrix(CHECKS, title="T")
    assert {"passed", "failed", "not applicable", "counts", "fields", "a", "b"} <= texts(fig)
    assert len(fig.axes[0].lines) == 3


def test_matrix_tells_states_apart_by_shape_as_well_as_colour() -> None:
    lines = figures.matrix(CHECKS, title="T").axes[0].lines
    assert len({line.get_marker() for line in lines}) == len({line.get_color() for line in lines}) == 3


def test_lines_are_named_at_their_ends_and_differ_in_dash() -> None:
    frame = pd.DataFrame({"clients": [1, 4, 16], "old": [1, 2, 9], "new": [1, 1, 2]})
    fig = figures.lines(frame, x="clients", y=["old", "new"], title="T", xlabel="clients", ylabel="ms", log_x=True)
    assert {" old", " new"} <= texts(fig)
    assert len({line.get_linestyle() for line in fig.axes[0].lines}) == 2


def test_histogram_marks_are_labelled() -> None:
    frame = pd.DataFrame({"ms": [1.0, 2.0, None, 4.0]})
    fig = figures.histogram(frame, column="ms", marks={"median": 2.0}, title="T", xlabel="ms")
    assert " median 2" in texts(fig)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: figures.bar_by_table(BARS.head(0), value="rows", title="T", xlabel="x"),
        lambda: figures.stacked_bars(BARS.head(0), parts=["rows"], title="T", xlabel="x"),
        lambda: figures.grouped_bars(BARS.head(0), values=["rows"], title="T", xlabel="x"),
        lambda: figures.timeline(SPANS.head(0), title="T"),
        lambda: figures.matrix(CHECKS.head(0), title="T"),
        lambda: figures.histogram(BARS.head(0), column="rows", title="T", xlabel="x"),
        lambda: figures.rate_against_ceiling(pd.DataFrame({"stage": [], "rate": [], "ceiling": []}), title="T"),
    ],
)
def test_no_data_is_an_empty_figure_not_an_error(draw: object) -> None:
    assert isinstance(draw(), Figure)  # type: ignore[operator]
    draw().savefig(io.BytesIO(), format="png")  # type: ignore[operator]


def test_alt_text_names_extremes_and_sum() -> None:
    text = figures.alt_text(BARS, label="table", value="rows")
    assert "highest scores with 40,123, lowest audit with 12, sum 40,135" in text
    assert "no data" in figures.alt_text(BARS.head(0), label="table", value="rows")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12400, "12,400"),
        (3.417, "3.42"),
        (1234.5, "1,234"),
        (0.00123, "0.00123"),
        (float("nan"), "–"),
        (float("inf"), "inf"),
    ],
)
def test_numbers_read_well(value: float, text: str) -> None:
    assert figures.number_text(value) == text


@pytest.mark.parametrize("name", ["$", "a$b$", r"$\frac{1}$", "$x_{", "cost in US$ and €$"])
def test_a_dollar_sign_in_data_is_a_dollar_sign(name: str) -> None:
    frame = pd.DataFrame({name: [name], "n": [1]})
    assert name in texts(figures.bar_by_table(frame, value="n", label=name, title=name, xlabel=name))


def test_logarithmic_axes_are_labelled_in_plain_numbers() -> None:
    frame = pd.DataFrame({"x": [1.0, 10.0, 1_000.0], "y": [2.0, 3.0, 900.0]})
    fig = figures.lines(frame, x="x", y=["y"], title="T", xlabel="x", ylabel="y", log_x=True, log_y=True)
    assert "100" in texts(fig)
    minor = {t.get_text() for axis in (fig.axes[0].xaxis, fig.axes[0].yaxis) for t in axis.get_ticklabels(minor=True)}
    assert not any("$" in text for text in texts(fig) | minor)
