"""The history of runs: which of them can be compared, and which changes are more than noise."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from workbench.benchmark.results import FOLDER, FORMAT, BenchmarkRun
from workbench.benchmark.statistics import median_ratio, minimum_samples
from workbench.benchmark.workloads import Side

Json: TypeAlias = dict[str, Any]
SIGNIFICANT_CHANGE = 0.10
"""A change of the median is marked if its interval excludes 1 and it is larger than this."""


@dataclass(frozen=True)
class Change:
    """How a median moved since an earlier run: new over old, with its interval; below 1 is faster."""

    workload: str
    side: Side
    old_ms: float
    new_ms: float
    ratio: float
    low: float
    high: float

    @property
    def significant(self) -> bool:
        """Whether it is more than noise and more than `SIGNIFICANT_CHANGE`."""
        return not self.low <= 1 <= self.high and abs(self.ratio - 1) > SIGNIFICANT_CHANGE

    @property
    def verdict(self) -> str:
        """`faster`, `slower` or `same`."""
        if not self.significant:
            return "same"
        return "faster" if self.ratio < 1 else "slower"


def read_runs(reports_dir: Path) -> list[BenchmarkRun]:
    """The runs below `reports_dir`, oldest first; files of another format are left out."""
    runs = []
    for file in sorted((reports_dir / FOLDER).glob("*.json")):
        data = json.loads(file.read_text(encoding="utf-8"))
        if data.get("format") == FORMAT:
            runs.append(BenchmarkRun.from_dict(data))
    return runs


def last_comparable(run: BenchmarkRun, earlier: Sequence[BenchmarkRun]) -> BenchmarkRun | None:
    """The newest earlier run with the same machine, server products and data, or None: others measure other things."""
    same = [r for r in earlier if r.started_at < run.started_at and _conditions(r) == _conditions(run)]
    return max(same, key=lambda r: r.started_at, default=None)


def compare_runs(new: BenchmarkRun, old: BenchmarkRun) -> tuple[Change, ...]:
    """How the medians of the workloads that both runs measured have moved."""
    before = {(m.workload, m.side): m for m in old.measurements}
    least = minimum_samples(0.5)
    changes = []
    for measurement in new.measurements:
        earlier = before.get((measurement.workload, measurement.side))
        if earlier is None or min(len(earlier.warm_ms), len(measurement.warm_ms)) < least:
            continue
        ratio, interval = median_ratio(measurement.warm_ms, earlier.warm_ms, seed=new.seed)
        olds, news = (float(np.median(m.warm_ms)) for m in (earlier, measurement))
        changes.append(Change(measurement.workload, measurement.side, olds, news, ratio, interval.low, interval.high))
    return tuple(changes)


def machine_drift(changes: Sequence[Change]) -> float:
    """How PostgreSQL's medians moved together, new over old: far from 1, the machine was busier or idler.

    No interval shows that: samples of one run share the machine's state.
    """
    ratios = [change.ratio for change in changes if change.side is Side.POSTGRESQL]
    return float(np.exp(np.mean(np.log(ratios)))) if ratios else 1.0


def changes_frame(changes: Sequence[Change]) -> pd.DataFrame:
    """A row for each change, the largest significant ones first."""
    ordered = sorted(changes, key=lambda c: (not c.significant, -abs(c.ratio - 1)))
    return pd.DataFrame(
        [
            {
                "workload": c.workload,
                "database": str(c.side),
                "before ms": c.old_ms,
                "now ms": c.new_ms,
                "ratio": c.ratio,
                "interval": f"{c.low:.2f} to {c.high:.2f}",
                "change": c.verdict,
            }
            for c in ordered
        ]
    )


def _conditions(run: BenchmarkRun) -> Json:
    environment = run.environment
    return {name: environment[name] for name in ("machine", "versions", "documents", "settings")}
