"""What level 3 measures, written down apart from the migration: for each column a SQL expression and a field path.

Nothing here is derived from the columns of `migration.tables`: a mistake in the mapping would otherwise be made twice
and agree. Only the tenant of a table without one comes from there, with its rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from psycopg import sql

from workbench.migration.tables.table import Table
from workbench.settings import Settings, TenancyRule


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
    """Count, and sum of lengths; the SQL says how long a list is."""
    TAGS = "tags"
    """As LIST, in a text column that holds JSON or texts separated by commas."""
    JSON = "JSON"
    """Count, and a sum over the first level: characters in the keys of an object, elements of an array.

    It tells two columns apart that were swapped. JSON's null counts as none.
    """
    JSON_TEXT = "JSON text"
    """As JSON, in a text column; the empty text is none."""
    LENGTH = "length"
    """Count and sum of lengths: for secrets, whose least and greatest would be shown."""
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
        also: path of a second field that is made from the same column.
    """

    name: str
    source: str
    target: str
    kind: Measured
    nullable: bool = False
    distinct: bool = False
    also: str = ""


_BLANK = r"E' \t\n\x0b\f\r\x1c\x1d\x1e\x1f'"
"""What Python strips; PostgreSQL strips nothing but the blank by itself."""


def without(alias: str, key: Sequence[str], excluded: Sequence[Sequence[str]]) -> tuple[str, list[list[str]]]:
    """The SQL condition that leaves out rows by key, with its parameters: an array of texts for each key column."""
    if not excluded:
        return "true", []
    names = [f"k{position}" for position in range(len(key))]
    same = " AND ".join(f"q.{name} = {alias}.{column}::text" for name, column in zip(names, key, strict=True))
    arrays = ", ".join("%s::text[]" for _ in key)
    condition = f"NOT EXISTS (SELECT FROM unnest({arrays}) AS q({', '.join(names)}) WHERE {same})"
    return condition, [list(column) for column in zip(*excluded, strict=True)]


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


def _json_text(name: str, target: str, also: str = "") -> Measure:
    """JSON in a text column: the empty text and JSON's null are stored as null."""
    source = f"nullif(nullif(btrim(t.{name}, {_BLANK}), ''), 'null')"
    return Measure(name, source, target, Measured.JSON_TEXT, nullable=True, also=also)


def _json(name: str) -> Measure:
    return Measure(name, f"nullif(t.{name}, 'null'::jsonb)", name, Measured.JSON, nullable=True)


def _tags(name: str) -> Measure:
    text = f"btrim(t.{name}, {_BLANK})"
    parts = f"SELECT count(nullif(btrim(part, {_BLANK}), '')) FROM unnest(string_to_array(t.{name}, ',')) AS p(part)"  # noqa: S608
    length = (
        f"CASE WHEN t.{name} IS NULL OR {text} IN ('', 'null') THEN NULL WHEN left({text}, 1) IN ('[', chr(123), '\"')"
        f" THEN json_array_length(t.{name}::json) ELSE ({parts}) END"
    )
    return Measure(name, length, name, Measured.TAGS, nullable=True)


def tenant_measure(table: Table, settings: Settings) -> Measure | None:
    """The tenant of a table that has none of its own: a constant, or the row's user."""
    if table.has_tenant:
        return None
    by_user = settings.tenancy_rule is TenancyRule.USER and table.user
    source = table.user if by_user else sql.Literal(settings.default_tenant).as_string(None)
    kind = Measured.TEXT if by_user else Measured.CATEGORY
    if not by_user:
        for mark in "{}%":  # they mean something to the texts that this becomes a part of
            source = source.replace(mark, mark * 2)
    return Measure("tenant", f"({source})::text", table.collection.tenant_path, kind)


def _list(name: str) -> Measure:
    return Measure(name, f"jsonb_array_length(t.{name})", name, Measured.LIST)


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
        _json_text("progress_json", "progress", also="results"),
    ),
    "investigation_templates": (
        _text("template_id"),
        _text("user_id", distinct=True),
        _text("name"),
        _text("description", nullable=True),
        _number("usage_count"),
        _tags("tags"),
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
        _uuid("detector_id"),
        _json("cohort"),
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
        Measure("encrypted_access_token", "t.encrypted_access_token", "encrypted_access_token", Measured.LENGTH),
        Measure("refresh_token", "t.refresh_token", "refresh_token", Measured.LENGTH, nullable=True),
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
        Measure("anomaly_id", "t.anomaly_id", "anomaly_id", Measured.PRESENT, nullable=True, distinct=True),
        _text("trigger_reason", nullable=True),
        _text("tenant_id", distinct=True),
        _text("error_message", nullable=True),
        _json_text("actions_executed", "actions_executed"),
        _time("started_at"),
        _time("completed_at", nullable=True),
    ),
}
"""Source table -> its measures."""
