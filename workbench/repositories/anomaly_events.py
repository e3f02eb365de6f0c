"""anomaly_events: what the detectors found, and what became of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from workbench.models.anomaly_events import AnomalyEvent, AnomalyStatus, Severity
from workbench.repositories.base import OpenRepository
from workbench.repositories.literals import Filter, between, literal
from workbench.repositories.paging import DEFAULT_LIMIT, Order, Page


@dataclass(frozen=True)
class AnomalyStatistics:
    """The anomalies of one severity and status."""

    severity: Severity
    status: AnomalyStatus
    anomalies: int
    mean_score: float
    max_score: float


_BY_SCORE = Order("score")


class AnomalyEventRepository(OpenRepository[AnomalyEvent]):
    """Anomalies. Lists leave the embedding out."""

    document = AnomalyEvent
    left_out = ("embedding",)

    async def by_run(
        self, tenant: str, run_id: UUID, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[AnomalyEvent]:
        """Anomalies that a run found, newest first."""
        return await self._page(tenant, {"run_id": run_id}, limit=limit, cursor=cursor)

    async def by_detector(
        self, tenant: str, detector_id: UUID, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[AnomalyEvent]:
        """Anomalies that a detector found, newest first."""
        return await self._page(tenant, {"detector_id": detector_id}, limit=limit, cursor=cursor)

    async def by_investigation(
        self, tenant: str, investigation_id: str, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[AnomalyEvent]:
        """Anomalies that belong to an investigation, newest first."""
        return await self._page(tenant, {"investigation_id": investigation_id}, limit=limit, cursor=cursor)

    async def by_severity(
        self,
        tenant: str,
        severity: Severity,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> Page[AnomalyEvent]:
        """Anomalies of a severity with since <= created_at < until, newest first."""
        ranges = self._range(since, until)
        return await self._page(tenant, {"severity": severity}, ranges=ranges, limit=limit, cursor=cursor)

    async def by_status(
        self, tenant: str, status: AnomalyStatus, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[AnomalyEvent]:
        """Anomalies in a status, newest first."""
        return await self._page(tenant, {"status": status}, limit=limit, cursor=cursor)

    async def with_score_at_least(
        self, tenant: str, score: float, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[AnomalyEvent]:
        """Anomalies with at least this score, highest first."""
        ranges = between(self.document, "score", score, None)
        return await self._page(tenant, {}, ranges=ranges, order=_BY_SCORE, limit=limit, cursor=cursor)

    async def statistics(self, tenant: str) -> tuple[AnomalyStatistics, ...]:
        """Number, mean and highest score of the anomalies of each severity and status."""
        found = await self._aggregate(
            self._filter(tenant),
            {
                "$group": {
                    "_id": {"severity": "$severity", "status": "$status"},
                    "anomalies": {"$sum": 1},
                    "mean": {"$avg": "$score"},
                    "max": {"$max": "$score"},
                }
            },
            {"$sort": {"_id.severity": 1, "_id.status": 1}},
        )
        return tuple(
            AnomalyStatistics(
                Severity(group["_id"]["severity"]),
                AnomalyStatus(group["_id"]["status"]),
                group["anomalies"],
                group["mean"],
                group["max"],
            )
            for group in found
        )

    async def embedding_of(self, tenant: str, anomaly_id: UUID) -> bytes | None:
        """The embedding of an anomaly as a BSON binary vector, or None if it has none.

        Raises:
            NotFound: there is no such anomaly, or it is another tenant's.
        """
        return (await self.get(tenant, anomaly_id)).embedding

    async def vectors(self, tenant: str, *, severity: Severity | None = None) -> AsyncIterator[tuple[UUID, bytes]]:
        """Iterate over (anomaly_id, embedding) of the anomalies that have one, in no order; 1.6 KB each."""
        where: Filter = {} if severity is None else {"severity": severity}
        projection = {"_id": 0, "anomaly_id": 1, "embedding": 1}
        async for stored in self._stream(self._filter(tenant, where), projection):
            if stored["embedding"] is not None:
                yield stored["anomaly_id"], stored["embedding"]

    async def set_status(self, tenant: str, anomaly_id: UUID, status: AnomalyStatus) -> AnomalyEvent:
        """The anomaly in its new status.

        Raises:
            NotFound: there is no such anomaly, or it is another tenant's.
        """
        update = {"$set": {"status": literal(self.document, "status", status)}}
        return await self._must_change(tenant, (anomaly_id,), update, idempotent=True)

    async def link_to_investigation(self, tenant: str, anomaly_id: UUID, investigation_id: str) -> AnomalyEvent:
        """The anomaly, linked to an investigation. That the investigation is there is the caller's to know.

        Raises:
            NotFound: there is no such anomaly, or it is another tenant's.
        """
        update = {"$set": {"investigation_id": literal(self.document, "investigation_id", investigation_id)}}
        return await self._must_change(tenant, (anomaly_id,), update, idempotent=True)
