"""The sources of the migration benchmark: scratch databases of the same PostgreSQL server, dropped afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from workbench import sample
from workbench.connections import open_source, source_uri
from workbench.errors import ConfigurationError
from workbench.settings import Settings

_ROWS_OF_AN_INVESTIGATION = 30
_STATES = """
    INSERT INTO investigation_states
           (investigation_id, user_id, lifecycle_stage, status, version, created_at, updated_at)
    SELECT 'inv-' || lpad(to_hex(n), 8, '0') || '-' || left(md5(n::text), 8), 'user-' || n %% 40, 'COMPLETED',
           'COMPLETED', 1, timestamp '2025-11-01' + n * interval '10 seconds', timestamp '2025-11-02'
    FROM generate_series(0, (%(rows)s - 1) / %(each)s) AS n
"""
_SCORES = """
    INSERT INTO transaction_scores (investigation_id, transaction_id, risk_score, created_at)
    SELECT 'inv-' || lpad(to_hex(n / %(each)s), 8, '0') || '-' || left(md5((n / %(each)s)::text), 8),
           'txn_' || lpad(n::text, 15, '0'), (n * 7919 %% 1000003) / 1000003.0,
           timestamp '2025-11-01' + n * interval '331117 microseconds'
    FROM generate_series(0::bigint, %(rows)s - 1) AS n
"""


@contextlib.contextmanager
def sample_source(settings: Settings, name: str, *, scale: int, dirty: float = 0.0) -> Iterator[Settings]:
    """Settings whose source is a scratch database with the sample data; dropped at the end of the block.

    Raises:
        ConfigurationError: the user may not create databases on this server.
    """
    with _scratch_database(settings, name) as own:
        with open_source(own) as connection:
            sample.create_schema(connection, strict=not dirty)
            sample.fill(connection, scale=scale, dirty=dirty)
        yield own


@contextlib.contextmanager
def generated_source(settings: Settings, name: str, *, rows: int) -> Iterator[Settings]:
    """The same with `rows` rows of transaction_scores made by PostgreSQL itself, about a million in 5 seconds."""
    with _scratch_database(settings, name) as own:
        with open_source(own) as connection:
            sample.create_schema(connection)
            connection.execute("SET LOCAL synchronous_commit = off")
            for statement in (_STATES, _SCORES):
                connection.execute(statement.encode(), {"rows": rows, "each": _ROWS_OF_AN_INVESTIGATION})
        with open_source(own, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE investigation_states, transaction_scores")
        yield own


@contextlib.contextmanager
def _scratch_database(settings: Settings, name: str) -> Iterator[Settings]:
    identifier = sql.Identifier(name)
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(identifier)
    with open_source(settings, autocommit=True) as connection:
        connection.execute(drop)  # of a killed run
        try:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(identifier))
        except errors.InsufficientPrivilege:
            raise ConfigurationError(
                "The benchmark measures in a scratch database, and this user may not create one.",
                todo="Use a user with CREATEDB on a test server, or the embedded servers (workbench start).",
            ) from None
    try:
        uri = make_conninfo(source_uri(settings), dbname=name)
        yield settings.model_copy(update={"database_url": SecretStr(uri), "source_schema": "public"})
    finally:
        with contextlib.suppress(psycopg.OperationalError), open_source(settings, autocommit=True) as connection:
            connection.execute(drop)
