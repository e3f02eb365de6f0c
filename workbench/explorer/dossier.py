"""All that is known of one investigation, as parts: what the detail view shows and the dossier prints."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from workbench.errors import NotFound
from workbench.explorer import charts
from workbench.explorer.diff import changed_fields, text_of, version_diff
from workbench.explorer.part import Part
from workbench.explorer.question import Json, Question
from workbench.explorer.reader import Reader
from workbench.explorer.response import response_parts
from workbench.models import anomaly_events, audit_log, investigations, transaction_scores
from workbench.reporting import figures

BINS = 20
TOP_TRANSACTIONS = 20
MAX_ANOMALIES = 1_000
MAX_ENTRIES = 5_000


@dataclass(frozen=True)
class Dossier:
    """One investigation: its document, its audit entries (newest first), its anomalies, and all parts in order."""

    investigation_id: str
    investigation: Mapping[str, Any]
    entries: tuple[Mapping[str, Any], ...]
    anomalies: tuple[Mapping[str, Any], ...]
    parts: tuple[Part, ...]
    audit_question: Question

    @property
    def versions(self) -> tuple[int, ...]:
        """The versions that the history knows, ascending, from 0 (before the creation)."""
        found = {int(e["to_version"]) for e in self.entries if e.get("to_version") is not None}
        return (0, *sorted(found - {0}))

    @property
    def missing_versions(self) -> tuple[int, ...]:
        """Versions up to the present one of which the history, from where it was cut, has no entry."""
        known = set(self.versions)
        first = min(known - {0}, default=1) if len(self.entries) >= MAX_ENTRIES else 1
        return tuple(v for v in range(first, int(self.investigation["version"]) + 1) if v not in known)

    def difference(self, before: int, after: int) -> Part:
        """The fields that differ between two versions."""
        frame = version_diff(self.entries, before, after)
        title = f"Changes from version {before} to {after}"
        return Part(title, frame, (self.audit_question,), note="" if len(frame) else "No field differs.")


async def read_dossier(
    reader: Reader,
    tenant: str,
    investigation_id: str,
    anomaly_tenants: tuple[str, ...],
    integration_tenants: list[str],
) -> Dossier:
    """Everything but what is similar, which takes a search of its own.

    Args:
        reader: where to ask.
        tenant: whose investigation.
        investigation_id: which.
        anomaly_tenants: the tenants under which its anomalies are stored.
        integration_tenants: the tenants under which its playbooks and tools are stored.

    Raises:
        NotFound: the tenant has no such investigation.
    """
    document, anomalies, audit, bins, top, response = await asyncio.gather(
        reader.rows(Question(investigations.COLLECTION, (tenant,), {"investigation_id": investigation_id}, limit=1)),
        reader.rows(_anomalies(anomaly_tenants, investigation_id)),
        reader.rows(_audit(tenant, investigation_id)),
        reader.rows(_bins(tenant, investigation_id)),
        reader.rows(_top(tenant, investigation_id)),
        response_parts(reader, integration_tenants, investigation_id),
    )
    if not document:
        raise NotFound(investigations.COLLECTION.name, investigation_id)
    found = document[0]
    waiting = [e for e in found.get("outbox") or [] if e.get("entry_id") not in {a["entry_id"] for a in audit}]
    entries = sorted([*audit, *waiting], key=lambda e: (e["timestamp"], e.get("to_version") or 0), reverse=True)
    own = Question(investigations.COLLECTION, (tenant,), {"investigation_id": investigation_id}, limit=1)
    scores_from = _bins(tenant, investigation_id), _top(tenant, investigation_id)
    if not bins:
        bins, top = _scores_of_results(found)
        scores_from = (own, own) if bins else scores_from
    return Dossier(
        investigation_id,
        found,
        tuple(entries),
        tuple(anomalies),
        (
            _facts(found, own),
            _findings(found, own),
            _scores(bins, scores_from[0]),
            _riskiest(top, scores_from[1]),
            anomaly_part(anomalies, _anomalies(anomaly_tenants, investigation_id)),
            _history(entries, _audit(tenant, investigation_id)),
            *response,
        ),
        _audit(tenant, investigation_id),
    )


def _anomalies(tenants: tuple[str, ...], investigation_id: str) -> Question:
    fields = (
        "tenant_id", "anomaly_id", "metric", "severity", "score", "status", "cohort", "observed", "expected",
        "evidence", "created_at", "embedding_model",
    )  # fmt: skip
    conditions = {"investigation_id": investigation_id}
    return Question(anomaly_events.COLLECTION, tenants, conditions, fields, {"created_at": -1}, MAX_ANOMALIES)


def _audit(tenant: str, investigation_id: str) -> Question:
    conditions = {"metadata.investigation_id": investigation_id}
    return Question(audit_log.COLLECTION, (tenant,), conditions, (), {"timestamp": -1}, MAX_ENTRIES)


def _bins(tenant: str, investigation_id: str) -> Question:
    place = {"$min": [BINS - 1, {"$floor": {"$multiply": ["$risk_score", BINS]}}]}
    group = {"$group": {"_id": place, "transactions": {"$sum": 1}}}
    return Question(
        transaction_scores.COLLECTION, (tenant,), {"investigation_id": investigation_id}, stages=(group,), limit=BINS
    )


def _top(tenant: str, investigation_id: str) -> Question:
    return Question(
        transaction_scores.COLLECTION,
        (tenant,),
        {"investigation_id": investigation_id},
        ("transaction_id", "risk_score", "created_at"),
        {"risk_score": -1, "_id": -1},
        TOP_TRANSACTIONS,
    )


def _facts(found: Json, question: Question) -> Part:
    progress, results = found.get("progress") or {}, found.get("results") or {}
    metadata, settings = found.get("metadata") or {}, found.get("settings") or {}
    facts = {
        "investigation": found["investigation_id"],
        "tenant": found["tenant_id"],
        "user": found["user_id"],
        "status": found["status"],
        "stage": found["lifecycle_stage"],
        "risk score": results.get("risk_score"),
        "phase": progress.get("current_phase"),
        "progress %": progress.get("progress_percentage"),
        "version": found["version"],
        "created (UTC)": found["created_at"],
        "updated (UTC)": found["updated_at"],
        "last accessed (UTC)": found.get("last_accessed"),
        "tags": ", ".join(metadata.get("tags") or []) or None,
        **{f"setting {key}": text_of(value) for key, value in sorted(settings.items())},
    }
    # Numbers as text: a column of all kinds reads best from the left.
    values = [str(value) if isinstance(value, (int, float)) else value for value in facts.values()]
    frame = pd.DataFrame({"fact": list(facts), "value": pd.Series(values, dtype=object)})
    return Part("Facts and progress", frame, (question,))


def _findings(found: Json, question: Question) -> Part:
    domains = (found.get("results") or {}).get("domain_findings") or {}
    rows = [
        {
            "domain": name,
            "risk": finding.get("risk_score"),
            "confidence": finding.get("confidence"),
            "evidence": _evidence(finding["evidence"]) if "evidence" in finding else "",
        }
        for name, finding in domains.items()
    ]
    frame = pd.DataFrame(rows, columns=["domain", "risk", "confidence", "evidence"])
    frame = frame.sort_values("risk", ascending=False, na_position="last").reset_index(drop=True)
    title = "Risk by domain"

    def draw(data: pd.DataFrame) -> Any:
        return figures.bar_by_table(data, value="risk", label="domain", title=title, xlabel="risk score, 0 to 1")

    known = frame["risk"].notna().any()
    note = "" if len(frame) else "No domain has reported yet."
    alt = figures.alt_text(frame, label="domain", value="risk") if known else ""
    return Part(title, frame, (question,), note=note, draw=draw if known else None, alt=alt)


def _evidence(value: Any) -> str:
    """Evidence of any JSON shape as text; the items of a list one after another."""
    return "; ".join(text_of(item) or "null" for item in value) if isinstance(value, list) else text_of(value) or "null"


def _scores(bins: list[Json], question: Question) -> Part:
    counts = {int(row["_id"]): int(row["transactions"]) for row in bins if row["_id"] is not None}
    places = range(BINS if counts else 0)
    rows = [{"from": i / BINS, "to": (i + 1) / BINS, "transactions": counts.get(i, 0)} for i in places]
    frame = pd.DataFrame(rows, columns=["from", "to", "transactions"])
    total, high = sum(counts.values()), sum(n for i, n in counts.items() if i >= BINS * 0.8)
    alt = f"Histogram of {total:,} transactions by risk score; {high:,} of them score 0.8 or more."
    note = f"{total:,} transactions, {high:,} of them at 0.8 or more." if total else "No transaction has a score."
    return Part("Transaction scores", frame, (question,), note=note, draw=charts.score_bins, alt=alt)


def _scores_of_results(found: Json) -> tuple[list[Json], list[Json]]:
    """The scores that stand in the investigation itself, as the answers of `_bins` and `_top`."""
    stored = (found.get("results") or {}).get("transaction_scores") or {}
    scores = {name: score for name, score in stored.items() if isinstance(score, (int, float))}
    counts = Counter(min(BINS - 1, int(score * BINS)) for score in scores.values())
    riskiest = sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:TOP_TRANSACTIONS]
    return (
        [{"_id": place, "transactions": number} for place, number in counts.items()],
        [{"transaction_id": name, "risk_score": score, "created_at": None} for name, score in riskiest],
    )


def _riskiest(rows: list[Json], question: Question) -> Part:
    frame = pd.DataFrame(
        [
            {"transaction": r["transaction_id"], "risk": r["risk_score"], "scored (UTC)": r["created_at"]}
            for r in rows
        ],
        columns=["transaction", "risk", "scored (UTC)"],
    )  # fmt: skip
    return Part(f"Riskiest transactions (up to {TOP_TRANSACTIONS})", frame, (question,))


def anomaly_part(rows: list[Json], question: Question, title: str = "Anomalies over time") -> Part:
    """Anomalies as a table and in time."""
    frame = pd.DataFrame(
        [
            {
                "anomaly": str(row["anomaly_id"]),
                "created (UTC)": row["created_at"],
                "metric": row["metric"],
                "severity": row["severity"],
                "score": row["score"],
                "status": row["status"],
                "cohort": ", ".join(f"{key} {value}" for key, value in sorted((row.get("cohort") or {}).items())),
                "observed": text_of(row.get("observed")),
                "expected": text_of(row.get("expected")),
            }
            for row in rows
        ],
        columns=[
            "anomaly", "created (UTC)", "metric", "severity", "score", "status", "cohort", "observed", "expected",
        ],
    )  # fmt: skip
    worst = int((frame["severity"] == "critical").sum())
    alt = f"{len(frame):,} anomalies by time and score; {worst:,} of them critical."
    note = "" if len(frame) else "No anomaly is linked to it."
    if len(frame) >= MAX_ANOMALIES:
        note = f"The newest {MAX_ANOMALIES:,} anomalies; there may be more."
    return Part(title, frame, (question,), note=note, draw=charts.events_in_time, alt=alt)


def _history(entries: list[Json], question: Question) -> Part:
    frame = pd.DataFrame(
        [
            {
                "time (UTC)": entry["timestamp"],
                "action": entry["metadata"]["action_type"],
                "user": entry["metadata"]["user_id"],
                "source": entry["metadata"]["source"],
                "from": entry.get("from_version"),
                "to": entry.get("to_version"),
                "changed": ", ".join(changed_fields(entry)),
            }
            for entry in entries
        ],
        columns=["time (UTC)", "action", "user", "source", "from", "to", "changed"],
        dtype=object,
    )
    note = f"The newest {MAX_ENTRIES:,} entries; there may be more." if len(entries) >= MAX_ENTRIES else ""
    return Part("Audit history", frame, (question,), note=note)
