"""detection_runs -> detection_runs."""

from workbench.migration.tables.columns import Instant, JsonText, Text, Uuid
from workbench.migration.tables.table import Check, Extra, Table
from workbench.models.detection_runs import COLLECTION

TABLE = Table(
    collection=COLLECTION,
    key=("id",),
    columns=(
        Uuid("id", "run_id"),
        Uuid("detector_id", "metadata.detector_id"),
        Text("status"),
        Instant("started_at"),
        Instant("finished_at"),
        Instant("window_from", "window.start"),
        Instant("window_to", "window.end"),
        JsonText("info"),
    ),
    time_column="started_at",
    extras=(Extra("SELECT d.type FROM detectors d WHERE d.id = t.detector_id", "metadata.detector_type"),),
    checks=(Check("orphan", "detector_id", "NOT EXISTS (SELECT FROM detectors d WHERE d.id = t.detector_id)"),),
)
