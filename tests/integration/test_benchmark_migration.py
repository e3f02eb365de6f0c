"""The benchmark of the migration runs every stage on real servers, judges honestly, and leaves nothing behind."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest
import typer
from pydantic import SecretStr
from typer.testing import CliRunner

from workbench import connections
from workbench.benchmark import migration
from workbench.benchmark.migration import SCRATCH, Goal, MigrationBenchmark, benchmark_migration
from workbench.benchmark.migration_source import sample_source
from workbench.benchmark.migration_stages import Measurement, Work, encode, measure
from workbench.benchmark.migration_stages import migration as migrate_stage
from workbench.benchmark.sink import acknowledging_sink
from workbench.cli import benchmark_migration as command
from workbench.errors import ConfigurationError
from workbench.migration.tables import TABLES
from workbench.settings import Settings


@pytest.fixture(scope="module")
def result(servers: Settings) -> MigrationBenchmark:
    settings = servers.model_copy(update={"partition_rows": 500})
    tables = ("composio_connections", "soar_playbook_executions")
    return benchmark_migration(settings, tables=tables, rows=1_500, large_rows=3_000, rounds=1)


def test_every_stage_accounts_for_the_same_rows(result: MigrationBenchmark) -> None:
    rows = {each.stage: each.work.rows for each in result.measurements}
    assert len(rows) == len(result.measurements) == 13
    assert rows.pop("migration with 1 % bad rows") > rows["migration"]
    assert rows.pop("plain script into the sink") == rows.pop("migration into the sink") == 1_500
    assert rows.pop("migration of many rows into the sink") == 3_000
    assert len(set(rows.values())) == 1
    for each in result.measurements:
        assert each.rows_per_second > 0
        # The clock of processes ticks every 10 ms on some systems.
        assert each.work.cpu_seconds > 0 or each.work.seconds < 0.1
        assert 1e7 < each.peak_bytes < 1e9


def test_what_a_second_run_does(result: MigrationBenchmark) -> None:
    by_name = {goal.name: goal for goal in result.goals}
    assert by_name["a source row that changed between the runs"].met
    again = next(each for each in result.measurements if each.stage == "migration again, nothing changed")
    assert again.work.facts["replaced"] == 0


def test_text_and_json_come_from_the_same_figures(result: MigrationBenchmark) -> None:
    shown, stored = str(result), json.loads(json.dumps(result.as_dict()))
    assert stored["passed"] is result.passed
    assert len(stored["runs"]) == len(result.measurements)
    for goal in stored["goals"]:
        assert f"{goal['name']}: {goal['found']}, goal {goal['wanted']}" in shown
    for run in stored["runs"]:
        assert f"{run['rows_per_second']:,.0f}" in shown


def test_nothing_is_left_behind(result: MigrationBenchmark, servers: Settings) -> None:
    with connections.open_source(servers) as source, connections.open_target(servers) as client:
        found = source.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", [f"{SCRATCH}%"]).fetchall()
        assert found == []
        assert SCRATCH not in client.list_database_names()


def test_all_tables_reach_the_sink(settings: Settings, tmp_path: Path) -> None:
    tables = tuple(TABLES)
    with acknowledging_sink() as uri:
        sink = settings.model_copy(update={"mongodb_uri": SecretStr(uri)})
        encoded = measure("encode", encode, sink, tables, tmp_path)
        migrated = measure("migration", migrate_stage, sink, tables)
        with connections.open_target(sink) as client:
            acknowledged = client.admin.command("serverStatus")["opcounters"]["insert"]
    assert migrated.work.facts["state"] == "done"
    assert encoded.work.rows == migrated.work.rows == acknowledged


def test_a_user_without_the_right_to_create_databases_is_told(servers: Settings) -> None:
    with connections.open_source(servers, autocommit=True) as source:
        source.execute("CREATE ROLE benchmark_reader LOGIN PASSWORD 'reader'")
        try:
            uri = psycopg.conninfo.make_conninfo(
                connections.source_uri(servers), user="benchmark_reader", password="reader"
            )
            reader = servers.model_copy(update={"database_url": SecretStr(uri)})
            with pytest.raises(ConfigurationError, match="CREATEDB"), sample_source(reader, SCRATCH, scale=1):
                pass
        finally:
            source.execute("DROP ROLE benchmark_reader")


def _benchmark(met: bool | None) -> MigrationBenchmark:
    measurement = Measurement("migration", Work(1_000, 2.0, 0.5), 50_000_000)
    return MigrationBenchmark((measurement,), (Goal("a ratio", "at least 2", "1.50", met),), {"cores": 2})


@pytest.mark.parametrize(
    ("met", "flags", "code", "shown"),
    [
        (True, [], 0, "met          a ratio"),
        (None, [], 0, "not measured a ratio"),
        (False, [], 1, "MISSED       a ratio"),
        (False, ["--no-goals"], 0, "MISSED       a ratio"),
    ],
)
def test_the_exit_code_is_the_verdict(
    met: bool | None, flags: list[str], code: int, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration, "benchmark_migration", lambda *_, **__: _benchmark(met))
    app = typer.Typer()
    app.command()(command.migration)
    file = tmp_path / "figures.json"
    outcome = CliRunner().invoke(app, [*flags, "--json", str(file)])
    assert outcome.exit_code == code
    assert shown in outcome.output
    assert json.loads(file.read_text())["runs"][0]["rows_per_second"] == 500
