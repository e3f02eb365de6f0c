"""What the two time-series collections share: insert, ask, delete. They are never updated.

MongoDB refuses updates of measurements, unique indexes and writes in transactions there; filters name single meta
fields, never the whole meta object, because the server reorders its keys.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from workbench.errors import InvalidInput
from workbench.models.document import Document
from workbench.repositories.base import OpenRepository
from workbench.repositories.paging import DEFAULT_LIMIT, Page

D = TypeVar("D", bound=Document)


class TimeSeriesRepository(OpenRepository[D]):
    """The questions of a time series. `insert` finds no duplicates: the caller makes sure of them."""

    async def in_time_range(
        self,
        tenant: str,
        since: datetime | None,
        until: datetime | None,
        *,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> Page[D]:
        """Documents with since <= time < until, newest first."""
        return await self._page(tenant, {}, ranges=self._range(since, until), limit=limit, cursor=cursor)

    async def delete_range(self, tenant: str, since: datetime, until: datetime) -> int:
        """Delete the documents with since <= time < until; how many there were."""
        if since is None or until is None:
            raise InvalidInput(self.spec.sort_path, "a deletion needs both ends of its range")
        filter = {**self._filter(tenant), **self._range(since, until)}
        result = await self._run(lambda: self._collection.delete_many(filter), idempotent=False)
        return result.deleted_count
