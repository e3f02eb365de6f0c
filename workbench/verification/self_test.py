"""The test of the verifier itself: defects planted in a scratch copy must all be found, clean copies raise no alarm."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql
from pydantic import SecretStr

from workbench import connections, sample
from workbench.errors import ConfigurationError
from workbench.migration.executors import this_process
from workbench.migration.pipeline import migrate
from workbench.settings import Settings
from workbench.verification.planting import Planting, Position, plantings
from workbench.verification.results import VerificationResult
from workbench.verification.run import verify

_PREFIX = "workbench_selftest_"
_ABANDONED = """
    SELECT datname FROM pg_database AS scratch
    WHERE starts_with(datname, %s) AND datdba = current_user::regrole
      AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = scratch.datname)
"""
"""Whoever uses a scratch copy has a session of its name, which all databases of the server see; advisory locks they
would not."""
PARTITION_ROWS = 15
"""So few that even the smallest table has several partitions, and so edges."""
_TRIM = (
    "DELETE FROM investigation_states WHERE investigation_id NOT IN"
    " (SELECT investigation_id FROM investigation_states ORDER BY 1 LIMIT 60)",
    "DELETE FROM investigation_templates WHERE template_id NOT IN"
    " (SELECT template_id FROM investigation_templates ORDER BY 1 LIMIT 60)",
    "DELETE FROM investigation_audit_log WHERE investigation_id NOT IN"
    " (SELECT investigation_id FROM investigation_states ORDER BY 1 LIMIT 40)",
    "DELETE FROM transaction_scores WHERE investigation_id NOT IN (SELECT investigation_id FROM investigation_states)"
    " OR transaction_id NOT IN (SELECT transaction_id FROM transaction_scores ORDER BY investigation_id, 1 LIMIT 260)",
    "DELETE FROM anomaly_events WHERE id NOT IN (SELECT id FROM anomaly_events ORDER BY id LIMIT 150)",
    "UPDATE anomaly_events SET investigation_id = NULL WHERE investigation_id NOT IN"
    " (SELECT investigation_id FROM investigation_states)",
    "DELETE FROM detection_runs WHERE id NOT IN (SELECT run_id FROM anomaly_events)"
    " AND id NOT IN (SELECT id FROM detection_runs ORDER BY id LIMIT 150)",
    "DELETE FROM composio_action_audits WHERE id NOT IN (SELECT id FROM composio_action_audits ORDER BY id LIMIT 150)",
    "UPDATE soar_playbook_executions SET investigation_id = NULL WHERE investigation_id NOT IN"
    " (SELECT investigation_id FROM investigation_states)",
    "DELETE FROM soar_playbook_executions WHERE id NOT IN"
    " (SELECT id FROM soar_playbook_executions ORDER BY id LIMIT 150)",
    "ANALYZE",
)
"""Leaves a few hundred rows a table of the sample, and no reference that leads nowhere."""


@dataclass(frozen=True)
class Missed:
    """A corruption that the verifier did not find, or not at its place."""

    kind: str
    collection: str
    position: Position
    found: str


@dataclass(frozen=True)
class SelfTestResult:
    """How many of the planted defects were found, and how many clean runs raised no alarm."""

    kinds: int
    planted: int
    missed: tuple[Missed, ...]
    clean_runs: int
    false_alarms: tuple[str, ...]
    seconds: float

    @property
    def caught(self) -> int:
        """Planted defects that were found."""
        return self.planted - len(self.missed)

    @property
    def passed(self) -> bool:
        """Whether everything was found and nothing else."""
        return not self.missed and not self.false_alarms

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON types."""
        return {**asdict(self), "caught": self.caught, "passed": self.passed}

    def text(self) -> str:
        """The result for a terminal."""
        lines = [f"MISSED {item.kind} ({item.collection}, {item.position}): {item.found}" for item in self.missed]
        lines += [f"FALSE ALARM {alarm}" for alarm in self.false_alarms]
        lines.append(
            f"{self.caught} caught / {self.planted} planted ({self.kinds} kinds of corruption), "
            f"{len(self.false_alarms)} false alarms in {self.clean_runs} clean runs, {self.seconds:.0f} s"
        )
        return "\n".join(lines)


