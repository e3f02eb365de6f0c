"""Whole runs: honest loads, nothing left behind, the command, the shapes of documents."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import source_database
from tests.integration.benchmark.conftest import SEED
from tests.integration.benchmark.traces import contents, named, traces
from workbench import connections, sample
from workbench.benchmark import concurrency
from workbench.benchmark.benchmark import QUICK_SCOPE, _swept, run_benchmark
from workbench.benchmark.concurrency import fixed_rate, sweep
from workbench.benchmark.document_models import Shape, costs_frame, figures_frame, question_frame, recommend
from workbench.benchmark.draws import Draws
from workbench.benchmark.history import read_runs
from workbench.benchmark.results import Outcome
from workbench.benchmark.runner import measure
from workbench.benchmark.scratch import scratch
from workbench.benchmark.sessions import both_sessions
from workbench.benchmark.shapes import run_what_if
from workbench.benchmark.workloads import WORKLOADS, Kind, Side
from workbench.benchmark.workloads.base import SCRATCH
from workbench.cli.benchmark import app
from workbench.errors import ConfigurationError
from workbench.models import COLLECTIONS
from workbench.models.fields import utc_now
from workbench.reporting.benchmark_figures import (
    distribution_frame,
    effect_frame,
    index_effect,
    latency_distributions,
    load_curves,
)
from workbench.settings import Settings
from workbench.similarity.embedder import embedder_for

TINY = replace(
    QUICK_SCOPE,
    effort=replace(QUICK_SCOPE.effort, samples=12, pair_seconds=0, total_seconds=0, warmup=1, cold=1, checks=1),
    clients=(1, 3),
    sweep_seconds=0.1,
    rate_seconds=0.3,
    explained=2,
    effect_rows=300,
)


def test_a_sweep_measures_every_level_on_both_sides(migrated: Settings, draws: Draws) -> None:
    loads = sweep([named("detector by id")], migrated, draws, clients=(1, 3), seconds=0.2)
    assert [(load.side, load.clients) for load in loads] == [(s, n) for s in Side for n in (1, 3)]
    assert all(load.samples_ms and not load.errors and load.throughput > 0 for load in loads)


def test_no_connection_is_opened_while_a_level_is_timed(
    migrated: Settings, draws: Draws, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[float] = []
    ready = concurrency._OpenConnections.connection_ready

    def note(self: Any, event: Any) -> None:
        opened.append(time.perf_counter())
        ready(self, event)

    started: list[float] = []
    start = concurrency._Crowd._start
    monkeypatch.setattr(concurrency._OpenConnections, "connection_ready", note)
    monkeypatch.setattr(concurrency._Crowd, "_start", lambda self: (start(self), started.append(self.started)))
    sweep([named("detector by id")], migrated, draws, clients=(2, 12), seconds=0.2)
    assert len(started) == 4
    assert len(opened) == 12
    assert max(opened) < started[2]


def test_levels_after_the_deadline_are_noted(migrated: Settings, draws: Draws) -> None:
    loads = sweep([named("detector by id")], migrated, draws, clients=(1, 2), seconds=9, deadline=time.monotonic())
    assert [load.note for load in loads] == [concurrency.TIME_ENDED] * 4


def test_one_workload_of_each_kind_is_swept_or_those_that_are_named(migrated: Settings) -> None:
    assert [w.kind for w in _swept(migrated, WORKLOADS, ())] == list(Kind)
    assert [w.name for w in _swept(migrated, WORKLOADS, ["timeline"])] == ["case timeline"]
    with pytest.raises(ConfigurationError, match="--sweep names what --only leaves out: case timeline"):
        _swept(migrated, [named("detector by id")], ["timeline"])


def test_more_clients_than_the_server_takes_is_a_note_and_not_a_crash(migrated: Settings, draws: Draws) -> None:
    (load,) = [
        load
        for load in sweep([named("detector by id")], migrated, draws, clients=(120,), seconds=0.1)
        if load.side is Side.POSTGRESQL
    ]
    assert load.note.startswith("no connection: PostgreSQL cannot be used")
    assert load.samples_ms == ()


def test_a_fixed_rate_counts_the_time_that_questions_waited_to_be_sent(migrated: Settings, draws: Draws) -> None:
    slow = replace(named("detector by id"), sql=("SELECT pg_sleep(0.05)",))
    load = fixed_rate([slow], migrated, draws, rate=25, seconds=0.6, clients=1)[0]
    # One client answers 20 a second, so the last of 15 questions at 25 a second waits for about 0.15 s.
    assert (load.side, load.offered_rate, len(load.samples_ms), load.not_sent) == (Side.POSTGRESQL, 25, 15, 0)
    assert max(load.samples_ms) > 150
    easy = fixed_rate([slow], migrated, draws, rate=10, seconds=0.5, clients=4)[0]
    assert max(easy.samples_ms) < 150
    with pytest.raises(ConfigurationError, match="must be positive"):
        fixed_rate([slow], migrated, draws, rate=0)


def test_a_rate_that_the_server_cannot_follow_ends_and_tells_what_was_not_sent(
    migrated: Settings, draws: Draws
) -> None:
    slow = replace(named("detector by id"), sql=("SELECT pg_sleep(0.05)",))
    load = fixed_rate([slow], migrated, draws, rate=400, seconds=0.4, clients=1)[0]
    assert load.elapsed_seconds < 2
    assert len(load.samples_ms) + load.not_sent == 160
    assert load.not_sent > 100
    assert load.note.startswith(f"cannot follow: {load.not_sent} of 160 were not sent")


def test_conflicts_of_optimistic_locking_are_counted_as_errors(migrated: Settings, draws: Draws) -> None:
    workload = named("update progress with a version")
    with scratch(migrated, [workload], draws):
        one = draws.stream("conflicts").pick("investigation")
        same = replace(workload, parameters=lambda d: {**workload.parameters(d), **one})
        loads = sweep([same], migrated, draws, clients=(8,), seconds=0.6)
    assert sum(load.errors.get("VersionConflict", 0) for load in loads) > 0
    assert all(set(load.errors) <= {"VersionConflict"} for load in loads)


MEASURED = ["detector by id", "score distribution", "insert a score", "triage", "similar anomalies"]


@pytest.fixture(scope="module")
def run(migrated: Settings) -> Any:
    before = contents(migrated)
    found = run_benchmark(
        migrated,
        scope=replace(TINY, rate=30),
        only=MEASURED,
    )
    assert contents(migrated) == before
    return found


def test_a_run_measures_checks_explains_and_leaves_nothing_behind(migrated: Settings, run: Any) -> None:
    assert traces(migrated) == []
    assert {judgement.outcome for judgement in run.judgements()} == {Outcome.NOT_DECIDED}, run.verdict_frame()
    assert {m.side for m in run.measurements} == set(Side)
    assert all(len(m.warm_ms) >= 10 and len(m.cold_ms) == 1 and not m.errors for m in run.measurements)
    assert all(check.same for check in run.checks)
    assert len(run.plans) == TINY.explained
    kinds = len({facts["kind"] for facts in run.workloads.values()})
    assert [load.offered_rate for load in run.loads].count(30) == 2 * kinds
    assert len(run.loads) == 2 * kinds * (len(TINY.clients) + 1)


def test_a_short_time_goes_to_questions_that_can_get_all_their_samples(migrated: Settings, draws: Draws) -> None:
    quick = named("detector by id")
    slow = replace(quick, name="slow", sql=("SELECT pg_sleep(0.04)",))
    effort = replace(TINY.effort, samples=100, least_samples=6, pair_seconds=9, total_seconds=1.5, warmup=0, cold=0)
    with both_sessions(migrated) as sessions:
        counts = [len(m.warm_ms) for m in measure([slow, quick], *sessions, migrated, draws, effort)]
    assert counts[2:] == [100, 100]
    assert 6 <= counts[0] == counts[1] < 40


def test_cold_samples_are_equally_many_and_a_failure_is_counted(migrated: Settings, draws: Draws) -> None:
    fails = replace(named("detector by id"), sql=("SELECT 1 / (random() < 0.5)::int",))
    effort = replace(TINY.effort, samples=1, least_samples=1, warmup=0, cold=12)
    with both_sessions(migrated) as sessions:
        source, target = measure([fails], *sessions, migrated, draws, effort)
    assert len(source.cold_ms) == len(target.cold_ms)
    assert len(source.cold_ms) + source.errors["DivisionByZero"] - (not source.warm_ms) == 12


def test_the_environment_holds_what_figures_depend_on_and_no_secret(migrated: Settings, run: Any) -> None:
    environment = run.environment
    assert environment["machine"]["cores"] == os.cpu_count()
    assert set(environment["documents"]) == set(COLLECTIONS)
    assert all(environment["documents"].values())
    assert "tenant_id_1_type_1_updated_at_-1__id_-1" in environment["indexes"]["detectors"]
    assert environment["durability"]["postgresql"]["synchronous_commit"] in ("on", "off", "local")
    assert environment["durability"]["mongodb"]["write_concern"] == {"w": "majority"}
    sizes = environment["sizes"]
    assert sizes["postgresql"]["detectors"]["index_bytes"]["detectors_pkey"] > 0
    assert sizes["mongodb"]["detectors"]["index_bytes"]["tenant_id_1_type_1_updated_at_-1__id_-1"] > 0
    text = json.dumps(run.as_dict(), default=str)
    assert not any(secret in text for secret in migrated.secrets())
    assert os.uname().nodename not in text


def test_the_index_shows_its_effect_on_mongodb(run: Any) -> None:
    frame = effect_frame(run.index_effect)
    assert frame.database.tolist() == ["PostgreSQL", "MongoDB"]
    assert frame.factor[1] > 2
    assert "MongoDB" in index_effect(frame).axes[0].get_title(loc="left")


def test_the_figures_draw_what_the_run_holds(run: Any) -> None:
    frame = distribution_frame(run)
    assert len(frame) == len(run.measurements)
    fig = latency_distributions(frame, title="All")
    assert [label.get_text() for label in fig.axes[0].get_yticklabels()] == list(run.workloads)
    fig, table = load_curves(run.load_frame(), value="median ms", title="Load", ylabel="ms")
    swept = list(dict.fromkeys(load.workload for load in run.loads))
    assert table.clients.tolist() == list(TINY.clients) * len(swept)
    assert [ax.get_title(loc="left") for ax in fig.axes] == swept
    assert all(len(ax.lines) == 2 for ax in fig.axes)


def test_two_benchmarks_at_once_are_refused(migrated: Settings, draws: Draws) -> None:
    with (
        scratch(migrated, [], draws),
        pytest.raises(ConfigurationError, match="Another benchmark is running"),
        scratch(migrated, [], draws),
    ):
        pass
    assert traces(migrated) == []


def test_leftovers_of_a_killed_run_are_dropped_by_the_next(migrated: Settings, draws: Draws) -> None:
    with connections.open_source(migrated) as connection, connections.open_target(migrated) as client:
        connection.execute(f"CREATE SCHEMA {SCRATCH}")
        connection.execute(f"CREATE TABLE {SCRATCH}.transaction_scores (n int)")
        client[migrated.mongodb_database][f"{SCRATCH}_audit_log"].insert_one({"timestamp": utc_now()})
    assert len(traces(migrated)) == 2
    with scratch(migrated, [named("insert a score")], draws) as left_out:
        assert left_out == {}
    assert traces(migrated) == []


def test_ctrl_c_drops_the_copies(migrated: Settings, tmp_path: Path) -> None:
    uris = {
        "WORKBENCH_DATABASE_URL": migrated.database_url,
        "WORKBENCH_MONGODB_URI": migrated.mongodb_uri,
    }
    environment = {
        **os.environ,
        **{name: uri.get_secret_value() for name, uri in uris.items() if uri},
        "WORKBENCH_MONGODB_DATABASE": migrated.mongodb_database,
        "WORKBENCH_PROGRESS": "lines",
        "WORKBENCH_REPORTS_DIR": str(tmp_path),
    }
    code = """
        import sys
        from workbench.cli.benchmark import app
        try:
            sys.exit(app(["--only", "triage", "--samples", "1000000"], standalone_mode=False))
        except KeyboardInterrupt:
            sys.exit(130)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("measure:"):
                break
        assert traces(migrated)
        process.send_signal(signal.SIGINT)
        process.stderr.read()
        assert process.wait(30) == 130
    assert traces(migrated) == []


