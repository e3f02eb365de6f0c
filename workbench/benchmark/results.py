"""A run of the benchmark as one JSON file: samples, verdicts against the targets, tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
import pandas as pd

from workbench.benchmark.answers import Difference
from workbench.benchmark.concurrency import Load
from workbench.benchmark.runner import Check, Measurement
from workbench.benchmark.statistics import TARGET_QUANTILE, Interval, median_ratio, minimum_samples, summarize
from workbench.benchmark.workloads import Side
from workbench.benchmark.workloads.base import Workload
from workbench.errors import ConfigurationError
from workbench.models import COLLECTIONS

Json: TypeAlias = dict[str, Any]
FOLDER = "benchmarks"
FORMAT = 3


class Outcome(StrEnum):
    """How a workload, or a whole run, stands against its targets."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_DECIDED = "not decided"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Judgement:
    """One workload on MongoDB against its target.

    A P99 that the samples do not support is not claimed: the highest quantile that they do support is shown in its
    place and named. If that one misses the target, so does the P99; if it holds, nothing is decided.
    """

    workload: str
    kind: str
    target_ms: float
    quantile: float | None
    value_ms: float | None
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True)
class BenchmarkRun:
    """Everything of one run.

    Attributes:
        started_at: ISO time in UTC.
        mode: `quick` or `full`.
        seed: of parameters and order.
        environment: what `describe_environment` found.
        asked_samples: warm samples that were meant to be taken of each workload and database.
        limit_seconds: the time for all of them.
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
    asked_samples: int
    limit_seconds: float
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
        found = []
        for name, facts in self.workloads.items():
            if name in self.left_out:
                target = float(facts["target_ms"])
                said = self.left_out[name]
                found.append(Judgement(name, facts["kind"], target, None, None, Outcome.NOT_MEASURED, said))
            else:
                found.append(_judge(name, facts, self.of(name, Side.MONGODB), wrong.get(name)))
        return tuple(found)

    @property
    def outcome(self) -> Outcome:
        """Failed if a target is missed; passed only if every one was measured, decided and met."""
        found = {judgement.outcome for judgement in self.judgements()}
        worst = (Outcome.FAILED, Outcome.NOT_DECIDED, Outcome.NOT_MEASURED)
        return next((outcome for outcome in worst if outcome in found), Outcome.PASSED)

    @property
    def passed(self) -> bool:
        """Whether every workload was measured and met its target."""
        return self.outcome is Outcome.PASSED

    @property
    def wanting(self) -> bool:
        """Whether a target is missed or an answer differs; also where nothing at all could be decided."""
        found = {judgement.outcome for judgement in self.judgements()}
        return Outcome.FAILED in found or Outcome.PASSED not in found

    def cut_short(self) -> dict[str, int]:
        """Workloads with fewer samples than were asked for, on either database, and how many they have."""
        counts: dict[str, int] = {}
        for m in self.measurements:
            tries = len(m.warm_ms) + sum(m.errors.values())
            counts[m.workload] = min(tries, counts.get(m.workload, tries))
        return {name: count for name, count in counts.items() if count < self.asked_samples}

    @cached_property
    def ratios(self) -> Mapping[str, tuple[float, Interval]]:
        """MongoDB's median over PostgreSQL's with its interval, of workloads whose samples support medians."""
        found = {}
        for name in dict.fromkeys(m.workload for m in self.measurements):
            one, two = (self.of(name, side).warm_ms for side in (Side.POSTGRESQL, Side.MONGODB))
            if min(len(one), len(two)) >= minimum_samples(0.5):
                found[name] = median_ratio(two, one, seed=self.seed)
        return found

    def incomplete(self) -> dict[str, tuple[int, int]]:
        """Collections with fewer documents than their table has rows (rows, documents): answers differ there.

        Rows in quarantine are not counted: the answers are compared without them. The rows are PostgreSQL's own
        estimate.
        """
        rows, documents = self.environment["rows"], self.environment["documents"]
        quarantined = self.environment["quarantined"]
        pairs = {
            name: (rows[spec.source_table] - quarantined.get(spec.source_table, 0), documents[name])
            for name, spec in COLLECTIONS.items()
        }
        return {name: pair for name, pair in pairs.items() if pair[1] < pair[0]}

    def summary_frame(self) -> pd.DataFrame:
        """A row for each workload and database: samples, mean, median with interval, P95, P99, cold, errors, rate."""
        return pd.DataFrame([_summary_row(self.workloads[m.workload], m) for m in self.measurements])

    def verdict_frame(self) -> pd.DataFrame:
        """A row for each workload: state, both medians, MongoDB's over PostgreSQL's, the judged quantile, target."""
        rows = []
        for judgement in self.judgements():
            measured = {m.side: _median(m) for m in self.measurements if m.workload == judgement.workload}
            ratio, interval = self.ratios.get(judgement.workload, (None, None))
            rows.append(
                {
                    "workload": judgement.workload,
                    "state": str(judgement.outcome),
                    "PostgreSQL ms": measured.get(Side.POSTGRESQL),
                    "MongoDB ms": measured.get(Side.MONGODB),
                    "ratio": ratio,
                    "95 % interval": f"{interval.low:.2f} to {interval.high:.2f}" if interval else "–",
                    "judged": f"P{judgement.quantile * 100:g}" if judgement.quantile else "–",
                    "judged ms": judgement.value_ms,
                    "target ms": judgement.target_ms,
                    "kind": judgement.kind,
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
        return {"format": FORMAT, **data, "outcome": str(self.outcome), "judgements": judged}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The run that `as_dict` wrote."""
        return cls(
            **{
                name: data[name]
                for name in (
                    "started_at", "mode", "seed", "elapsed_seconds", "asked_samples", "limit_seconds", "environment",
                    "workloads", "left_out", "plans",
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
    quantile, value = (summary.judged_quantile, summary.judged_ms) if summary else (None, None)
    missed = []
    if wrong:
        missed.append(f"the answers differ: {wrong.difference}")
    if not summary:
        missed.append(f"no execution succeeded ({errors} errors)")
    elif errors:
        kinds = ", ".join(f"{count} {kind}" for kind, count in measured.errors.items())
        missed.append(f"errors: {kinds}")
    if quantile and value is not None and value > target:
        missed.append(f"P{quantile * 100:g} above the target")
    outcome, reason = Outcome.PASSED, ""
    if missed:
        outcome, reason = Outcome.FAILED, "; ".join(missed)
    elif quantile != TARGET_QUANTILE:
        outcome = Outcome.NOT_DECIDED
        reason = f"{len(measured.warm_ms)} samples, a P99 needs {minimum_samples(TARGET_QUANTILE)}"
    return Judgement(name, facts["kind"], target, quantile, value, outcome, reason)


def _median(measurement: Measurement) -> float | None:
    return measurement.summary.median if measurement.summary else None


def _summary_row(facts: Mapping[str, Any], m: Measurement) -> Json:
    row: Json = {"workload": m.workload, "kind": facts["kind"], "database": str(m.side)}
    summary = m.summary
    row["samples"] = len(m.warm_ms)
    row["mean ms"] = summary.mean if summary else None
    row["median ms"] = summary.median if summary else None
    interval = summary.median_interval if summary else None
    row["95 % interval"] = f"{interval.low:.2f} to {interval.high:.2f}" if interval else "–"
    row["P95 ms"] = summary.p95 if summary else None
    row["P99 ms"] = summary.p99 if summary else None
    row["cold samples"] = len(m.cold_ms)
    row["cold median ms"] = float(np.median(m.cold_ms)) if m.cold_ms else None
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
        "not sent": load.not_sent,
        "note": load.note,
    }