def self_test(
    settings: Settings,
    *,
    seed: int = 1,
    clean_runs: int = 20,
    wanted: Callable[[int, Planting], bool] = lambda number, planting: True,
    on_progress: Callable[[str], None] | None = None,
) -> SelfTestResult:
    """Plant every kind of corruption at every position of a scratch copy and see whether `verify` finds it.

    Found means: its table, its key and its field are named, and no row that is right is.

    Args:
        settings: both servers; the user must be allowed to create databases on them.
        seed: of the sample data; the clean runs use the seeds after it.
        clean_runs: further copies without a defect, each of another seed.
        wanted: chooses among the plantings by their number; all by default.
        on_progress: called with each planting and each clean run.

    Side effects: scratch databases on both servers, dropped at the end; the databases in the settings stay untouched.

    Raises:
        ConfigurationError: the source's user may not create databases.
    """
    began, say = time.perf_counter(), on_progress or (lambda what: None)
    missed: list[Missed] = []
    alarms: list[str] = []
    kinds: set[str] = set()
    planted = 0
    with scratch_copy(settings, seed) as scratch, connections.open_target(scratch) as client:
        alarms += _alarm(verify(scratch), f"seed {seed}, before planting")
        for number, planting in enumerate(plantings(client[scratch.mongodb_database])):
            if not wanted(number, planting):
                continue
            say(str(planting))
            planted += 1
            kinds.add(planting.kind)
            with planting.plant():
                result = verify(scratch, tables=[planting.table])
            if lacking := planting.sought.lacks(planting.table, result.clusters):
                found = f"{lacking}; found: {_found(result)}"
                missed.append(Missed(planting.kind, planting.collection, planting.position, found))
        alarms += _alarm(verify(scratch), f"seed {seed}, after all defects were taken back")
    for number in range(1, clean_runs + 1):
        say(f"clean run {number}")
        with scratch_copy(settings, seed + number) as scratch:
            alarms += _alarm(verify(scratch), f"seed {seed + number}")
    return SelfTestResult(len(kinds), planted, tuple(missed), clean_runs, tuple(alarms), time.perf_counter() - began)


def _found(result: VerificationResult) -> str:
    return "; ".join(map(str, result.clusters[:3])) or "nothing"


def _alarm(result: VerificationResult, when: str) -> list[str]:
    return [] if result.passed else [f"{when}: {_found(result)}"]


@contextlib.contextmanager
def scratch_copy(settings: Settings, seed: int) -> Iterator[Settings]:
    """Settings of a small source with sample data and of a target that was migrated from it; both are dropped again.

    Those of a self-test that was killed are dropped by the next one: no session has their name any more.

    Raises:
        ConfigurationError: the source's user may not create databases.
    """
    name = f"{_PREFIX}{secrets.token_hex(5)}"
    uri = connections.source_uri(settings)
    scratch = settings.model_copy(
        update={
            "database_url": SecretStr(urlunsplit(urlsplit(uri)._replace(path=f"/{name}"))),
            "mongodb_uri": SecretStr(connections.target_uri(settings)),
            "mongodb_database": name,
            "source_schema": "public",
            "partition_rows": PARTITION_ROWS,
            "workers": 1,
            "retention_days": 0,
        }
    )
    with connections.open_source(settings, autocommit=True) as connection:
        for (abandoned,) in connection.execute(_ABANDONED, [_PREFIX]).fetchall():
            _drop(connection, scratch, abandoned)
        connection.execute("SELECT set_config('application_name', %s, false)", [name])
        try:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        except psycopg.errors.InsufficientPrivilege:
            raise ConfigurationError(
                "The self-test needs a scratch database, and the source's user may not create one.",
                todo="Run it on the embedded servers: it tests the verifier, not your data.",
            ) from None
        try:
            with connections.open_source(scratch) as source:
                sample.create_schema(source)
                sample.fill(source, seed=seed)
                for statement in _TRIM:
                    source.execute(statement.encode())
            migrate(scratch, executor=this_process)
            yield scratch
        finally:
            _drop(connection, scratch, name)


def _drop(connection: psycopg.Connection[Any], scratch: Settings, name: str) -> None:
    """Drop a scratch copy; the source last, by which an abandoned one is found."""
    with connections.open_target(scratch) as client:
        client.drop_database(name)
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
