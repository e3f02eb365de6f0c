"""A run of the benchmark as one JSON file: samples, verdicts against the targets, tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self, TypeAlias

import pandas as pd

from workbench.benchmark.answers import Difference
from workbench.benchmark.concurrency import Load
from workbench.benchmark.runner import Check, Measurement
from workbench.benchmark.statistics import summarize
from workbench.benchmark.workloads import Side
from workbench.benchmark.workloads.base import Workload
from workbench.errors import ConfigurationError
from workbench.models import COLLECTIONS

Json: TypeAlias = dict[str, Any]
FOLDER = "benchmarks"
FORMAT = 1


@dataclass(frozen=True)
class Judgement:
    """One workload on MongoDB against its target.

    A P99 that the samples do not support is not claimed: the highest quantile that they do support is judged in its
    place and named. If that one misses the target, so does the P99; if it holds, the P99 is not known.
    """

    workload: str
    kind: str
    target_ms: float
    quantile: float | None
    value_ms: float | None
    passed: bool
    reason: str


@dataclass(frozen=True)
class BenchmarkRun:
    """Everything of one run.

    Attributes:
        started_at: ISO time in UTC.
        mode: `quick` or `full`.
        seed: of parameters and order.
        environment: what `describe_environment` found.
        workloads: name -> kind, question, target.
        checks: whether both databases gave the same answers.
        measurements: the samples.
        loads: the concurrency sweep and the fixed rate.
        left_out: workload -> why it could not run.
        plans: workload -> explain plans of both sides, as `explain.compare_plans` gives them.
        index_effect: before and after an index, one dict a database.
    """

    started_at: str
    mode: str
    seed: int
    elapsed_seconds: float
    environment: Json
    workloads: Mapping[str, Json]
    checks: tuple[Check, ...]
    measurements: tuple[Measurement, ...]
    loads: tuple[Load, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    plans: Mapping[str, Json] = field(default_factory=dict)
    index_effect: tuple[Json, ...] = ()

    def of(self, workload: str, side: Side) -> Measurement:
        """The measurement of a workload on one side."""
        return next(m for m in self.measurements if m.workload == workload and m.side == side)

    def judgements(self) -> tuple[Judgement, ...]:
        """MongoDB against the targets, each workload once; a wrong answer or an error misses the target."""
        wrong = {check.workload: check for check in self.checks if not check.same}
        return tuple(
            _judge(name, self.workloads[name], self.of(name, Side.MONGODB), wrong.get(name))
            for name in self.workloads
            if name not in self.left_out
        )

    @property
    def passed(self) -> bool:
        """Whether every workload met its target."""
        return all(judgement.passed for judgement in self.judgements())

    def incomplete(self) -> dict[str, tuple[int, int]]:
        """Collections with fewer documents than their table has rows (rows, documents): answers differ there.

        Rows that the migration put into quarantine are missing by intent. The rows are PostgreSQL's own estimate.
        """
        rows, documents = self.environment["rows"], self.environment["documents"]
        pairs = {name: (rows[spec.source_table], documents[name]) for name, spec in COLLECTIONS.items()}
        return {name: pair for name, pair in pairs.items() if pair[1] < pair[0]}

    def summary_frame(self) -> pd.DataFrame:
        """A row for each workload and database: samples, mean, median with interval, P95, P99, cold, errors, rate."""
        return pd.DataFrame([_summary_row(self.workloads[m.workload], m) for m in self.measurements])

    def verdict_frame(self) -> pd.DataFrame:
        """A row for each workload: PostgreSQL's and MongoDB's median, the judged quantile, target, state."""
        rows = []
        for judgement in self.judgements():
            medians = {side: _median(self.of(judgement.workload, side)) for side in Side}
            one, two = medians[Side.POSTGRESQL], medians[Side.MONGODB]
            rows.append(
                {
                    "workload": judgement.workload,
                    "kind": judgement.kind,
                    "PostgreSQL median ms": one,
                    "MongoDB median ms": two,
                    "MongoDB / PostgreSQL": two / one if one and two else None,
                    "judged": f"P{judgement.quantile * 100:g}" if judgement.quantile else "–",
                    "MongoDB ms": judgement.value_ms,
                    "target ms": judgement.target_ms,
                    "state": "passed" if judgement.passed else "failed",
                    "reason": judgement.reason,
                }
            )
        return pd.DataFrame(rows)

    def load_frame(self) -> pd.DataFrame:
        """A row for each level of load."""
        return pd.DataFrame([_load_row(load) for load in self.loads])

    def checks_frame(self) -> pd.DataFrame:
        """A row for each workload: sets of parameters and rows that were compared, the first difference."""
        return pd.DataFrame(
            [
                {
                    "workload": check.workload,
                    "compared": check.compared,
                    "rows": check.rows,
                    "state": "passed" if check.same else "failed",
                    "difference": str(check.difference or ""),
                    "note": check.note,
                }
                for check in self.checks
            ]
        )

    def plans_frame(self) -> pd.DataFrame:
        """A row for each explained read: how each database finds its rows, what it looks at, the advice."""
        rows = []
        for name, plan in self.plans.items():
            source = plan["source"]
            if source:
                rows.append(_plan_row(name, Side.POSTGRESQL, source["nodes"], None, source["rows"], source["advice"]))
            for read in plan["target"]:
                how = [*read["stages"], *read["indexes"]]
                examined = read["documents_examined"]
                rows.append(_plan_row(name, Side.MONGODB, how, examined, read["returned"], read["advice"]))
        return pd.DataFrame(rows)

    def as_dict(self) -> Json:
        """JSON types; samples in microseconds, so that runs can be compared later."""
        data = asdict(self)
        data["measurements"] = [
            {
                **asdict(measurement),
                "side": str(measurement.side),
                "warm_ms": [round(value, 3) for value in measurement.warm_ms],
                "cold_ms": [round(value, 3) for value in measurement.cold_ms],
            }
            for measurement in self.measurements
        ]
        data["loads"] = [
            {**asdict(load), "side": str(load.side), "samples_ms": [round(value, 3) for value in load.samples_ms]}
            for load in self.loads
        ]
        judged = [asdict(judgement) for judgement in self.judgements()]
        return {"format": FORMAT, **data, "passed": self.passed, "judgements": judged}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The run that `as_dict` wrote."""
        return cls(
            **{
                name: data[name]
                for name in (
                    "started_at", "mode", "seed", "elapsed_seconds", "environment", "workloads", "left_out", "plans",
                )
            },
            checks=tuple(
                Check(**{**c, "difference": Difference(**c["difference"]) if c["difference"] else None})
                for c in data["checks"]
            ),
            measurements=tuple(
                Measurement(**{**m, "side": Side(m["side"]), "warm_ms": tuple(m["warm_ms"]),
                               "cold_ms": tuple(m["cold_ms"])})
                for m in data["measurements"]
            ),
            loads=tuple(
                Load(**{**load, "side": Side(load["side"]), "samples_ms": tuple(load["samples_ms"])})
                for load in data["loads"]
            ),
            index_effect=tuple(data["index_effect"]),
        )  # fmt: skip


