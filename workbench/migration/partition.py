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
    """Cut a table into ranges of about `rows` rows each.

    Time is cut at whole seconds, which a BSON date holds, so that a range of the source is a range of the target.
    PostgreSQL reads the key's index once; memory here is one bound a partition.
    """
    names = sql.SQL(", ").join(map(sql.Identifier, table.partition_columns))
    cut = sql.SQL(", ").join(sql.SQL("cut.{}").format(sql.Identifier(name)) for name in table.partition_columns)
    texts = sql.SQL(", ").join(sql.SQL("cut.{}::text").format(sql.Identifier(name)) for name in table.partition_columns)
    source = sql.SQL("SELECT {} FROM {}").format(names, sql.Identifier(table.name))
    if table.time_column:
        time = sql.Identifier(table.time_column)
        source = sql.SQL("SELECT date_trunc('second', {time}) AS {time} FROM {table} WHERE isfinite({time})").format(
            time=time, table=sql.Identifier(table.name)
        )
    query = sql.SQL(
        # as text only: Python has no date of every year that PostgreSQL has
        "SELECT {texts} FROM (SELECT DISTINCT {names} FROM (SELECT *, row_number() OVER (ORDER BY {names}) - 1 AS n"
        " FROM ({source}) AS keys) AS numbered WHERE n > 0 AND n % {rows} = 0) AS cut ORDER BY {cut}"
    ).format(cut=cut, texts=texts, names=names, source=source, rows=sql.Literal(rows))
    bounds: list[Bound] = [tuple(row) for row in connection.execute(query)]
    lowers: list[Bound | None] = [None, *bounds]
    uppers: list[Bound | None] = [*bounds, None]
    return tuple(
        Partition(table.name, index, lower, upper)
        for index, (lower, upper) in enumerate(zip(lowers, uppers, strict=True))
    )