def test_without_vectors_only_those_workloads_are_left_out(migrated: Settings, draws: Draws) -> None:
    with connections.open_target(migrated) as client:
        events = client[migrated.mongodb_database]["anomaly_events"]
        events.update_many({}, {"$set": {"embedding_model": "other@1"}})
        try:
            with scratch(migrated, [named("insert a score"), named("similar anomalies")], draws) as left_out:
                assert list(left_out) == ["similar anomalies"]
                assert all("no anomaly has a vector" in reason for reason in left_out.values())
        finally:
            events.update_many({}, {"$set": {"embedding_model": embedder_for(migrated).name}})


def test_an_empty_target_is_refused(empty_settings: Settings, migrated: Settings) -> None:
    empty = migrated.model_copy(update={"mongodb_database": empty_settings.mongodb_database})
    with pytest.raises(ConfigurationError, match="is empty"):
        run_benchmark(empty, scope=TINY)


def test_rows_in_quarantine_make_no_answer_differ_and_are_told(migrated: Settings) -> None:
    with (
        source_database(migrated, template=migrated) as own,
        connections.open_source(own) as connection,
        connections.open_target(own) as client,
    ):
        # Rows that the target does not have, and that nearly every answer about their tenants would hold.
        connection.execute("CREATE TEMP TABLE extra AS SELECT * FROM composio_action_audits")
        connection.execute("UPDATE extra SET id = 'bad' || id")
        connection.execute("INSERT INTO composio_action_audits SELECT * FROM extra")
        ids = [row[0] for row in connection.execute("SELECT id FROM extra").fetchall()]
        connection.commit()
        entries = [{"table": "composio_action_audits", "key": [one], "state": "open"} for one in ids]
        quarantine = client[own.mongodb_database]["migration_quarantine"]
        scope = replace(TINY, clients=(), effect_rows=0, explained=0)
        asked = ["action statistics", "page of a toolkit"]
        assert not all(check.same for check in run_benchmark(own, scope=scope, only=asked).checks)
        quarantine.insert_many(entries)
        try:
            found = run_benchmark(own, scope=scope, only=asked)
        finally:
            quarantine.delete_many({"table": "composio_action_audits"})
    assert all(check.same and check.rows for check in found.checks), found.checks
    assert found.environment["quarantined"] == {"composio_action_audits": len(ids)}
    assert traces(migrated) == []


