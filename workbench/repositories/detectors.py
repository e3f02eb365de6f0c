"""detectors: what looks for anomalies."""

from __future__ import annotations

from uuid import UUID

from workbench.models.detectors import Detector
from workbench.models.fields import utc_now
from workbench.repositories.base import OpenRepository
from workbench.repositories.paging import DEFAULT_LIMIT, Page


class DetectorRepository(OpenRepository[Detector]):
    """Detectors and whether they run."""

    document = Detector

    async def by_type(
        self, tenant: str, type: str, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[Detector]:
        """Detectors of a type, newest first."""
        return await self._page(tenant, {"type": type}, limit=limit, cursor=cursor)

    async def by_enabled(
        self, tenant: str, enabled: bool, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[Detector]:
        """Detectors that are enabled, or that are not, newest first."""
        return await self._page(tenant, {"enabled": enabled}, limit=limit, cursor=cursor)

    async def by_cohort_field(
        self, tenant: str, field: str, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[Detector]:
        """Detectors whose cohorts are cut by a field, newest first."""
        return await self._page(tenant, {"cohort_by": field}, limit=limit, cursor=cursor)

    async def enable(self, tenant: str, detector_id: UUID) -> Detector:
        """The detector, enabled.

        Raises:
            NotFound: there is none, or it is another tenant's.
        """
        return await self._set_enabled(tenant, detector_id, True)

    async def disable(self, tenant: str, detector_id: UUID) -> Detector:
        """The detector, disabled.

        Raises:
            NotFound: there is none, or it is another tenant's.
        """
        return await self._set_enabled(tenant, detector_id, False)

    async def _set_enabled(self, tenant: str, detector_id: UUID, enabled: bool) -> Detector:
        update = {"$set": {"enabled": enabled, "updated_at": utc_now()}}
        return await self._must_change(tenant, (detector_id,), update, idempotent=True)