def describe_workloads(workloads: Sequence[Workload]) -> dict[str, Json]:
    """Kind, question and target of each workload, for the result file."""
    return {
        workload.name: {
            "kind": str(workload.kind),
            "question": workload.question,
            "target_ms": workload.target_ms,
            "sql": list(workload.sql),
        }
        for workload in workloads
    }


def write_run(run: BenchmarkRun, reports_dir: Path) -> Path:
    """Write the run below `reports_dir`; the file's name is its start."""
    folder = reports_dir / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stamp = datetime.fromisoformat(run.started_at).strftime("%Y%m%dT%H%M%S%fZ")
        file = folder / f"{stamp}-{run.mode}.json"
        file.write_text(json.dumps(run.as_dict(), default=str), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"The results cannot be written to {folder}: {error.strerror}.") from error
    return file


def _judge(name: str, facts: Mapping[str, Any], measured: Measurement, wrong: Check | None) -> Judgement:
    target = float(facts["target_ms"])
    errors = sum(measured.errors.values())
    summary = measured.summary
    if summary is None:
        reason = f"no execution succeeded ({errors} errors)"
        return Judgement(name, facts["kind"], target, None, None, False, reason)
    quantile, value = summary.judged_quantile, summary.judged_ms
    reasons = []
    if wrong:
        reasons.append(f"the answers differ: {wrong.difference}")
    if errors:
        kinds = ", ".join(f"{count} {kind}" for kind, count in measured.errors.items())
        reasons.append(f"errors: {kinds}")
    if quantile is None or value is None:
        reasons.append(f"{len(measured.warm_ms)} samples support no quantile")
    elif value > target:
        reasons.append(f"P{quantile * 100:g} above the target")
    return Judgement(name, facts["kind"], target, quantile, value, not reasons, "; ".join(reasons))


def _median(measurement: Measurement) -> float | None:
    return measurement.summary.median if measurement.summary else None


def _summary_row(facts: Mapping[str, Any], m: Measurement) -> Json:
    row: Json = {"workload": m.workload, "kind": facts["kind"], "database": str(m.side)}
    summary = m.summary
    row["samples"] = len(m.warm_ms)
    row["mean ms"] = summary.mean if summary else None
    row["median ms"] = summary.median if summary else None
    interval = summary.median_interval if summary else None
    row["95 % interval of the median"] = f"{interval.low:.2f} to {interval.high:.2f}" if interval else "–"
    row["P95 ms"] = summary.p95 if summary else None
    row["P99 ms"] = summary.p99 if summary else None
    row["cold median ms"] = summarize(m.cold_ms).median if m.cold_ms else None
    row["errors"] = sum(m.errors.values())
    row["a second"] = m.throughput
    return row


def _plan_row(
    name: str, side: Side, how: Sequence[str], examined: int | None, returned: int, advice: Sequence[str]
) -> Json:
    return {
        "workload": name,
        "database": str(side),
        "plan": " < ".join(how),
        "examined": examined,
        "returned": returned,
        "advice": "; ".join(advice),
    }


def _load_row(load: Load) -> Json:
    summary = summarize(load.samples_ms) if load.samples_ms else None
    return {
        "workload": load.workload,
        "database": str(load.side),
        "clients": load.clients,
        "offered a second": load.offered_rate,
        "answered a second": load.throughput,
        "median ms": summary.median if summary else None,
        "P95 ms": summary.p95 if summary else None,
        "P99 ms": summary.p99 if summary else None,
        "errors": sum(load.errors.values()),
        "note": load.note,
    }
