"""What each column would lose in BSON, from a scan of the real data inside PostgreSQL, before anything is moved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from workbench.errors import LossError
from workbench.migration.tables.columns import Column
from workbench.migration.tables.table import Table
from workbench.models.validator import json_schema
from workbench.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

_IS_JSON_SINCE = 160000
_OUTSIDE_PYTHON = "(NOT isfinite(t.{c}) OR t.{c} >= '10000-01-01' OR t.{c} < '0001-01-01')"
_BELOW_MILLISECONDS = "(isfinite(t.{c}) AND extract(microseconds FROM t.{c})::bigint % 1000 <> 0)"
_WIDE = (
    "(t.{c} NOT IN ('NaN', 'Infinity', '-Infinity') AND length(ltrim(replace(abs(t.{c})::text, '.', ''), '0')) > 34)"
)
_NOT_FINITE = "(t.{c} IN ('NaN', 'Infinity', '-Infinity'))"
_EMPTY_JSON = "(t.{c}::text IN ('', 'null'))"
_NOT_JSON = "(t.{c}::text <> '' AND t.{c}::text IS NOT JSON)"
_COMMAS = "(t.{c} <> '' AND t.{c} !~ '^\\s*[[{{\"]' AND t.{c} <> 'null')"


@dataclass(frozen=True)
class ColumnLoss:
    """What the scan found in one column.

    Attributes:
        rule: what becomes of values that BSON cannot hold as they are.
        rows: rows of the table.
        kept_exact: values whose rest is kept beside the document, so that nothing is lost.
        quarantined: values for which no document can be made; the rows stay behind, with their reason.
    """

    table: str
    column: str
    rule: str
    rows: int
    kept_exact: int
    quarantined: int


def loss_budget(connection: psycopg.Connection[Any], settings: Settings, tables: Iterable[Table]) -> list[ColumnLoss]:
    """The budget of every column of these tables. Reads each table once.

    It counts what a column shows by itself; rules of the models (ranges, enums, references) are the dry run's work.

    Raises:
        LossError: a table has a column that no rule covers, or lacks one.
    """
    return [loss for table in tables for loss in _scan(connection, settings, table)]


def scan_each(
    connection: psycopg.Connection[Any], settings: Settings, tables: Iterable[Table]
) -> tuple[list[ColumnLoss], list[str]]:
    """The same, and a sentence for each table that cannot be scanned; it does not keep the others from it."""
    budget: list[ColumnLoss] = []
    refused: list[str] = []
    for table in tables:
        try:
            with connection.transaction():
                budget += _scan(connection, settings, table)
        except LossError as error:
            refused.append(str(error))
        except psycopg.ProgrammingError as error:  # a column of another type, a table that may not be read
            refused.append(f"{table.name}: PostgreSQL: {error.diag.message_primary}.")
    return budget, refused


def budget_frame(budget: Sequence[ColumnLoss]) -> pd.DataFrame:
    """One row a column: table, column, rule, rows, kept_exact, quarantined."""
    import pandas as pd  # takes most of a second, which every driver of a migration would pay

    columns = list(ColumnLoss.__dataclass_fields__)
    return pd.DataFrame([asdict(loss) for loss in budget], columns=columns)


def _scan(connection: psycopg.Connection[Any], settings: Settings, table: Table) -> list[ColumnLoss]:
    require_columns(connection, settings, table)
    counts: list[sql.Composable] = [sql.SQL("count(*)")]
    for column in table.columns:
        kept, refused = _conditions(connection, table, column)
        counts += [_count(kept, column), _count(refused, column)]
    query = sql.SQL("SELECT {} FROM {} AS t").format(sql.SQL(", ").join(counts), sql.Identifier(table.name))
    row = connection.execute(query).fetchone() or (0,) * len(counts)
    return [
        ColumnLoss(table.name, column.name, column.rule, row[0], row[1 + 2 * index], row[2 + 2 * index])
        for index, column in enumerate(table.columns)
    ]


def _conditions(connection: psycopg.Connection[Any], table: Table, column: Column) -> tuple[str, str]:
    """SQL for values that are kept beside the document, and for those that no document can hold."""
    match column.kind:
        case "instant":
            if _is_nullable(table, column.path):
                return f"{_BELOW_MILLISECONDS} OR {_OUTSIDE_PYTHON}", ""
            return _BELOW_MILLISECONDS, _OUTSIDE_PYTHON
        case "numeric":
            return _WIDE, ""
        case "float":
            return "", _NOT_FINITE
        case "json":
            return _EMPTY_JSON, _NOT_JSON if connection.info.server_version >= _IS_JSON_SINCE else ""
        case "tags":
            return f"{_EMPTY_JSON} OR {_COMMAS}", ""
        case _:
            return "", ""


def _count(condition: str, column: Column) -> sql.Composable:
    if not condition:
        return sql.SQL("0")
    return sql.SQL(f"count(*) FILTER (WHERE {condition})").format(c=sql.Identifier(column.name))


def _is_nullable(table: Table, path: str) -> bool:
    schema: Any = json_schema(table.collection)
    for name in path.split("."):
        schema = schema["properties"][name]
    return "null" in schema.get("bsonType", ())


def require_columns(connection: psycopg.Connection[Any], settings: Settings, table: Table) -> None:
    """Refuse a source whose columns are not those of the table's spec: a column without a rule would be dropped.

    Raises:
        LossError: a column is unknown or missing.
    """
    rows = connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s",
        [settings.source_schema, table.name],
    )
    found = {row[0] for row in rows}
    known = {column.name for column in table.columns}
    if not found:
        raise LossError(
            f"The source has no table {table.name} in the schema {settings.source_schema}.",
            todo="Check WORKBENCH_DATABASE_URL and WORKBENCH_SOURCE_SCHEMA.",
        )
    if found - known:
        raise LossError(
            f"{table.name}: no rule says what becomes of the column {', '.join(sorted(found - known))}.",
            todo=f"Add it to workbench/migration/tables/{table.name}.py (CONTRIBUTING, 'Add a field').",
        )
    if known - found:
        raise LossError(
            f"{table.name}: the source lacks the column {', '.join(sorted(known - found))}.",
            todo="Check WORKBENCH_SOURCE_SCHEMA and the version of the source's schema.",
        )
