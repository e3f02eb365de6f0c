"""Figures of the benchmark, in the workbench's style. Each takes what a run holds and returns a Figure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from workbench.benchmark.results import BenchmarkRun
from workbench.benchmark.workloads import Side
from workbench.reporting.figures import COLOURS, figure, grouped_bars, number_text

_PANELS = 3
_LOOKS = {Side.POSTGRESQL: (COLOURS[0], "o", -0.18), Side.MONGODB: (COLOURS[1], "s", 0.18)}


def distribution_frame(run: BenchmarkRun) -> pd.DataFrame:
    """A row for each workload and database: P5, median and P95 of the samples as they are, in milliseconds, target."""
    rows = []
    for measured in run.measurements:
        if not measured.warm_ms:
            continue
        low, median, high = np.quantile(measured.warm_ms, [0.05, 0.5, 0.95])
        rows.append(
            {
                "workload": measured.workload,
                "database": str(measured.side),
                "p5_ms": low,
                "median_ms": median,
                "p95_ms": high,
                "target_ms": run.workloads[measured.workload]["target_ms"],
            }
        )
    return pd.DataFrame(rows)


def latency_distributions(frame: pd.DataFrame, *, title: str) -> Figure:
    """For each workload a line from P5 to P95 with the median as a mark, one a database, and the target as a tick.

    Args:
        frame: as `distribution_frame` gives it.
        title: the finding.
    """
    names = list(dict.fromkeys(frame["workload"]))
    fig, ax = figure(
        title,
        "milliseconds (logarithmic); lines: the middle 90 % of the samples",
        size=(9, 1.6 + 0.36 * max(1, len(names))),
    )
    for side, (colour, marker, offset) in _LOOKS.items():
        rows = frame[frame["database"] == str(side)]
        y = np.array([names.index(name) for name in rows["workload"]]) + offset
        ax.hlines(y, rows["p5_ms"], rows["p95_ms"], color=colour, linewidth=2.4)
        ax.plot(rows["median_ms"], y, marker=marker, color=colour, linestyle="", markersize=6, label=f"{side}, median")
    targets = frame.drop_duplicates("workload")
    places = [names.index(name) for name in targets["workload"]]
    ax.plot(targets["target_ms"], places, marker="|", color="black", linestyle="", markersize=12, label="target (P99)")
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: number_text(v)))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    fig.legend(loc="outside lower left", ncols=3)
    return fig


def load_curves(frame: pd.DataFrame, *, value: str, title: str, ylabel: str) -> tuple[Figure, pd.DataFrame]:
    """For each workload a panel with a curve for each database over the number of clients, and what was drawn.

    Args:
        frame: as `BenchmarkRun.load_frame` gives it; levels of a fixed rate are left out.
        value: its column to draw, for example `answered a second`.
        title: the finding.
        ylabel: quantity and unit.
    """
    swept = frame[frame["offered a second"].isna() & (frame["answered a second"] > 0)]
    names = list(dict.fromkeys(swept["workload"]))
    rows = max(1, math.ceil(len(names) / _PANELS))
    fig, first = figure("", size=(9, 1.0 + 2.3 * rows))
    first.remove()
    levels = sorted(swept["clients"].unique())
    for number, name in enumerate(names):
        ax = fig.add_subplot(rows, _PANELS, number + 1)
        for side, (colour, marker, _) in _LOOKS.items():
            own = swept[(swept["workload"] == name) & (swept["database"] == str(side))].dropna(subset=[value])
            ax.plot(own["clients"], own[value], color=colour, marker=marker, label=str(side))
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xticks(levels, [str(level) for level in levels])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))  # a panel may span less than a decade
        ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: number_text(v)))
        ax.yaxis.set_minor_locator(NullLocator())
        ax.set_title(name, fontsize=10)
        ax.tick_params(labelsize=8)
    fig.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    fig.supxlabel("clients at once (logarithmic)", fontsize=9)
    fig.supylabel(f"{ylabel} (logarithmic)", fontsize=9)
    if fig.axes:
        fig.legend(*fig.axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=2)
    table = swept.pivot_table(index=["workload", "clients"], columns="database", values=value, sort=False).reset_index()
    table.columns.name = None
    return fig, table


def effect_frame(effects: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A row for each database: medians without and with the index in milliseconds, and the factor between them."""
    rows = []
    for effect in effects:
        before, after = np.median(effect["before_ms"]), np.median(effect["after_ms"])
        rows.append(
            {
                "database": effect["side"],
                "index": effect["index"],
                "rows": effect["rows"],
                "before_ms": float(before),
                "after_ms": float(after),
                "factor": float(before / after),
                "build_seconds": effect["build_seconds"],
            }
        )
    return pd.DataFrame(rows)


def index_effect(frame: pd.DataFrame) -> Figure:
    """Bars without and with the index for each database; the title names the factors."""
    said = ", ".join(f"{row['database']} {number_text(row['factor'])} times" for row in frame.to_dict("records"))
    return grouped_bars(
        frame,
        values={"before_ms": "without the index", "after_ms": "with the index"},
        label="database",
        title=f"Faster by the index: {said}",
        xlabel="median, milliseconds",
    )


def changes(frame: pd.DataFrame, *, title: str) -> Figure:
    """The ratio of medians to the run before, with its interval; significant changes are filled marks.

    Args:
        frame: as `history.changes_frame` gives it; the first 30 rows are drawn.
        title: the finding.
    """
    shown = frame.head(30)
    fig, ax = figure(
        title, "median now / median before, beyond the drift of the machine", size=(9, 1.6 + 0.3 * max(1, len(shown)))
    )
    for y, row in enumerate(shown.to_dict("records")):
        low, high = (float(part) for part in row["interval"].split(" to "))
        marked = row["change"] != "same"
        colour = COLOURS[5] if row["change"] == "slower" else COLOURS[2] if marked else "grey"
        ax.hlines(y, low, high, color=colour, linewidth=2.4)
        ax.plot(
            [row["ratio"]], [y], marker="D" if marked else "o", color=colour, fillstyle="full" if marked else "none"
        )
    ax.axvline(1, color="black", linewidth=1, marker="")
    ax.set_yticks(range(len(shown)), [f"{row.workload} ({row.database})" for row in shown.itertuples()])
    ax.set_ylim(len(shown) - 0.4, -0.6)
    return fig
