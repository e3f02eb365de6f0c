"""composio_action_audits: what was done through tool connections, and how often it was tried."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from workbench.errors import InvalidInput
from workbench.models.composio_action_audits import ActionStatus, ComposioActionAudit
from workbench.models.fields import json_problem
from workbench.repositories.base import OpenRepository
from workbench.repositories.literals import between, literal
from workbench.repositories.paging import DEFAULT_LIMIT, Order, Page

_MOST_RETRIES = Order("retry_count")


@dataclass(frozen=True)
class ActionStatistics:
    """The executions of one action in one status."""

    action_name: str
    status: ActionStatus
    executions: int
    mean_retries: float


class ComposioActionAuditRepository(OpenRepository[ComposioActionAudit]):
    """Executions of actions. Lists leave parameters and results out; `get` reads them."""

    document = ComposioActionAudit
    left_out = ("parameters", "result")

    async def by_action(
        self, tenant: str, action_id: str, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[ComposioActionAudit]:
        """Executions of an action, newest first."""
        return await self._page(tenant, {"action_id": action_id}, limit=limit, cursor=cursor)

    async def by_execution(
        self, tenant: str, execution_id: str, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[ComposioActionAudit]:
        """Actions of an execution, newest first."""
        return await self._page(tenant, {"execution_id": execution_id}, limit=limit, cursor=cursor)

    async def by_toolkit(
        self, tenant: str, toolkit_name: str, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[ComposioActionAudit]:
        """Actions of a toolkit, newest first."""
        return await self._page(tenant, {"toolkit_name": toolkit_name}, limit=limit, cursor=cursor)

    async def by_connection(
        self, tenant: str, connection_id: str, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[ComposioActionAudit]:
        """Actions through a connection, newest first."""
        return await self._page(tenant, {"connection_id": connection_id}, limit=limit, cursor=cursor)

    async def by_status(
        self, tenant: str, status: ActionStatus, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[ComposioActionAudit]:
        """Actions in a status, newest first."""
        return await self._page(tenant, {"status": status}, limit=limit, cursor=cursor)

    async def in_time_range(
        self,
        tenant: str,
        since: datetime | None,
        until: datetime | None,
        *,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> Page[ComposioActionAudit]:
        """Actions with since <= executed_at < until, newest first."""
        return await self._page(tenant, {}, ranges=self._range(since, until), limit=limit, cursor=cursor)

    async def failed_with_retries(
        self, tenant: str, at_least: int, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[ComposioActionAudit]:
        """Failed actions with at least so many retries, the most retried first."""
        return await self._page(
            tenant,
            {"status": ActionStatus.FAILED},
            ranges=between(self.document, "retry_count", at_least, None),
            order=_MOST_RETRIES,
            limit=limit,
            cursor=cursor,
        )

    async def record_retry(
        self,
        tenant: str,
        audit_id: str,
        status: ActionStatus,
        *,
        result: object = None,
        error_message: str | None = None,
    ) -> ComposioActionAudit:
        """The action after one more try.

        Raises:
            NotFound: there is no such action, or it is another tenant's.
            InvalidInput: the result is no JSON that MongoDB can hold.
        """
        problem = json_problem(result)
        if problem:
            raise InvalidInput("result", f"{problem[1]} at {problem[0]!r}")
        values = {
            "status": literal(self.document, "status", status),
            "result": result,
            "error_message": None if error_message is None else literal(self.document, "error_message", error_message),
        }
        return await self._must_change(tenant, (audit_id,), {"$set": values, "$inc": {"retry_count": 1}})

    async def statistics(self, tenant: str) -> tuple[ActionStatistics, ...]:
        """Number of executions and mean retries of each action and status."""
        found = await self._aggregate(
            self._filter(tenant),
            {
                "$group": {
                    "_id": {"action_name": "$action_name", "status": "$status"},
                    "executions": {"$sum": 1},
                    "retries": {"$avg": "$retry_count"},
                }
            },
            {"$sort": {"_id.action_name": 1, "_id.status": 1}},
        )
        return tuple(
            ActionStatistics(
                group["_id"]["action_name"],
                ActionStatus(group["_id"]["status"]),
                group["executions"],
                group["retries"],
            )
            for group in found
        )
