"""Parameters from the real data: what questions are asked about, the same for the same seed and data."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from workbench.errors import ConfigurationError
from workbench.migration.tables import TABLES
from workbench.settings import Settings, TenancyRule

if TYPE_CHECKING:
    from workbench.benchmark.quarantined import Keys

POOL_ROWS = 200
"""Rows of each table that parameters are drawn from."""
_SAMPLED_ROWS = 50_000
"""Tables with more rows are sampled by blocks before their pool is chosen."""


@dataclass(frozen=True)
class _Pool:
    """A table that parameters are drawn from, what is read of it, and the column whose values are spread over."""

    table: str
    columns: str
    owner: str


_POOLS: Mapping[str, _Pool] = {
    "investigation": _Pool("investigation_states", "investigation_id, user_id, updated_at", owner="user_id"),
    "template": _Pool("investigation_templates", "template_id, user_id, tags", owner="user_id"),
    "detector": _Pool("detectors", "id AS detector_id, type", owner="id"),
    "run": _Pool("detection_runs", "id AS run_id, detector_id, started_at", owner="detector_id"),
    "anomaly": _Pool(
        "anomaly_events",
        "id AS anomaly_id, detector_id, investigation_id, severity, created_at",
        owner="detector_id",
    ),
    "score": _Pool(
        "transaction_scores",
        "investigation_id, transaction_id, (SELECT s.user_id FROM investigation_states s"
        " WHERE s.investigation_id = sampled.investigation_id) AS user_id",
        owner="investigation_id",
    ),
    "connection": _Pool(
        "composio_connections",
        "id AS connection_id, tenant_id, toolkit_name, expires_at",
        owner="tenant_id",
    ),
    "action": _Pool(
        "composio_action_audits",
        "id AS audit_id, tenant_id, toolkit_name, connection_id, executed_at",
        owner="tenant_id",
    ),
    "execution": _Pool(
        "soar_playbook_executions",
        "id AS execution_id, tenant_id, playbook_id, investigation_id, started_at",
        owner="tenant_id",
    ),
}
_LATEST: Mapping[str, tuple[str, str]] = {
    "audit": ("timestamp", "investigation_audit_log"),
    "run": ("started_at", "detection_runs"),
    "anomaly": ("created_at", "anomaly_events"),
    "execution": ("started_at", "soar_playbook_executions"),
    "action": ("executed_at", "composio_action_audits"),
}
"""The column that holds the time of a table's rows."""


class NothingToAskError(ConfigurationError):
    """A table has no rows, so there is nothing to ask about it."""

    def __init__(self, table: str) -> None:
        super().__init__(
            f"The source table {table} has no rows to ask about.", todo="Fill it, for example by `workbench demo`."
        )
        self.table = table


class Draws:
    """Rows to ask about. Reading the pools costs a scan of at most about 50,000 rows a table, once.

    Args:
        connection: the source.
        settings: decide the tenant of tables that have none.
        seed: the same seed draws the same parameters from the same data.
        quarantined: table -> keys of rows that are not drawn, since MongoDB does not have them.

    An empty table is told when something is drawn from it: `NothingToAskError`.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], settings: Settings, *, seed: int, quarantined: Keys | None = None
    ) -> None:
        self._settings, self._seed = settings, seed
        self._serials = itertools.count(1)
        self._random = np.random.default_rng(seed)
        self._pools = {
            name: _pool(connection, pool, seed, (quarantined or {}).get(pool.table, []))
            for name, pool in _POOLS.items()
        }
        self._latest = {name: _latest(connection, *what) for name, what in _LATEST.items()}

    def stream(self, name: str) -> Draws:
        """The same pools with random numbers of their own, so that one workload's draws do not move another's."""
        copied = object.__new__(Draws)
        copied.__dict__.update(self.__dict__)
        copied._random = np.random.default_rng([self._seed, zlib.crc32(name.encode())])
        return copied

    def pick(self, pool: str) -> dict[str, Any]:
        """A row of a pool, with `tenant_id`.

        Raises:
            NothingToAskError: its table is empty.
        """
        rows = self._pools[pool]
        if not rows:
            raise NothingToAskError(_POOLS[pool].table)
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
        """The newest time of a table: the data's present, since the clock's would find nothing in old data.

        Raises:
            NothingToAskError: the table is empty.
        """
        latest = self._latest[of]
        if latest is None:
            raise NothingToAskError(_LATEST[of][1])
        return latest

    def window(self, of: str, *, days: int) -> dict[str, datetime]:
        """`from` and `to` of so many days that end within as many days before the newest time."""
        end = self.latest(of) - timedelta(hours=self.number(0, 24 * days))
        return {"from": end - timedelta(days=days), "to": end}

    @property
    def tenant(self) -> str:
        """The constant tenant, which owns the rows that know neither tenant nor user."""
        return self._settings.default_tenant

    def _tenant_of(self, row: Mapping[str, Any]) -> str:
        if self._settings.tenancy_rule is TenancyRule.USER and row.get("user_id"):
            return str(row["user_id"])
        return self.tenant


_QUERY = """
WITH sampled AS (
    SELECT *, md5({key}::text || %(seed)s::text) AS drawn,
        count(*) OVER (PARTITION BY {owner}) AS size
    FROM {table} TABLESAMPLE SYSTEM (%(percent)s) REPEATABLE (%(seed)s)
    WHERE {key} <> ALL (%(without)s)
), turns AS (
    SELECT *, row_number() OVER (PARTITION BY {owner} ORDER BY drawn) AS turn FROM sampled
), tiles AS (
    SELECT *, ntile(%(rows)s) OVER (PARTITION BY turn ORDER BY size, drawn) AS tile FROM turns
), places AS (
    SELECT *, row_number() OVER (PARTITION BY turn, tile ORDER BY drawn) AS place FROM tiles
)
SELECT {columns} FROM places AS sampled ORDER BY turn, place, drawn LIMIT %(rows)s
"""
"""One row of each owner before the second of any; of more owners than rows, one of each `tile` of their sizes: so
owners with few and with many rows are asked about alike, and not those with the first hashes only."""


def _pool(
    connection: psycopg.Connection[Any], pool: _Pool, seed: int, without: list[list[str]]
) -> list[dict[str, Any]]:
    estimated = connection.execute(
        "SELECT greatest(reltuples, 1) FROM pg_class WHERE oid = to_regclass(%s)", [pool.table]
    ).fetchone()
    percent = min(100.0, 100.0 * _SAMPLED_ROWS / (estimated[0] if estimated else 1))
    key = f"concat_ws('/', {', '.join(f'{name}::text' for name in TABLES[pool.table].key)})"
    query = _QUERY.format(table=pool.table, columns=pool.columns, key=key, owner=pool.owner)  # constants
    rows = (
        connection.cursor(row_factory=dict_row)
        .execute(
            query.encode(),
            {"percent": percent, "seed": seed, "rows": POOL_ROWS, "without": ["/".join(own) for own in without]},
        )
        .fetchall()
    )
    return [{name: _moment(value) for name, value in row.items()} for row in rows]


def _moment(value: Any) -> Any:
    """Times in UTC cut to the millisecond: then `<` and `>=` choose the same rows on both sides."""
    if not isinstance(value, datetime):
        return value
    moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _latest(connection: psycopg.Connection[Any], column: str, table: str) -> datetime | None:
    query = sql.SQL("SELECT max({}) FROM {}").format(sql.Identifier(column), sql.Identifier(table))
    return _moment(connection.execute(query).fetchall()[0][0])  # type: ignore[no-any-return]
