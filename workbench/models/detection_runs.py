"""detection_runs: one run of a detector; a time series."""

from __future__ import annotations

from enum import StrEnum
from typing import Self
from uuid import UUID

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from workbench.models.document import Document, Part
from workbench.models.fields import Instant, JsonObject, Key
from workbench.models.spec import Collection, Index, TimeSeries, ascending


class RunStatus(StrEnum):
    """The state of a run. Not in the meta field: it changes."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"


class RunMetadata(Part):
    """The meta field: what runs are grouped and filtered by."""

    detector_id: UUID
    detector_type: Key
    tenant_id: Key


class RunWindow(Part):
    """The time that the run looked at."""

    start: Instant
    end: Instant

    @model_validator(mode="after")
    def _ends_after_start(self) -> Self:
        if self.end < self.start:
            raise PydanticCustomError("ends_before_start", "window ends before it starts")
        return self


class DetectionRun(Document):
    """One run of a detector."""

    run_id: UUID
    started_at: Instant
    metadata: RunMetadata
    status: RunStatus
    finished_at: Instant | None = None
    window: RunWindow
    info: JsonObject | None = None

    @model_validator(mode="after")
    def _ends_after_start(self) -> Self:
        if self.finished_at is not None and self.finished_at < self.started_at:
            raise PydanticCustomError("ends_before_start", "{field} is before started_at", {"field": "finished_at"})
        return self


COLLECTION = DetectionRun.COLLECTION = Collection(
    name="detection_runs",
    source_table="detection_runs",
    document=DetectionRun,
    natural_key=("run_id",),
    sort_path="started_at",
    tenant_path="metadata.tenant_id",
    time_series=TimeSeries("started_at", "metadata", "runs_granularity"),
    indexes=(
        Index(
            (*ascending("metadata.tenant_id", "metadata.detector_id"), ("started_at", -1)),
            "runs of a detector; its statistics per day",
        ),
        Index((*ascending("metadata.tenant_id"), ("started_at", -1)), "runs in a time range"),
        Index((*ascending("metadata.tenant_id", "status"), ("started_at", -1)), "runs by status"),
        Index(ascending("run_id"), "get one; verification by key"),
    ),
    shard_key=(("metadata.tenant_id", 1), ("metadata.detector_id", 1)),
)
