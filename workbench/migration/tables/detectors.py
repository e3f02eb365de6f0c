"""detectors -> detectors."""

from workbench.migration.tables.columns import Boolean, Instant, JsonText, Text, Uuid
from workbench.migration.tables.table import Table
from workbench.models.detectors import COLLECTION

TABLE = Table(
    collection=COLLECTION,
    key=("id",),
    columns=(
        Uuid("id", "detector_id"),
        Text("name"),
        Text("type"),
        JsonText("cohort_by"),
        JsonText("metrics"),
        JsonText("params"),
        Boolean("enabled"),
        Instant("created_at"),
        Instant("updated_at"),
    ),
)
