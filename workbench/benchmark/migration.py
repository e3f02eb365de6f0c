"""The benchmark of the migration: its speed beside what its servers allow and beside a plain script, in one run.

Everything happens in scratch databases of both servers, which are dropped at the end: `WORKBENCH_DATABASE_URL` and
`WORKBENCH_MONGODB_URI` say which servers are measured, never which data. Stages that are compared run in turn, so
that both meet the same state of the machine, forwards and backwards; a ratio is the median over the rounds.
"""

from __future__ import annotations

import contextlib
import os
import platform
import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from workbench.benchmark import migration_stages as stages
from workbench.benchmark.migration_source import generated_source, sample_source
from workbench.benchmark.migration_stages import Measurement, measure
from workbench.benchmark.sink import acknowledging_sink
from workbench.connections import open_source, open_target
from workbench.errors import MigrationError
from workbench.migration.tables import TABLES
from workbench.settings import Settings

SCRATCH = "workbench_benchmark_migration"
SCORES = ("transaction_scores",)
_DIRTY = 0.01
_MAX_BYTES = 300 * 1000 * 1000
_COPY, _ENCODE = "COPY out of PostgreSQL, binary", "encode: rows to validated BSON, one process"
_INSERT, _MIGRATE, _BAD = "insert of encoded documents", "migration", "migration with 1 % bad rows"
_UPSERT, _REPAIR = "upsert of encoded documents, half are there", "migration, half are there"
_AGAIN, _CHANGED = "migration again, nothing changed", "migration again, one row changed"
_SCRIPT = "plain script"
_PEER, _OURS, _LARGE = "plain script into the sink", "migration into the sink", "migration of many rows into the sink"


@dataclass(frozen=True)
class Goal:
    """One goal and what was measured. `met` is None where this run did not measure it."""

    name: str
    wanted: str
    found: str
    met: bool | None

    def __str__(self) -> str:
        verdict = {True: "met", False: "MISSED", None: "not measured"}[self.met]
        return f"{verdict:<13}{self.name}: {self.found}, goal {self.wanted}"