def test_the_copies_for_writes_have_rows_and_every_index_of_their_originals(migrated: Settings, draws: Draws) -> None:
    with (
        connections.open_source(migrated, autocommit=True) as connection,
        connections.open_target(migrated) as client,
    ):
        database = client[migrated.mongodb_database]
        database["transaction_scores"].create_index([("created_at", 1)], name="of_the_operator")
        try:
            with scratch(migrated, [named("insert a score"), named("triage an anomaly")], draws, rows=300):
                copy = database[f"{SCRATCH}_transaction_scores"]
                indexes = set(database["transaction_scores"].index_information())
                assert set(copy.index_information()) == indexes > {"of_the_operator"}
                assert copy.count_documents({}) == 300
                assert copy.options() == database["transaction_scores"].options()
                assert "$jsonSchema" in copy.options()["validator"]
                assert database[f"{SCRATCH}_anomaly_events"].count_documents({}) > 300
                rows = connection.execute(f"SELECT count(*) FROM {SCRATCH}.transaction_scores").fetchall()
                assert rows == [(300,)]
        finally:
            database["transaction_scores"].drop_index("of_the_operator")


def test_questions_about_an_empty_table_are_left_out_and_told(migrated: Settings) -> None:
    with (
        source_database(migrated, template=migrated) as own,
        connections.open_source(own) as connection,
    ):
        connection.execute("TRUNCATE soar_playbook_executions")
        connection.commit()
        found = run_benchmark(own, scope=replace(TINY, clients=(), effect_rows=0), only=["playbook", "detector by id"])
    said = "the source table soar_playbook_executions is empty"
    assert found.left_out == {"playbook execution by id": said, "playbook statistics": said}
    assert [m.workload for m in found.measurements] == ["detector by id"] * 2


