"""Who may write: one migration into a target at a time, no worker that an earlier one left behind, one per partition.

All are advisory locks of PostgreSQL, held by the transactions that read the rows: the server drops them when their
process ends, however it ends. What a worker still has on its way to the target at that moment is found by the ledger,
where a stale attempt records nothing, and by a last count of repeated time series.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import psycopg

from workbench.errors import MigrationError, SnapshotLost, UnavailableError
from workbench.migration.partition import Partition
from workbench.settings import Settings

_PATIENCE_SECONDS = 120.0
_POLL_SECONDS = 0.25


def claim(driver: psycopg.Connection[Any], settings: Settings, on_wait: Callable[[str], None]) -> None:
    """Take the target for one migration until the driver's transaction ends.

    Waits for workers of an earlier migration, whose driver was killed, to end.

    Raises:
        MigrationError: another migration is running, or such workers do not end.
    """
    if not _try(driver, "pg_try_advisory_xact_lock", _number(settings, "driver")):
        raise MigrationError("Another migration into this target is running.", todo="Wait for it, or stop it.")
    workers = _number(settings, "workers")
    deadline = time.monotonic() + _PATIENCE_SECONDS
    told = False
    while not _try(driver, "pg_try_advisory_lock", workers):
        if time.monotonic() > deadline:
            raise MigrationError(
                "Workers of an earlier migration are still writing.", todo="Wait for them, or end them."
            )
        if not told:
            on_wait("waiting for workers of an earlier migration to end")
            told = True
        time.sleep(_POLL_SECONDS)
    _try(driver, "pg_advisory_unlock", workers)


def enter(worker: psycopg.Connection[Any], settings: Settings) -> None:
    """Let a worker write until its transaction ends.

    Raises:
        SnapshotLost: another migration is beginning; the worker's own is over.
    """
    if not _try(worker, "pg_try_advisory_xact_lock_shared", _number(settings, "workers")):
        raise SnapshotLost("Another migration into this target has begun.")


def hold(worker: psycopg.Connection[Any], settings: Settings, partition: Partition) -> None:
    """Keep a partition for this worker until its transaction ends; waits for one that a cluster only took for dead.

    Raises:
        UnavailableError: it is still at work.
    """
    number = _number(settings, partition.id)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not _try(worker, "pg_try_advisory_xact_lock", number):
        if time.monotonic() > deadline:
            raise UnavailableError(
                f"Another worker has been at work on {partition.id} for long.", todo="Wait for it, or end its process."
            )
        time.sleep(_POLL_SECONDS)


def _try(connection: psycopg.Connection[Any], function: str, number: int) -> bool:
    row = connection.execute(f"SELECT {function}(%s)", [number]).fetchone()
    return bool(row and row[0])


def _number(settings: Settings, role: str) -> int:
    """The lock's number: the same for every process that writes into this database."""
    name = f"{role}/{settings.mongodb_database}"
    return int.from_bytes(blake2b(name.encode(), digest_size=7).digest(), "big")
