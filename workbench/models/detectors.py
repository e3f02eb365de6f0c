"""detectors: what looks for anomalies, and how."""

from __future__ import annotations

from uuid import UUID

from workbench.models.document import Document
from workbench.models.fields import Instant, JsonObject, Key, Name
from workbench.models.spec import Collection, Index, ascending, newest


class Detector(Document):
    """One detector, for example of type stl_mad, cusum or isoforest."""

    detector_id: UUID
    tenant_id: Key
    name: Name
    type: Key
    cohort_by: list[str]
    metrics: list[str]
    params: JsonObject | None = None
    enabled: bool
    created_at: Instant
    updated_at: Instant


COLLECTION = Detector.COLLECTION = Collection(
    name="detectors",
    source_table="detectors",
    document=Detector,
    natural_key=("detector_id",),
    sort_path="updated_at",
    indexes=(
        Index(ascending("tenant_id", "detector_id"), "get one", unique=True),
        Index(newest("tenant_id", by="updated_at"), "page through a tenant"),
        Index(newest("tenant_id", "type", by="updated_at"), "detectors of a type"),
        Index(newest("tenant_id", "enabled", by="updated_at"), "enabled or not"),
        Index(newest("tenant_id", "cohort_by", by="updated_at"), "detectors by cohort field"),
    ),
    shard_key=(("tenant_id", 1), ("detector_id", 1)),
)
