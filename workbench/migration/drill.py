"""Prove on one's own servers that a migration survives: disturb it at random points, resume it, compare the result."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import psutil
from pydantic import SecretStr
from pymongo.database import Database

from workbench import connections
from workbench.errors import ConfigurationError, MigrationError
from workbench.migration.content import Content, content
from workbench.migration.ledger import Counts, Ledger, State
from workbench.migration.quarantine import Quarantine
from workbench.migration.strikes import Missed, Proxy, Scene, Strike, not_possible, strike
from workbench.migration.tables import TABLES
from workbench.settings import Settings, environment_names

_COMMAND = """
import sys
from workbench.migration.pipeline import migrate
from workbench.settings import load_settings
sys.exit(0 if migrate(load_settings(), tables=sys.argv[1:]).complete else 1)
"""
_MAX_RESUMES = 10
_MAX_MISSES = 20
_COMMAND_SECONDS = 3600
_POLL_SECONDS = 0.02
_SPAN = 0.9
"""Strikes fall into this part of the time that an undisturbed run takes, so that few come too late."""


@dataclass(frozen=True)
class Point:
    """One strike and what came of it.

    Attributes:
        strike: what was done.
        after_seconds: when, since the run's first line in the ledger.
        resumed: how often the command was given again; 0 if the run went on by itself.
        seconds: from the start of the first command to the end of the last one.
        problems: what differs from the undisturbed run; empty is good.
    """

    strike: Strike
    after_seconds: float
    resumed: int
    seconds: float
    problems: tuple[str, ...]


@dataclass(frozen=True)
class DrillResult:
    """What a drill found. `not_run` says which strikes these servers do not allow, and why."""

    points: tuple[Point, ...]
    not_run: dict[Strike, str]
    reference: dict[str, Content] = field(repr=False)
    undisturbed_seconds: float = 0.0
    missed: int = 0

    @property
    def passed(self) -> bool:
        """Whether every disturbed migration ended with the content of the undisturbed one."""
        return bool(self.points) and not any(point.problems for point in self.points)

    def as_dict(self) -> dict[str, Any]:
        """As reports and JSON show it."""
        return {
            "passed": self.passed,
            "points": [asdict(point) for point in self.points],
            "not_run": {kind.value: reason for kind, reason in self.not_run.items()},
            "documents": {name: found.documents for name, found in self.reference.items()},
            "undisturbed_seconds": self.undisturbed_seconds,
            "missed": self.missed,
        }


def drill(
    settings: Settings,
    *,
    points: int,
    seed: int,
    kinds: Sequence[Strike] = tuple(Strike),
    tables: Iterable[str] | None = None,
    on_point: Callable[[Point], None] | None = None,
) -> DrillResult:
    """Disturb migrations into a scratch database, one strike each, and compare what they end with.

    Args:
        settings: both servers; the target database's name with `_drill` behind it is the scratch database.
        points: how many strikes.
        seed: decides their kinds and times.
        kinds: the strikes to choose from, in turn.
        tables: source tables; all where not given.
        on_point: called after each strike.

    Side effects: creates and drops the scratch databases; kills embedded servers of `settings.data_dir` and starts
    them again. The source is only read. Each strike costs two to three migrations of these tables.

    Raises:
        ConfigurationError: no strike is possible on these servers, or a table is unknown.
        MigrationError: the undisturbed run did not end, or a disturbed one could not be resumed.
    """
    names = list(TABLES if tables is None else tables)
    unknown = [name for name in names if name not in TABLES]
    if unknown:
        raise ConfigurationError(f"Unknown table {', '.join(unknown)}.", todo=f"Choose from: {', '.join(TABLES)}.")
    refused = {kind: reason for kind, reason in not_possible(settings).items() if kind in kinds}
    possible = [kind for kind in kinds if kind not in refused]
    if not possible:
        raise ConfigurationError("These servers allow none of the strikes.", todo="; ".join(refused.values()))
    scratch = settings.model_copy(update={"mongodb_database": f"{settings.mongodb_database[:57]}_drill"})
    return _Drill(scratch, names, random.Random(seed)).run(points, possible, refused, on_point or (lambda point: None))  # noqa: S311 - repeatable, not secret


class _Drill:
    """One drill over one scratch database."""

    def __init__(self, settings: Settings, tables: list[str], chance: random.Random) -> None:
        self.settings, self.tables, self.chance = settings, tables, chance
        self.collections = [TABLES[name].collection.name for name in tables]

    def run(
        self, points: int, kinds: list[Strike], refused: dict[Strike, str], on_point: Callable[[Point], None]
    ) -> DrillResult:
        seconds, load_seconds, reference, entries = self._undisturbed()
        done: list[Point] = []
        missed = 0
        while len(done) < points:
            kind = kinds[len(done) % len(kinds)]
            span = load_seconds if kind is Strike.WORKER else seconds
            try:
                point = self._disturbed(kind, self.chance.uniform(0, _SPAN * span), reference, entries)
            except Missed:
                missed += 1
                if missed > _MAX_MISSES + points:
                    raise MigrationError(
                        "The migration is over before it can be disturbed.", todo="Use more rows or smaller partitions."
                    ) from None
                continue
            done.append(point)
            on_point(point)
        return DrillResult(tuple(done), refused, reference, seconds, missed)

    def _undisturbed(self) -> tuple[float, float, dict[str, Content], list[Any]]:
        with self._scratch():
            command = self._start(self.settings)
            self._wait_for_run(command)
            began = time.monotonic()
            if command.wait(_COMMAND_SECONDS):
                raise MigrationError(
                    f"The undisturbed migration ended with exit code {command.returncode}.",
                    todo="Let `workbench migrate` succeed first.",
                )
            seconds = time.monotonic() - began
            with self._target() as database:
                run = Ledger(database).last_run() or {}
                found = content(database, self.collections)
                return seconds, float(run.get("load_seconds", seconds)), found, _entries(database)

    def _disturbed(self, kind: Strike, after: float, reference: dict[str, Content], entries: list[Any]) -> Point:
        began = time.monotonic()
        with self._scratch(), self._proxied(kind) as (settings, proxy):
            command = self._start(settings)
            try:
                self._wait_for_run(command)
                time.sleep(after)
                strike(kind, Scene(self.settings, psutil.Process(command.pid), proxy))
                command.wait(_COMMAND_SECONDS)
            except (Missed, psutil.NoSuchProcess):
                raise Missed from None
            finally:
                if command.poll() is None:
                    command.kill()
                    command.wait()
            resumed = self._resume(settings) if command.returncode else 0
            with self._target() as database:
                problems = tuple(self._problems(database, reference, entries))
        return Point(kind, after, resumed, time.monotonic() - began, problems)

    def _resume(self, settings: Settings) -> int:
        for attempt in range(1, _MAX_RESUMES + 1):
            if self._start(settings).wait(_COMMAND_SECONDS) == 0:
                return attempt
        raise MigrationError(f"The migration did not end after {_MAX_RESUMES} more commands.", todo="Run it by hand.")

    def _problems(self, database: Database[Any], reference: dict[str, Content], entries: list[Any]) -> Iterator[str]:
        for name, found in content(database, self.collections).items():
            expected = reference[name]
            if found.duplicates:
                yield f"{name}: {found.duplicates} duplicates"
            if found.documents != expected.documents:
                yield f"{name}: {found.documents} documents, expected {expected.documents}"
            elif found != expected:
                yield f"{name}: the documents differ"
        if _entries(database) != entries:
            yield "the quarantine differs"
        for partition in Ledger(database).partitions.find():
            if partition["state"] != State.DONE or not Counts.of(partition.get("counts")).balanced:
                yield f"partition {partition['_id']} is {partition['state']} or does not balance"

    # -- processes ----------------------------------------------------------------------------------------------

    def _start(self, settings: Settings) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", _COMMAND, *self.tables],
            env=environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is sent to its process group, which must not be ours
        )

    def _wait_for_run(self, command: subprocess.Popen[bytes]) -> None:
        with self._target() as database:
            runs = Ledger(database).runs
            while runs.find_one({}, {"_id": 1}) is None and command.poll() is None:
                time.sleep(_POLL_SECONDS)

    @contextmanager
    def _target(self) -> Iterator[Database[Any]]:
        with connections.open_target(self.settings, bulk=True) as client:
            yield client[self.settings.mongodb_database]

    @contextmanager
    def _scratch(self) -> Iterator[None]:
        self._drop()
        try:
            yield
        finally:
            self._drop()

    def _drop(self) -> None:
        with self._target() as database:
            database.client.drop_database(database.name)

    @contextmanager
    def _proxied(self, kind: Strike) -> Iterator[tuple[Settings, Proxy | None]]:
        if kind is not Strike.TARGET_CONNECTIONS:
            yield self.settings, None
            return
        proxy = Proxy(connections.target_uri(self.settings))
        try:
            yield self.settings.model_copy(update={"mongodb_uri": SecretStr(proxy.uri)}), proxy
        finally:
            proxy.close()


def _entries(database: Database[Any]) -> list[Any]:
    """The quarantine without what each run decides anew."""
    names = ("_id", "table", "key", "field", "reason", "row", "state", "partition")
    return [{name: entry[name] for name in names} for entry in Quarantine(database).entries(state=None)]


def environment(settings: Settings) -> dict[str, str]:
    """The environment of a process that is to have these settings."""
    own = {
        environment_names(name)[0]: _text(getattr(settings, name))
        for name in settings.model_fields_set
        if getattr(settings, name) is not None
    }
    return {**os.environ, **own, "WORKBENCH_DATA_DIR": str(settings.data_dir.resolve())}


def _text(value: Any) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
