"""The history of runs: which of them can be compared, and which changes are more than noise."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from workbench.benchmark.results import FOLDER, FORMAT, BenchmarkRun
from workbench.benchmark.runner import Measurement
from workbench.benchmark.statistics import holm, log_ratio_error, median_ratio, minimum_samples
from workbench.benchmark.workloads import Side

Json: TypeAlias = dict[str, Any]
SIGNIFICANT_CHANGE = 0.10
"""A change of the median is marked if it is more than noise and larger than this."""
ERROR_RATE = 0.05
"""How often a comparison of two runs between which nothing changed may mark anything (Holm's correction)."""


@dataclass(frozen=True)
class Change:
    """How a median moved since an earlier run: new over old, with its interval; below 1 is faster.

    The ratio is beyond the drift of the machine, as PostgreSQL's medians show it. `significant` says whether it is
    more than noise, with all the comparisons of the two runs in mind, and more than `SIGNIFICANT_CHANGE`.
    """

    workload: str
    side: Side
    old_ms: float
    new_ms: float
    ratio: float
    low: float
    high: float
    significant: bool

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
    """The newest earlier run on the same machine, servers and data, or None: others measure other things."""
    same = [r for r in earlier if r.started_at < run.started_at and _conditions(r) == _conditions(run)]
    return max(same, key=lambda r: r.started_at, default=None)


def compare_runs(new: BenchmarkRun, old: BenchmarkRun) -> tuple[Change, ...]:
    """How the medians of the workloads that both runs measured have moved, beyond the drift of the machine.

    Of each change the chance is computed that noise alone would make it, from the spread of its bootstrap; Holm's
    correction marks those that stay improbable among so many.
    """
    compared = list(_compared(new, old))
    drift = machine_drift(new, old)
    chances = []
    for measurement, earlier in compared:
        spread = log_ratio_error(measurement.warm_ms, earlier.warm_ms, seed=new.seed)
        moved = abs(math.log(_median(measurement) / _median(earlier) / drift))
        chances.append(math.erfc(moved / spread / math.sqrt(2)) if spread else float(not moved))
    changes = []
    for (measurement, earlier), improbable in zip(compared, holm(chances, ERROR_RATE), strict=True):
        ratio, interval = median_ratio(measurement.warm_ms, earlier.warm_ms, seed=new.seed)
        ratio, low, high = (value / drift for value in (ratio, interval.low, interval.high))
        significant = improbable and abs(ratio - 1) > SIGNIFICANT_CHANGE
        old_ms, new_ms = _median(earlier), _median(measurement)
        changes.append(Change(measurement.workload, measurement.side, old_ms, new_ms, ratio, low, high, significant))
    return tuple(changes)


def machine_drift(new: BenchmarkRun, old: BenchmarkRun) -> float:
    """How PostgreSQL's medians moved together, new over old: far from 1, the machine was busier or idler.

    No interval shows that: samples of one run share the machine's state.
    """
    logs = [math.log(_median(m) / _median(e)) for m, e in _compared(new, old) if m.side is Side.POSTGRESQL]
    return math.exp(float(np.median(logs))) if logs else 1.0


def _compared(new: BenchmarkRun, old: BenchmarkRun) -> Iterator[tuple[Measurement, Measurement]]:
    """What both runs measured with enough samples for medians."""
    before = {(m.workload, m.side): m for m in old.measurements}
    for measurement in new.measurements:
        earlier = before.get((measurement.workload, measurement.side))
        if earlier and min(len(earlier.warm_ms), len(measurement.warm_ms)) >= minimum_samples(0.5):
            yield measurement, earlier


def _median(measurement: Measurement) -> float:
    return float(np.median(measurement.warm_ms))


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
    return {name: environment[name] for name in ("machine", "versions", "documents", "durability", "settings")}
