"""What is in the source: rows, sizes and the span of time of each table, as PostgreSQL itself counts them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import psycopg
from psycopg import sql

from workbench.errors import ConfigurationError
from workbench.migration.tables import TABLES
from workbench.migration.tables.table import Table


def profile(connection: psycopg.Connection[Any]) -> pd.DataFrame:
    """One row a table: rows (counted), table_bytes, index_bytes, oldest, newest (by its first instant).

    Reads every table once.

    Raises:
        ConfigurationError: the schema lacks one of the ten tables.
    """
    missing = [name for name in TABLES if not _exists(connection, name)]
    if missing:
        raise ConfigurationError(
            f"The source has no table {', '.join(missing)}.",
            todo="Check WORKBENCH_DATABASE_URL and WORKBENCH_SOURCE_SCHEMA, or run `workbench sample`.",
        )
    return pd.DataFrame([_profile_table(connection, table) for table in TABLES.values()])


def _exists(connection: psycopg.Connection[Any], name: str) -> bool:
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [name]).fetchone()
    return bool(row and row[0])


def _profile_table(connection: psycopg.Connection[Any], table: Table) -> dict[str, Any]:
    instant = next(column.name for column in table.columns if column.kind == "instant")
    time = table.time_column or ("created_at" if "created_at" in {c.name for c in table.columns} else instant)
    query = sql.SQL(
        "SELECT count(*) AS rows, pg_table_size({name}::regclass) AS table_bytes,"
        " pg_indexes_size({name}::regclass) AS index_bytes,"
        " to_char(min({time}) FILTER (WHERE isfinite({time})), 'YYYY-MM-DD HH24:MI') AS oldest,"
        " to_char(max({time}) FILTER (WHERE isfinite({time})), 'YYYY-MM-DD HH24:MI') AS newest FROM {table}"
    ).format(name=sql.Literal(table.name), table=sql.Identifier(table.name), time=sql.Identifier(time))
    with connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        row = cursor.execute(query).fetchone() or {}
    return {"table": table.name, **row}
