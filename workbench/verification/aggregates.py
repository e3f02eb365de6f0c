"""Level 3: the same aggregates computed by each database itself, from SQL and pipelines that share no code.

One pass a side and table: rows are grouped by the table's categories, and count, least, greatest and sum of every
other column are taken in each group; the groups are few, and are put together here. Counts of distinct values take a
pass each and are left out beyond `DISTINCT_MAX_ROWS` rows.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Context, Decimal, localcontext
from typing import Any

import psycopg
from bson.decimal128 import Decimal128
from psycopg import sql
from pymongo.database import Database
from pymongo.errors import OperationFailure

from workbench.migration.tables.columns import KEEP_UNREADABLE_JSON
from workbench.migration.tables.table import Table
from workbench.settings import Settings
from workbench.verification.findings import Check, Findings
from workbench.verification.measures import MEASURES, Measure, Measured, tenant_measure, without
from workbench.verification.references import ValueCounts

DISTINCT_MAX_ROWS = 5_000_000
SUM_TOLERANCE = 1e-9
"""Relative: sums of doubles depend on the order of addition; n additions err by at most n * 1.1e-16."""
DECIMAL_TOLERANCE = Decimal("1e-24")
"""Relative: PostgreSQL adds decimals exactly, MongoDB rounds to 34 digits and the embedded server to 28."""
MIXED = "values of several types"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAN = Decimal128("NaN")
_EXACT = Context(prec=20_000, traps=[])
"""Wide enough for sums of decimals of any size that BSON holds; NaN and infinities are values, not errors."""
_DECIMAL128 = Context(prec=34, Emin=-6143, Emax=6144, traps=[])
_MAX_WHOLE = 10**40
Values = dict[tuple[str, str], Any]
"""(column, aggregate) -> value. Aggregates: count, min, max, sum, micros, length, distinct, "= value"."""


def compare_aggregates(
    source: psycopg.Connection[Any],
    database: Database[Any],
    *,
    table: Table,
    settings: Settings,
    excluded: Sequence[Sequence[str]],
    rows: int,
    values: ValueCounts,
    rules: Collection[str] = (),
    findings: Findings,
) -> tuple[int, str]:
    """Compute and compare all aggregates of a table; how many there were, and a note about what was left out.

    Args:
        excluded: keys of the rows in quarantine, as text; these rows do not count.
        rows: about how many rows the table has.
        values: of the fields that references use; their different values are counted once.
        rules: of the migration that were accepted for the table; one of them turns unreadable JSON into null.
    """
    measures, notes = MEASURES[table.name], []
    tenant = tenant_measure(table, settings)
    measures += (tenant,) if tenant else ()
    if KEEP_UNREADABLE_JSON in rules:
        measures = tuple(measure for measure in measures if measure.kind not in (Measured.JSON_TEXT, Measured.TAGS))
        notes.append(f"JSON texts are not counted under the rule {KEEP_UNREADABLE_JSON}")
    with_distinct = rows <= DISTINCT_MAX_ROWS
    if not with_distinct:
        notes.append(f"distinct values not counted beyond {DISTINCT_MAX_ROWS:,} rows")
    expected = source_aggregates(
        source, table.name, measures, key=table.key, excluded=excluded, with_distinct=with_distinct
    )
    try:
        found = target_aggregates(
            database, table.collection.name, measures, with_distinct=with_distinct, values=values
        )  # fmt: skip
    except OperationFailure as error:
        if error.code in (13, 18) or error.timeout:
            raise
        findings.add(
            Check.AGGREGATES,
            "aggregates cannot be computed: a value has another type than its column",
            expected="aggregates",
            found=f"refusal with code {error.code}",
        )
        return len(expected), ""
    kinds = {measure.name: measure.kind for measure in measures}
    for name in sorted(expected.keys() | found.keys()):
        column, aggregate = name
        one, other = expected.get(name), found.get(name)
        extremes = [expected.get((column, extreme)) for extreme in ("min", "max")]
        if not _equal(one, other, kinds.get(column), aggregate, extremes):
            findings.add(
                Check.AGGREGATES,
                f"aggregates differ: {aggregate} of {column}",
                field=column,
                expected=f"{aggregate} {one}",
                found=f"{aggregate} {other}",
            )
    return len(expected.keys() | found.keys()), "; ".join(notes)


def _equal(one: Any, other: Any, kind: Measured | None, aggregate: str, extremes: Sequence[Any]) -> bool:
    if one is None or other is None or MIXED in (one, other):
        return one is other
    if isinstance(one, str) or isinstance(other, str):
        return bool(one == other)
    if kind is Measured.DOUBLE and aggregate == "sum":
        return math.isclose(float(one), float(other), rel_tol=SUM_TOLERANCE, abs_tol=SUM_TOLERANCE)
    if kind is Measured.DECIMAL and aggregate in ("min", "max", "sum"):
        first, second = _as_decimal128(one), _as_decimal128(other)
        if not (first.is_finite() and second.is_finite()):
            return str(first) == str(second)
        # What was added may be much greater than the sum: the least and the greatest value say how great.
        scale = max(map(abs, (first, second, Decimal(1), *(_as_decimal128(e) for e in extremes if e is not None))))
        return _EXACT.subtract(first, second).copy_abs() <= _EXACT.multiply(DECIMAL_TOLERANCE, scale)
    return bool(one == other)


def _as_decimal128(value: Any) -> Decimal:
    """A number as the migration stores it: 34 digits, and an infinity beyond 10 to the power of 6,144."""
    return _DECIMAL128.create_decimal(value)


# -- PostgreSQL ---------------------------------------------------------------------------------------------------


def source_aggregates(
    connection: psycopg.Connection[Any],
    table: str,
    measures: Sequence[Measure],
    *,
    key: Sequence[str],
    excluded: Sequence[Sequence[str]] = (),
    with_distinct: bool = True,
) -> Values:
    """The aggregates of a source table, computed by PostgreSQL."""
    categories = [measure for measure in measures if measure.kind is Measured.CATEGORY]
    columns = [f"({measure.source})::text" for measure in categories] or ["NULL::text"]
    names: list[tuple[str, str]] = []
    for measure in measures:
        for aggregate, expression in _sql(measure):
            names.append((measure.name, aggregate))
            columns.append(expression)
    where, parameters = without("t", key, excluded)
    width = max(1, len(categories))
    grouping = ", ".join(str(position + 1) for position in range(width))
    query = f"SELECT {', '.join(columns)}, count(*) FROM {{}} AS t WHERE {where} GROUP BY {grouping}"  # noqa: S608
    values: Values = {}
    for row in connection.execute(sql.SQL(query).format(sql.Identifier(table)), parameters):
        _merge(values, categories, row[:width], names, row[width:-1], row[-1])
    for measure in measures if with_distinct else ():
        if measure.distinct:
            text = f"SELECT count(DISTINCT {measure.source}) FROM {{}} AS t WHERE {where}"  # noqa: S608
            one = connection.execute(sql.SQL(text).format(sql.Identifier(table)), parameters).fetchone()
            values[measure.name, "distinct"] = one[0] if one else 0
    return values


def _sql(measure: Measure) -> Iterator[tuple[str, str]]:
    value = f"({measure.source})"
    if measure.kind is Measured.TIME:
        inside = f"{value} BETWEEN '0001-01-01' AND '9999-12-31 23:59:59.999999'"
        micros = f"(extract(epoch FROM {value}) * 1000000)::bigint"
        floored = f"floor({micros} / 1000.0)"
        if measure.nullable:
            yield "count", f"count(*) FILTER (WHERE {inside})"
        yield "min", f"(min({floored}) FILTER (WHERE {inside}))::numeric"
        yield "max", f"(max({floored}) FILTER (WHERE {inside}))::numeric"
        yield "sum", f"coalesce(sum({floored}) FILTER (WHERE {inside}), 0)::numeric"
        yield "micros", f"coalesce(sum({micros} - 1000 * {floored}) FILTER (WHERE {inside}), 0)::bigint"
        return
    if measure.nullable:
        yield "count", f"count({value})"
    match measure.kind:
        case Measured.TEXT:
            yield "min", f'min({value} COLLATE "C")'
            yield "max", f'max({value} COLLATE "C")'
            yield "length", f"coalesce(sum(char_length({value})), 0)::bigint"
        case Measured.NUMBER:
            yield "min", f"min({value})::numeric"
            yield "max", f"max({value})::numeric"
            yield "sum", f"coalesce(sum({value}), 0)::numeric"
        case Measured.DECIMAL:
            number = f"nullif({value}, 'NaN')"
            yield "min", f"min({number})"
            yield "max", f"max({number})"
            yield "sum", f"coalesce(sum({number}), 0)"
        case Measured.DOUBLE:
            yield "min", f"min({value})"
            yield "max", f"max({value})"
            yield "sum", f"coalesce(sum({value}), 0)"
        case Measured.LIST | Measured.TAGS:
            yield "length", f"coalesce(sum({value}), 0)::bigint"
        case Measured.LENGTH:
            yield "length", f"coalesce(sum(char_length({value})), 0)::bigint"
        case Measured.JSON:
            yield from _sql_of_json(value, "jsonb")
        case Measured.JSON_TEXT:
            storable = rf"replace({value}, '\u0000', '\u0001')"  # an escaped NUL is JSON, but no text to PostgreSQL
            yield from _sql_of_json(f"{storable}::json", "json")


def _sql_of_json(value: str, kind: str) -> Iterator[tuple[str, str]]:
    """`json` rather than `jsonb` for texts: it does not refuse numbers beyond the range of numeric."""
    letters = f"SELECT sum(char_length(k.name)) FROM {kind}_object_keys({value}) AS k(name)"  # noqa: S608
    keys = (
        f"CASE {kind}_typeof({value}) WHEN 'object' THEN ({letters}) WHEN 'array' THEN {kind}_array_length({value}) END"
    )
    yield "keys", f"coalesce(sum({keys}), 0)::bigint"


# -- MongoDB ------------------------------------------------------------------------------------------------------


def target_aggregates(
    database: Database[Any],
    collection: str,
    measures: Sequence[Measure],
    *,
    with_distinct: bool = True,
    values: ValueCounts | None = None,
) -> Values:
    """The aggregates of a collection, computed by MongoDB."""
    categories = [measure for measure in measures if measure.kind is Measured.CATEGORY]
    accumulators: dict[str, Any] = {"n": {"$sum": 1}}
    names: list[tuple[str, str]] = []
    for measure in measures:
        for aggregate, expression in _pipeline(measure):
            accumulators[f"a{len(names)}"] = expression
            names.append((measure.name, aggregate))
    group = {f"c{position}": f"${measure.target}" for position, measure in enumerate(categories)} or None
    pipeline: list[dict[str, Any]] = [{"$group": {"_id": group, **accumulators}}]
    aggregates: Values = {}
    for found in database[collection].aggregate(pipeline, allowDiskUse=True):
        by = [_category_text(found["_id"].get(f"c{position}")) for position in range(len(categories))] or [None]
        numbers = [found[f"a{position}"] for position in range(len(names))]
        _merge(aggregates, categories, by, names, numbers, found["n"])
    for measure in measures if with_distinct else ():
        if measure.distinct:
            known = values.distinct(collection, measure.target) if values else None
            if known is not None:
                aggregates[measure.name, "distinct"] = known
                continue
            stages: list[dict[str, Any]] = [
                {"$group": {"_id": f"${measure.target}"}},
                {"$match": {"_id": {"$ne": None}}},
                {"$count": "n"},
            ]
            counted = list(database[collection].aggregate(stages, allowDiskUse=True))
            aggregates[measure.name, "distinct"] = counted[0]["n"] if counted else 0
    return aggregates


def _pipeline(measure: Measure) -> Iterator[tuple[str, dict[str, Any]]]:
    path = f"${measure.target}"
    present = {"$sum": {"$cond": [{"$gt": [path, None]}, 1, 0]}}
    if measure.kind is Measured.TIME:
        if measure.nullable:
            yield "count", present
        yield "min", {"$min": path}
        yield "max", {"$max": path}
        yield "sum", {"$sum": {"$subtract": [path, _EPOCH]}}
        micros = {"$getField": {"field": measure.target, "input": "$provenance.micros"}}
        yield "micros", {"$sum": micros if "." in measure.target else f"$provenance.micros.{measure.target}"}
        return
    if measure.nullable:
        yield "count", present
    match measure.kind:
        case Measured.TEXT:
            yield "min", {"$min": path}
            yield "max", {"$max": path}
            length = {"$strLenCP": {"$ifNull": [path, ""]} if measure.nullable else path}
            yield "length", {"$sum": length}
        case Measured.NUMBER | Measured.DOUBLE:
            for aggregate in ("min", "max", "sum"):
                yield aggregate, {f"${aggregate}": path}
        case Measured.DECIMAL:
            number = {"$cond": [{"$eq": [path, _NAN]}, None, path]}  # NaN is the greatest there, the least here
            for aggregate in ("min", "max", "sum"):
                yield aggregate, {f"${aggregate}": number}
        case Measured.LIST | Measured.TAGS:
            yield "length", {"$sum": {"$size": {"$ifNull": [path, []]} if measure.nullable else path}}
        case Measured.LENGTH:
            yield "length", {"$sum": {"$strLenCP": {"$ifNull": [path, ""]} if measure.nullable else path}}
        case Measured.JSON | Measured.JSON_TEXT:
            paths = [path, *([f"${measure.also}"] if measure.also else [])]
            yield "keys", {"$sum": {"$add": list(map(_keys, paths))} if measure.also else _keys(path)}


def _keys(path: str) -> dict[str, Any]:
    letters = {"$map": {"input": {"$objectToArray": path}, "as": "part", "in": {"$strLenCP": "$$part.k"}}}
    of_object = {"$cond": [{"$eq": [{"$type": path}, "object"]}, {"$sum": letters}, 0]}
    return {"$cond": [{"$isArray": path}, {"$size": path}, of_object]}


def _category_text(value: Any) -> str | None:
    return str(value).lower() if isinstance(value, bool) else value


# -- both ---------------------------------------------------------------------------------------------------------


def _merge(
    values: Values,
    categories: Sequence[Measure],
    by: Sequence[Any],
    names: Sequence[tuple[str, str]],
    numbers: Sequence[Any],
    rows: int,
) -> None:
    """Add one group to the aggregates of the whole table."""
    _put(values, ("(rows)", "count"), rows)
    for measure, value in zip(categories, by, strict=False):
        _put(values, (measure.name, f"= {value}"), rows)
    for name, number in zip(names, numbers, strict=True):
        _put(values, name, _plain(number))


def _put(values: Values, name: tuple[str, str], number: Any) -> None:
    present = values.get(name)
    if present == MIXED:
        return
    if number is None or present is None:
        values[name] = present if number is None else number
        return
    combine = {"min": min, "max": max}.get(name[1], operator.add)
    try:
        with localcontext(_EXACT):
            values[name] = combine(present, number)
    except TypeError:  # a corrupted value has another type than those of the other groups
        values[name] = MIXED


def _plain(number: Any) -> Any:
    """One type a quantity: whole numbers of usual size as int, instants as milliseconds, decimals as Decimal."""
    if isinstance(number, Decimal128):
        number = number.to_decimal()
    if isinstance(number, datetime):
        return round((number - _EPOCH).total_seconds() * 1000)
    if isinstance(number, Decimal) and number.is_finite() and abs(number) < _MAX_WHOLE:
        return int(number) if number == number.to_integral_value() else number
    return number
