"""The rows that the migration put into quarantine: MongoDB does not have them, so no question can agree on them.

Parameters are not drawn from them, and answers are compared on views of the source without them. Times are measured
on the tables as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import psycopg
from psycopg import sql
from pymongo.database import Database

from workbench.benchmark.workloads.base import SCRATCH
from workbench.migration.quarantine import UNLOADED, Quarantine
from workbench.migration.tables import TABLES
from workbench.settings import Settings

VIEWS = f"{SCRATCH}_migrated"
"""Schema of the views."""
Keys: TypeAlias = Mapping[str, list[list[str]]]


def quarantined_keys(database: Database[Any]) -> dict[str, list[list[str]]]:
    """Source table -> primary keys, as text, of its rows in quarantine; tables without any are not named."""
    found: dict[str, list[list[str]]] = {}
    for entry in Quarantine(database).collection.find({"state": {"$in": UNLOADED}}, {"table": 1, "key": 1}):
        found.setdefault(entry["table"], []).append(list(entry["key"]))
    return dict(sorted(found.items()))


def create_views(connection: psycopg.Connection[Any], settings: Settings, keys: Keys) -> None:
    """A view for each table with rows in quarantine, of its name, without them."""
    schema, left = sql.Identifier(VIEWS), sql.Identifier(VIEWS, "quarantined")
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
    connection.execute(sql.SQL("CREATE TABLE {} (source_table text, key text[])").format(left))
    with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(left)) as copy:
        for row in _rows(keys):
            copy.write_row(row)
    connection.execute(sql.SQL("ANALYZE {}").format(left))
    for table in keys:
        columns = sql.SQL(", ").join(sql.SQL("t.{}::text").format(sql.Identifier(name)) for name in TABLES[table].key)
        connection.execute(
            sql.SQL(
                "CREATE VIEW {} AS SELECT * FROM {} t WHERE NOT EXISTS "
                "(SELECT FROM {} q WHERE q.source_table = {} AND q.key = ARRAY[{}])"
            ).format(
                sql.Identifier(VIEWS, table),
                sql.Identifier(settings.source_schema, table),
                left,
                sql.Literal(table),
                columns,
            )
        )


def drop_views(connection: psycopg.Connection[Any]) -> None:
    """Drop what `create_views` made, now or in a run that was killed."""
    connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(VIEWS)))


def _rows(keys: Keys) -> Iterable[tuple[str, list[str]]]:
    return ((table, key) for table, own in keys.items() for key in own)