def test_a_source_without_rows_is_refused(empty_settings: Settings, migrated: Settings) -> None:
    with connections.open_source(empty_settings) as connection:
        sample.create_schema(connection)
        connection.commit()
    both = empty_settings.model_copy(update={"mongodb_database": migrated.mongodb_database})
    with pytest.raises(ConfigurationError, match="the source table detectors is empty"):
        run_benchmark(both, scope=TINY, only=["detector by id"])


def test_the_command_writes_its_results_and_ends_with_the_verdict(
    migrated: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert migrated.database_url is not None
    assert migrated.mongodb_uri is not None
    monkeypatch.setenv("WORKBENCH_DATABASE_URL", migrated.database_url.get_secret_value())
    monkeypatch.setenv("WORKBENCH_MONGODB_URI", migrated.mongodb_uri.get_secret_value())
    monkeypatch.setenv("WORKBENCH_MONGODB_DATABASE", migrated.mongodb_database)
    arguments = ["--quick", "--only", "detector by id", "--clients", "", "--reports-dir", "out"]
    assert app([*arguments, "--samples", "500", "--seconds", "60"], standalone_mode=False) == 0
    assert "1 of 1 targets met" in capsys.readouterr().out
    assert app([*arguments, "--samples", "50", "--json"], standalone_mode=False) == 1
    assert json.loads(capsys.readouterr().out)["outcome"] == "not decided"
    assert len(read_runs(tmp_path / "out")) == 2


def test_a_target_that_is_too_low_is_missed(run: Any) -> None:
    slow = {name: {**facts, "target_ms": 0.001} for name, facts in run.workloads.items()}
    assert replace(run, workloads=slow).outcome is Outcome.FAILED


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--clients", "1,many"], "--clients takes numbers"),
        (["--clients", "0"], "--clients takes numbers"),
        (["--quick", "--only", "nonsense"], "No workload is called 'nonsense'"),
    ],
)
def test_wrong_arguments_are_refused(
    arguments: list[str],
    message: str,
    migrated: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert migrated.database_url is not None
    assert migrated.mongodb_uri is not None
    monkeypatch.setenv("WORKBENCH_DATABASE_URL", migrated.database_url.get_secret_value())
    monkeypatch.setenv("WORKBENCH_MONGODB_URI", migrated.mongodb_uri.get_secret_value())
    with pytest.raises(ConfigurationError, match=message):
        app(arguments, standalone_mode=False)


@pytest.mark.parametrize("family", ["audit", "scores"])
def test_the_shapes_are_measured_and_one_follows_from_the_figures(migrated: Settings, family: str) -> None:
    figures = run_what_if(migrated, family, seed=SEED, samples=10)
    assert [one.shape for one in figures] == list(Shape)
    reference, bucket, embed = figures
    assert reference.documents == reference.items == bucket.items
    assert embed.documents <= bucket.documents < reference.documents
    assert embed.bytes_total < reference.bytes_total
    assert all(one.index_keys > 0 and one.items_per_second > 0 for one in figures)
    assert len(figures_frame(figures)) == 3
    assert len(question_frame(figures)) == len(reference.medians_ms)
    assert costs_frame(figures)[str(recommend(figures).shape)].min() >= 1
    assert recommend(figures).shape in Shape
    assert traces(migrated) == []


def test_an_unknown_family_is_refused(migrated: Settings) -> None:
    with pytest.raises(ConfigurationError, match="There are: audit, scores"):
        run_what_if(migrated, "detectors")