@dataclass(frozen=True)
class MigrationBenchmark:
    """What one run of the benchmark found; text, JSON and the exit code come from it."""

    measurements: tuple[Measurement, ...]
    goals: tuple[Goal, ...]
    environment: dict[str, Any]

    @property
    def passed(self) -> bool:
        """Whether no goal was missed."""
        return all(goal.met is not False for goal in self.goals)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: every run of every stage, the goals, the environment."""
        runs = [
            {
                "stage": each.stage,
                "rows_per_second": each.rows_per_second,
                "cpu_seconds_per_million_rows": each.cpu_seconds_per_million,
                "peak_bytes": each.peak_bytes,
                **asdict(each.work),
            }
            for each in self.measurements
        ]
        goals = [asdict(goal) for goal in self.goals]
        return {"environment": self.environment, "runs": runs, "goals": goals, "passed": self.passed}

    def __str__(self) -> str:
        lines = [", ".join(f"{name} {value}" for name, value in self.environment.items()), ""]
        lines.append(f"{'stage':<46}{'rows':>12}{'rows/s':>12}{'CPU s/M rows':>14}{'peak MB':>9}")
        for each in self.measurements:
            lines.append(
                f"{each.stage:<46}{each.work.rows:>12,}{each.rows_per_second:>12,.0f}"
                f"{each.cpu_seconds_per_million:>14.1f}{each.peak_bytes / 1e6:>9.0f}"
            )
        return "\n".join([*lines, "", *map(str, self.goals)])


def benchmark_migration(
    settings: Settings,
    *,
    tables: tuple[str, ...] = SCORES,
    scale: int = 1,
    rows: int = 1_000_000,
    large_rows: int = 0,
    rounds: int = 3,
    on_measurement: Callable[[Measurement], None] = lambda measurement: None,
) -> MigrationBenchmark:
    """Measure the migration, its ceilings and the plain script.

    Args:
        settings: servers, workers, sizes of batches and partitions.
        tables: what is loaded into the target; the sink always gets transaction_scores.
        scale: of the sample data that is loaded into the target.
        rows: of transaction_scores that go into the sink.
        large_rows: of a second such load, whose memory must be that of the first; 0 is none.
        rounds: how often stages that are compared take turns.
        on_measurement: is called after each run of a stage.

    Side effects: scratch databases on both servers, files of the encoded documents in the temporary folder.

    Raises:
        ConfigurationError: the user may not create a database on the source's server.
        UnavailableError: a server cannot be reached.
    """
    run = _Run(settings, tables, rounds, on_measurement)
    run.into_target(scale)
    run.into_sink(rows, large_rows)
    goals = (*_speed_goals(run), *_memory_goals(run.results, rows, large_rows))
    environment = {
        "cores": os.cpu_count(),
        "workers": settings.workers,
        "batch_rows": settings.batch_rows,
        "partition_rows": settings.partition_rows,
        "rounds": rounds,
        "tables": "/".join(tables),
        "python": platform.python_version(),
        **run.servers,
    }
    return MigrationBenchmark(tuple(run.results), goals, environment)


class _Run:
    """The stages in their order, and their measurements."""

    def __init__(
        self, settings: Settings, tables: tuple[str, ...], rounds: int, on_measurement: Callable[[Measurement], None]
    ) -> None:
        self.settings = settings.model_copy(update={"mongodb_database": SCRATCH})
        self.tables, self.rounds, self.on_measurement = tables, rounds, on_measurement
        self.results: list[Measurement] = []
        self.noticed = False
        self.servers = _servers(self.settings)

    def into_target(self, scale: int) -> None:
        """Ceilings and migrations on the target itself."""
        with (
            sample_source(self.settings, SCRATCH, scale=scale) as clean,
            sample_source(self.settings, f"{SCRATCH}_dirty", scale=scale, dirty=_DIRTY) as dirty,
            tempfile.TemporaryDirectory(prefix="workbench-benchmark-") as name,
            _dropped_target(self.settings),
        ):
            folder = Path(name)
            self._measure(_COPY, stages.copy_out, clean, self.tables)
            self._measure(_ENCODE, stages.encode, clean, self.tables, folder)
            compared: list[Callable[[], Measurement]] = [
                lambda: self._measure(_SCRIPT, stages.plain_script, clean, self.tables),
                lambda: self._measure(_INSERT, stages.insert_encoded, clean, self.tables, folder),
                lambda: self._measure(_BAD, stages.migration, dirty, self.tables),
                lambda: self._measure(_MIGRATE, stages.migration, clean, self.tables),
            ]
            for left in range(self.rounds, 0, -1):  # the last round goes forwards: what it migrated is used below
                for stage in compared if left % 2 else reversed(compared):
                    stage()
            self._measure(_AGAIN, stages.migration, clean, self.tables, fresh=False)
            _change_one_row(clean, self.tables[0])
            changed = self._measure(_CHANGED, stages.migration, clean, self.tables, fresh=False)
            self.noticed = changed.work.facts["replaced"] == 1
            for _ in range(self.rounds):
                self._measure(_UPSERT, stages.upsert_encoded, clean, self.tables, folder)
                self._measure(_REPAIR, stages.repair, clean, self.tables, folder)

    def into_sink(self, rows: int, large_rows: int) -> None:
        """The client's own cost: what happens where the server does nothing."""
        with acknowledging_sink() as uri:
            sink = self.settings.model_copy(update={"mongodb_uri": SecretStr(uri)})
            with generated_source(sink, SCRATCH, rows=rows) as source:
                for _ in range(self.rounds):
                    self._measure(_PEER, stages.plain_script, source, SCORES, fresh=False)
                    self._measure(_OURS, stages.migration, source, SCORES, fresh=False)
            if large_rows:
                with generated_source(sink, SCRATCH, rows=large_rows) as source:
                    self._measure(_LARGE, stages.migration, source, SCORES, fresh=False)

    def median_ratio(self, stage: str, other: str) -> float:
        """Rows per second of a stage over those of another, the median over the rounds."""
        pairs = zip(self._runs(stage), self._runs(other), strict=True)
        return statistics.median(one.rows_per_second / two.rows_per_second for one, two in pairs)

    def last(self, stage: str) -> Measurement:
        """The last run of a stage."""
        return self._runs(stage)[-1]

    def _runs(self, stage: str) -> list[Measurement]:
        return [each for each in self.results if each.stage == stage]

    def _measure(
        self, stage: str, work: Callable[..., stages.Work], settings: Settings, *arguments: Any, fresh: bool = True
    ) -> Measurement:
        if fresh:
            with open_target(settings, bulk=True) as client:
                client.drop_database(SCRATCH)
        measurement = measure(stage, work, settings, *arguments)
        if measurement.work.facts.get("state", "done") != "done":
            facts = measurement.work.facts
            raise MigrationError(
                f"The stage '{stage}' ended {facts['state']}: {facts['errors'] or 'no error is told'}."
            )
        self.results.append(measurement)
        self.on_measurement(measurement)
        return measurement


