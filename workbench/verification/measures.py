"""What level 3 measures, written down apart from the migration: for each column a SQL expression and a field path.

Nothing here is derived from `migration.tables`: a mistake in the mapping would otherwise be made twice and agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Measured(StrEnum):
    """What kind of aggregates a column gets."""

    CATEGORY = "category"
    """Rows by value; for columns with few values. All other aggregates are grouped by these."""
    TEXT = "text"
    """Count, least and greatest in byte order, sum of lengths in characters."""
    NUMBER = "number"
    """Count, least, greatest and sum, exact."""
    DECIMAL = "decimal"
    """As NUMBER, without NaN, which the databases order differently."""
    DOUBLE = "double"
    """Count, least, greatest, and a sum that may differ in its last digits."""
    TIME = "time"
    """Count, earliest and latest to the millisecond, sum of milliseconds, sum of microseconds below them."""
    LIST = "list"
    """Count, and sum of lengths."""
    JSON_TEXT = "JSON text"
    """Count of JSON values in a text column; the empty text and JSON's null are none."""
    PRESENT = "present"
    """Count of values that are not null."""


@dataclass(frozen=True)
class Measure:
    """One column and the field that holds it.

    Attributes:
        source: SQL over the row `t`.
        target: path in the document.
        nullable: null is allowed, so nulls are counted.
        distinct: the number of different values is compared as well.
    """

    name: str
    source: str
    target: str
    kind: Measured
    nullable: bool = False
    distinct: bool = False


def _text(name: str, target: str = "", *, nullable: bool = False, distinct: bool = False) -> Measure:
    return Measure(name, f"t.{name}", target or name, Measured.TEXT, nullable, distinct)


def _uuid(name: str, target: str = "") -> Measure:
    return Measure(name, f"t.{name}", target or name, Measured.PRESENT, distinct=True)


def _category(name: str, target: str = "") -> Measure:
    return Measure(name, f"t.{name}", target or name, Measured.CATEGORY)


def _time(name: str, target: str = "", *, nullable: bool = False) -> Measure:
    return Measure(name, f"t.{name}", target or name, Measured.TIME, nullable)


def _number(name: str, kind: Measured = Measured.NUMBER, *, nullable: bool = False) -> Measure:
    return Measure(name, f"t.{name}", name, kind, nullable)


def _json_text(name: str, target: str) -> Measure:
    """JSON in a text column: the empty text and JSON's null are stored as null."""
    return Measure(name, f"nullif(nullif(btrim(t.{name}), ''), 'null')", target, Measured.JSON_TEXT, nullable=True)


def _json(name: str) -> Measure:
    return Measure(name, f"nullif(t.{name}, 'null'::jsonb)", name, Measured.PRESENT, nullable=True)


def _list(name: str) -> Measure:
    return Measure(name, f"t.{name}", name, Measured.LIST)


MEASURES: dict[str, tuple[Measure, ...]] = {
    "investigation_states": (
        _category("status"),
        _category("lifecycle_stage"),
        _text("investigation_id"),
        _text("user_id", distinct=True),
        _number("version"),
        _time("created_at"),
        _time("updated_at"),
        _time("last_accessed", nullable=True),
        _json_text("settings_json", "settings"),
        _json_text("progress_json", "progress"),
    ),
    "investigation_templates": (
        _text("template_id"),
        _text("user_id", distinct=True),
        _text("name"),
        _text("description", nullable=True),
        _number("usage_count"),
        _json_text("template_json", "template"),
        _time("last_used", nullable=True),
        _time("created_at"),
        _time("updated_at"),
    ),
    "investigation_audit_log": (
        _category("action_type", "metadata.action_type"),
        _category("source", "metadata.source"),
        _text("entry_id"),
        _text("investigation_id", "metadata.investigation_id", distinct=True),
        _text("user_id", "metadata.user_id", distinct=True),
        _number("from_version", nullable=True),
        _number("to_version", nullable=True),
        _json_text("changes_json", "changes"),
        _json_text("state_snapshot_json", "state_snapshot"),
        _time("timestamp"),
    ),
    "detectors": (
        _category("type"),
        _category("enabled"),
        _uuid("id", "detector_id"),
        _text("name", distinct=True),
        _list("cohort_by"),
        _list("metrics"),
        _json("params"),
        _time("created_at"),
        _time("updated_at"),
    ),
    "detection_runs": (
        _category("status"),
        _uuid("id", "run_id"),
        _uuid("detector_id", "metadata.detector_id"),
        _time("started_at"),
        _time("finished_at", nullable=True),
        _time("window_from", "window.start"),
        _time("window_to", "window.end"),
        _json("info"),
    ),
    "anomaly_events": (
        _category("severity"),
        _category("status"),
        _uuid("id", "anomaly_id"),
        _uuid("run_id"),
        _text("investigation_id", nullable=True, distinct=True),
        _text("metric", distinct=True),
        _number("observed", Measured.DECIMAL, nullable=True),
        _number("expected", Measured.DECIMAL, nullable=True),
        _number("score", Measured.DOUBLE),
        _number("persisted_n"),
        _json("evidence"),
        _time("window_start", "window.start"),
        _time("window_end", "window.end"),
        _time("created_at"),
    ),
    "transaction_scores": (
        _text("investigation_id", distinct=True),
        _text("transaction_id"),
        _number("risk_score", Measured.DOUBLE),
        _time("created_at"),
    ),
    "composio_connections": (
        _category("status"),
        _text("id", "connection_id"),
        _text("tenant_id", distinct=True),
        _text("toolkit_name", distinct=True),
        _text("connection_id", "composio_connection_id"),
        Measure("refresh_token", "t.refresh_token", "refresh_token", Measured.PRESENT, nullable=True),
        _time("expires_at", nullable=True),
        _time("created_at"),
        _time("updated_at"),
        _time("last_used_at", nullable=True),
    ),
    "composio_action_audits": (
        _category("status"),
        _text("id", "audit_id"),
        _text("action_id"),
        _text("execution_id", nullable=True),
        _text("toolkit_name", distinct=True),
        _text("action_name", distinct=True),
        _text("tenant_id", distinct=True),
        _text("connection_id", nullable=True, distinct=True),
        _text("error_message", nullable=True),
        _number("retry_count"),
        _json_text("parameters", "parameters"),
        _json_text("result", "result"),
        _time("executed_at"),
    ),
    "soar_playbook_executions": (
        _category("status"),
        _text("id", "execution_id"),
        _text("playbook_id", distinct=True),
        _text("investigation_id", nullable=True, distinct=True),
        _text("tenant_id", distinct=True),
        _text("error_message", nullable=True),
        _json_text("actions_executed", "actions_executed"),
        _time("started_at"),
        _time("completed_at", nullable=True),
    ),
}
"""Source table -> its measures."""
