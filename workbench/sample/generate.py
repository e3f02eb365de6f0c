"""Fill the source system with sample data: rows are generated in blocks and streamed through COPY."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeAlias

import psycopg
from psycopg import sql

from workbench.ahead import ahead
from workbench.errors import ConfigurationError
from workbench.sample.bulk import bare_table, copy_in, copy_text
from workbench.sample.ddl import COLUMNS, SAMPLE_SCHEMA, TABLES, existing_tables, filled_tables, is_strict
from workbench.sample.detection import anomaly_rows, detector_rows, incident_families, run_rows
from workbench.sample.dirty import Planter
from workbench.sample.integrations import action_rows, connection_rows, execution_rows
from workbench.sample.investigations import audit_rows, score_rows, state_rows
from workbench.sample.manifest import SampleManifest, create_manifest, write_manifest
from workbench.sample.plan import SamplePlan
from workbench.sample.templates import template_rows
from workbench.sample.values import Row

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with table, rows written, rows expected."""

DEFAULT_SEED = 20261124
MAX_SCALE = 10_000
MAX_DIRTY = 0.5

_FAMILIES = sql.Identifier(SAMPLE_SCHEMA, "incident_family")
_PLANTED = sql.Identifier(SAMPLE_SCHEMA, "planted")
_PLANTED_COLUMNS = ("table_name", "key", "kind", "field", "quarantined")

GENERATORS: dict[str, Callable[[SamplePlan], Iterator[list[Row]]]] = {
    "investigation_states": state_rows,
    "investigation_templates": template_rows,
    "investigation_audit_log": audit_rows,
    "detectors": detector_rows,
    "detection_runs": run_rows,
    "anomaly_events": anomaly_rows,
    "transaction_scores": score_rows,
    "composio_connections": connection_rows,
    "composio_action_audits": action_rows,
    "soar_playbook_executions": execution_rows,
}


def fill(
    connection: psycopg.Connection,
    *,
    scale: int = 1,
    seed: int = DEFAULT_SEED,
    dirty: float = 0.0,
    progress: Progress | None = None,
) -> SampleManifest:
    """Fill the ten empty tables, all or nothing, and store the manifest beside them.

    The same scale, seed and fraction give the same rows. Memory does not grow with the scale: a few blocks of at
    most about 15,000 rows are held, made by a thread while PostgreSQL takes the ones before. Bad rows come in
    addition: the good ones are those of the clean sample.

    Args:
        connection: a connection to a database with the schema; committed unless the caller has a transaction open.
        scale: 1 is about 60,000 rows, 1,000 about 60 million.
        seed: any integer of 63 bits.
        dirty: fraction of the rows that are bad, 0 to 0.5; needs `create_schema(strict=False)`.
        progress: called with table, rows written, rows expected (an estimate until the table is done).

    Raises:
        ConfigurationError: an argument is out of range, a table is missing, or a table holds rows already.
    """
    _check_arguments(scale, seed, dirty)
    started = time.perf_counter()
    plan = SamplePlan(scale=scale, seed=seed)
    planter = Planter(plan, dirty)
    rows: dict[str, int] = {}
    with connection.transaction():
        # The text of timestamps has no zone and means UTC; bulk loads are made again, not recovered.
        connection.execute("SET LOCAL TimeZone = 'UTC'")
        connection.execute("SET LOCAL synchronous_commit = off")
        _check_tables(connection, dirty)
        create_manifest(connection)
        for table in TABLES:
            rows[table] = _fill_table(connection, table, plan, planter, progress)
        for block in incident_families(plan):
            copy_in(connection, _FAMILIES, ("anomaly_id", "family"), copy_text(block))
        connection.execute(sql.SQL("ANALYZE {}").format(sql.SQL(", ").join(map(sql.Identifier, TABLES))))
        manifest = SampleManifest(scale, seed, dirty, rows, planter.counts, time.perf_counter() - started)
        write_manifest(connection, manifest)
    return manifest


def _check_arguments(scale: int, seed: int, dirty: float) -> None:
    for name, value, low, high in (
        ("scale", scale, 1, MAX_SCALE),
        ("seed", seed, 0, 2**63 - 1),
        ("dirty", dirty, 0, MAX_DIRTY),
    ):
        if not low <= value <= high:
            raise ConfigurationError(f"Sample data: {name} is {value}.", todo=f"Give a value from {low} to {high}.")


def _check_tables(connection: psycopg.Connection, dirty: float) -> None:
    missing = [table for table in TABLES if table not in existing_tables(connection)]
    if missing:
        raise ConfigurationError(
            f"Sample data: the source has no table {', '.join(missing)}.", todo="Create the schema first."
        )
    filled = filled_tables(connection)
    if filled:
        raise ConfigurationError(
            f"Sample data: rows are already in {', '.join(filled)}.",
            todo="Use the data that is there, or drop it (workbench sample --drop) if it is a sample.",
        )
    if dirty and is_strict(connection):
        raise ConfigurationError(
            "Sample data: the tables have checks that refuse bad rows.",
            todo="Drop them and create the schema with strict=False (workbench sample --drop --dirty FRACTION).",
        )


def _fill_table(
    connection: psycopg.Connection,
    table: str,
    plan: SamplePlan,
    planter: Planter,
    progress: Progress | None,
) -> int:
    """Generate and load one table; returns its rows, the planted ones among them."""
    expected, rows = plan.expected_rows()[table], 0
    with bare_table(connection, table):
        for made, text, known in ahead(_batches(table, plan, planter)):
            copy_in(connection, sql.Identifier(table), COLUMNS[table], text)
            if known:
                copy_in(connection, _PLANTED, _PLANTED_COLUMNS, known)
            rows += made
            if progress:
                progress(table, rows, max(expected, rows))
    if progress:
        progress(table, rows, rows)
    return rows


def _batches(table: str, plan: SamplePlan, planter: Planter) -> Iterator[tuple[int, bytes, bytes]]:
    """Blocks of a table ready for COPY: number of rows, the rows, and what is known about the bad ones among them."""
    expected, good = plan.expected_rows()[table], 0
    for block in GENERATORS[table](plan):
        good += len(block)
        bad = planter.plant(table, block, min(1.0, good / expected))
        rows = block + [planted.row for planted in bad]
        yield len(rows), copy_text(rows), copy_text([planted.known(table) for planted in bad]) if bad else b""
