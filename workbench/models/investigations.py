"""investigations: the state of one investigation, under optimistic locking."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

from workbench.models.audit_log import AuditEntry
from workbench.models.document import Document, OpenPart, Part, SparsePart
from workbench.models.fields import FieldName, Instant, JsonObject, Key, Percentage, Score, Version
from workbench.models.spec import Collection, Index, ascending, newest


class LifecycleStage(StrEnum):
    """How far the user's wizard has come."""

    CREATED = "CREATED"
    SETTINGS = "SETTINGS"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"


class InvestigationStatus(StrEnum):
    """The state of the investigation."""

    CREATED = "CREATED"
    SETTINGS = "SETTINGS"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    ERROR = "ERROR"
    CANCELLED = "CANCELLED"


class Progress(OpenPart):
    """Where the investigation stands. Fields that the source did not set stay absent."""

    current_phase: str | None = None
    progress_percentage: Percentage | None = None


class DomainFinding(OpenPart):
    """What one domain (device, network, location, ...) found."""

    risk_score: Score | None = None
    confidence: Score | None = None


class Results(SparsePart):
    """What the investigation found. Fields that the source did not set stay absent."""

    risk_score: Score | None = None
    domain_findings: dict[FieldName, DomainFinding] | None = None
    transaction_scores: dict[FieldName, Score] | None = None


class InvestigationMetadata(Part):
    """Facts about the document rather than the case."""

    source: str | None = None
    tags: list[str] = []
    custom_fields: JsonObject = {}


class OutboxLease(Part):
    """Who moves the outbox's entries at the moment, and until when nobody else may."""

    owner: Key
    until: Instant


class Investigation(Document):
    """One investigation. `outbox` holds audit entries on their way to `audit_log`; `completion_due` is the version
    that completed it, until its completion tasks have run.

    An investigation whose outbox holds its DELETED entry is deleted; it is removed when that entry has been moved.
    """

    investigation_id: Key
    tenant_id: Key
    user_id: Key
    lifecycle_stage: LifecycleStage
    status: InvestigationStatus
    settings: JsonObject | None = None
    progress: Progress | None = None
    results: Results | None = None
    version: Version = 1
    created_at: Instant
    updated_at: Instant
    last_accessed: Instant | None = None
    metadata: InvestigationMetadata = InvestigationMetadata()
    outbox: list[AuditEntry] = []
    outbox_lease: OutboxLease | None = None
    completion_due: Version | None = None


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Before any entry: a server takes the partial index for a filter that repeats the index's own condition."""

COLLECTION = Investigation.COLLECTION = Collection(
    name="investigations",
    source_table="investigation_states",
    document=Investigation,
    natural_key=("investigation_id",),
    sort_path="updated_at",
    indexes=(
        Index(ascending("tenant_id", "investigation_id"), "get one; the shard key", unique=True),
        Index(newest("tenant_id", by="updated_at"), "page through a tenant"),
        Index(newest("tenant_id", "user_id", by="updated_at"), "investigations of a user"),
        Index(newest("tenant_id", "status", by="updated_at"), "investigations by status"),
        Index(newest("tenant_id", "lifecycle_stage", by="updated_at"), "investigations by stage"),
        Index(
            ascending("tenant_id", "outbox.timestamp"),
            "investigations of a tenant whose entries wait in the outbox",
            partial={"outbox.timestamp": {"$gte": EPOCH}},
        ),
        Index(
            ascending("tenant_id", "updated_at"),
            "investigations of a tenant whose completion tasks are due",
            partial={"completion_due": {"$gte": 1}},
        ),
    ),
    shard_key=(("tenant_id", 1), ("investigation_id", 1)),
)
