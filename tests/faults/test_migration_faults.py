"""Migrations that are disturbed at random points and resumed end with the content of an undisturbed one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import typer
from typer.testing import CliRunner

from tests.small_source import shrink
from workbench import connections, embedded, sample
from workbench.cli import drill as cli
from workbench.errors import ConfigurationError
from workbench.migration.drill import DrillResult, drill, environment
from workbench.migration.strikes import Scene, Strike
from workbench.settings import Settings

TABLES = ("investigation_audit_log", "transaction_scores")
"""A time series, which can hold duplicates, and the largest table."""


@pytest.fixture(scope="module")
def staging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Servers of this module's own, since it kills them."""
    data_dir = tmp_path_factory.mktemp("staging")
    embedded.start(data_dir)
    settings = Settings(_env_file=None, data_dir=data_dir, workers=1, partition_rows=300, batch_rows=60)
    with connections.open_source(settings) as connection:
        sample.create_schema(connection)
        sample.fill(connection)
        shrink(connection)
    yield settings
    embedded.stop(data_dir)


@pytest.fixture(autouse=True)
def only_embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own servers, where the tests run against them, are not those that are struck here."""
    for name in ("WORKBENCH_DATABASE_URL", "WORKBENCH_MONGODB_URI", "DATABASE_URL", "MONGODB_URI"):
        monkeypatch.delenv(name, raising=False)


def require_passed(result: DrillResult, points: int) -> None:
    assert [point for point in result.points if point.problems] == []
    assert len(result.points) == points
    assert {point.strike for point in result.points} == set(Strike)
    assert result.not_run == {}
    assert result.passed
    assert sum(found.documents for found in result.reference.values()) > 1000
    assert sum(point.resumed for point in result.points) > 0
    assert result.as_dict()["passed"] is True


@pytest.mark.timeout(600)
def test_ten_random_points(staging: Settings) -> None:
    result = drill(staging, points=10, seed=20261124, tables=TABLES)
    require_passed(result, 10)
    with connections.open_target(staging) as client:
        assert f"{staging.mongodb_database}_drill" not in client.list_database_names(), "the scratch database is gone"


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_two_hundred_random_points_over_all_tables(staging: Settings) -> None:
    require_passed(drill(staging, points=200, seed=7), 200)


def test_what_these_servers_do_not_allow_is_said(staging: Settings) -> None:
    own = staging.model_copy(
        update={
            "database_url": connections.source_uri(staging),
            "mongodb_uri": Settings(
                _env_file=None,
                mongodb_uri="mongodb+srv://user:secret@cluster.example.net/",  # type: ignore[arg-type]
            ).mongodb_uri,
        }
    )
    with pytest.raises(ConfigurationError, match="only an embedded MongoDB is killed") as refused:
        drill(own, points=1, seed=1, kinds=[Strike.TARGET, Strike.SOURCE, Strike.TARGET_CONNECTIONS, Strike.FULL_DISK])
    assert "one server without TLS only" in str(refused.value)
    assert "secret" not in str(refused.value)
    with pytest.raises(ConfigurationError, match="Unknown table invoices"):
        drill(staging, points=1, seed=1, tables=["invoices"])


def test_command_tells_each_strike_and_the_verdict(staging: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(staging).items():
        monkeypatch.setenv(name, value)
    app = typer.Typer()
    app.command()(cli.drill)
    arguments = ["--points", "1", "--kinds", "DRIVER", "--tables", ",".join(TABLES)]
    said = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert said.exit_code == 0
    assert "driver killed" in said.output
    assert "identical" in said.output
    assert "PASSED: 1 strikes" in said.output
    with pytest.raises(ConfigurationError, match="Unknown strike METEOR"):
        CliRunner().invoke(app, ["--kinds", "METEOR"], catch_exceptions=False)


def test_the_drill_finds_what_differs(staging: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A drill that cannot fail proves nothing: here the strike is damage to what the migration has loaded."""

    def damage(kind: Strike, scene: Scene) -> None:
        scene.driver.wait(60)
        with connections.open_target(scene.settings) as client:
            database = client[scene.settings.mongodb_database]
            entry = database.audit_log.find_one()
            assert entry is not None
            database.audit_log.insert_one(entry)
            database.transaction_scores.update_one({}, {"$set": {"risk_score": 0.5}})
            database.migration_quarantine.delete_one({})
            database.migration_ledger.update_one({}, {"$inc": {"counts.read": 1}})

    monkeypatch.setattr("workbench.migration.drill.strike", damage)
    result = drill(staging, points=1, seed=1, tables=TABLES)
    assert not result.passed
    problems = "; ".join(result.points[0].problems)
    for part in (
        "audit_log: 1 duplicates",
        "audit_log: 478 documents, expected 477",
        "transaction_scores: the documents differ",
        "the quarantine differs",
        "does not balance",
    ):
        assert part in problems
