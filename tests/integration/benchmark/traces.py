"""What a benchmark may leave behind, and what it must not touch."""

from __future__ import annotations

from workbench import connections
from workbench.benchmark.workloads import WORKLOADS, Workload
from workbench.benchmark.workloads.base import SCRATCH
from workbench.models import COLLECTIONS
from workbench.settings import Settings


def traces(settings: Settings) -> list[str]:
    """Everything that a benchmark may have left in either database."""
    with connections.open_source(settings) as connection, connections.open_target(settings) as client:
        found = connection.execute(
            "SELECT nspname FROM pg_namespace WHERE nspname LIKE %s UNION ALL "
            "SELECT extname FROM pg_extension WHERE extname = 'vector'",
            [f"{SCRATCH}%"],
        ).fetchall()
        names = client[settings.mongodb_database].list_collection_names()
    return [name for (name,) in found] + [name for name in names if name.startswith(SCRATCH)]


def contents(settings: Settings) -> dict[str, int]:
    with connections.open_source(settings) as connection, connections.open_target(settings) as client:
        database = client[settings.mongodb_database]
        rows = {
            spec.source_table: connection.execute(f"SELECT count(*) FROM {spec.source_table}").fetchall()[0][0]
            for spec in COLLECTIONS.values()
        }
        return rows | {f"{name} documents": database[name].count_documents({}) for name in COLLECTIONS}


def named(name: str) -> Workload:
    return next(workload for workload in WORKLOADS if workload.name == name)
