"""Detectors and what they found: overview, map, groups."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workbench.explorer import charts
from workbench.explorer.dossier import anomaly_part
from workbench.explorer.groups import commonest, groups, plane
from workbench.explorer.part import Part
from workbench.explorer.question import Json, Question
from workbench.explorer.reader import Reader
from workbench.models import anomaly_events, detection_runs, detectors
from workbench.reporting import figures
from workbench.similarity.embedder import from_binary
from workbench.similarity.features import cohort_pairs

SEVERITIES = ("critical", "warn", "info")
MAP_POINTS = 5_000
NAMED_GROUPS = 6
SHOWN_ROWS = 20
NEWEST = 50


@dataclass(frozen=True)
class AnomalyOverview:
    """The parts of the overview, and the newest critical anomaly to look at more closely (None: there is none)."""

    detectors: Part
    by_severity: Part
    by_metric: Part
    by_cohort: Part
    in_time: Part
    newest: Part
    pick: str | None

    @property
    def parts(self) -> tuple[Part, ...]:
        """All of them, in the order of reading."""
        return self.detectors, self.by_severity, self.by_metric, self.by_cohort, self.in_time, self.newest


async def read_overview(reader: Reader, tenant: str) -> AnomalyOverview:
    """Detectors with their runs; anomalies counted by severity, metric, cohort value and week; the newest critical."""
    asked = {
        "detectors": Question(detectors.COLLECTION, (tenant,), sort={"updated_at": -1}, limit=1_000),
        "runs": _runs(tenant),
        "metric": _counted(tenant, {"metric": "$metric", "severity": "$severity"}),
        "cohort": _cohorts(tenant),
        "week": _counted(
            tenant, {"week": {"$dateTrunc": {"date": "$created_at", "unit": "week"}}, "severity": "$severity"}
        ),
        "detector": _counted(tenant, {"detector": "$detector_id"}),
        "newest": _newest(tenant),
    }
    answers = await asyncio.gather(*(reader.rows(question) for question in asked.values()))
    found = dict(zip(asked, answers, strict=True))
    newest = anomaly_part(found["newest"], asked["newest"], f"The newest critical anomalies (up to {NEWEST})")
    return AnomalyOverview(
        _detectors(found, (asked["detectors"], asked["runs"], asked["detector"])),
        _by_severity(found["metric"], asked["metric"]),
        _by_metric(found["metric"], asked["metric"]),
        _by_cohort(found["cohort"], asked["cohort"]),
        _in_time(found["week"], asked["week"]),
        newest,
        str(found["newest"][0]["anomaly_id"]) if found["newest"] else None,
    )


async def read_map(reader: Reader, tenant: str) -> tuple[Part, Part]:
    """The newest anomalies, at most `MAP_POINTS`, on the plane of their principal axes, and the groups among them."""
    question = Question(
        anomaly_events.COLLECTION,
        (tenant,),
        {"embedding_model": reader.similarity.embedder.name},
        ("metric", "severity", "cohort", "investigation_id", "created_at", "embedding"),
        {"created_at": -1, "_id": -1},
        MAP_POINTS,
    )
    rows = await reader.rows(question)
    vectors = from_binary([row.pop("embedding") for row in rows])
    number = await asyncio.to_thread(groups, vectors)
    return _map(rows, vectors, number, question), _groups(rows, number, question)


def _runs(tenant: str) -> Question:
    group = {
        "_id": {"detector": "$metadata.detector_id", "status": "$status"},
        "runs": {"$sum": 1},
        "last": {"$max": "$started_at"},
    }
    return Question(detection_runs.COLLECTION, (tenant,), stages=({"$group": group},))


def _counted(tenant: str, by: Json) -> Question:
    group = {"$group": {"_id": by, "anomalies": {"$sum": 1}}}
    return Question(anomaly_events.COLLECTION, (tenant,), stages=(group,))


def _cohorts(tenant: str) -> Question:
    stages: tuple[Json, ...] = (
        {"$project": {"pair": {"$objectToArray": "$cohort"}, "severity": 1}},
        {"$unwind": "$pair"},
        {"$group": {"_id": {"key": "$pair.k", "value": "$pair.v", "severity": "$severity"}, "anomalies": {"$sum": 1}}},
    )
    return Question(anomaly_events.COLLECTION, (tenant,), {"cohort": {"$type": "object"}}, stages=stages)


def _newest(tenant: str) -> Question:
    fields = (
        "anomaly_id", "metric", "severity", "score", "status", "cohort", "observed", "expected", "created_at",
    )  # fmt: skip
    conditions, sort = {"severity": "critical"}, {"created_at": -1, "_id": -1}
    return Question(anomaly_events.COLLECTION, (tenant,), conditions, fields, sort, NEWEST)


def _detectors(found: dict[str, list[Json]], questions: tuple[Question, ...]) -> Part:
    runs: dict[Any, dict[str, Any]] = {}
    for row in found["runs"]:
        entry = runs.setdefault(row["_id"]["detector"], {"runs": 0, "failed": 0, "last": None})
        entry["runs"] += row["runs"]
        entry["failed"] += row["runs"] if row["_id"]["status"] == "failed" else 0
        entry["last"] = max(filter(None, (entry["last"], row["last"])))
    anomalies = {row["_id"]["detector"]: row["anomalies"] for row in found["detector"]}
    rows = [
        {
            "detector": row["name"],
            "type": row["type"],
            "enabled": row["enabled"],
            "runs": runs.get(row["detector_id"], {}).get("runs", 0),
            "failed": runs.get(row["detector_id"], {}).get("failed", 0),
            "anomalies": anomalies.get(row["detector_id"], 0),
            "last run (UTC)": runs.get(row["detector_id"], {}).get("last"),
        }
        for row in found["detectors"]
    ]
    columns = ["detector", "type", "enabled", "runs", "failed", "anomalies", "last run (UTC)"]
    frame = pd.DataFrame(rows, columns=columns).sort_values("anomalies", ascending=False).reset_index(drop=True)
    return Part("Detectors and their runs", frame, questions)


def _by_severity(rows: list[Json], question: Question) -> Part:
    totals = dict.fromkeys(SEVERITIES, 0)
    for row in rows:
        totals[row["_id"]["severity"]] += row["anomalies"]
    frame = pd.DataFrame({"severity": list(totals), "anomalies": list(totals.values())})
    title = "Anomalies by severity"

    def draw(data: pd.DataFrame) -> Any:
        return figures.bar_by_table(data, value="anomalies", label="severity", title=title, xlabel="anomalies")

    alt = figures.alt_text(frame, label="severity", value="anomalies")
    return Part(title, frame, (question,), draw=draw, alt=alt)


def _by_metric(rows: list[Json], question: Question) -> Part:
    return _stacked(
        [(row["_id"]["metric"], row) for row in rows], "metric", f"Anomalies by metric (top {SHOWN_ROWS})", question
    )


def _by_cohort(rows: list[Json], question: Question) -> Part:
    named = [(f"{row['_id']['key']} {row['_id']['value']}", row) for row in rows]
    return _stacked(named, "cohort", f"Anomalies by cohort value (top {SHOWN_ROWS})", question)


def _stacked(named: list[tuple[str, Json]], label: str, title: str, question: Question) -> Part:
    counts: dict[str, dict[str, int]] = {}
    for name, row in named:
        counts.setdefault(name, dict.fromkeys(SEVERITIES, 0))[row["_id"]["severity"]] += row["anomalies"]
    frame = pd.DataFrame([{label: name, **each} for name, each in counts.items()], columns=[label, *SEVERITIES])
    frame["all"] = frame[list(SEVERITIES)].sum(axis=1)
    frame = frame.sort_values(["all", label], ascending=[False, True]).head(SHOWN_ROWS).reset_index(drop=True)

    def draw(data: pd.DataFrame) -> Any:
        return figures.stacked_bars(data, parts=SEVERITIES, label=label, title=title, xlabel="anomalies")

    alt = figures.alt_text(frame, label=label, value="all")
    return Part(title, frame, (question,), draw=draw, alt=alt)


def _in_time(rows: list[Json], question: Question) -> Part:
    weeks: dict[Any, dict[str, int]] = {}
    for row in rows:
        weeks.setdefault(row["_id"]["week"], dict.fromkeys(SEVERITIES, 0))[row["_id"]["severity"]] += row["anomalies"]
    frame = pd.DataFrame([{"week": week, **weeks[week]} for week in sorted(weeks)], columns=["week", *SEVERITIES])
    title = "Anomalies by week and severity"

    def draw(data: pd.DataFrame) -> Any:
        return charts.counts_in_time(data, time="week", kinds=list(SEVERITIES), title=title, ylabel="anomalies")

    alt = f"Lines of anomalies by week and severity over {len(frame)} weeks."
    return Part(title, frame, (question,), draw=draw, alt=alt)


def _map(rows: list[Json], vectors: Any, number: Any, question: Question) -> Part:
    points = plane(vectors) if len(vectors) else np.empty((0, 2))
    names = _names(rows, number)
    frame = pd.DataFrame({"group": [names.get(n, "") for n in number.tolist()], "x": points[:, 0], "y": points[:, 1]})
    shown = len(set(names.values()))
    alt = f"Map of {len(frame):,} anomalies; the {shown} largest groups are marked and named."
    note = f"{len(frame):,} anomalies; near means alike. The {shown} largest groups are named."
    if len(frame) >= MAP_POINTS:
        note = f"The map is full: older anomalies are not on it. {note}"
    return Part("Map of anomalies", frame, (question,), note=note, draw=charts.map_of_groups, alt=alt)


def _names(rows: list[Json], number: Any) -> dict[int, str]:
    """The largest groups: number -> a name made from what most of its members share."""
    found = range(min(NAMED_GROUPS, int(number.max(initial=-1)) + 1))
    return {n: f"{n + 1}: {_share(rows, number, n)}" for n in found}


def _share(rows: list[Json], number: Any, group: int) -> str:
    members = [rows[i] for i in np.flatnonzero(number == group)]
    pairs = [f"{key} {value}" for row in members for key, value in cohort_pairs(row)]
    common = sorted({pair for pair in pairs if pairs.count(pair) >= 0.8 * len(members)})
    return ", ".join([str(commonest([row["metric"] for row in members])), *common[:2]])


def _groups(rows: list[Json], number: Any, question: Question) -> Part:
    found = []
    for group in range(min(20, int(number.max(initial=-1)) + 1)):
        members = [rows[i] for i in np.flatnonzero(number == group)]
        found.append(
            {
                "group": group + 1,
                "anomalies": len(members),
                "in common": _share(rows, number, group),
                "critical": sum(row["severity"] == "critical" for row in members),
                "investigations": len({row["investigation_id"] for row in members if row.get("investigation_id")}),
                "first (UTC)": min((row["created_at"] for row in members), default=None),
                "last (UTC)": max((row["created_at"] for row in members), default=None),
            }
        )
    columns = ["group", "anomalies", "in common", "critical", "investigations", "first (UTC)", "last (UTC)"]
    note = "Anomalies whose vectors are alike (cosine 0.7 or more to the leader): probably one incident each."
    return Part("Groups of anomalies", pd.DataFrame(found, columns=columns), (question,), note=note)
