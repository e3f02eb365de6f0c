"""The verification between real servers: what is equal passes, what differs is named, and nothing is changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database
from typer.testing import CliRunner

from workbench import connections
from workbench.cli.main import app
from workbench.errors import ConfigurationError
from workbench.migration.ledger import LEDGER
from workbench.migration.pipeline import migrate
from workbench.migration.quarantine import OPEN, WAIVED, Quarantine
from workbench.migration.replay import replay
from workbench.migration.tables import TABLES
from workbench.migration.tables.columns import KEEP_UNREADABLE_JSON
from workbench.models import COLLECTIONS
from workbench.models.fields import utc_now
from workbench.models.spec import Kind
from workbench.settings import Settings, environment_names
from workbench.verification import ALL_CHECKS, Check, TableResult, VerificationResult, compare, state, verify
from workbench.verification.accounts import load_rate
from workbench.verification.ceiling import read_ceiling
from workbench.verification.gates import GATES, judge
from workbench.verification.self_test import scratch_copy
from workbench.verification.setup import check_setup
from workbench.verification.waivers import Waiver


@pytest.fixture(scope="module")
def copy(servers: Settings) -> Iterator[Settings]:
    """A small source and its migrated target; every test leaves both as they were."""
    with scratch_copy(servers, seed=3) as settings:
        yield settings


@pytest.fixture
def database(copy: Settings) -> Iterator[Database[Any]]:
    with connections.open_target(copy) as client:
        yield client[copy.mongodb_database]


@contextmanager
def corrupted(database: Database[Any], collection: str, change: Any, *, where: Any = None) -> Iterator[list[Any]]:
    """The documents of a collection changed by `change`, which may edit them or return None to drop them."""
    before = list(database[collection].find(where or {}))
    after = [changed for document in database[collection].find(where or {}) if (changed := change(document))]
    _replace(database, collection, before, after)
    try:
        yield before
    finally:
        _replace(database, collection, after, before)


def _replace(database: Database[Any], collection: str, old: list[Any], new: list[Any]) -> None:
    standard = COLLECTIONS[collection].kind is Kind.STANDARD
    database[collection].delete_many({"_id": {"$in": [document["_id"] for document in old]}})
    if new:
        database[collection].insert_many(new, bypass_document_validation=standard or None)


def without_micros(document: dict[str, Any]) -> dict[str, Any]:
    provenance = document["provenance"]
    provenance.get("micros", {}).pop("created_at", None)
    if not provenance.get("micros"):  # an empty note would be a finding of its own
        provenance.pop("micros", None)
    return document


def table_of(result: VerificationResult, name: str) -> TableResult:
    return next(table for table in result.tables if table.table == name)


def test_a_fresh_migration_passes_every_check(copy: Settings, database: Database[Any]) -> None:
    read: dict[str, int] = {}
    result = verify(copy, on_progress=lambda table, count: read.update({table: read.get(table, 0) + count}))
    assert result.passed, result.text()
    assert [table.table for table in result.tables] == list(TABLES)
    assert {check.check for table in result.tables for check in table.checks} == ALL_CHECKS
    assert read == {table.table: table.rows + table.documents for table in result.tables}
    for table in result.tables:
        assert table.source_fingerprint == table.target_fingerprint
        assert table.rows == database[table.collection].count_documents({}) == table.documents
    assert result.coverage_frame().not_compared.sum() == 0
    assert "PASSED: no mismatch" in result.text()
    assert state.last_run(database, state="done")["_id"] == result.run_id  # type: ignore[index]


def test_rows_that_went_wrong_in_the_same_way_are_one_cause(copy: Settings, database: Database[Any]) -> None:
    with corrupted(database, "transaction_scores", without_micros) as before:
        changed = sum("created_at" in document["provenance"].get("micros", {}) for document in before)
        result = verify(copy, tables=["transaction_scores"], checks={Check.FIELDS})
    (cluster,) = result.clusters
    assert cluster.count == changed > 200
    assert cluster.cause == "rows differ only in created_at: the microseconds"
    example = cluster.examples[0]
    assert example.side == "target"
    assert example.key.startswith("inv-")
    assert example.expected != example.found
    assert example.found.endswith("000+00:00")


def test_a_target_that_is_wrong_altogether_is_looked_into_in_bounded_passes(
    copy: Settings, database: Database[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "ROWS_IN_MEMORY", 60)
    monkeypatch.setattr(compare, "MAX_PASSES", 2)
    with corrupted(database, "transaction_scores", without_micros) as before:
        result = verify(copy, tables=["transaction_scores"], checks={Check.FIELDS})
    causes = {cluster.cause: cluster.count for cluster in result.clusters}
    assert 50 < causes["rows differ only in created_at: the microseconds"] < len(before)
    assert causes["buckets differ and were not examined: too many rows are wrong"] > 10
    assert "counts are lower bounds" in result.tables[0].note


def test_missing_extra_and_different_rows_are_told_apart(copy: Settings, database: Database[Any]) -> None:
    first, second = database["audit_log"].find({}).sort("entry_id", 1).skip(1).limit(2)

    def change(document: dict[str, Any]) -> dict[str, Any] | None:
        if document["_id"] == first["_id"]:
            return None
        document["metadata"]["user_id"] = "someone"
        return document

    with corrupted(database, "audit_log", change, where={"_id": {"$in": [first["_id"], second["_id"]]}}):
        database["audit_log"].insert_one({**second, "_id": first["_id"]})
        database["audit_log"].delete_one({"_id": first["_id"]})
        result = verify(copy, tables=["investigation_audit_log"])
    found = {(cluster.check, cluster.cause): cluster.examples[0] for cluster in result.clusters}
    missing = found[Check.COUNTS, "rows have no document"]
    assert (missing.key, missing.expected, missing.found) == (first["entry_id"], "a document", "none")
    different = found[Check.FIELDS, "rows differ only in user_id: another text"]
    assert (different.key, different.field, different.found) == (second["entry_id"], "user_id", "someone")
    table = result.tables[0]
    failed = {check.check for check in table.checks if check.status == "failed"}
    assert {Check.COUNTS, Check.FIELDS, Check.AGGREGATES, Check.REFERENCES, Check.LEDGER} == failed


def test_tokens_reach_no_report(copy: Settings, database: Database[Any]) -> None:
    tokens = [document["encrypted_access_token"] for document in database["composio_connections"].find({})]
    with corrupted(database, "composio_connections", lambda d: {**d, "encrypted_access_token": "enc:PLANTED"}):
        result = verify(copy, tables=["composio_connections"])
    assert not result.passed
    report = result.text() + json.dumps(result.as_dict()) + result.examples_frame().to_csv()
    assert "secret #" in report
    assert not [token for token in [*tokens, "PLANTED"] if token in report]


def test_quarantined_rows_are_expected_to_be_missing(copy: Settings, database: Database[Any]) -> None:
    document = database["templates"].find_one({}) or {}
    entry = {
        "_id": document["_id"], "table": "investigation_templates", "key": [document["template_id"]], "state": OPEN,
        "field": "tags", "reason": "malformed_json", "message": "", "row": {}, "partition": "p",
    }  # fmt: skip
    quarantine = Quarantine(database)
    ledger = {"table": "investigation_templates"}
    with corrupted(database, "templates", lambda d: None, where={"_id": document["_id"]}):
        quarantine.collection.insert_one(entry)
        database[LEDGER].update_one(ledger, {"$inc": {"counts.quarantined": 1, "counts.inserted": -1}})
        try:
            result = verify(copy, tables=["investigation_templates"])
            assert result.passed, result.text()
            assert result.tables[0].quarantined == 1
            assert not judge(result, database).passed
            quarantine.settle([document["_id"]], WAIVED, "R. Chen")
            assert judge(result, database).passed
        finally:
            quarantine.collection.delete_many({"_id": document["_id"]})
            database[LEDGER].update_one(ledger, {"$inc": {"counts.quarantined": -1, "counts.inserted": 1}})
    assert verify(copy, tables=["investigation_templates"]).passed


def test_rows_that_a_rule_let_in_agree_with_their_source(small_settings: Settings) -> None:
    table = "composio_action_audits"
    with connections.open_source(small_settings, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO composio_action_audits (id, action_id, toolkit_name, action_name, tenant_id, parameters,"
            " status, executed_at) VALUES ('bad', 'a', 't', 'n', 'x', '{not JSON', 'failed', '2026-01-01'),"
            " ('wide', 'a', 't', 'n', 'x', '{\"n\": 1.00000000000000000000000000000000000001}', 'failed', 'infinity'),"
            " ('late', 'a', 't', 'n', 'x', ' null ', 'failed', '2026-01-01 00:00:00.000001')"
        )
    migrate(small_settings, tables=["composio_connections", table])
    before = verify(small_settings, tables=[table])
    assert before.passed, before.text()
    quarantined = before.tables[0].quarantined
    assert quarantined >= 1
    assert replay(small_settings, tables=[table], accept=[KEEP_UNREADABLE_JSON]).loaded >= 1
    after = verify(small_settings, tables=[table])
    assert after.passed, after.text()
    assert after.tables[0].quarantined < quarantined
    notes = {check.check: check.note for check in after.tables[0].checks}
    assert notes[Check.AGGREGATES] == "JSON texts are not counted under the rule keep-unreadable-json"


def test_only_what_was_wrong_is_checked_again(copy: Settings, database: Database[Any]) -> None:
    one = database["transaction_scores"].find_one({}) or {}
    with corrupted(database, "transaction_scores", lambda d: {**d, "risk_score": 0.5}, where={"_id": one["_id"]}):
        wrong = verify(copy, tables=["detectors", "transaction_scores"])
        again = verify(copy, since_run=wrong.run_id)
        assert [table.table for table in again.tables] == ["transaction_scores"]
        assert again.clusters[0].cause == wrong.clusters[0].cause
    mended = verify(copy, since_run="last")
    assert mended.passed, mended.text()
    (table,) = mended.tables
    assert table.note == f"only the 1 of 64 buckets that were wrong: {table.compared} rows"
    assert 0 < table.compared < table.rows / 10
    assert mended.coverage_frame().not_compared.tolist() == [table.rows - table.compared]
    nothing = verify(copy, since_run=mended.run_id)
    assert (nothing.tables, nothing.passed) == ((), False)
    assert "found nothing wrong, so nothing was checked again" in nothing.notes[0]
    with pytest.raises(ConfigurationError, match="no verification run 'nothing'"):
        verify(copy, since_run="nothing")


def test_an_interrupted_run_is_resumed(copy: Settings, database: Database[Any]) -> None:
    def stop_at_detectors(table: str, read: int) -> None:
        if table == "detectors":
            raise KeyboardInterrupt

    names = ["investigation_states", "investigation_templates", "detectors"]
    with pytest.raises(KeyboardInterrupt):
        verify(copy, tables=names, on_progress=stop_at_detectors)
    seen: set[str] = set()
    result = verify(copy, tables=names, resume=True, on_progress=lambda table, read: seen.add(table))
    assert result.passed
    assert seen == {"detectors"}
    assert [table.table for table in result.tables] == names
    assert "investigation_states: taken over from the run that was interrupted" in result.notes
    assert verify(copy, tables=["detectors"], resume=True).notes == ()  # the last run was not interrupted


def _interrupted(copy: Settings, **arguments: Any) -> None:
    def stop_at_detectors(table: str, read: int) -> None:
        if table == "detectors":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify(copy, tables=["investigation_states", "detectors"], on_progress=stop_at_detectors, **arguments)


@pytest.mark.parametrize(
    ("weaker", "named"), [({"checks": {Check.COUNTS}}, "checks"), ({"sample": 20, "seed": 9}, "sample, seed")]
)
def test_a_weaker_run_is_not_taken_over(copy: Settings, weaker: dict[str, Any], named: str) -> None:
    _interrupted(copy, **weaker)
    result = verify(copy, tables=["investigation_states", "detectors"], resume=True)
    assert f"had other {named}: all tables are verified anew" in result.notes[0]
    assert {check.check for table in result.tables for check in table.checks} == ALL_CHECKS


def test_a_run_that_is_still_going_on_is_left_alone(copy: Settings, database: Database[Any]) -> None:
    _interrupted(copy)
    run = state.last_run(database) or {}
    assert run["state"] == "interrupted"
    elsewhere = {"state": "started", "host": "elsewhere", "process": 1}
    database[state.RUNS].update_one({"_id": run["_id"]}, {"$set": elsewhere})
    assert "is still going on (elsewhere, process 1)" in verify(copy, tables=["detectors"], resume=True).notes[0]
    _interrupted(copy)
    run = state.last_run(database) or {}
    silent = utc_now() - timedelta(seconds=state.SILENT_SECONDS + 1)
    database[state.RUNS].update_one({"_id": run["_id"]}, {"$set": {**elsewhere, "alive_at": silent}})
    assert "taken over" in verify(copy, tables=["investigation_states"], resume=True).notes[0]


def test_a_reference_that_leads_nowhere_is_counted(copy: Settings, database: Database[Any]) -> None:
    """Dangling values of the source are expected, as often as there; beyond that, and short of it, they show."""
    with connections.open_source(copy, autocommit=True) as source:
        source.execute(
            "INSERT INTO soar_playbook_executions SELECT 'dangling', playbook_id, investigation_id,"
            " '00000000-0000-0000-0000-000000000001', tenant_id, trigger_reason, status, started_at, completed_at,"
            " actions_executed, error_message FROM soar_playbook_executions LIMIT 1"
        )
        try:
            found = verify(copy, tables=["soar_playbook_executions"], checks={Check.REFERENCES})
        finally:
            source.execute("DELETE FROM soar_playbook_executions WHERE id = 'dangling'")
    (cluster,) = found.clusters
    assert cluster.cause == "values of anomaly_id should lead to no document, as in the source"
    with corrupted(database, "composio_action_audits", lambda d: {**d, "connection_id": "nowhere"}) as before:
        found = verify(copy, tables=["composio_action_audits"], checks={Check.REFERENCES})
    causes = {cluster.cause: cluster.count for cluster in found.clusters}
    assert causes["values of connection_id lead to no document of composio_connections"] == len(before)


def test_swapped_json_columns_show_in_the_aggregates_alone(copy: Settings, database: Database[Any]) -> None:
    def swap(document: dict[str, Any]) -> dict[str, Any]:
        return {**document, "changes": document["state_snapshot"], "state_snapshot": document["changes"]}

    with corrupted(database, "audit_log", swap):
        found = verify(copy, tables=["investigation_audit_log"], checks={Check.AGGREGATES})
    assert {"aggregates differ: keys of changes_json", "aggregates differ: keys of state_snapshot_json"} <= {
        cluster.cause for cluster in found.clusters
    }


def test_odd_but_good_values_raise_no_alarm(small_settings: Settings) -> None:
    """White space around empty JSON, numbers beyond 34 digits, infinities, JSON with odd numbers, tags of all forms."""
    wide = "9" * 40
    with connections.open_source(small_settings, autocommit=True) as source:
        source.execute(
            "UPDATE investigation_states SET settings_json = E' \\n\\t', progress_json = E'\\n null \\r\\n'"
            " WHERE investigation_id IN (SELECT investigation_id FROM investigation_states LIMIT 3)"
        )
        source.execute(
            "UPDATE investigation_states SET settings_json = %s, progress_json = %s WHERE investigation_id IN"
            " (SELECT investigation_id FROM investigation_states ORDER BY 1 DESC LIMIT 3)",
            [
                f'{{"a": 1.0, "b": 1, "c": {wide}, "d": {"1" * 5000}, "e": 1e400, "f": -0.0, "nul": "\\u0000"}}',
                '{"risk_score": 1, "progress_percentage": 40, "transaction_scores": {"t": 0}}',
            ],
        )
        source.execute(f"UPDATE anomaly_events SET observed = {wide}, expected = {wide}.50")
        source.execute(
            "UPDATE anomaly_events SET observed = 'Infinity', expected = '1e7000' WHERE id IN"
            " (SELECT id FROM anomaly_events LIMIT 5)"
        )
        source.execute("UPDATE investigation_templates SET tags = E'a,\\n, b ,'")
    names = ["investigation_states", "investigation_templates", "detectors", "detection_runs", "anomaly_events"]
    migrate(small_settings, tables=names)
    result = verify(small_settings, tables=names)
    assert result.passed, result.text()
    quarantined = {table.table: table.quarantined for table in result.tables}
    assert quarantined["anomaly_events"] == quarantined["investigation_templates"] == 0


def test_a_sample_gives_a_bound(copy: Settings, database: Database[Any]) -> None:
    result = verify(copy, sample=300, seed=7)
    assert result.passed, result.text()
    assert result.sample is not None
    assert 200 <= result.sample.sampled <= 320
    assert result.sample.population == result.rows > 1_000
    assert 0 < result.sample.upper_bound <= 3 / result.sample.sampled
    with corrupted(database, "audit_log", lambda d: {**d, "to_version": 99}):
        wrong = verify(copy, sample=300, seed=7)
    assert wrong.sample is not None
    assert wrong.sample.wrong == table_of(wrong, "investigation_audit_log").clusters[0].count > 20
    assert wrong.sample.upper_bound > wrong.sample.wrong / wrong.sample.sampled
    with corrupted(database, "detectors", lambda d: None, where={"name": {"$exists": True}}):
        assert not verify(copy, tables=["detectors"], sample=10, checks={Check.COUNTS}).passed


def test_workers_find_the_same_as_one_process(copy: Settings, database: Database[Any]) -> None:
    names = ["investigation_audit_log", "detectors"]
    several = copy.model_copy(update={"workers": 2, "batch_rows": 50})
    with corrupted(database, "audit_log", lambda d: {**d, "from_version": 7}, where={"from_version": 3}) as before:
        alone = verify(copy, tables=names, checks={Check.COUNTS})
        together = verify(several, tables=names, checks={Check.COUNTS})
    assert together.clusters == alone.clusters
    assert together.clusters[0].count == len(before) > 0
    for one, other in zip(together.tables, alone.tables, strict=True):
        assert one.source_fingerprint == other.source_fingerprint
        assert one.target_fingerprint == other.target_fingerprint
        assert one.wrong_buckets == other.wrong_buckets


def test_an_unknown_table_is_refused(copy: Settings) -> None:
    with pytest.raises(ConfigurationError, match="Unknown table detector"):
        verify(copy, tables=["detector"])


def test_the_ceiling_is_the_rate_of_reading(copy: Settings) -> None:
    ceiling = read_ceiling(copy, "transaction_scores")
    assert ceiling.rows == 260
    assert 0 < ceiling.both < min(ceiling.source_rate, ceiling.target_rate)


def test_gates_show_evidence_sample_and_waivers(copy: Settings, database: Database[Any]) -> None:
    setup = check_setup(copy, write=False)
    good = judge(verify(copy), database, setup=setup, reports_dir=copy.reports_dir)
    assert good.signed_off, good.text()
    assert [gate.name for gate in good.gates] == list(GATES)
    assert {gate.name for gate in good.gates if gate.status == "warned"} == {"performance"}
    assert "SIGN-OFF: no gate failed; performance warned" in good.text()
    evidence = {gate.name: gate.evidence for gate in good.gates}
    assert evidence["setup"].endswith("writes were not tried")
    assert "times the" in evidence["performance"]
    with corrupted(database, "detectors", lambda d: {**d, "enabled": not d["enabled"]}) as before:
        wrong = verify(copy, tables=["detectors"])
        closed = judge(wrong, database, setup=setup)
        found = {gate.name: gate.evidence for gate in closed.gates if gate.status == "failed"}
        signed = [Waiver(name, "R. Chen", "2026-11-24", "known", finding) for name, finding in found.items()]
        waived = judge(wrong, database, setup=setup, waivers=signed)
        with corrupted(database, "detectors", lambda d: {**d, "type": "x"}, where={"_id": before[0]["_id"]}):
            more = judge(verify(copy, tables=["detectors"]), database, setup=setup, waivers=signed)
    assert set(found) == {"lossless mapping", "parity"}
    assert "NO SIGN-OFF: lossless mapping, parity" in closed.text()
    assert waived.passed
    assert not waived.signed_off
    assert "WAIVED by R. Chen on 2026-11-24: known" in waived.text()
    assert not more.passed  # one more mismatch than was waived
    assert "what R. Chen waived on 2026-11-24 was: " in more.text()
    with pytest.raises(ConfigurationError, match="no gate 'speed' to waive"):
        judge(wrong, database, waivers=[Waiver("speed", "a", "b", "c", "d")])


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"tables": ["detectors"]}, "1 of 10 tables were checked"),
        ({"checks": {Check.STRUCTURE, Check.LEDGER}}, "without the checks counts, fields, aggregates, references"),
        ({"sample": 100}, "without the checks aggregates, references; only a sample was compared"),
        ({"tables": []}, "0 of 10 tables were checked"),
    ],
)
def test_a_part_is_no_sign_off(copy: Settings, database: Database[Any], arguments: dict[str, Any], why: str) -> None:
    judged = judge(verify(copy, **arguments), database, setup=check_setup(copy, write=False))
    assert judged.passed
    assert not judged.signed_off
    assert judged.text().endswith(f"PARTIAL, NOT A SIGN-OFF: {why}")
    if "sample" in arguments:
        bounds = {gate.name: gate.bound for gate in judged.gates}
        assert 0 < bounds["lossless mapping"] < 0.05


def test_no_sign_off_without_setup_checks_or_a_ledger(copy: Settings, database: Database[Any]) -> None:
    result = verify(copy)
    assert judge(result, database).text().endswith("PARTIAL, NOT A SIGN-OFF: the setup was not checked")
    query = {"table": "detectors"}
    ledger = list(database[LEDGER].find(query))
    database[LEDGER].delete_many(query)
    try:
        judged = judge(verify(copy), database, setup=check_setup(copy, write=False))
    finally:
        database[LEDGER].insert_many(ledger)
    assert {gate.name: gate.evidence for gate in judged.gates if gate.status == "failed"} == {
        "ledger": "no ledger of detectors"
    }


def test_the_command_ends_with_the_exit_code_of_the_gates(
    copy: Settings,
    database: Database[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(*arguments: str) -> int:
        shown = CliRunner().invoke(app, arguments)
        output.append(shown.output)
        return shown.exit_code

    output: list[str] = []
    monkeypatch.chdir(tmp_path)
    for name in ("database_url", "mongodb_uri", "mongodb_database", "workers"):
        value = getattr(copy, name)
        text = value.get_secret_value() if hasattr(value, "get_secret_value") else str(value)
        monkeypatch.setenv(environment_names(name)[0], text)
    assert run("verify", "--tables", "detectors", "--json", "result.json") == 0
    report = json.loads(Path("result.json").read_text())
    assert report["gates"][0]["name"] == "setup"
    assert report["signed_off"] is False
    assert "PARTIAL, NOT A SIGN-OFF: 1 of 10 tables" in output[-1]
    assert run("verify", "--waive", "parity", "--who", "R. Chen", "--reason", "nothing is wrong") == 2
    assert run("verify", "--since-run", "last") == 1  # it was clean, so nothing was checked
    assert "nothing was checked" in output[-1]
    with corrupted(database, "detectors", lambda d: {**d, "enabled": not d["enabled"]}):
        assert run("verify", "--tables", "detectors") == 1
        assert "NO SIGN-OFF: lossless mapping, parity" in output[-1]
        for gate in ("parity", "lossless mapping"):
            assert run("verify", "--waive", gate, "--who", "R. Chen", "--reason", "a trial") == 0
        assert run("verify", "--tables", "detectors") == 0
        assert "WAIVED by R. Chen" in output[-1]
        with corrupted(database, "detectors", lambda d: {**d, "type": "x"}):
            assert run("verify", "--tables", "detectors") == 1
    assert run("verify", "--tables", "detector") == 2
    assert run("verify", "--waive", "speed", "--who", "me", "--reason", "why") == 2
    assert run("check", "--no-write", "--json", "check.json") == 0
    assert json.loads(Path("check.json").read_text())["passed"]


def test_a_retention_that_waits_for_the_proof_is_a_note_and_no_finding(copy: Settings) -> None:
    keep = copy.model_copy(update={"retention_days": 400})
    (table,) = verify(keep, tables=["investigation_audit_log"], checks={Check.STRUCTURE}).tables
    (structure,) = table.checks
    assert structure.status == "passed"
    assert "the retention of 400 days is not set, as it must not be before the proof" in structure.note
    options = next(one for one in check_setup(keep, write=False).checks if one.name == "collections and options")
    assert options.status == "passed"
    assert "no retention yet on audit_log, detection_runs" in options.evidence


def test_the_rate_of_the_load_is_that_of_the_run_that_wrote_most(copy: Settings, database: Database[Any]) -> None:
    before = load_rate(database)
    assert before > 0
    part = {"started_at": datetime(2100, 1, 1, tzinfo=UTC), "state": "done", "load_seconds": 1.0}
    database["migration_runs"].insert_one({"_id": "later", **part})
    database["migration_ledger"].insert_one(
        {"_id": "x/0", "table": "x", "run_id": "later", "counts": {"read": 40, "already_there": 40}}
    )
    try:
        assert load_rate(database) == before
    finally:
        database["migration_runs"].delete_one({"_id": "later"})
        database["migration_ledger"].delete_one({"_id": "x/0"})
