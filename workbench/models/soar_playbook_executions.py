"""soar_playbook_executions: one execution of a SOAR playbook with its actions."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from workbench.models.document import Document, OpenPart
from workbench.models.fields import Finite, Instant, Json, Key
from workbench.models.spec import Collection, Index, ascending, newest


class ExecutionStatus(StrEnum):
    """The state of an execution."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class PlaybookAction(OpenPart):
    """One action of an execution. Fields that the source did not set stay absent."""

    action_id: Key | None = None
    action_type: str | None = None
    status: str | None = None
    started_at: Instant | None = None
    completed_at: Instant | None = None
    result: Json = None
    error: str | None = None


class SoarPlaybookExecution(Document):
    """One execution; `duration_ms` is derived from its start and end."""

    execution_id: Key
    playbook_id: Key
    investigation_id: Key | None = None
    anomaly_id: Key | None = None
    tenant_id: Key
    trigger_reason: str | None = None
    status: ExecutionStatus
    started_at: Instant
    completed_at: Instant | None = None
    duration_ms: Finite | None = None
    actions_executed: list[PlaybookAction] | None = None
    error_message: str | None = None

    @model_validator(mode="after")
    def _ends_after_start(self) -> Self:
        if self.completed_at is not None and self.completed_at < self.started_at:
            raise PydanticCustomError("ends_before_start", "{field} is before started_at", {"field": "completed_at"})
        return self


COLLECTION = SoarPlaybookExecution.COLLECTION = Collection(
    name="soar_playbook_executions",
    source_table="soar_playbook_executions",
    document=SoarPlaybookExecution,
    natural_key=("execution_id",),
    sort_path="started_at",
    indexes=(
        Index(ascending("tenant_id", "execution_id"), "get one", unique=True),
        Index(newest("tenant_id", by="started_at"), "page through a tenant"),
        Index(newest("tenant_id", "playbook_id", by="started_at"), "executions of a playbook; its statistics"),
        Index(newest("tenant_id", "investigation_id", by="started_at"), "executions for an investigation"),
        Index(newest("tenant_id", "status", by="started_at"), "executions by status"),
    ),
    shard_key=(("tenant_id", 1), ("execution_id", 1)),
)
