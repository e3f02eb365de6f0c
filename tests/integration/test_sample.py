"""The sample in a real PostgreSQL: schema, constraints, repeatability, refusal, and all or nothing."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import psycopg
import pytest
import typer
from psycopg import sql
from typer.testing import CliRunner

from workbench import sample
from workbench.cli.sample import sample_data
from workbench.connections import open_source
from workbench.errors import ConfigurationError
from workbench.sample.ddl import COLUMNS, KEYS, is_strict
from workbench.settings import Settings

Connection = psycopg.Connection[Any]

_DEFINITIONS = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = current_schema()::regnamespace
    UNION ALL
    SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() ORDER BY 1, 2, 3
"""


def fingerprint(connection: Connection, table: str, *, without_planted: bool = False) -> str:
    """A hash over the ordered rows of a table."""
    key = sql.SQL(", ").join(map(sql.Identifier, KEYS[table]))
    texts = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column)) for column in KEYS[table])
    good = sql.SQL(
        "WHERE to_jsonb(ARRAY[{}]) NOT IN (SELECT key::jsonb FROM workbench_sample.planted WHERE table_name = {})"
    ).format(texts, sql.Literal(table))
    query = sql.SQL("SELECT md5(string_agg(md5(rows::text), '' ORDER BY {})) FROM {} rows {}").format(
        key, sql.Identifier(table), good if without_planted else sql.SQL("")
    )
    row = connection.execute(query).fetchone()
    assert row is not None
    return str(row[0])


def count(connection: Connection, table: str) -> int:
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
    assert row is not None
    return int(row[0])


def test_columns_and_keys_are_those_of_the_schema(settings: Settings) -> None:
    with open_source(settings) as connection:
        for table in sample.TABLES:
            columns = connection.execute(
                "SELECT column_name FROM information_schema.columns"
                " WHERE table_schema = current_schema() AND table_name = %s ORDER BY ordinal_position",
                [table],
            ).fetchall()
            assert tuple(name for (name,) in columns) == COLUMNS[table]
            keys = connection.execute(
                "SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey)"
                " WHERE indrelid = %s::regclass AND indisprimary ORDER BY array_position(indkey, attnum)",
                [table],
            ).fetchall()
            assert tuple(name for (name,) in keys) == KEYS[table]


def test_clean_data_satisfies_every_constraint_and_leaves_schema_as_it_was(
    settings: Settings, empty_settings: Settings
) -> None:
    with open_source(empty_settings) as empty, open_source(settings) as filled:
        sample.create_schema(empty)
        assert filled.execute(_DEFINITIONS).fetchall() == empty.execute(_DEFINITIONS).fetchall()
        assert is_strict(filled)
        manifest = sample.read_manifest(filled)
        assert manifest is not None
        assert manifest.rows == {table: count(filled, table) for table in sample.TABLES}
        assert 55_000 < sum(manifest.rows.values()) < 65_000
        assert list(manifest.rows) == list(sample.TABLES)
        assert manifest.planted == {}


def test_references_that_are_no_foreign_keys_hold_too(settings: Settings) -> None:
    with open_source(settings) as connection:
        for child, column, parent, key in (
            ("investigation_audit_log", "investigation_id", "investigation_states", "investigation_id"),
            ("transaction_scores", "investigation_id", "investigation_states", "investigation_id"),
            ("anomaly_events", "investigation_id", "investigation_states", "investigation_id"),
            ("soar_playbook_executions", "investigation_id", "investigation_states", "investigation_id"),
            ("soar_playbook_executions", "anomaly_id", "anomaly_events", "id"),
            ("composio_action_audits", "execution_id", "soar_playbook_executions", "id"),
            ("composio_action_audits", "connection_id", "composio_connections", "connection_id"),
        ):
            orphans = connection.execute(
                sql.SQL("SELECT count(*) FROM {c} WHERE {f} IS NOT NULL AND {f} NOT IN (SELECT {k} FROM {p})").format(
                    c=sql.Identifier(child), f=sql.Identifier(column), k=sql.Identifier(key), p=sql.Identifier(parent)
                )
            ).fetchone()
            assert orphans == (0,), f"{child}.{column}"


