"""What an investigation or an anomaly resembles: anomalies alike, and the past investigations that had them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import pandas as pd

from workbench.explorer.part import Part
from workbench.explorer.question import Question
from workbench.explorer.reader import Reader
from workbench.models import investigations
from workbench.models.anomaly_events import COLLECTION
from workbench.similarity.search import Hit, SimilarResult

MAX_SEEDS = 5
"""Anomalies of an investigation that are searched from: the strongest ones."""
HITS_A_SEED = 20
"""Anomalies of others that count for each."""
SHOWN_INVESTIGATIONS = 10
MAX_LOOKED_UP = 100
_FIELDS = (
    "anomaly_id", "investigation_id", "metric", "severity", "score", "status", "cohort", "evidence", "created_at",
)  # fmt: skip


async def neighbours(
    reader: Reader, tenant: str, anomaly_id: UUID, *, limit: int = 10, severity: str | None = None
) -> Part:
    """The anomalies most like one, with the reason.

    Raises:
        NotFound: the tenant has no such anomaly.
    """
    found = await reader.to_end(reader.similarity.to_event(tenant, anomaly_id, limit=limit, severity=severity))
    return hits_part((tenant,), found.hits, "Similar anomalies", _how(found))


async def similar_parts(
    reader: Reader, tenant: str, investigation: Mapping[str, Any], anomalies: Sequence[Mapping[str, Any]]
) -> tuple[Part, Part]:
    """For an investigation with its anomalies: anomalies alike elsewhere, and the past investigations that had them.

    Past are those that were created before this one.
    """
    investigation_id = investigation["investigation_id"]
    seeds = sorted(anomalies, key=lambda event: -event["score"])[:MAX_SEEDS]
    best: dict[UUID, Hit] = {}
    how = "No anomaly is linked to it, so there is nothing to compare."
    search = reader.similarity
    limit = HITS_A_SEED + len(anomalies)  # its own may be the nearest, all of them
    for found in await asyncio.gather(
        *(reader.to_end(search.to_event(seed["tenant_id"], seed["anomaly_id"], limit=limit)) for seed in seeds)
    ):
        how = _how(found)
        elsewhere = [hit for hit in found.hits if hit.event.get("investigation_id") != investigation_id]
        for hit in elsewhere[:HITS_A_SEED]:
            known = best.get(hit.anomaly_id)
            if known is None or known.score < hit.score:
                best[hit.anomaly_id] = hit
    hits = sorted(best.values(), key=lambda hit: (-hit.score, str(hit.anomaly_id)))
    tenants = tuple(sorted({str(seed["tenant_id"]) for seed in seeds})) or (tenant,)
    if not hits:
        return hits_part(tenants, hits, "Similar anomalies elsewhere", how), _investigations((), hits, {}, how)
    named = list(dict.fromkeys(filter(None, map(_investigation_of, hits))))
    past = Question(
        investigations.COLLECTION,
        (tenant,),
        {"investigation_id": {"$in": named[:MAX_LOOKED_UP]}, "created_at": {"$lt": investigation["created_at"]}},
        ("investigation_id", "status", "created_at", "results.risk_score"),
        limit=MAX_LOOKED_UP,
    )
    before = {row["investigation_id"]: row for row in await reader.rows(past)}
    return (
        hits_part(tenants, hits[:HITS_A_SEED], "Similar anomalies elsewhere", how),
        _investigations((past,), hits, before, how),
    )


def hits_part(tenants: tuple[str, ...], hits: Sequence[Hit], title: str, how: str) -> Part:
    """Hits with similarity and reason."""
    frame = pd.DataFrame(
        [
            {
                "anomaly": str(hit.anomaly_id),
                "similarity": round(hit.score, 3),
                "why": str(hit.reason),
                "severity": hit.event["severity"],
                "metric": hit.event["metric"],
                "investigation": hit.event.get("investigation_id") or "",
                "created (UTC)": hit.event["created_at"],
            }
            for hit in hits
        ],
        columns=["anomaly", "similarity", "why", "severity", "metric", "investigation", "created (UTC)"],
    )
    return Part(title, frame, _found(tenants, hits), note=how)


def _investigations(
    questions: Sequence[Question], hits: Sequence[Hit], known: Mapping[str, Mapping[str, Any]], how: str
) -> Part:
    """The known investigations of the hits; more alike first."""
    by_id: dict[str, list[Hit]] = {}
    for hit in hits:
        if _investigation_of(hit) in known:
            by_id.setdefault(_investigation_of(hit), []).append(hit)
    rows: list[dict[str, Any]] = [
        {
            "investigation": name,
            "status": known[name]["status"],
            "created (UTC)": known[name]["created_at"],
            "risk": (known[name].get("results") or {}).get("risk_score"),
            "similarity": round(found[0].score, 3),
            "anomalies alike": len(found),
            "why": str(found[0].reason),
        }
        for name, found in by_id.items()
    ]
    rows.sort(key=lambda row: (-row["similarity"], -row["anomalies alike"], row["investigation"]))
    columns = ["investigation", "status", "created (UTC)", "risk", "similarity", "anomalies alike", "why"]
    frame = pd.DataFrame(rows[:SHOWN_INVESTIGATIONS], columns=columns)
    note = how if rows or not hits else f"{how} None of them belongs to an investigation before this one."
    return Part("Similar past investigations", frame, questions, note=note)


def _investigation_of(hit: Hit) -> str:
    return str(hit.event.get("investigation_id") or "")


def _found(tenants: tuple[str, ...], hits: Sequence[Hit]) -> tuple[Question, ...]:
    """The query that brings the hits; the search itself is not expressible in one find."""
    if not hits:
        return ()
    conditions = {"anomaly_id": {"$in": [hit.anomaly_id for hit in hits]}}
    return (Question(COLLECTION, tenants, conditions, _FIELDS, limit=len(hits)),)


def _how(found: SimilarResult) -> str:
    compared = f" over {found.compared:,} anomalies" if found.compared is not None else ""
    return f"Found by {found.method}{compared} in {found.elapsed_seconds * 1000:,.0f} ms."
