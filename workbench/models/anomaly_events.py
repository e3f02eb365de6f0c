"""anomaly_events: what the detectors found, with the vector that finds similar ones."""

from __future__ import annotations

from enum import StrEnum
from typing import Self
from uuid import UUID

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from workbench.models.document import Document, Part
from workbench.models.fields import Count, Embedding, Finite, Instant, Json, JsonObject, Key, Numeric
from workbench.models.spec import Collection, Index, VectorIndex, ascending, newest


class Severity(StrEnum):
    """How bad it looks."""

    INFO = "info"
    WARN = "warn"
    CRITICAL = "critical"


class AnomalyStatus(StrEnum):
    """How far the triage has come."""

    NEW = "new"
    TRIAGED = "triaged"
    CLOSED = "closed"


class AnomalyWindow(Part):
    """The time in which it was seen; the duration is derived."""

    start: Instant
    end: Instant
    duration_minutes: Finite

    @model_validator(mode="after")
    def _ends_after_start(self) -> Self:
        if self.end < self.start:
            raise PydanticCustomError("ends_before_start", "window ends before it starts")
        return self


class AnomalyEvent(Document):
    """One anomaly. `embedding_model` names the model and version that made `embedding`."""

    anomaly_id: UUID
    tenant_id: Key
    run_id: UUID
    detector_id: UUID
    investigation_id: Key | None = None
    cohort: JsonObject | None = None
    window: AnomalyWindow
    metric: Key
    observed: Numeric | None = None
    expected: Numeric | None = None
    score: Finite
    severity: Severity
    status: AnomalyStatus
    persisted_n: Count
    evidence: Json = None
    created_at: Instant
    embedding: Embedding | None = None
    embedding_model: str | None = None


COLLECTION = AnomalyEvent.COLLECTION = Collection(
    name="anomaly_events",
    source_table="anomaly_events",
    document=AnomalyEvent,
    natural_key=("anomaly_id",),
    sort_path="created_at",
    indexes=(
        Index(ascending("tenant_id", "anomaly_id"), "get one", unique=True),
        Index(newest("tenant_id", by="created_at"), "page through a tenant"),
        Index(newest("tenant_id", "run_id", by="created_at"), "anomalies of a run"),
        Index(newest("tenant_id", "detector_id", by="created_at"), "anomalies of a detector"),
        Index(newest("tenant_id", "investigation_id", by="created_at"), "anomalies of an investigation"),
        Index(newest("tenant_id", "severity", by="created_at"), "anomalies by severity; counts"),
        Index(newest("tenant_id", "status", by="created_at"), "anomalies by status"),
        Index((("tenant_id", 1), ("score", -1), ("_id", -1)), "anomalies with at least a score"),
    ),
    vector=VectorIndex("embedding", ("tenant_id", "embedding_model", "severity")),
    shard_key=(("tenant_id", 1), ("anomaly_id", 1)),
)
