"""audit_log: one entry for each change of an investigation; a time series."""

from __future__ import annotations

from enum import StrEnum

from workbench.models.document import Document, Part
from workbench.models.fields import AboutJson, Count, Instant, Key
from workbench.models.spec import Collection, Index, TimeSeries, ascending


class ActionType(StrEnum):
    """What was done."""

    CREATED = "CREATED"
    UPDATED = "UPDATED"
    DELETED = "DELETED"
    STATE_CHANGE = "STATE_CHANGE"
    SETTINGS_CHANGE = "SETTINGS_CHANGE"


class Source(StrEnum):
    """Who asked for it."""

    UI = "UI"
    API = "API"
    SYSTEM = "SYSTEM"
    WEBHOOK = "WEBHOOK"
    POLLING = "POLLING"


class AuditMetadata(Part):
    """The meta field: what entries are grouped and filtered by."""

    investigation_id: Key
    user_id: Key
    tenant_id: Key
    action_type: ActionType
    source: Source


class AuditEntry(Document):
    """One change: field-level changes, and the state after it."""

    entry_id: Key
    timestamp: Instant
    metadata: AuditMetadata
    changes: AboutJson = None
    state_snapshot: AboutJson = None
    from_version: Count | None = None
    to_version: Count | None = None


COLLECTION = AuditEntry.COLLECTION = Collection(
    name="audit_log",
    source_table="investigation_audit_log",
    document=AuditEntry,
    natural_key=("entry_id",),
    sort_path="timestamp",
    tenant_path="metadata.tenant_id",
    time_series=TimeSeries("timestamp", "metadata", "audit_granularity"),
    indexes=(
        Index(
            (*ascending("metadata.tenant_id", "metadata.investigation_id"), ("timestamp", -1)),
            "the history of an investigation, newest first",
        ),
        Index((*ascending("metadata.tenant_id", "metadata.user_id"), ("timestamp", -1)), "what a user did"),
        Index((*ascending("metadata.tenant_id", "metadata.action_type"), ("timestamp", -1)), "entries of an action"),
        Index((*ascending("metadata.tenant_id"), ("timestamp", -1)), "entries in a time range; counts per day"),
        Index(ascending("entry_id"), "has this entry been moved from the outbox; verification by key"),
    ),
    shard_key=(("metadata.tenant_id", 1), ("metadata.investigation_id", 1)),
)
