"""detection_runs: what the detectors ran, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from workbench.models.detection_runs import DetectionRun, RunStatus
from workbench.repositories.paging import DEFAULT_LIMIT, Page
from workbench.repositories.time_series import TimeSeriesRepository


@dataclass(frozen=True)
class RunStatistics:
    """The runs of one detector on one UTC day. Durations are of finished runs, None if there was none."""

    detector_id: UUID
    day: datetime
    runs: int
    failures: int
    mean_seconds: float | None
    p95_seconds: float | None


class DetectionRunRepository(TimeSeriesRepository[DetectionRun]):
    """Runs of detectors."""

    document = DetectionRun

    async def by_detector(
        self,
        tenant: str,
        detector_id: UUID,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> Page[DetectionRun]:
        """Runs of a detector with since <= start < until, newest first."""
        where = {"metadata.detector_id": detector_id}
        return await self._page(tenant, where, ranges=self._range(since, until), limit=limit, cursor=cursor)

    async def by_status(
        self, tenant: str, status: RunStatus, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[DetectionRun]:
        """Runs in a status, newest first."""
        return await self._page(tenant, {"status": status}, limit=limit, cursor=cursor)

    async def statistics(
        self, tenant: str, since: datetime, until: datetime, *, detector_id: UUID | None = None
    ) -> tuple[RunStatistics, ...]:
        """Runs, failures, mean and 95th percentile of the duration of each detector and UTC day, oldest day first.

        The percentile is the server's approximate one (t-digest, MongoDB 7.0), so memory does not grow with the runs.
        """
        where = {} if detector_id is None else {"metadata.detector_id": detector_id}
        found = await self._aggregate(
            {**self._filter(tenant, where), **self._range(since, until)},
            {
                "$project": {
                    "detector_id": "$metadata.detector_id",
                    "day": {"$dateTrunc": {"date": "$started_at", "unit": "day"}},
                    "failed": {"$cond": [{"$eq": ["$status", RunStatus.FAILED.value]}, 1, 0]},
                    "milliseconds": {"$subtract": ["$finished_at", "$started_at"]},
                }
            },
            {
                "$group": {
                    "_id": {"day": "$day", "detector_id": "$detector_id"},
                    "runs": {"$sum": 1},
                    "failures": {"$sum": "$failed"},
                    "mean": {"$avg": "$milliseconds"},
                    "p95": {"$percentile": {"input": "$milliseconds", "p": [0.95], "method": "approximate"}},
                }
            },
            {"$sort": {"_id.day": 1, "_id.detector_id": 1}},
        )
        return tuple(
            RunStatistics(
                detector_id=group["_id"]["detector_id"],
                day=group["_id"]["day"],
                runs=group["runs"],
                failures=group["failures"],
                mean_seconds=_seconds(group["mean"]),
                p95_seconds=_seconds(group["p95"][0] if group["p95"] else None),
            )
            for group in found
        )


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
