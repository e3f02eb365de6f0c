"""What the figures depend on: machine, versions, data, indexes, settings. No names of hosts, no secrets."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import Any, TypeAlias

import psutil
import psycopg
from pymongo.database import Database

from workbench.models import COLLECTIONS
from workbench.settings import Settings

Json: TypeAlias = dict[str, Any]

_SETTINGS = (
    "max_pool_size", "compressors", "tls", "write_concern", "read_preference", "operation_timeout_seconds",
    "tenancy_rule", "embedding_model", "vector_dimensions", "vector_similarity", "audit_granularity",
    "runs_granularity",
)  # fmt: skip
"""The settings that move figures. An explicit list, so that a new secret cannot slip in."""


def describe_environment(connection: psycopg.Connection[Any], database: Database[Json], settings: Settings) -> Json:
    """The environment of a run as JSON types. Counts documents, which scans on some servers."""
    return {
        "machine": {
            "cores": os.cpu_count(),
            "memory_bytes": psutil.virtual_memory().total,
            "architecture": platform.machine(),
            "system": platform.system(),
        },
        "versions": {
            "python": platform.python_version(),
            "pymongo": version("pymongo"),
            "psycopg": version("psycopg"),
            "postgresql": _one(connection, "SHOW server_version"),
            "mongodb": mongodb_product(database),
        },
        "rows": {spec.source_table: _estimated_rows(connection, spec.source_table) for spec in COLLECTIONS.values()},
        "documents": {name: database[name].estimated_document_count() for name in COLLECTIONS},
        "indexes": {name: sorted(database[name].index_information()) for name in COLLECTIONS},
        "settings": {name: str(getattr(settings, name)) for name in _SETTINGS},
    }


def mongodb_product(database: Database[Json]) -> str:
    """Product and version; an emulator is named as what it is."""
    info = database.client.admin.command("buildInfo")
    if "secantusVersion" in info:
        return f"SecantusDB {info['secantusVersion']} (embedded)"
    return f"MongoDB {info['version']}"


def is_emulator(product: str) -> bool:
    """Whether figures of this product say nothing about a real MongoDB."""
    return product.startswith("SecantusDB")


def _one(connection: psycopg.Connection[Any], query: str) -> str:
    return str(connection.execute(query.encode()).fetchall()[0][0])


def _estimated_rows(connection: psycopg.Connection[Any], table: str) -> int:
    rows = connection.execute("SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass(%s)", [table]).fetchall()
    return max(0, int(rows[0][0])) if rows else 0
