"""composio_action_audits: what was done through a tool connection, with its retries."""

from __future__ import annotations

from enum import StrEnum

from workbench.models.document import Document
from workbench.models.fields import Count, Instant, Json, Key
from workbench.models.spec import Collection, Index, ascending, newest


class ActionStatus(StrEnum):
    """How the action ended, or that it is tried again."""

    SUCCESS = "success"
    FAILED = "failed"
    RETRYING = "retrying"


class ComposioActionAudit(Document):
    """One execution of a tool's action."""

    audit_id: Key
    action_id: Key
    execution_id: Key | None = None
    toolkit_name: Key
    action_name: Key
    tenant_id: Key
    connection_id: Key | None = None
    parameters: Json = None
    result: Json = None
    status: ActionStatus
    executed_at: Instant
    retry_count: Count = 0
    error_message: str | None = None


COLLECTION = ComposioActionAudit.COLLECTION = Collection(
    name="composio_action_audits",
    source_table="composio_action_audits",
    document=ComposioActionAudit,
    natural_key=("audit_id",),
    sort_path="executed_at",
    indexes=(
        Index(ascending("tenant_id", "audit_id"), "get one", unique=True),
        Index(newest("tenant_id", by="executed_at"), "actions in a time range"),
        Index(newest("tenant_id", "action_id", by="executed_at"), "executions of an action"),
        Index(newest("tenant_id", "execution_id", by="executed_at"), "actions of an execution"),
        Index(newest("tenant_id", "toolkit_name", by="executed_at"), "actions of a toolkit"),
        Index(newest("tenant_id", "connection_id", by="executed_at"), "actions of a connection"),
        Index(newest("tenant_id", "status", by="executed_at"), "actions by status"),
        Index(
            (("tenant_id", 1), ("status", 1), ("retry_count", -1), ("_id", -1)),
            "failed actions with at least n retries",
        ),
    ),
    shard_key=(("tenant_id", 1), ("audit_id", 1)),
)
