"""The schema of the source system: create it as production has it, or as a legacy system has it; drop it."""

from __future__ import annotations

from importlib.resources import files

import psycopg
from psycopg import sql

COLUMNS: dict[str, tuple[str, ...]] = {
    table: tuple(columns.split())
    for table, columns in {
        "investigation_states": "investigation_id user_id lifecycle_stage settings_json progress_json status version"
        " created_at updated_at last_accessed",
        "investigation_templates": "template_id user_id name description tags template_json usage_count last_used"
        " created_at updated_at",
        "investigation_audit_log": "entry_id investigation_id user_id action_type changes_json state_snapshot_json"
        " source from_version to_version timestamp",
        "detectors": "id name type cohort_by metrics params enabled created_at updated_at",
        "detection_runs": "id detector_id status started_at finished_at window_from window_to info",
        "anomaly_events": "id run_id detector_id investigation_id cohort window_start window_end metric observed"
        " expected score severity status persisted_n evidence created_at",
        "transaction_scores": "investigation_id transaction_id risk_score created_at",
        "composio_connections": "id tenant_id toolkit_name connection_id status encrypted_access_token refresh_token"
        " expires_at created_at updated_at last_used_at",
        "composio_action_audits": "id action_id execution_id toolkit_name action_name tenant_id connection_id"
        " parameters result status executed_at retry_count error_message",
        "soar_playbook_executions": "id playbook_id investigation_id anomaly_id tenant_id trigger_reason status"
        " started_at completed_at actions_executed error_message",
    }.items()
}
"""The columns of each source table, in the order of `schema.sql`."""

TABLES: tuple[str, ...] = tuple(COLUMNS)
"""The ten source tables in load order: a referenced table stands before the tables that refer to it."""

KEYS: dict[str, tuple[str, ...]] = {
    table: columns[:2] if table == "transaction_scores" else columns[:1] for table, columns in COLUMNS.items()
}
"""The primary key of each source table."""

SAMPLE_SCHEMA = "workbench_sample"
"""PostgreSQL schema of what is known about the sample data; the ten tables are in the connection's search path."""

_CONSTRAINTS = """
    SELECT relation.relname, constraint_.conname
    FROM pg_constraint constraint_ JOIN pg_class relation ON relation.oid = constraint_.conrelid
    WHERE relation.relnamespace = current_schema()::regnamespace
      AND relation.relname = ANY(%s) AND constraint_.contype IN ('c', 'f')
    ORDER BY 1, 2
"""

_NOT_NULL_OUTSIDE_KEYS = """
    SELECT relation.relname, attribute.attname
    FROM pg_attribute attribute JOIN pg_class relation ON relation.oid = attribute.attrelid
    JOIN pg_constraint key ON key.conrelid = relation.oid AND key.contype = 'p'
    WHERE relation.relnamespace = current_schema()::regnamespace AND relation.relname = ANY(%s)
      AND attribute.attnotnull AND attribute.attnum > 0 AND NOT attribute.attnum = ANY(key.conkey)
    ORDER BY 1, 2
"""


def create_schema(connection: psycopg.Connection, *, strict: bool = True) -> None:
    """Create those of the ten tables that do not exist, with keys, foreign keys, checks and indexes.

    Args:
        connection: the tables go to the first schema of its search path; committed unless the caller has a
            transaction open.
        strict: False leaves out checks, foreign keys and not-nulls outside primary keys, as in a legacy system,
            so that bad rows can be planted. Tables that exist stay as they are.
    """
    statements = files(__package__).joinpath("schema.sql").read_text(encoding="utf-8")
    with connection.transaction():
        existing = set(existing_tables(connection))
        # Without parameters psycopg sends the text as one simple query of many statements.
        connection.execute(statements.encode())
        if not strict:
            _relax(connection, [table for table in TABLES if table not in existing])


def drop_schema(connection: psycopg.Connection) -> None:
    """Drop the ten tables and what is known about their sample data; missing ones are no error."""
    with connection.transaction():
        tables = sql.SQL(", ").join(map(sql.Identifier, TABLES))
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {} CASCADE").format(tables))
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(SAMPLE_SCHEMA)))


def existing_tables(connection: psycopg.Connection) -> list[str]:
    """Those of the ten tables that exist in the connection's schema, in load order."""
    found = connection.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename = ANY(%s)",
        [list(TABLES)],
    ).fetchall()
    names = {name for (name,) in found}
    return [table for table in TABLES if table in names]


def filled_tables(connection: psycopg.Connection) -> list[str]:
    """Those of the ten tables that exist and hold rows, in load order."""
    return [
        table
        for table in existing_tables(connection)
        if connection.execute(sql.SQL("SELECT 1 FROM {} LIMIT 1").format(sql.Identifier(table))).fetchone()
    ]


def is_strict(connection: psycopg.Connection) -> bool:
    """Whether any of the ten tables has a check or a foreign key that bad rows would violate."""
    return connection.execute(_CONSTRAINTS, [list(TABLES)]).fetchone() is not None


def _relax(connection: psycopg.Connection, tables: list[str]) -> None:
    for table, constraint in connection.execute(_CONSTRAINTS, [tables]).fetchall():
        connection.execute(
            sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(sql.Identifier(table), sql.Identifier(constraint))
        )
    for table, column in connection.execute(_NOT_NULL_OUTSIDE_KEYS, [tables]).fetchall():
        connection.execute(
            sql.SQL("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL").format(
                sql.Identifier(table), sql.Identifier(column)
            )
        )
