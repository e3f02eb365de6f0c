"""What is known about the sample data in a database: how it was made, its planted rows, its incident families."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.types.json import Json

from workbench.sample.ddl import SAMPLE_SCHEMA

_MANIFEST = sql.Identifier(SAMPLE_SCHEMA, "manifest")
_TABLES = f"""
    CREATE SCHEMA IF NOT EXISTS {SAMPLE_SCHEMA};
    DROP TABLE IF EXISTS {SAMPLE_SCHEMA}.manifest, {SAMPLE_SCHEMA}.planted, {SAMPLE_SCHEMA}.incident_family;
    CREATE TABLE {SAMPLE_SCHEMA}.manifest (
        scale integer NOT NULL, seed bigint NOT NULL, dirty double precision NOT NULL,
        rows json NOT NULL, planted json NOT NULL, seconds double precision NOT NULL
    );
    CREATE TABLE {SAMPLE_SCHEMA}.planted (
        table_name text NOT NULL, key text NOT NULL, kind text NOT NULL, field text NOT NULL,
        quarantined boolean NOT NULL, PRIMARY KEY (table_name, key)
    );
    CREATE TABLE {SAMPLE_SCHEMA}.incident_family (anomaly_id uuid PRIMARY KEY, family text NOT NULL);
    CREATE INDEX ON {SAMPLE_SCHEMA}.incident_family (family);
"""


@dataclass(frozen=True)
class SampleManifest:
    """How a sample was made and what is in it.

    Attributes:
        scale: size; 1 is about 60,000 rows.
        seed: with the scale and the fraction of bad rows, decides every byte of the data.
        dirty: fraction of the rows that are bad, 0 to 0.5.
        rows: rows of each table, the planted ones among them.
        planted: rows of each kind of bad row; empty for clean data.
        seconds: how long the fill took.
    """

    scale: int
    seed: int
    dirty: float
    rows: dict[str, int]
    planted: dict[str, int]
    seconds: float


def create_manifest(connection: psycopg.Connection) -> None:
    """Create the empty tables of the sample's own schema, in place of those of an earlier sample."""
    connection.execute(_TABLES.encode())


def write_manifest(connection: psycopg.Connection, manifest: SampleManifest) -> None:
    """Store the manifest; `create_manifest` must have been called."""
    connection.execute(
        sql.SQL("INSERT INTO {} VALUES (%s, %s, %s, %s, %s, %s)").format(_MANIFEST),
        [
            manifest.scale,
            manifest.seed,
            manifest.dirty,
            Json(manifest.rows),
            Json(manifest.planted),
            manifest.seconds,
        ],
    )


def read_manifest(connection: psycopg.Connection) -> SampleManifest | None:
    """The manifest of the sample in this database, or None where none was filled in."""
    exists = connection.execute("SELECT to_regclass(%s)", [f"{SAMPLE_SCHEMA}.manifest"]).fetchone()
    if exists is None or exists[0] is None:
        return None
    row = connection.execute(
        sql.SQL("SELECT scale, seed, dirty, rows, planted, seconds FROM {}").format(_MANIFEST)
    ).fetchone()
    return SampleManifest(*row) if row else None
