"""anomaly_events -> anomaly_events. The embedding is made by the loader, a batch at a time."""

from datetime import timedelta

from workbench.migration.tables.columns import Double, Fields, Instant, Integer, JsonText, Numeric, Text, Uuid
from workbench.migration.tables.table import Check, Table
from workbench.models.anomaly_events import COLLECTION


def _duration(fields: Fields) -> None:
    window = fields["window"]
    if window["start"] is not None and window["end"] is not None:
        window["duration_minutes"] = (window["end"] - window["start"]) / timedelta(minutes=1)


TABLE = Table(
    collection=COLLECTION,
    key=("id",),
    columns=(
        Uuid("id", "anomaly_id"),
        Uuid("run_id"),
        Uuid("detector_id"),
        Text("investigation_id"),
        JsonText("cohort"),
        Instant("window_start", "window.start"),
        Instant("window_end", "window.end"),
        Text("metric"),
        Numeric("observed"),
        Numeric("expected"),
        Double("score"),
        Text("severity"),
        Text("status"),
        Integer("persisted_n"),
        JsonText("evidence"),
        Instant("created_at"),
    ),
    checks=(
        Check("orphan", "run_id", "NOT EXISTS (SELECT FROM detection_runs r WHERE r.id = t.run_id)"),
        Check("orphan", "detector_id", "NOT EXISTS (SELECT FROM detectors d WHERE d.id = t.detector_id)"),
        Check(
            "orphan",
            "investigation_id",
            "t.investigation_id IS NOT NULL AND NOT EXISTS"
            " (SELECT FROM investigation_states s WHERE s.investigation_id = t.investigation_id)",
        ),
    ),
    derive=_duration,
)
