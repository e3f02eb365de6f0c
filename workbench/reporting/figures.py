"""Figures in one style. Each function takes a DataFrame, says one thing, and returns a Figure it never shows.

Figures are made without pyplot: nothing appears twice in a notebook and nothing stays open in memory. Show them
by `workbench.reporting.notebook.show_figure`, which adds the alternative text and the data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from workbench.reporting.states import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION, look_of

Size = Literal["wide", "tall", "square"] | tuple[float, float]

SIZES: dict[str, tuple[float, float]] = {"wide": (9, 4), "tall": (9, 6.5), "square": (5.5, 5.5)}  # inches
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, BLACK)
_HATCHES = ("", "///", "...", "\\\\\\", "xx", "--", "oo")
_ROW_INCHES = 0.38


def figure(title: str, xlabel: str = "", ylabel: str = "", size: Size = "wide") -> tuple[Figure, Axes]:
    """An empty figure and its axes in the workbench's style.

    Args:
        title: The one message of the figure, a sentence that names the finding where there is one.
        xlabel: Quantity and unit of the horizontal axis.
        ylabel: Quantity and unit of the vertical axis.
        size: A named size, or width and height in inches.

    Side effects: the first call applies the style to matplotlib's settings of this process.
    """
    _apply_style()
    fig = Figure(figsize=SIZES[size] if isinstance(size, str) else size)
    ax = fig.add_subplot()
    ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
    return fig, ax


def bar_by_table(
    frame: pd.DataFrame, *, value: str, label: str = "table", title: str, xlabel: str, colour: str = BLUE
) -> Figure:
    """One horizontal bar for each row of `frame`, first row on top, each with its value beside it."""
    fig, ax = _bar_axes(len(frame), title, xlabel)
    bars = ax.barh(_names(frame, label), frame[value].astype(float), color=colour, height=0.7)
    ax.bar_label(bars, labels=[number_text(v) for v in frame[value]], padding=4, fontsize=9)
    _room_for_labels(ax)
    return fig


def stacked_bars(
    frame: pd.DataFrame,
    *,
    parts: Sequence[str] | Mapping[str, str],
    label: str = "table",
    title: str,
    xlabel: str,
) -> Figure:
    """One horizontal bar a row, cut into `parts` (columns, or column -> name in the legend), and its total."""
    named = _named(parts)
    fig, ax = _bar_axes(len(frame), title, xlabel, legend=True)
    left = np.zeros(len(frame))
    for i, (column, name) in enumerate(named.items()):
        widths = frame[column].to_numpy(dtype=float, na_value=0.0)
        ax.barh(_names(frame, label), widths, left=left, height=0.7, label=name, **_fill(i))
        left = left + widths
    for y, total in enumerate(left):
        ax.annotate(number_text(total), (total, y), (4, 0), textcoords="offset points", va="center", fontsize=9)
    _room_for_labels(ax)
    _legend_below(fig, len(named))
    return fig


def grouped_bars(
    frame: pd.DataFrame,
    *,
    values: Sequence[str] | Mapping[str, str],
    label: str = "table",
    title: str,
    xlabel: str,
) -> Figure:
    """For each row a bar for each of `values`, under one another: before and after, source and target."""
    named = _named(values)
    fig, ax = _bar_axes(len(frame) * max(1.0, 0.6 * len(named)), title, xlabel, legend=True)
    height, rows = 0.8 / len(named), np.arange(len(frame))
    for i, (column, name) in enumerate(named.items()):
        offset = (i - (len(named) - 1) / 2) * height
        bars = ax.barh(rows + offset, frame[column].astype(float), height=height * 0.92, label=name, **_fill(i))
        ax.bar_label(bars, labels=[number_text(v) for v in frame[column]], padding=4, fontsize=8)
    ax.set_yticks(rows, _names(frame, label))
    _room_for_labels(ax)
    _legend_below(fig, len(named))
    return fig


def rate_against_ceiling(
    frame: pd.DataFrame,
    *,
    rate: str = "rate",
    ceiling: str = "ceiling",
    label: str = "stage",
    title: str,
    xlabel: str = "rows/s",
) -> Figure:
    """Measured rates as bars, each with its ceiling as a black line and the share of it that was reached."""
    fig, ax = _bar_axes(len(frame), title, xlabel)
    ax.barh(_names(frame, label), frame[rate].astype(float), color=BLUE, height=0.6)
    for y, (reached, limit) in enumerate(zip(frame[rate], frame[ceiling], strict=True)):
        text, end = number_text(reached), 0.0 if pd.isna(reached) else reached
        if pd.notna(limit) and limit > 0:
            ax.plot([limit, limit], [y - 0.42, y + 0.42], color=BLACK, linewidth=2.2, marker="", linestyle="-")
            text += "" if pd.isna(reached) else f", {reached / limit:.0%} of {number_text(limit)}"
            end = max(end, limit)
        ax.annotate(text, (end, y), (6, 0), textcoords="offset points", va="center", fontsize=9)
    _room_for_labels(ax, share=0.42)
    return fig


def timeline(
    frame: pd.DataFrame,
    *,
    start: str = "start",
    end: str = "end",
    lane: str = "table",
    state: str | None = "state",
    retries: str | None = "retries",
    title: str,
    xlabel: str = "seconds since start",
) -> Figure:
    """Rows of `frame` as bars from start to end (datetimes or seconds), in lanes, coloured by state.

    Bars of a lane that overlap in time are drawn under one another, so that parallel work is seen as such. A bar
    with retries carries their number.
    """
    left, width = _seconds(frame, start, end)
    rows, ticks = _pack(frame[lane].astype(str).tolist(), left, left + width)
    fig, ax = _bar_axes(len(set(rows)) * 0.6 + 1, title, xlabel, legend=True)
    states = frame[state].astype(str).tolist() if state else ["done"] * len(frame)
    least = float((left + width).max()) * 0.002 if len(frame) else 0.0  # a bar that took no time is still seen
    for name in dict.fromkeys(states):
        chosen = [i for i, s in enumerate(states) if s == name]
        look = look_of(name)
        ax.barh(
            [rows[i] for i in chosen],
            np.maximum(width[chosen], least),
            left=left[chosen],
            height=0.8,
            color=look.colour,
            hatch="" if look.tone == "good" else "////",
            edgecolor="white",
            linewidth=0.6,
            label=f"{look.symbol} {look.word}",
        )
    if retries and retries in frame:
        for i, count in enumerate(frame[retries].fillna(0).astype(int)):
            if count:
                middle = (float(left[i] + width[i] / 2), rows[i])
                ax.annotate(f"↻{count}", middle, ha="center", va="center", fontsize=8, color=BLACK)
    ax.set_yticks(list(ticks.values()), list(ticks))
    _legend_below(fig, len(set(states)))
    return fig


def histogram(
    frame: pd.DataFrame,
    *,
    column: str,
    bins: int = 40,
    marks: Mapping[str, float] | None = None,
    title: str,
    xlabel: str,
    ylabel: str = "rows",
) -> Figure:
    """How the values of a column are distributed; `marks` (name -> value) are drawn as labelled lines."""
    fig, ax = figure(title, xlabel, ylabel)
    ax.hist(frame[column].dropna().astype(float), bins=bins, color=BLUE, edgecolor="white", linewidth=0.5)
    for i, (name, value) in enumerate((marks or {}).items()):
        ax.axvline(value, color=VERMILION, linestyle=("--", ":", "-.")[i % 3], marker="")
        text = f" {name} {number_text(value)}"
        ax.text(value, 0.97 - 0.08 * i, text, transform=ax.get_xaxis_transform(), va="top", fontsize=9)
    return fig


def lines(
    frame: pd.DataFrame,
    *,
    x: str,
    y: Sequence[str] | Mapping[str, str],
    title: str,
    xlabel: str,
    ylabel: str,
    log_x: bool = False,
    log_y: bool = False,
) -> Figure:
    """A line for each column of `y` (or column -> name): own colour, dash and marker, named at its end."""
    fig, ax = figure(title, xlabel, ylabel)
    named = _named(y)
    few = len(frame) <= 40
    for column, name in named.items():
        (line,) = ax.plot(frame[x], frame[column])
        if not few:
            line.set_marker("")
        known = frame[[x, column]].dropna()
        if len(named) > 1 and len(known):
            last: Any = tuple(known.iloc[-1])
            ax.annotate(
                f" {name}",
                last,
                (4, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
                color=line.get_color(),
            )
    if log_x:
        ax.set_xscale("log")
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: number_text(v)))
    if log_y:
        ax.set_yscale("log")
        ax.yaxis.set_minor_formatter(NullFormatter())
    else:
        ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: number_text(v)))
    return fig


def matrix(
    frame: pd.DataFrame, *, row: str = "table", column: str = "check", state: str = "status", title: str
) -> Figure:
    """A cell for each row and column name, with the state's word, shape and colour; empty if not checked.

    `frame` has one line for each cell; order of rows and columns is that of their first appearance.
    """
    rows, columns = (
        list(dict.fromkeys(frame[row].astype(str))),
        list(dict.fromkeys(frame[column].astype(str))),
    )
    fig, ax = figure(title, size=(max(5.0, 2.4 + 1.15 * len(columns)), 1.3 + 0.36 * max(1, len(rows))))
    for r, c, s in zip(frame[row].astype(str), frame[column].astype(str), frame[state].astype(str), strict=True):
        look, x, y = look_of(s), columns.index(c), rows.index(r)
        ax.fill_between([x - 0.48, x + 0.48], y - 0.46, y + 0.46, color=look.colour, alpha=0.16, linewidth=0)
        ax.plot([x - 0.38], [y], marker=look.marker, color=look.colour, markersize=7, linestyle="")
        ax.text(x - 0.27, y, look.word, va="center", fontsize=8)
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.set(xlim=(-0.55, len(columns) - 0.45), ylim=(len(rows) - 0.45, -0.55))
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    return fig


def number_text(value: float) -> str:
    """A number for people: 12,400; 3.42; 0.0012; an en dash where there is none."""
    if pd.isna(value):
        return "–"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    if not np.isfinite(value):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"


def alt_text(frame: pd.DataFrame, *, label: str, value: str, kind: str = "Bar chart") -> str:
    """A sentence that says what a chart of `value` by `label` shows: its extremes and its total."""
    known = frame.dropna(subset=[value])
    if known.empty:
        return f"{kind} of {value} by {label}: no data."
    values = known[value].to_numpy(dtype=float)
    top, low = int(values.argmax()), int(values.argmin())
    return (
        f"{kind} of {value} by {label}, {len(known)} entries: "
        f"highest {known[label].iloc[top]} with {number_text(values[top])}, "
        f"lowest {known[label].iloc[low]} with {number_text(values[low])}, sum {number_text(values.sum())}."
    )


@cache
def _apply_style() -> None:
    matplotlib.style.use(str(Path(__file__).with_name("workbench.mplstyle")))


def _bar_axes(rows: float, title: str, xlabel: str, *, legend: bool = False) -> tuple[Figure, Axes]:
    height = 1.3 + _ROW_INCHES * max(1.0, rows) + (0.3 if legend else 0)
    fig, ax = figure(title, xlabel, size=(9, min(height, 14)))
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.grid(axis="x", visible=True)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: number_text(v)))
    return fig, ax


def _fill(i: int) -> dict[str, Any]:
    return {
        "color": COLOURS[i % len(COLOURS)],
        "hatch": _HATCHES[i % len(_HATCHES)],
        "edgecolor": "white",
        "linewidth": 0.5,
    }


def _names(frame: pd.DataFrame, label: str) -> list[str]:
    return [str(name) for name in frame[label]]


def _named(columns: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    return dict(columns) if isinstance(columns, Mapping) else {c: c.replace("_", " ") for c in columns}


def _room_for_labels(ax: Axes, share: float = 0.12) -> None:
    ax.set_xlim(0, (ax.get_xlim()[1] or 1) * (1 + share))


def _legend_below(fig: Figure, entries: int) -> None:
    if entries:
        fig.legend(loc="outside lower left", ncols=min(entries, 6))


def _seconds(frame: pd.DataFrame, start: str, end: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    begin, finish = frame[start], frame[end]
    if pd.api.types.is_datetime64_any_dtype(begin):
        zero = begin.min()
        begin, finish = (begin - zero).dt.total_seconds(), (finish - zero).dt.total_seconds()
    left = begin.to_numpy(dtype=float)
    return left, np.maximum(finish.to_numpy(dtype=float) - left, 0.0)


def _pack(
    lanes: list[str], left: np.ndarray[Any, Any], right: np.ndarray[Any, Any]
) -> tuple[list[int], dict[str, float]]:
    """A row for each bar so that no two of a row overlap, and the middle of each lane's rows."""
    rows, ticks, base = [0] * len(lanes), {}, 0
    for lane in dict.fromkeys(lanes):
        ends: list[float] = []
        for i in sorted((i for i, name in enumerate(lanes) if name == lane), key=lambda i: float(left[i])):
            row = next((r for r, e in enumerate(ends) if e <= left[i]), len(ends))
            ends[row : row + 1] = [float(right[i])]
            rows[i] = base + row
        ticks[lane] = base + (len(ends) - 1) / 2
        base += len(ends)
    return rows, ticks
