"""The figures of the explorer that the general ones of `reporting.figures` do not cover."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from workbench.reporting.figures import COLOURS, figure, number_text
from workbench.reporting.states import BLUE, GREY, ORANGE, VERMILION

MARKERS = ("o", "s", "^", "D", "P", "X", "v")
_SEVERITIES = {"info": (BLUE, "o"), "warn": (ORANGE, "^"), "critical": (VERMILION, "X")}


def score_bins(frame: pd.DataFrame) -> Figure:
    """Transactions by risk score: columns `from`, `to` and `transactions`."""
    fig, ax = figure("How risky the transactions are", "risk score, 0 to 1", "transactions")
    widths = frame["to"].astype(float) - frame["from"].astype(float)
    bars = ax.bar(frame["from"].astype(float), frame["transactions"].astype(float), width=widths * 0.92, align="edge")
    for bar in bars:
        bar.set_color(BLUE)
    ax.bar_label(bars, labels=[number_text(n) if n else "" for n in frame["transactions"]], fontsize=8)
    ax.set_xlim(0, 1)
    return fig


def events_in_time(frame: pd.DataFrame) -> Figure:
    """Anomalies by time and score: columns `created (UTC)`, `score` and `severity`."""
    fig, ax = figure("When the anomalies were seen, and how strong they were", "time (UTC)", "score, 0 to 1")
    moments = pd.to_datetime(frame["created (UTC)"], utc=True)
    for severity, (colour, marker) in _SEVERITIES.items():
        chosen = frame["severity"] == severity
        if chosen.any():
            scores = frame.loc[chosen, "score"].astype(float)
            ax.plot(moments[chosen], scores, linestyle="", marker=marker, color=colour, markersize=7, label=severity)
    _dates_below(ax)
    ax.set_ylim(0, max(1.05, 1.05 * float(frame["score"].max())))
    fig.legend(loc="outside lower left", ncols=3)
    return fig


def counts_in_time(frame: pd.DataFrame, *, time: str, kinds: list[str], title: str, ylabel: str) -> Figure:
    """A line for each of the columns `kinds`, over the datetimes of column `time`."""
    fig, ax = figure(title, "week (UTC)", ylabel)
    moments = pd.to_datetime(frame[time], utc=True)
    for place, kind in enumerate(kinds):
        colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
        ax.plot(moments, frame[kind].astype(float), color=colour, marker=marker, markersize=4, label=kind)
    _dates_below(ax)
    ax.set_ylim(bottom=0)
    fig.legend(loc="outside lower left", ncols=min(len(kinds), 6))
    return fig


def map_of_groups(frame: pd.DataFrame) -> Figure:
    """Points `x`, `y` in the look of their `group`; the largest groups are named, all else is grey."""
    fig, ax = figure("Incidents lie together on the map of anomalies", "first axis", "second axis", "tall")
    named = [name for name in dict.fromkeys(frame["group"]) if name]
    rest = frame[frame["group"] == ""]
    ax.plot(rest["x"], rest["y"], linestyle="", marker=".", markersize=3, color=GREY, alpha=0.5, label="other")
    for place, name in enumerate(sorted(named)):
        points = frame[frame["group"] == name]
        colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
        ax.plot(points["x"], points["y"], linestyle="", marker=marker, markersize=6, color=colour, label=name)
    ax.set(xticks=[], yticks=[])
    fig.legend(loc="outside lower left", ncols=2, fontsize=8)
    return fig


def _dates_below(ax: Axes) -> None:
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
