"""What the figures depend on: machine, versions, data and indexes with sizes, durability, settings.

No names of hosts, no secrets. What a server does not tell, for want of a privilege or of the command, is None.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
import psutil
import psycopg
from pymongo.database import Database
from pymongo.errors import OperationFailure

from workbench.benchmark.workloads.base import Side
from workbench.models import COLLECTIONS
from workbench.settings import Settings

Json: TypeAlias = dict[str, Any]

_SETTINGS = (
    "max_pool_size", "compressors", "tls", "write_concern", "read_preference", "operation_timeout_seconds",
    "tenancy_rule", "embedding_model", "vector_dimensions", "vector_similarity", "audit_granularity",
    "runs_granularity",
)  # fmt: skip
"""The settings that move figures. An explicit list, so that a new secret cannot slip in."""
_SOURCE_SETTINGS = (
    "fsync", "synchronous_commit", "full_page_writes", "wal_level", "wal_sync_method", "commit_delay",
    "synchronous_standby_names", "shared_buffers", "effective_cache_size", "work_mem", "jit",
)  # fmt: skip


def describe_environment(connection: psycopg.Connection[Any], database: Database[Json], settings: Settings) -> Json:
    """The environment of a run as JSON types. Counts documents, which scans on some servers."""
    return {
        "machine": {
            "cores": os.cpu_count(),
            "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "processor": _processor(),
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
        "sizes": {
            "postgresql": {
                spec.source_table: _source_sizes(connection, spec.source_table) for spec in COLLECTIONS.values()
            },
            "mongodb": {name: _target_sizes(database, name) for name in COLLECTIONS},
        },
        "durability": {
            "postgresql": {name: _one(connection, f"SHOW {name}") for name in _SOURCE_SETTINGS},
            "mongodb": _target_durability(database),
        },
        "settings": {name: str(getattr(settings, name)) for name in _SETTINGS},
    }


def environment_frame(environment: Mapping[str, Any]) -> pd.DataFrame:
    """What the figures depend on, a row each; both databases beside each other where they have it."""
    known, sizes = environment, environment["sizes"]
    source, target = (known["durability"][side] for side in ("postgresql", "mongodb"))
    stored = {
        side: sum(one.get("storage_bytes") or one["bytes"] or 0 for one in of.values()) for side, of in sizes.items()
    }
    indexes = {side: sum(sum(one["index_bytes"].values()) for one in of.values()) for side, of in sizes.items()}
    machine = known["machine"]
    rows = [
        ("server", known["versions"]["postgresql"], known["versions"]["mongodb"]),
        ("rows or documents", f"{sum(known['rows'].values()):,}", f"{sum(known['documents'].values()):,}"),
        ("data on disk, MB", *(f"{stored[side] / 1e6:,.1f}" for side in ("postgresql", "mongodb"))),
        ("indexes, MB", *(f"{indexes[side] / 1e6:,.1f}" for side in ("postgresql", "mongodb"))),
        ("durability", _named(source, ("fsync", "synchronous_commit", "full_page_writes")), _named(target, target)),
        ("memory of the server", _named(source, ("shared_buffers", "work_mem")), "–"),
        ("client", f"psycopg {known['versions']['psycopg']}", f"pymongo {known['versions']['pymongo']}"),
        ("machine of the client", f"{machine['processor']}, {machine['usable_cores']} of {machine['cores']} cores, "
         f"{machine['memory_bytes'] / 2**30:.1f} GiB, {machine['system']} {machine['architecture']}", ""),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["what", str(Side.POSTGRESQL), str(Side.MONGODB)])


def indexes_frame(environment: Mapping[str, Any]) -> pd.DataFrame:
    """A row for each index of both databases, with its size."""
    return pd.DataFrame(
        [
            {"database": str(side), "of": name, "index": index, "kB": size / 1e3}
            for side, key in ((Side.POSTGRESQL, "postgresql"), (Side.MONGODB, "mongodb"))
            for name, one in environment["sizes"][key].items()
            for index, size in one["index_bytes"].items()
        ]
    )


def mongodb_product(database: Database[Json]) -> str:
    """Product and version; an emulator is named as what it is."""
    info = database.client.admin.command("buildInfo")
    if "secantusVersion" in info:
        return f"SecantusDB {info['secantusVersion']} (embedded)"
    return f"MongoDB {info['version']}"


def is_emulator(product: str) -> bool:
    """Whether figures of this product say nothing about a real MongoDB."""
    return product.startswith("SecantusDB")


def _source_sizes(connection: psycopg.Connection[Any], table: str) -> Json:
    total = connection.execute("SELECT pg_table_size(to_regclass(%s))", [table]).fetchall()[0][0]
    indexes = connection.execute(
        "SELECT indexrelid::regclass::text, pg_relation_size(indexrelid) FROM pg_index "
        "WHERE indrelid = to_regclass(%s) ORDER BY 1",
        [table],
    ).fetchall()
    return {"bytes": total, "index_bytes": {name: int(size) for name, size in indexes}}


def _target_sizes(database: Database[Json], name: str) -> Json:
    stats = _told(database, {"collStats": name}) or {}
    return {
        "bytes": stats.get("size"),
        "storage_bytes": stats.get("storageSize"),
        "index_bytes": dict(sorted(stats.get("indexSizes", {}).items())),
    }


def _target_durability(database: Database[Json]) -> Json:
    """What a write waits for: the concern of our client and of the server, and whether the journal is in it."""
    admin = database.client.admin
    defaults = _told(admin, {"getDefaultRWConcern": 1}) or {}
    replica_set = (_told(admin, {"replSetGetConfig": 1}) or {}).get("config", {})
    engine = (_told(admin, {"serverStatus": 1}) or {}).get("storageEngine", {})
    return {
        "write_concern": dict(database.write_concern.document),
        "default_write_concern": defaults.get("defaultWriteConcern"),
        "majority_waits_for_journal": replica_set.get("writeConcernMajorityJournalDefault"),
        "members": len(replica_set["members"]) if "members" in replica_set else None,
        "storage_engine": engine.get("name"),
        "persistent": engine.get("persistent"),
    }


def _told(database: Database[Json], command: Json) -> Json | None:
    try:
        return database.command(command)
    except OperationFailure:
        return None


def _processor() -> str:
    """The model of the processor, where the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def _one(connection: psycopg.Connection[Any], query: str) -> str:
    return str(connection.execute(query.encode()).fetchall()[0][0])


def _estimated_rows(connection: psycopg.Connection[Any], table: str) -> int:
    rows = connection.execute("SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass(%s)", [table]).fetchall()
    return max(0, int(rows[0][0])) if rows else 0


def _named(values: Mapping[str, Any], names: Iterable[str]) -> str:
    """Values with their names, those that are not known at the end."""
    names = list(names)
    told = [f"{name} {_plain(values[name])}" for name in names if values[name] is not None]
    unknown = [name for name in names if values[name] is None]
    return ", ".join(told) + (f"; not told: {', '.join(unknown)}" if unknown else "")


def _plain(value: Any) -> str:
    return " ".join(f"{name}={item}" for name, item in value.items()) if isinstance(value, Mapping) else str(value)
