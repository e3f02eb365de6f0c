"""Parameters from the real data: what questions are asked about, the same for the same seed and data."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from workbench.errors import ConfigurationError
from workbench.settings import Settings, TenancyRule

POOL_ROWS = 200
"""Rows of each table that parameters are drawn from."""
_SAMPLED_ROWS = 50_000
"""Tables with more rows are sampled by blocks before their pool is chosen."""

_POOLS: Mapping[str, tuple[str, str]] = {
    "investigation": ("investigation_states", "investigation_id, user_id, updated_at"),
    "template": ("investigation_templates", "template_id, user_id, tags"),
    "detector": ("detectors", "id AS detector_id, type"),
    "run": ("detection_runs", "id AS run_id, detector_id, started_at"),
    "anomaly": ("anomaly_events", "id AS anomaly_id, detector_id, investigation_id, severity, created_at"),
    "score": (
        "transaction_scores AS t",
        "investigation_id, transaction_id, (SELECT s.user_id FROM investigation_states s"
        " WHERE s.investigation_id = t.investigation_id) AS user_id",
    ),
    "connection": ("composio_connections", "id AS connection_id, tenant_id, toolkit_name, expires_at"),
    "action": ("composio_action_audits", "id AS audit_id, tenant_id, toolkit_name, connection_id, executed_at"),
    "execution": (
        "soar_playbook_executions",
        "id AS execution_id, tenant_id, playbook_id, investigation_id, started_at",
    ),
}
_LATEST = {
    "audit": "SELECT max(timestamp) FROM investigation_audit_log",
    "run": "SELECT max(started_at) FROM detection_runs",
    "anomaly": "SELECT max(created_at) FROM anomaly_events",
    "execution": "SELECT max(started_at) FROM soar_playbook_executions",
    "action": "SELECT max(executed_at) FROM composio_action_audits",
}


class Draws:
    """Rows to ask about. Reading the pools costs a scan of at most about 50,000 rows a table, once.

    Args:
        connection: the source.
        settings: decide the tenant of tables that have none.
        seed: the same seed draws the same parameters from the same data.

    Raises:
        ConfigurationError: a table is empty, so there is nothing to ask about.
    """

    def __init__(self, connection: psycopg.Connection[Any], settings: Settings, *, seed: int) -> None:
        self._settings, self._seed = settings, seed
        self._serials = itertools.count(1)
        self._random = np.random.default_rng(seed)
        self._pools = {name: _pool(connection, *what, seed) for name, what in _POOLS.items()}
        self._latest = {name: _latest(connection, query) for name, query in _LATEST.items()}

    def stream(self, name: str) -> Draws:
        """The same pools with random numbers of their own, so that one workload's draws do not move another's."""
        copied = object.__new__(Draws)
        copied.__dict__.update(self.__dict__)
        copied._random = np.random.default_rng([self._seed, zlib.crc32(name.encode())])
        return copied

    def pick(self, pool: str) -> dict[str, Any]:
        """A row of a pool, with `tenant_id`."""
        rows = self._pools[pool]
        row = rows[int(self._random.integers(len(rows)))]
        return {"tenant_id": self._tenant_of(row), **row}

    def rows(self, pool: str) -> list[dict[str, Any]]:
        """All rows of a pool, each with `tenant_id`."""
        return [{"tenant_id": self._tenant_of(row), **row} for row in self._pools[pool]]

    def choice(self, *values: Any) -> Any:
        """One of the values."""
        return values[int(self._random.integers(len(values)))]

    def number(self, low: int, high: int) -> int:
        """An integer from low to high, both possible."""
        return int(self._random.integers(low, high + 1))

    def fraction(self) -> float:
        """A double in [0, 1)."""
        return float(self._random.random())

    def serial(self) -> int:
        """The next number, the same in no other stream: keys made from it are new."""
        return next(self._serials)

    def latest(self, of: str) -> datetime:
        """The newest time of a table: the data's present, since the clock's would find nothing in old data."""
        return self._latest[of]

    def window(self, of: str, *, days: int) -> dict[str, datetime]:
        """`from` and `to` of so many days that end within as many days before the newest time."""
        end = self._latest[of] - timedelta(hours=self.number(0, 24 * days))
        return {"from": end - timedelta(days=days), "to": end}

    @property
    def tenant(self) -> str:
        """The constant tenant, which owns the rows that know neither tenant nor user."""
        return self._settings.default_tenant

    def _tenant_of(self, row: Mapping[str, Any]) -> str:
        if self._settings.tenancy_rule is TenancyRule.USER and row.get("user_id"):
            return str(row["user_id"])
        return self.tenant


def _pool(connection: psycopg.Connection[Any], table: str, columns: str, seed: int) -> list[dict[str, Any]]:
    key = columns.split(",", 1)[0].split(" AS ")[0]
    name, _, alias = table.partition(" AS ")
    estimated = connection.execute(
        "SELECT greatest(reltuples, 1) FROM pg_class WHERE oid = to_regclass(%s)", [name]
    ).fetchone()
    percent = min(100.0, 100.0 * _SAMPLED_ROWS / (estimated[0] if estimated else 1))
    query = sql.SQL(
        "SELECT {} FROM {} {} TABLESAMPLE SYSTEM (%(percent)s) REPEATABLE (%(seed)s) "
        "ORDER BY md5({}::text || %(seed)s::text) LIMIT %(rows)s"
    ).format(*(sql.SQL(part) for part in (columns, name, alias, key)))  # all from the constants above
    rows = (
        connection.cursor(row_factory=dict_row)
        .execute(query, {"percent": percent, "seed": seed, "rows": POOL_ROWS})
        .fetchall()
    )
    if not rows:
        raise ConfigurationError(
            f"The source table {name} has no rows to ask about.", todo="Fill it, for example by `workbench demo`."
        )
    return [{name: _moment(value) for name, value in row.items()} for row in rows]


def _moment(value: Any) -> Any:
    """Times in UTC cut to the millisecond: then `<` and `>=` choose the same rows on both sides."""
    if not isinstance(value, datetime):
        return value
    moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _latest(connection: psycopg.Connection[Any], query: str) -> datetime:
    return _moment(connection.execute(query.encode()).fetchall()[0][0])  # type: ignore[no-any-return]
