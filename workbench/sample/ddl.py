"""The schema of the source system: create it as production has it, or as a legacy system has it; drop it."""

from __future__ import annotations

from importlib.resources import files

import psycopg
from psycopg import sql

TABLES: tuple[str, ...] = (
    "investigation_states",
    "investigation_templates",
    "investigation_audit_log",
    "detectors",
    "detection_runs",
    "anomaly_events",
    "transaction_scores",
    "composio_connections",
    "composio_action_audits",
    "soar_playbook_executions",
)
"""The ten source tables in load order: a referenced table stands before the tables that refer to it."""

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
