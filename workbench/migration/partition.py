"""Cut a source table into ranges that are read, loaded, repeated and proven on their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from workbench.migration.tables.table import Table

Bound = tuple[str, ...]
"""The values of the partition columns as text, which PostgreSQL reads back into their types."""


@dataclass(frozen=True)
class Partition:
    """One range of a table: `lower <= key < upper`. The first has no lower bound and the last no upper one.

    Ranges cover every possible key, so that rows which are added later fall into one of them.
    """

    table: str
    index: int
    lower: Bound | None
    upper: Bound | None

    @property
    def id(self) -> str:
        """The partition's name, which sorts by table and range."""
        return f"{self.table}/{self.index:06d}"

    def where(self, table: Table) -> sql.Composable:
        """The SQL condition for the partition's rows of `t`. Rows without a key belong to the first partition."""
        columns = sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(name)) for name in table.partition_columns)
        conditions = [
            sql.SQL("({}) {} ({})").format(columns, sql.SQL(operator), sql.SQL(", ").join(map(sql.Literal, bound)))
            for operator, bound in ((">=", self.lower), ("<", self.upper))
            if bound is not None
        ]
        inside = sql.SQL(" AND ").join(conditions) if conditions else sql.SQL("true")
        if self.lower is None and conditions:
            missing = sql.SQL(" OR ").join(
                sql.SQL("t.{} IS NULL").format(sql.Identifier(name)) for name in table.partition_columns
            )
            return sql.SQL("(({}) OR {})").format(inside, missing)
        return inside


def rows_each(count: int, *, at_most: int, workers: int) -> int:
    """How many of `count` rows a partition should have, so that all workers have as many and end together."""
    if count <= at_most:
        return at_most
    rounds = -(-count // (at_most * workers))
    return -(-count // (rounds * workers))


def plan_partitions(connection: psycopg.Connection[Any], table: Table, *, rows: int) -> tuple[Partition, ...]:
    """Cut a table into ranges of about `rows` rows. PostgreSQL reads all keys once; memory is one bound a range."""
    bounds = (_cut_by_time if table.time_column else _cut_by_key)(connection, table, rows)
    lowers: list[Bound | None] = [None, *bounds]
    uppers: list[Bound | None] = [*bounds, None]
    return tuple(
        Partition(table.name, index, lower, upper)
        for index, (lower, upper) in enumerate(zip(lowers, uppers, strict=True))
    )


def _cut_by_key(connection: psycopg.Connection[Any], table: Table, rows: int) -> list[Bound]:
    """Every `rows`-th primary key, from one to the next along its index."""
    names = [sql.SQL("t.{}").format(sql.Identifier(name)) for name in table.key]
    texts = sql.SQL(", ").join(sql.SQL("{}::text").format(name) for name in names)
    bounds: list[Bound] = []
    while True:
        rest = Partition(table.name, 0, bounds[-1] if bounds else None, None)
        query = sql.SQL("SELECT {} FROM {} AS t WHERE {} ORDER BY {} OFFSET {} LIMIT 1").format(
            texts, sql.Identifier(table.name), rest.where(table), sql.SQL(", ").join(names), sql.Literal(rows)
        )
        bound = connection.execute(query).fetchone()
        if bound is None:
            return bounds
        bounds.append(bound)


def _cut_by_time(connection: psycopg.Connection[Any], table: Table, rows: int) -> list[Bound]:
    """The second of every `rows`-th row: a BSON date holds it, so a range of the source is a range of the target."""
    query = sql.SQL(
        # as text only: Python has no date of every year that PostgreSQL has
        "SELECT cut::text FROM (SELECT DISTINCT cut FROM (SELECT cut, row_number() OVER (ORDER BY cut) - 1 AS n"
        " FROM (SELECT date_trunc('second', {time}) AS cut FROM {table} WHERE isfinite({time})) AS seconds)"
        " AS numbered WHERE n > 0 AND n % {rows} = 0) AS cuts ORDER BY cuts.cut"
    ).format(time=sql.Identifier(table.time_column), table=sql.Identifier(table.name), rows=sql.Literal(rows))
    return connection.execute(query).fetchall()