def _speed_goals(run: _Run) -> Iterator[Goal]:
    yield _at_least("migration / insert-only ceiling", run.median_ratio(_MIGRATE, _INSERT), 0.9)
    yield _at_least("migration / plain script, into the sink", run.median_ratio(_OURS, _PEER), 2.0)
    yield _at_least("repairing migration / upsert-only ceiling", run.median_ratio(_REPAIR, _UPSERT), 0.7)
    first, again = (run.last(stage).work.facts["elapsed_seconds"] for stage in (_MIGRATE, _AGAIN))
    yield _at_least("first run / second run, seconds with indexes", first / again, 5.0)
    noticed = "noticed and replaced" if run.noticed else "not noticed"
    yield Goal("a source row that changed between the runs", "noticed", noticed, run.noticed)
    overhead = run.median_ratio(_MIGRATE, _BAD) - 1
    yield Goal("cost of 1 % bad rows", "at most 10 %", f"{overhead:.1%}", overhead <= 0.1)


def _memory_goals(results: list[Measurement], rows: int, large_rows: int) -> Iterator[Goal]:
    peaks = {each.stage: each.peak_bytes for each in results if each.stage in (_OURS, _LARGE)}
    largest = max(peaks.values())
    yield Goal("resident memory of a process", "below 300 MB", f"{largest / 1e6:.0f} MB", largest < _MAX_BYTES)
    name = f"memory at {large_rows:,} rows against {rows:,}" if large_rows else "memory at many more rows"
    if _LARGE in peaks:
        growth = peaks[_LARGE] / peaks[_OURS] - 1
        yield Goal(name, "equal within 10 %", f"{growth:+.1%}", abs(growth) <= 0.1)
    else:
        yield Goal(name, "equal within 10 %", "give --large-rows", None)


def _at_least(name: str, ratio: float, wanted: float) -> Goal:
    return Goal(name, f"at least {wanted:g}", f"{ratio:.2f}", ratio >= wanted)


@contextlib.contextmanager
def _dropped_target(settings: Settings) -> Iterator[None]:
    try:
        yield
    finally:
        with open_target(settings, bulk=True) as client:
            client.drop_database(SCRATCH)


def _change_one_row(settings: Settings, table: str) -> None:
    """Move an instant of one row by a second, as an application would."""
    column = next(column.name for column in TABLES[table].columns if column.kind == "instant")
    key = TABLES[table].key[0]
    with open_source(settings) as source:
        source.execute(
            f"UPDATE {table} SET {column} = {column} + interval '1 second'"  # noqa: S608 - names of our own specs
            f" WHERE ctid = (SELECT ctid FROM {table} WHERE {column} IS NOT NULL ORDER BY {key} LIMIT 1)".encode()
        )


def _servers(settings: Settings) -> dict[str, str]:
    with open_source(settings) as source, open_target(settings) as client:
        version = str(source.info.server_version // 10_000)
        build = client.server_info()
        return {"PostgreSQL": version, "target": f"MongoDB {build['version']}"}
