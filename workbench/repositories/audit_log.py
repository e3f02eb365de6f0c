"""audit_log: what was done to investigations, by whom, when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from workbench.errors import InvalidInput
from workbench.models.audit_log import ActionType, AuditEntry
from workbench.repositories.paging import DEFAULT_LIMIT, Page
from workbench.repositories.time_series import TimeSeriesRepository


@dataclass(frozen=True)
class DayCount:
    """Entries of one UTC day."""

    day: datetime
    entries: int


class AuditLogRepository(TimeSeriesRepository[AuditEntry]):
    """Entries that have left the outbox of their investigation."""

    document = AuditEntry

    async def of_investigation(
        self,
        tenant: str,
        investigation_id: str,
        *,
        pending: Sequence[AuditEntry] = (),
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> Page[AuditEntry]:
        """The history of an investigation, newest first; each entry once.

        Args:
            tenant: whose data.
            investigation_id: whose history.
            pending: entries that were still in the outbox; read them before you call, so that none slips through.
            limit: 1 to 500.
            cursor: of the page before.
        """
        path = "metadata.investigation_id"
        where = {path: investigation_id}
        filter = self._filter(tenant, where)
        of = (filter[self.spec.tenant_path], filter[path])
        if not isinstance(pending, Sequence):
            raise InvalidInput("pending", "must be a list of entries")
        for entry in pending:
            if not isinstance(entry, AuditEntry):
                raise InvalidInput("pending", "must be AuditEntry documents")
            if (entry.metadata.tenant_id, entry.metadata.investigation_id) != of:
                raise InvalidInput("pending", "holds an entry of another investigation")
        late = [entry.to_bson() for entry in pending]
        return await self._page(tenant, where, pending=late, limit=limit, cursor=cursor)

    async def by_action(
        self, tenant: str, action: ActionType, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[AuditEntry]:
        """Entries of an action, newest first."""
        return await self._page(tenant, {"metadata.action_type": action}, limit=limit, cursor=cursor)

    async def by_user(
        self, tenant: str, user_id: str, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[AuditEntry]:
        """What a user did, newest first."""
        return await self._page(tenant, {"metadata.user_id": user_id}, limit=limit, cursor=cursor)

    async def counts_per_day(self, tenant: str, since: datetime, until: datetime) -> tuple[DayCount, ...]:
        """Entries of each UTC day with any, oldest first; since <= time < until."""
        found = await self._aggregate(
            {**self._filter(tenant), **self._range(since, until)},
            {"$group": {"_id": {"$dateTrunc": {"date": "$timestamp", "unit": "day"}}, "entries": {"$sum": 1}}},
            {"$sort": {"_id": 1}},
        )
        return tuple(DayCount(group["_id"], group["entries"]) for group in found)
