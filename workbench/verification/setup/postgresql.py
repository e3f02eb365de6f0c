"""Checks of the source: reachable, readable, keyed, snapshot, and room for the connections that we take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from workbench.migration.tables import TABLES
from workbench.settings import Settings
from workbench.verification.setup.results import Outcome, Probe, failed, passed, warned

MIN_VERSION = 130_000
_ROWS_A_SECOND = 10_000
"""A cautious rate of the whole migration, for an estimate of its duration."""


@dataclass(frozen=True)
class Source:
    """What the checks look at."""

    connection: psycopg.Connection[Any]
    settings: Settings

    def one(self, query: str, *parameters: Any) -> Any:
        """The first value of the first row, or None."""
        row = self.connection.execute(query.encode(), parameters or None).fetchone()
        return row[0] if row else None


def _version(source: Source) -> Outcome:
    number, text = int(source.one("SHOW server_version_num")), source.one("SHOW server_version")
    if number < MIN_VERSION:
        return failed(f"version {text}", "The workbench needs PostgreSQL 13 or later.")
    return passed(f"version {text}")


def _encryption(source: Source) -> Outcome:
    info = source.connection.info
    if source.connection.pgconn.ssl_in_use:
        version = source.one("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()") or "TLS"
        mode = info.get_parameters().get("sslmode", "prefer")
        if mode in ("verify-ca", "verify-full"):
            return passed(f"{version}, certificate verified (sslmode {mode})")
        return warned(
            f"{version}, certificate not verified (sslmode {mode})",
            "Add sslmode=verify-full and sslrootcert=FILE to WORKBENCH_DATABASE_URL.",
        )
    if not info.host or info.host.startswith("/") or info.host in ("localhost", "127.0.0.1", "::1"):
        return passed("a connection within this machine, without TLS; it needs none")
    return warned("the connection is not encrypted", "Add sslmode=verify-full to WORKBENCH_DATABASE_URL.")


def _encoding(source: Source) -> Outcome:
    encoding = source.one("SHOW server_encoding")
    if encoding != "UTF8":
        return warned(f"the database is encoded in {encoding}", "Texts are converted to UTF-8; check them by a sample.")
    return passed("UTF-8, times in UTC")


def _tables(source: Source) -> Outcome:
    missing = [name for name in TABLES if source.one("SELECT to_regclass(%s)", name) is None]
    if missing:
        return failed(f"missing: {', '.join(missing)}", "Check WORKBENCH_SOURCE_SCHEMA, or run `workbench sample`.")
    return passed(f"{len(TABLES)} tables in the schema {source.settings.source_schema}")


def _columns(source: Source) -> Outcome:
    wrong = []
    for name, table in TABLES.items():
        found = {
            row[0]
            for row in source.connection.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped",
                [name],
            )
        }
        expected = {column.name for column in table.columns}
        wrong += [f"{name}.{column} is missing" for column in sorted(expected - found)]
        wrong += [f"{name}.{column} would not be migrated" for column in sorted(found - expected)]
    if wrong:
        return failed("; ".join(wrong[:6]), "Bring the table modules in workbench/migration/tables into line.")
    columns = sum(len(table.columns) for table in TABLES.values())
    return passed(f"{columns} columns, each with its place in the target")


def _keys(source: Source) -> Outcome:
    wrong = []
    for name, table in TABLES.items():
        found = source.one(
            "SELECT array_agg(a.attname::text ORDER BY k.position) FROM pg_constraint c,"
            " unnest(c.conkey) WITH ORDINALITY AS k(number, position), pg_attribute a"
            " WHERE c.conrelid = to_regclass(%s) AND c.contype = 'p' AND a.attrelid = c.conrelid"
            " AND a.attnum = k.number",
            name,
        )
        if list(found or []) != list(table.key):
            wrong.append(f"{name}: {', '.join(found) if found else 'no primary key'}, expected {', '.join(table.key)}")
    if wrong:
        return failed("; ".join(wrong), "Every row needs a primary key to be found again.")
    return passed("a primary key on every table")


def _privileges(source: Source) -> Outcome:
    denied = [
        name
        for name in TABLES
        if source.one("SELECT to_regclass(%s)", name) is not None
        and not source.one("SELECT has_table_privilege(to_regclass(%s), 'SELECT')", name)
    ]
    if denied:
        return failed(f"SELECT is denied on {', '.join(denied)}", "GRANT SELECT on these tables.")
    hidden = source.one(
        "SELECT count(*) FROM pg_class WHERE relname = ANY(%s) AND relrowsecurity"
        " AND relnamespace = current_schema()::regnamespace AND NOT pg_has_role(relowner, 'USAGE')",
        list(TABLES),
    )
    if hidden:
        return failed(f"row-level security hides rows of {hidden} tables", "Use a role with BYPASSRLS.")
    return passed(f"SELECT on all {len(TABLES)} tables, no hidden rows")


def estimate(connection: psycopg.Connection[Any]) -> tuple[int, int]:
    """Rows and bytes of the tables with their indexes, as PostgreSQL estimates them."""
    found = connection.execute(
        "SELECT coalesce(sum(greatest(reltuples, 0)), 0)::bigint, coalesce(sum(pg_total_relation_size(oid)), 0)::bigint"
        " FROM pg_class WHERE relname = ANY(%s) AND relnamespace = current_schema()::regnamespace",
        [list(TABLES)],
    ).fetchone()
    rows, size = found or (0, 0)
    return int(rows), int(size)


def _sizes(source: Source) -> Outcome:
    rows, size = estimate(source.connection)
    minutes = rows / _ROWS_A_SECOND / 60
    return passed(
        f"about {rows:,} rows, {size / 2**20:,.0f} MiB; {max(minutes, 0.1):,.1f} min at {_ROWS_A_SECOND:,} rows/s"
    )


def _statistics(source: Source) -> Outcome:
    stale = [
        row[0]
        for row in source.connection.execute(
            "SELECT relname FROM pg_class WHERE relname = ANY(%s) AND relnamespace = current_schema()::regnamespace"
            " AND reltuples < 0",
            [list(TABLES)],
        )
    ]
    if stale:
        return warned(f"never analysed: {', '.join(stale)}", "Run ANALYZE, so that estimates and plans are right.")
    return passed("every table was analysed")


def _snapshot(source: Source) -> Outcome:
    with source.connection.transaction():
        name = source.one("SELECT pg_export_snapshot()")
    return passed(f"a snapshot can be shared with workers ({name})")


def _timeouts(source: Source) -> Outcome:
    names = ("statement_timeout", "idle_in_transaction_session_timeout", "transaction_timeout")
    found = {name: source.one("SELECT setting FROM pg_settings WHERE name = %s", name) for name in names}
    limits = [f"{name} {value} ms" for name, value in found.items() if value not in (None, "0")]
    if limits:
        return warned(", ".join(limits), "A snapshot must last as long as the migration: set them to 0 for its role.")
    return passed("no limit on statements or transactions")


def _connections(source: Source) -> Outcome:
    most, reserved = int(source.one("SHOW max_connections")), int(source.one("SHOW superuser_reserved_connections"))
    used = int(source.one("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"))
    free, needed = most - reserved - used, source.settings.workers + 2
    if free < needed:
        return failed(f"{free} connections free, {needed} needed", "Lower WORKBENCH_WORKERS, or free connections.")
    return passed(f"{free} of {most} connections free, {needed} needed")


def _wal_level(source: Source) -> Outcome:
    level = source.one("SHOW wal_level")
    if level == "logical":
        return passed("logical: changes during the migration can be followed")
    return warned(
        f"{level}: changes during the migration cannot be followed",
        "Stop writes during the migration, or set wal_level = logical and restart.",
    )


def _foreign_keys(source: Source) -> Outcome:
    found = source.one(
        "SELECT count(*) FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid WHERE c.contype = 'f'"
        " AND r.relname = ANY(%s) AND r.relnamespace = current_schema()::regnamespace",
        list(TABLES),
    )
    unchecked = source.one(
        "SELECT count(*) FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid WHERE NOT c.convalidated"
        " AND r.relname = ANY(%s) AND r.relnamespace = current_schema()::regnamespace",
        list(TABLES),
    )
    if unchecked:
        return warned(f"{unchecked} constraints were never validated", "Expect such rows in the quarantine.")
    return passed(f"{found} foreign keys; references without one are checked row by row")


def _read_rate(source: Source) -> Outcome:
    import time

    began = time.perf_counter()
    query = sql.SQL("SELECT * FROM {} LIMIT 5000").format(sql.Identifier("transaction_scores"))
    rows = len(source.connection.execute(query).fetchall())
    rate = rows / (time.perf_counter() - began)
    if not rows:
        return warned(
            "transaction_scores is empty", "Run `workbench sample`, or check that this is the right database."
        )
    return passed(f"one connection reads {rate:,.0f} rows/s ({rows:,} rows)")


CHECKS = (
    Probe("version", _version),
    Probe("encryption", _encryption),
    Probe("encoding", _encoding),
    Probe("tables", _tables),
    Probe("columns", _columns),
    Probe("primary keys", _keys),
    Probe("privileges", _privileges),
    Probe("sizes and duration", _sizes),
    Probe("statistics", _statistics),
    Probe("foreign keys", _foreign_keys),
    Probe("snapshot export", _snapshot),
    Probe("timeouts", _timeouts),
    Probe("connections left", _connections),
    Probe("wal_level", _wal_level),
    Probe("read rate", _read_rate),
)