def test_same_seed_gives_same_rows_and_bad_rows_leave_the_good_ones_alone(
    settings: Settings, empty_settings: Settings
) -> None:
    with open_source(settings) as clean, open_source(empty_settings) as other:
        sample.create_schema(other, strict=False)
        manifest = sample.fill(other, dirty=0.01)
        for table in sample.TABLES:
            assert fingerprint(other, table, without_planted=True) == fingerprint(clean, table), table
        families = (
            "SELECT md5(string_agg(anomaly_id || family, '' ORDER BY anomaly_id)) FROM workbench_sample.incident_family"
        )
        assert other.execute(families).fetchall() == clean.execute(families).fetchall()

        assert manifest.planted.keys() == sample.KINDS.keys()
        planted = other.execute("SELECT table_name, key, kind, quarantined FROM workbench_sample.planted").fetchall()
        assert Counter(kind for _, _, kind, _ in planted) == manifest.planted
        for table, key, kind, quarantined in planted:
            assert quarantined == sample.KINDS[kind].quarantined
            condition = sql.SQL(" AND ").join(
                sql.SQL("{}::text = {}").format(sql.Identifier(column), sql.Literal(value))
                for column, value in zip(KEYS[table], json.loads(key), strict=True)
            )
            found = other.execute(
                sql.SQL("SELECT count(*) FROM {} WHERE {}").format(sql.Identifier(table), condition)
            ).fetchone()
            assert found == (1,), (table, key, kind)
        assert sample.read_manifest(other) == manifest


def test_another_seed_gives_other_rows(settings: Settings, empty_settings: Settings) -> None:
    with open_source(settings) as clean, open_source(empty_settings) as other:
        sample.create_schema(other)
        sample.fill(other, seed=5)
        for table in sample.TABLES:
            assert fingerprint(other, table) != fingerprint(clean, table), table


def test_refuses_what_it_cannot_do_and_says_what_to_do(empty_settings: Settings, fresh_settings: Settings) -> None:
    with open_source(empty_settings) as connection:
        with pytest.raises(ConfigurationError, match="no table investigation_states"):
            sample.fill(connection)
        with pytest.raises(ConfigurationError, match="scale is 0"):
            sample.fill(connection, scale=0)
        with pytest.raises(ConfigurationError, match=r"dirty is 0\.9"):
            sample.fill(connection, dirty=0.9)
        sample.create_schema(connection)
        with pytest.raises(ConfigurationError, match="checks that refuse bad rows"):
            sample.fill(connection, dirty=0.01)
        assert sample.read_manifest(connection) is None
    with open_source(fresh_settings) as connection:
        with pytest.raises(ConfigurationError, match="rows are already in investigation_states, inv"):
            sample.fill(connection)
        assert count(connection, "detectors") == 40


def test_an_interrupted_fill_leaves_nothing(empty_settings: Settings) -> None:
    def interrupt(table: str, done: int, expected: int) -> None:
        if table == "anomaly_events":
            raise KeyboardInterrupt

    with open_source(empty_settings) as connection:
        sample.create_schema(connection)
        connection.commit()
        before = connection.execute(_DEFINITIONS).fetchall()
        connection.commit()
        with pytest.raises(KeyboardInterrupt):
            sample.fill(connection, progress=interrupt)
        assert {count(connection, table) for table in sample.TABLES} == {0}
        assert sample.read_manifest(connection) is None
        assert connection.execute(_DEFINITIONS).fetchall() == before


def test_progress_reaches_the_rows_of_each_table(empty_settings: Settings) -> None:
    last: dict[str, tuple[int, int]] = {}

    def note(table: str, done: int, expected: int) -> None:
        assert done >= last.get(table, (0, 0))[0]
        last[table] = (done, expected)

    with open_source(empty_settings) as connection:
        sample.create_schema(connection)
        manifest = sample.fill(connection, progress=note)
    assert last == {table: (rows, rows) for table, rows in manifest.rows.items()}


def test_schema_can_be_created_twice_and_dropped_twice(empty_settings: Settings) -> None:
    with open_source(empty_settings) as connection:
        sample.create_schema(connection)
        sample.create_schema(connection, strict=False)
        assert is_strict(connection), "existing tables stay as they are"
        sample.drop_schema(connection)
        sample.drop_schema(connection)
        sample.create_schema(connection, strict=False)
        assert not is_strict(connection)
        row = connection.execute(
            "SELECT count(*) FROM information_schema.columns WHERE table_schema = current_schema()"
            " AND is_nullable = 'NO'"
        ).fetchone()
        assert row == (11,), "only the columns of primary keys"


def test_command_fills_and_drops_a_sample_but_not_real_data(
    empty_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert empty_settings.database_url is not None
    monkeypatch.setenv("WORKBENCH_DATABASE_URL", empty_settings.database_url.get_secret_value())
    app = typer.Typer()
    app.command()(sample_data)
    for _ in range(2):
        result = CliRunner().invoke(app, ["--drop", "--dirty", "0.01"], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        assert f"of {len(sample.KINDS)} kinds" in result.output
    with open_source(empty_settings) as connection:
        connection.execute("DROP TABLE workbench_sample.manifest")
    with pytest.raises(ConfigurationError, match="not made by workbench sample"):
        CliRunner().invoke(app, ["--drop"], catch_exceptions=False)
    with open_source(empty_settings) as connection:
        assert count(connection, "detectors") == 44
