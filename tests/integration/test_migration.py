"""The migration between real servers: every row accounted for, repeatable, resumable after any kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Timer
from typing import Any
from uuid import uuid4

import pytest
from bson import ObjectId
from pymongo.database import Database

from workbench import connections, faults
from workbench.cli.servers import status
from workbench.errors import ConfigurationError, MigrationError
from workbench.migration import extract, fence, frames
from workbench.migration.content import Content, content
from workbench.migration.drill import environment
from workbench.migration.executors import this_process
from workbench.migration.ledger import Counts, Ledger, Seconds, State, Superseded
from workbench.migration.partition import Partition
from workbench.migration.pipeline import migrate
from workbench.migration.quarantine import Quarantine
from workbench.migration.results import MigrationResult, Progress
from workbench.migration.tables import TABLES
from workbench.migration.worker import Job, run_partition
from workbench.models import COLLECTIONS
from workbench.models.fields import utc_now
from workbench.settings import Settings, TenancyRule

FEW = ("investigation_states", "investigation_audit_log", "transaction_scores")
"""A parent, a time series and the largest table: enough where each run counts."""
BAD = 2
"""Audit entries of the small source that cannot be read."""


@contextmanager
def target(settings: Settings) -> Iterator[Database[Any]]:
    with connections.open_target(settings) as client:
        yield client[settings.mongodb_database]


def run(settings: Settings, **arguments: Any) -> MigrationResult:
    return migrate(settings, **{"executor": this_process, **arguments})


def execute(settings: Settings, statement: str) -> None:
    with connections.open_source(settings) as connection:
        connection.execute(statement.encode())


def rows_of(settings: Settings) -> dict[str, int]:
    with connections.open_source(settings) as connection:
        return {name: extract.count_rows(connection, table) for name, table in TABLES.items()}


def require_balance(settings: Settings, result: MigrationResult) -> None:
    """The equation for each partition, each table and the run, from the ledger and from the result."""
    with target(settings) as database:
        ledger = Ledger(database)
        for name, table in result.tables.items():
            partitions = list(ledger.partitions.find({"table": name}))
            assert [item["state"] for item in partitions] == ["done"] * table.partitions
            assert all(Counts.of(item["counts"]).balanced for item in partitions)
            assert sum((Counts.of(item["counts"]) for item in partitions), Counts()) == table.counts
            assert table.counts.balanced
            assert table.complete
            assert table.counts.read == table.source_rows
        run_document = ledger.last_run()
        assert run_document is not None
        assert run_document["state"] == "done"
        assert run_document["_id"] == result.run_id
        assert result.counts.balanced


def test_every_row_is_a_document_or_in_the_quarantine_and_a_second_run_writes_nothing(
    small_settings: Settings,
) -> None:
    first = run(small_settings)
    assert first.state is State.DONE
    rows = rows_of(small_settings)
    with target(small_settings) as database:
        quarantined = Quarantine(database).counts()
        assert quarantined == {"investigation_audit_log": BAD}
        for name, table in TABLES.items():
            documents = database[table.collection.name].count_documents({})
            assert documents + quarantined.get(name, 0) == rows[name] > 0
            assert first.tables[name].counts == Counts(rows[name], documents, 0, 0, quarantined.get(name, 0))
        before = content(database)
    require_balance(small_settings, first)

    began = utc_now()
    second = run(small_settings)
    assert second.counts.written == 0
    assert second.counts.already_there + second.counts.quarantined == sum(rows.values())
    require_balance(small_settings, second)
    with target(small_settings) as database:
        assert content(database) == before
        assert Quarantine(database).counts() == quarantined
        attempts = frames.partitions(database)
    assert len(attempts) == sum(table.partitions for table in second.tables.values())
    assert (attempts.start >= began).all(), "the timeline of a run has none of an earlier one"
    assert (attempts.end > attempts.start).any()


def test_status_tells_how_far_a_running_migration_has_come(
    small_settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment(small_settings).items():
        monkeypatch.setenv(name, value)
    said: list[str] = []

    def ask(step: Progress) -> None:
        if step.stage == "rows":
            status()
            said.append(capsys.readouterr().out)

    for _ in range(2):
        said.clear()
        run(small_settings, tables=["investigation_states", "investigation_audit_log"], on_progress=ask)
        first = {line.split()[0]: line.split() for line in said[0].splitlines() if "/" in line}
        rows = str(rows_of(small_settings)["investigation_states"])
        assert first["investigation_states"][1:3] == [rows, rows]
        assert first["investigation_audit_log"][2] == "0"
        assert first["investigation_audit_log"][-1] == "running"
        assert "It is running, or was killed: its last partition changed at 20" in said[0]
    status()
    assert "done, started 20" in (text := capsys.readouterr().out)
    assert "running" not in text.split("Last migration")[1]


def test_only_the_partition_of_a_changed_row_is_loaded_again(small_settings: Settings) -> None:
    run(small_settings, tables=FEW)
    execute(
        small_settings,
        """
        UPDATE transaction_scores SET risk_score = 0.123 WHERE (investigation_id, transaction_id) =
            (SELECT investigation_id, transaction_id FROM transaction_scores ORDER BY 1, 2 LIMIT 1);
        INSERT INTO investigation_audit_log SELECT 'entry-new', investigation_id, user_id, action_type, NULL,
            state_snapshot_json, source, from_version, to_version, timestamp FROM investigation_audit_log
            ORDER BY timestamp LIMIT 1;
        """,
    )
    second = run(small_settings, tables=FEW)
    scores, audit = second.tables["transaction_scores"], second.tables["investigation_audit_log"]
    assert (scores.counts.inserted, scores.counts.replaced) == (0, 1)
    assert audit.counts.inserted > 1, "a range of a time series can only be loaded anew"
    assert second.tables["investigation_states"].counts.written == 0
    require_balance(small_settings, second)
    with target(small_settings) as database:
        assert database.transaction_scores.count_documents({"risk_score": 0.123}) == 1
        assert content(database, ["audit_log"])["audit_log"].duplicates == 0
        assert database.audit_log.count_documents({}) == rows_of(small_settings)["investigation_audit_log"] - BAD
        loaded = [item["_id"] for item in Ledger(database).partitions.find({"attempts": {"$gt": 1}})]
    assert sorted(loaded) == ["investigation_audit_log/000000", "transaction_scores/000000"]


def test_dry_run_counts_the_same_and_writes_nothing(small_settings: Settings) -> None:
    tables = ("investigation_audit_log", "detectors", "detection_runs")
    dry = run(small_settings, tables=tables, dry_run=True)
    with target(small_settings) as database:
        assert database.list_collection_names() == []
    wet = run(small_settings, tables=tables)
    assert dry.counts.quarantined == BAD
    assert {table.table: table.counts for table in dry.tables.values()} == {
        table.table: table.counts for table in wet.tables.values()
    }
    execute(small_settings, "UPDATE detectors SET name = name || '!' WHERE type = 'cusum'")
    with target(small_settings) as database:
        before = content(database), list(Ledger(database).partitions.find())
    dry = run(small_settings, tables=tables, dry_run=True)
    with target(small_settings) as database:
        assert (content(database), list(Ledger(database).partitions.find())) == before
    counts = dry.tables["detectors"].counts
    assert counts.replaced > 0 < counts.already_there
    assert counts == run(small_settings, tables=tables).tables["detectors"].counts


def test_unknown_table_is_refused_before_anything_is_opened(servers: Settings) -> None:
    with pytest.raises(ConfigurationError, match=r"Unknown table invoices.*investigation_states"):
        migrate(servers.model_copy(update={"mongodb_uri": None}), tables=["detectors", "invoices"])


def test_a_source_without_the_tables_is_a_configuration_error(empty_settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match=r"No table can be read from the source's schema public.*relation"):
        run(empty_settings)


def test_the_failure_of_a_table_does_not_stop_the_others(small_settings: Settings) -> None:
    execute(
        small_settings,
        "ALTER TABLE composio_connections ALTER COLUMN expires_at TYPE text;"
        "ALTER TABLE composio_action_audits RENAME COLUMN status TO state;"
        "DROP TABLE anomaly_events",
    )
    tables = ("detectors", "anomaly_events", "composio_connections", "composio_action_audits", "investigation_states")
    result = run(small_settings, tables=tables)
    assert result.state is State.FAILED
    assert [name for name, table in result.tables.items() if table.complete] == ["investigation_states", "detectors"]
    assert "anomaly_events" in result.tables["anomaly_events"].errors[0]
    assert "no rule says what becomes of the column state" in result.tables["composio_action_audits"].errors[0]
    assert "TypeError" in result.tables["composio_connections"].errors[0]
    with target(small_settings) as database:
        failed = Ledger(database).partitions.find_one({"_id": "composio_connections/000000"})
        assert failed is not None
        assert failed["state"] == "failed"
        assert "TypeError" in failed["error"]
    execute(
        small_settings,
        "ALTER TABLE composio_connections ALTER COLUMN expires_at TYPE timestamptz USING expires_at::timestamptz",
    )
    assert run(small_settings, tables=("composio_connections", "detectors")).complete


def test_paused_table_waits_and_continues(small_settings: Settings) -> None:
    with target(small_settings) as database:
        Ledger(database).pause("transaction_scores")
    first = run(small_settings, tables=FEW)
    assert first.state is State.PAUSED
    assert first.tables["transaction_scores"].paused
    assert first.tables["transaction_scores"].done == 0
    assert first.tables["investigation_audit_log"].complete
    with target(small_settings) as database:
        assert database.transaction_scores.count_documents({}) == 0
        Ledger(database).resume("transaction_scores")
    second = run(small_settings, tables=FEW)
    assert second.state is State.DONE
    assert second.tables["transaction_scores"].counts.inserted == rows_of(small_settings)["transaction_scores"]


def test_pause_takes_effect_in_a_running_migration(small_settings: Settings) -> None:
    def pause_after_first(step: Progress) -> None:
        with target(small_settings) as database:
            Ledger(database).pause("transaction_scores")

    result = run(small_settings, tables=["transaction_scores"], on_progress=pause_after_first)
    table = result.tables["transaction_scores"]
    assert table.paused
    assert 0 < table.done < table.partitions


def test_a_second_migration_into_the_same_target_is_refused(small_settings: Settings) -> None:
    with extract.open_snapshot(small_settings, None) as other:
        fence.claim(other, small_settings, print)
        with pytest.raises(MigrationError, match="Another migration into this target is running"):
            run(small_settings, tables=["detectors"])
        assert run(small_settings, tables=["detectors"], dry_run=True).complete, "it only reads"
    with target(small_settings) as database:
        assert Ledger(database).last_run() is None, "the refused run left no trace"
    assert run(small_settings, tables=["detectors"]).complete


def test_a_new_migration_waits_for_the_workers_of_a_killed_one(small_settings: Settings) -> None:
    notes: list[str] = []
    with extract.open_snapshot(small_settings, None) as orphan:
        fence.enter(orphan, small_settings)

        def release(step: Progress) -> None:
            notes.append(step.note)
            orphan.rollback()

        assert run(small_settings, tables=["detectors"], on_progress=release).complete
    assert notes[0] == "waiting for workers of an earlier migration to end"


def test_a_worker_that_was_thought_dead_keeps_its_repeat_out_until_it_ends(
    small_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = ["detectors"]
    run(small_settings, tables=tables)
    partition = Partition("detectors", 0, None, None)
    with extract.open_snapshot(small_settings, None) as source:
        job = Job(small_settings, "r", partition, extract.export_snapshot(source), "other", frozenset(), False)
        with extract.open_snapshot(small_settings, None) as slow:
            fence.hold(slow, small_settings, partition)
            monkeypatch.setattr(fence, "_PATIENCE_SECONDS", 0.0)
            refused = run_partition(replace(job, settings=small_settings.model_copy(update={"max_attempts": 1})))
            assert "Another worker has been at work on detectors/000000 for long." in refused.error
            monkeypatch.setattr(fence, "_PATIENCE_SECONDS", 30.0)
            release = Timer(0.5, slow.rollback)
            release.start()
            assert run_partition(job).error == ""
            release.join()


def test_a_stale_attempt_records_nothing(small_settings: Settings) -> None:
    run(small_settings, tables=["detectors"])
    with target(small_settings) as database:
        ledger, partition = Ledger(database), Partition("detectors", 0, None, None)
        stale = ledger.start(partition, "r", "1")
        current = ledger.start(partition, "r", "2")
        facts = {"run_id": "r", "fingerprint": "f", "mapping": "m"}
        with pytest.raises(Superseded, match="Another attempt at detectors/000000 has begun"):
            ledger.finish(partition, Counts(9, 9), Seconds(), attempt=stale, **facts)
        assert ledger.get(partition)["state"] == "started"
        ledger.finish(partition, Counts(3, 3), Seconds(), attempt=current, **facts)
        ledger.fail(partition, "lost its connection", "r")
        assert ledger.get(partition)["state"] == "done", "the failure of a stale attempt does not undo it"
        assert [found for found, _ in ledger.repeated(["detectors"], "r")] == [partition]
        assert ledger.repeated(["detectors"], "another run") == []


def test_what_a_stale_worker_still_wrote_into_a_time_series_is_found(small_settings: Settings) -> None:
    tables = ["investigation_audit_log"]
    done: list[str] = []

    def write_as_well(step: Progress) -> None:
        with target(small_settings) as database:
            if not done:
                first = Ledger(database).partitions.find_one({"state": "done"})
                assert first is not None
                done.append(first["_id"])
                line = {**first["history"][-1], "state": "interrupted"}
                Ledger(database).partitions.update_one({"_id": first["_id"]}, {"$push": {"history": line}})
                entry = database.audit_log.find_one({}, sort=[("timestamp", 1)])
                assert entry is not None
                database.audit_log.insert_one(entry)

    result = run(small_settings, tables=tables, on_progress=write_as_well)
    assert not result.complete
    (error,) = result.tables["investigation_audit_log"].errors
    assert error.startswith(f"{done[0]}: ")
    assert "a worker that seemed dead wrote as well" in error
    assert run(small_settings, tables=tables).complete
    with target(small_settings) as database:
        assert content(database, ["audit_log"])["audit_log"].duplicates == 0


def test_tenants_by_user(small_settings: Settings) -> None:
    settings = small_settings.model_copy(update={"tenancy_rule": TenancyRule.USER})
    tables = (*FEW, "investigation_templates", "detectors", "composio_connections")
    with connections.open_source(settings) as source:
        source.execute("UPDATE investigation_audit_log SET user_id = 'an-admin' WHERE to_version = 2")
    assert run(settings, tables=tables).complete
    with target(settings) as database:
        for name in ("investigations", "templates"):
            assert all(item["tenant_id"] == item["user_id"] for item in database[name].find())
        owner = {item["investigation_id"]: item["user_id"] for item in database.investigations.find()}
        entries = [entry["metadata"] for entry in database.audit_log.find()]
        assert any(entry["user_id"] == "an-admin" for entry in entries)
        assert all(e["tenant_id"] == owner.get(e["investigation_id"], e["user_id"]) for e in entries)
        assert all(item["tenant_id"] == owner[item["investigation_id"]] for item in database.transaction_scores.find())
        assert {item["tenant_id"] for item in database.detectors.find()} == {settings.default_tenant}
    # another rule makes other documents of the same rows, and the migration notices
    by_constant = run(small_settings, tables=tables)
    assert by_constant.tables["transaction_scores"].counts.replaced == rows_of(settings)["transaction_scores"]
    assert by_constant.tables["composio_connections"].counts.written == 0


def test_a_target_that_was_emptied_is_loaded_again(small_settings: Settings) -> None:
    run(small_settings, tables=FEW)
    with target(small_settings) as database:
        before = content(database)
        database.audit_log.drop()
        database.transaction_scores.drop()
    assert run(small_settings, tables=FEW).complete
    with target(small_settings) as database:
        assert content(database) == before


def damage(database: Database[Any]) -> None:
    """What a person does to a target by hand."""
    database.transaction_scores.update_one({"risk_score": {"$lt": 0.9}}, {"$set": {"risk_score": 0.987}})
    database.transaction_scores.delete_one({"risk_score": {"$ne": 0.987}})
    entries = list(database.audit_log.find().sort("timestamp", 1).limit(2))
    database.audit_log.delete_many({"entry_id": entries[0]["entry_id"]})
    database.audit_log.insert_one(entries[1])


def test_recheck_mends_documents_that_differ_from_their_rows(small_settings: Settings) -> None:
    run(small_settings, tables=FEW)
    with target(small_settings) as database:
        before = content(database)
        damage(database)
        damaged = content(database)
    again = run(small_settings, tables=FEW)
    assert again.counts.written == 0, "a plain run trusts what it has written"
    assert again.tables["transaction_scores"].missing == again.missing == 1
    assert not again.complete, "the target is not in line with the source"
    assert "but documents of an earlier run are gone (1); recheck" in again.sentence
    assert frames.accounts(again.tables.values())["missing"].tolist() == [0, 0, 1]
    told = run(small_settings, tables=FEW, recheck=True, dry_run=True)
    with target(small_settings) as database:
        assert content(database) == damaged
    mended = run(small_settings, tables=FEW, recheck=True)
    require_balance(small_settings, mended)
    for result in (told, mended):
        scores, audit = result.tables["transaction_scores"].counts, result.tables["investigation_audit_log"].counts
        assert (scores.inserted, scores.replaced) == (1, 1)
        assert audit.inserted > 0 < audit.already_there, "only the damaged range of a time series is loaded again"
        assert result.tables["investigation_states"].counts.written == 0
    with target(small_settings) as database:
        assert content(database) == before
    assert run(small_settings, tables=FEW, recheck=True).counts.written == 0


def test_prune_deletes_migrated_documents_whose_row_is_gone(small_settings: Settings) -> None:
    tables = ["detection_runs", "transaction_scores", "investigation_audit_log"]
    run(small_settings, tables=tables)
    execute(
        small_settings,
        """
        DELETE FROM transaction_scores WHERE (investigation_id, transaction_id) IN
            (SELECT investigation_id, transaction_id FROM transaction_scores ORDER BY 1, 2 LIMIT 3);
        UPDATE investigation_audit_log SET changes_json = '{' WHERE entry_id =
            (SELECT max(entry_id) FROM investigation_audit_log WHERE changes_json IS DISTINCT FROM '{');
        DELETE FROM anomaly_events WHERE run_id = (SELECT min(id::text)::uuid FROM detection_runs);
        DELETE FROM detection_runs WHERE id = (SELECT min(id::text)::uuid FROM detection_runs);
        """,
    )
    with target(small_settings) as database:
        score = database.transaction_scores.find_one()
        assert score is not None
        del score["provenance"]
        database.transaction_scores.insert_one({**score, "_id": ObjectId(), "transaction_id": "service"})
        documents = database.transaction_scores.count_documents({})
    plain = run(small_settings, tables=tables)
    assert plain.complete
    assert plain.tables["transaction_scores"].surplus == 3
    told = run(small_settings, tables=tables, prune=True, dry_run=True)
    assert (told.tables["transaction_scores"].surplus, told.tables["transaction_scores"].pruned) == (3, 0)
    with target(small_settings) as database:
        assert database.transaction_scores.count_documents({}) == documents
    pruned = run(small_settings, tables=tables, prune=True)
    require_balance(small_settings, pruned)
    assert pruned.tables["transaction_scores"].pruned == 3
    with target(small_settings) as database:
        assert database.transaction_scores.count_documents({}) == documents - 3
        assert database.transaction_scores.count_documents({"transaction_id": "service"}) == 1
        rows = rows_of(small_settings)
        assert database.detection_runs.count_documents({}) == rows["detection_runs"]
    assert all(table.surplus == 0 for table in run(small_settings, tables=tables).tables.values())


def test_prune_deletes_a_copied_document_but_never_all_of_a_table(small_settings: Settings) -> None:
    tables = ["detectors", "investigation_templates"]
    run(small_settings, tables=tables)
    with target(small_settings) as database:
        detector = database.detectors.find_one()
        assert detector is not None
        database.detectors.insert_one({**detector, "_id": ObjectId(), "detector_id": uuid4(), "name": "copied"})
        templates = database.templates.count_documents({})
    execute(small_settings, "DELETE FROM investigation_templates")
    result = run(small_settings, tables=tables, prune=True)
    assert result.tables["detectors"].pruned == 1
    assert result.tables["detectors"].complete
    assert result.tables["investigation_templates"].surplus == templates
    assert "The source has no row of this table" in result.tables["investigation_templates"].errors[0]
    with target(small_settings) as database:
        assert database.templates.count_documents({}) == templates > 0
        assert database.detectors.count_documents({}) == rows_of(small_settings)["detectors"]


def test_documents_that_a_service_wrote_survive_a_reload(small_settings: Settings) -> None:
    run(small_settings, tables=FEW)
    with target(small_settings) as database:
        entry = database.audit_log.find_one()
        assert entry is not None
        del entry["provenance"]
        database.audit_log.insert_one({**entry, "_id": "service", "entry_id": "service"})
        Ledger(database).partitions.update_many({}, {"$set": {"state": "started"}})
    result = run(small_settings, tables=FEW)
    migrated = rows_of(small_settings)["investigation_audit_log"] - BAD
    assert result.tables["investigation_audit_log"].counts.inserted == migrated
    with target(small_settings) as database:
        assert database.audit_log.count_documents({"_id": "service"}) == 1
        assert database.audit_log.count_documents({}) == migrated + 1


def test_ranges_of_a_time_series_beyond_the_year_9999_are_loaded_again(small_settings: Settings) -> None:
    tables = ["investigation_audit_log"]
    settings = small_settings.model_copy(update={"partition_rows": 100})
    execute(
        settings,
        "UPDATE investigation_audit_log SET timestamp = timestamp + interval '10000 years' WHERE entry_id IN"
        " (SELECT entry_id FROM investigation_audit_log ORDER BY timestamp DESC LIMIT 250)",
    )
    first = run(settings, tables=tables)
    execute(settings, "UPDATE investigation_audit_log SET user_id = 'changed'")
    second = run(settings, tables=tables)
    assert second.tables[tables[0]].errors == []
    require_balance(settings, second)
    assert second.counts == first.counts
    assert second.counts.quarantined >= 250
    with target(settings) as database:
        assert database.audit_log.count_documents({}) == second.counts.inserted


def test_a_bad_row_that_moves_to_another_partition_stays_one_entry(small_settings: Settings) -> None:
    tables = ["investigation_audit_log"]
    execute(small_settings, "UPDATE investigation_audit_log SET timestamp = '2100-01-01' WHERE changes_json = '{'")
    run(small_settings, tables=tables)
    execute(small_settings, "UPDATE investigation_audit_log SET timestamp = '2000-01-01' WHERE changes_json = '{'")
    assert run(small_settings, tables=tables).complete
    with target(small_settings) as database:
        entries = Quarantine(database).entries()
        assert [entry["partition"] for entry in entries] == ["investigation_audit_log/000000"] * BAD


# -- kills --------------------------------------------------------------------------------------------------------

SCRIPT = """
import sys
from workbench.migration.executors import local_processes, this_process
from workbench.migration.partition import Partition
from workbench.migration.pipeline import migrate
from workbench.migration.worker import Job, run_partition
from workbench.models.fields import utc_now
from workbench.models import COLLECTIONS
from workbench.settings import load_settings
result = migrate(load_settings(), tables=sys.argv[2].split(","), executor=globals()[sys.argv[1]])
sys.exit(0 if result.complete else 1)
"""


def start(settings: Settings, executor: str, **more: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, executor, ",".join(FEW)],
        env={**environment(settings), **more},
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def undisturbed(small_template: Settings) -> dict[str, Content]:
    """What a migration that nothing disturbs makes of the small source."""
    settings = small_template.model_copy(
        update={"mongodb_database": "workbench_test_undisturbed", "partition_rows": 200}
    )
    run(settings, tables=FEW)
    with target(settings) as database:
        expected = content(database)
        database.client.drop_database(database.name)
    return expected


def require_same(settings: Settings, expected: dict[str, Content], result: MigrationResult) -> None:
    require_balance(settings, result)
    with target(settings) as database:
        assert content(database) == expected
        assert all(found.duplicates == 0 for found in content(database).values())
        assert len(Quarantine(database).entries()) == BAD


@pytest.mark.parametrize(
    "point",
    ["started:2", "batch:9", "loaded:5", "quarantined:4", "done:7"],
)
def test_killed_at_a_point_and_resumed_the_content_is_the_same(
    small_settings: Settings, undisturbed: dict[str, Content], point: str
) -> None:
    process = start(small_settings, "this_process", **{faults.VARIABLE: f"migration.{point}"})
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    result = run(small_settings, tables=FEW)
    require_same(small_settings, undisturbed, result)


def test_a_partition_that_kills_its_worker_fails_alone_and_the_same_command_resumes(
    small_settings: Settings, undisturbed: dict[str, Content]
) -> None:
    killer = "investigation_audit_log/000001"
    process = start(small_settings, "local_processes", **{faults.VARIABLE: f"migration.of.{killer}"})
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1, said
    with target(small_settings) as database:
        ledger = Ledger(database)
        last = ledger.last_run()
        assert last is not None
        assert last["state"] == "failed"
        assert {item["_id"] for item in ledger.partitions.find({"state": {"$ne": "done"}})} == {killer}
        failed = ledger.get(Partition("investigation_audit_log", 1, None, None))
        assert failed["state"] == "failed"
        assert "Its worker process died 3 times" in failed["error"]
        states = [line["state"] for line in failed["history"]]
        assert states == ["interrupted", "interrupted", "failed"], "retries are visible"
        assert "tenant_id" in str(database.transaction_scores.index_information()), "the others' indexes are built"
    result = run(small_settings, tables=FEW)
    require_same(small_settings, undisturbed, result)


def test_an_index_that_the_server_refuses_stops_no_other(small_settings: Settings) -> None:
    tables = ("investigation_templates", "composio_connections", "detectors")
    run(small_settings, tables=tables)
    with target(small_settings) as database:
        (index,) = [item for item in COLLECTIONS["templates"].indexes if not item.unique][:1]
        database.templates.drop_index(index.name)
        database.templates.create_index(
            list(index.keys), name=index.name, unique=False, partialFilterExpression={"a": 1}
        )
        database.detectors.drop_indexes()
    result = run(small_settings, tables=tables)
    assert [name for name, table in result.tables.items() if not table.complete] == ["investigation_templates"]
    assert f"index {index.name}" in result.tables["investigation_templates"].errors[0]
    with target(small_settings) as database:
        found = database.detectors.index_information()
    assert {item.name for item in COLLECTIONS["detectors"].indexes} <= set(found)


def test_interrupted_by_ctrl_c_it_resumes(small_settings: Settings, undisturbed: dict[str, Content]) -> None:
    process = start(small_settings, "local_processes")
    with target(small_settings) as database:
        deadline = time.monotonic() + 60
        while not database.migration_ledger.find_one({"state": "done"}):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode != 0
        last = Ledger(database).last_run()
        assert last is not None
        assert last["state"] == "interrupted"
    result = run(small_settings, tables=FEW)
    assert result.counts.already_there > 0
    require_same(small_settings, undisturbed, result)


def test_a_killed_driver_takes_its_workers_with_it(small_settings: Settings, undisturbed: dict[str, Content]) -> None:
    process = start(small_settings, "local_processes")
    with target(small_settings) as database:
        deadline = time.monotonic() + 60
        while not database.migration_ledger.find_one({"state": "started"}):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    process.kill()
    process.communicate(timeout=60)
    result = run(small_settings, tables=FEW)
    require_same(small_settings, undisturbed, result)
    with connections.open_source(small_settings) as connection:
        rest = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'workbench' AND pid <> pg_backend_pid()"
            " AND datname = current_database()"
        ).fetchone()
    assert rest == (0,)


def test_a_lost_snapshot_is_replaced_within_the_run(small_settings: Settings, undisturbed: dict[str, Content]) -> None:
    terminated: list[int] = []

    def terminate(step: Progress) -> None:
        if not terminated:
            with connections.open_source(small_settings) as connection:
                terminated.extend(
                    row[0]
                    for row in connection.execute(
                        "SELECT pg_terminate_backend(pid)::int FROM pg_stat_activity"
                        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                )

    result = run(small_settings, tables=FEW, on_progress=terminate)
    assert terminated
    require_same(small_settings, undisturbed, result)
