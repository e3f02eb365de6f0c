"""Read rows out of PostgreSQL: one snapshot for all workers, a server-side cursor for each partition."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import errors, sql
from psycopg.types.numeric import Int8BinaryLoader

from workbench import connections
from workbench.errors import SnapshotLost
from workbench.migration.partition import Partition
from workbench.migration.tables.table import Row, Table
from workbench.settings import Settings


def export_snapshot(connection: psycopg.Connection[Any]) -> str:
    """Begin a read-only transaction that sees one moment, and the name under which others can see the same.

    The moment lasts as long as this transaction stays open.
    """
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
    row = connection.execute("SELECT pg_export_snapshot()").fetchone()
    return str(row[0]) if row else ""


@contextlib.contextmanager
def open_snapshot(settings: Settings, snapshot: str | None) -> Iterator[psycopg.Connection[Any]]:
    """A connection that sees an exported snapshot, or a moment of its own where `snapshot` is None.

    Raises:
        SnapshotLost: the transaction that exported it has ended.
    """
    with connections.open_source(settings) as connection:
        for name in ("timestamp", "timestamptz"):  # in binary they are an int8, see `columns.EPOCH`
            connection.adapters.register_loader(name, Int8BinaryLoader)
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        if snapshot:
            try:
                connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(snapshot))
            except (errors.UndefinedObject, errors.InvalidParameterValue) as error:
                raise SnapshotLost("The source's snapshot has ended.", todo="Run the same command again.") from error
        yield connection


def stream(
    connection: psycopg.Connection[Any], table: Table, partition: Partition, settings: Settings
) -> Iterator[list[Row]]:
    """The partition's rows in key order, `settings.batch_rows` at a time; one batch is in memory."""
    query = table.select(settings) + sql.SQL(" WHERE {} ORDER BY {}").format(
        partition.where(table), _columns(table.partition_columns)
    )
    with connection.cursor(name=f"partition_{partition.index}", binary=True) as cursor:
        cursor.execute(query)
        while rows := cursor.fetchmany(settings.batch_rows):
            yield rows


def select_by_key(
    connection: psycopg.Connection[Any], table: Table, keys: list[tuple[str, ...]], settings: Settings
) -> list[Row]:
    """The rows with these primary keys; rows that are gone are left out."""
    query = table.select(settings) + _among(table, keys)
    with connection.cursor(binary=True) as cursor:
        return cursor.execute(query).fetchall()


def existing_keys(
    connection: psycopg.Connection[Any], table: Table, keys: list[tuple[str, ...]]
) -> list[tuple[str, ...]]:
    """Those of these primary keys that the source has."""
    columns = sql.SQL(", ").join(sql.SQL("t.{}::text").format(sql.Identifier(name)) for name in table.key)
    query = sql.SQL("SELECT {} FROM {} AS t").format(columns, sql.Identifier(table.name)) + _among(table, keys)
    return connection.execute(query).fetchall()


def _among(table: Table, keys: list[tuple[str, ...]]) -> sql.Composable:
    columns = sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(name)) for name in table.key)
    wanted = sql.SQL(", ").join(sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Literal, key))) for key in keys)
    return sql.SQL(" WHERE ({}) IN ({})").format(columns, wanted)


def fingerprint(
    connection: psycopg.Connection[Any], table: Table, partition: Partition, settings: Settings
) -> tuple[int, str]:
    """Count and fingerprint of everything that the partition's documents are made of, computed by PostgreSQL.

    Two 64-bit hashes of each row's text, combined without regard to order. It tells whether anything changed since
    the partition was loaded; that the documents are right is proven by the verification, not by this.
    """
    query = sql.SQL(
        # OFFSET 0 keeps PostgreSQL from making each row's text twice, once for each hash
        "SELECT count(*), bit_xor(hashtextextended(line, 1)), bit_xor(hashtextextended(line, 2))"
        " FROM (SELECT r::text AS line FROM ({}) AS r OFFSET 0) AS lines"
    ).format(table.select(settings) + sql.SQL(" WHERE ") + partition.where(table))
    row = connection.execute(query).fetchone()
    count, first, second = row if row else (0, None, None)
    return count, f"{count}:{first or 0}:{second or 0}"


def count_rows(connection: psycopg.Connection[Any], table: Table) -> int:
    """How many rows the table has, counted by PostgreSQL without regard to partitions."""
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table.name))).fetchone()
    return int(row[0]) if row else 0


def _columns(names: tuple[str, ...]) -> sql.Composable:
    return sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(name)) for name in names)
