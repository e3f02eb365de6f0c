"""soar_playbook_executions: executions of playbooks with their actions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from workbench.errors import InvalidInput
from workbench.models.document import bson_value
from workbench.models.soar_playbook_executions import ExecutionStatus, PlaybookAction, SoarPlaybookExecution
from workbench.repositories.base import OpenRepository
from workbench.repositories.literals import Stored, instant, literal
from workbench.repositories.paging import DEFAULT_LIMIT, Page


@dataclass(frozen=True)
class PlaybookStatistics:
    """The executions of one playbook. Durations are of finished executions, None if there was none."""

    playbook_id: str
    executions: int
    completed: int
    failed: int
    mean_duration_ms: float | None
    max_duration_ms: float | None


class SoarPlaybookExecutionRepository(OpenRepository[SoarPlaybookExecution]):
    """Executions of playbooks."""

    document = SoarPlaybookExecution

    async def by_playbook(
        self, tenant: str, playbook_id: str, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[SoarPlaybookExecution]:
        """Executions of a playbook, newest first."""
        return await self._page(tenant, {"playbook_id": playbook_id}, limit=limit, cursor=cursor)

    async def by_investigation(
        self, tenant: str, investigation_id: str, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[SoarPlaybookExecution]:
        """Executions for an investigation, newest first."""
        return await self._page(tenant, {"investigation_id": investigation_id}, limit=limit, cursor=cursor)

    async def by_status(
        self, tenant: str, status: ExecutionStatus, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[SoarPlaybookExecution]:
        """Executions in a status, newest first."""
        return await self._page(tenant, {"status": status}, limit=limit, cursor=cursor)

    async def add_action(self, tenant: str, execution_id: str, action: PlaybookAction) -> SoarPlaybookExecution:
        """The execution with one more action at the end.

        Raises:
            NotFound: there is no such execution, or it is another tenant's.
        """
        if not isinstance(action, PlaybookAction):
            raise InvalidInput("action", "must be a PlaybookAction")
        present = {"$ifNull": ["$actions_executed", []]}  # null where the source had none, which $push refuses
        added = {"$concatArrays": [present, [{"$literal": bson_value(action)}]]}
        return await self._must_change(tenant, (execution_id,), [{"$set": {"actions_executed": added}}])

    async def set_status(
        self,
        tenant: str,
        execution_id: str,
        status: ExecutionStatus,
        *,
        completed_at: datetime | None = None,
        error_message: str | None = None,
    ) -> SoarPlaybookExecution:
        """The execution in its new status; with `completed_at` its duration follows from its start.

        Raises:
            NotFound: there is no such execution, or it is another tenant's.
            InvalidInput: it would have ended before it started.
        """
        guard: Stored = {}
        values: Stored = {"status": {"$literal": literal(self.document, "status", status)}}
        if completed_at is not None:
            values["completed_at"] = instant("completed_at", completed_at)
            guard = {"started_at": {"$lte": values["completed_at"]}}
            values["duration_ms"] = {"$toDouble": {"$subtract": [completed_at, "$started_at"]}}
        if error_message is not None:
            values["error_message"] = {"$literal": literal(self.document, "error_message", error_message)}
        changed = await self._change(tenant, (execution_id,), [{"$set": values}], guard=guard, idempotent=True)
        if changed is None:
            present = await self.get(tenant, execution_id)
            raise InvalidInput("completed_at", f"is before started_at, {present.started_at.isoformat()}")
        return changed

    async def statistics(self, tenant: str) -> tuple[PlaybookStatistics, ...]:
        """Number, outcomes and durations of the executions of each playbook."""
        found = await self._aggregate(
            self._filter(tenant),
            {
                "$group": {
                    "_id": "$playbook_id",
                    "executions": {"$sum": 1},
                    "completed": {"$sum": _one_if(ExecutionStatus.COMPLETED)},
                    "failed": {"$sum": _one_if(ExecutionStatus.FAILED)},
                    "mean": {"$avg": "$duration_ms"},
                    "max": {"$max": "$duration_ms"},
                }
            },
            {"$sort": {"_id": 1}},
        )
        return tuple(
            PlaybookStatistics(
                group["_id"], group["executions"], group["completed"], group["failed"], group["mean"], group["max"]
            )
            for group in found
        )


def _one_if(status: ExecutionStatus) -> Stored:
    return {"$cond": [{"$eq": ["$status", status.value]}, 1, 0]}
