"""Rows leave the quarantine: mended, accepted by a rule, gone, or waived; and nothing is counted twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.integration.test_migration import BAD, execute, run, target
from tests.rows import differences
from workbench import faults
from workbench.cli.quarantine import quarantine_app
from workbench.errors import ConfigurationError, MigrationError
from workbench.migration import extract, fence, frames
from workbench.migration.content import Content, content
from workbench.migration.drill import environment
from workbench.migration.ledger import Counts, Ledger
from workbench.migration.quarantine import GONE, LOADED, OPEN, WAIVED, Quarantine
from workbench.migration.replay import replay, waive
from workbench.migration.tables import TABLES
from workbench.migration.tables.columns import ESCAPE_KEYS, KEEP_UNREADABLE_JSON
from workbench.models.fields import derive_id
from workbench.settings import Settings

FEW = ("investigation_states", "investigation_audit_log", "transaction_scores")
SPOIL = """
    UPDATE investigation_states SET settings_json = '{"a.b": 1, "c": {"$d": 1e400}}' WHERE investigation_id IN
        (SELECT investigation_id FROM investigation_states ORDER BY investigation_id LIMIT 3);
    INSERT INTO transaction_scores SELECT 'inv-missing', transaction_id, risk_score, created_at
        FROM transaction_scores LIMIT 4;
"""
MEND = "UPDATE investigation_audit_log SET changes_json = '{}' WHERE changes_json = '{'"


@pytest.fixture
def spoiled(small_settings: Settings) -> Settings:
    """A migrated small source with bad rows in a standard collection, a time series and a table of references."""
    execute(small_settings, SPOIL)
    run(small_settings, tables=FEW)
    return small_settings


def require_balance(settings: Settings) -> None:
    """The equation in each partition, and entries that the ledger's sums agree with."""
    with target(settings) as database:
        open_rows = Quarantine(database)
        for name in FEW:
            counts = [Counts.of(item["counts"]) for item in Ledger(database).partitions.find({"table": name})]
            assert all(item.balanced for item in counts)
            total = sum(counts, Counts())
            entries = open_rows.collection.count_documents({"table": name, "state": {"$in": [OPEN, WAIVED]}})
            assert total.quarantined == entries
            documents = database[TABLES[name].collection.name].count_documents({})
            assert total.written + total.already_there == documents


def states(settings: Settings) -> dict[str, int]:
    with target(settings) as database:
        entries = Quarantine(database).entries(state=None)
    return {state: sum(entry["state"] == state for entry in entries) for state in {e["state"] for e in entries}}


def contents(settings: Settings) -> dict[str, Content]:
    with target(settings) as database:
        return content(database)


def test_mended_rows_are_loaded_as_if_they_had_never_been_bad(spoiled: Settings) -> None:
    execute(spoiled, MEND)
    said: list[tuple[str, int, int]] = []
    result = replay(spoiled, tables=["investigation_audit_log"], on_progress=lambda *step: said.append(step))
    assert (result.loaded, result.still_open) == (BAD, 0)
    assert said == [("investigation_audit_log", BAD, BAD)]
    assert states(spoiled) == {LOADED: BAD, OPEN: 7}
    require_balance(spoiled)
    after = contents(spoiled)
    assert replay(spoiled, tables=["investigation_audit_log"]).tables == ()
    assert run(spoiled, tables=FEW).complete
    assert contents(spoiled) == after
    require_balance(spoiled)
    fresh = spoiled.model_copy(update={"mongodb_database": f"{spoiled.mongodb_database}_fresh"})
    run(fresh, tables=FEW)
    assert contents(fresh) == after
    with target(fresh) as database:
        database.client.drop_database(database.name)


def test_a_rule_accepts_rows_now_and_in_later_migrations_without_loss(spoiled: Settings) -> None:
    result = replay(spoiled, accept=[ESCAPE_KEYS, KEEP_UNREADABLE_JSON, "accept-orphan"])
    assert (result.loaded, result.still_open) == (7 + BAD, 0)
    assert result.as_dict()["tables"][0] == {
        "table": "investigation_states", "examined": 3, "loaded": 3, "gone": 0, "still_open": 0,
    }  # fmt: skip
    require_balance(spoiled)
    with target(spoiled) as database, extract.open_snapshot(spoiled, None) as source:
        entries = Quarantine(database).entries(state=LOADED)
        assert len(entries) == 7 + BAD
        for entry in entries:
            table = TABLES[entry["table"]]
            (row,) = extract.select_by_key(source, table, [tuple(entry["key"])], spoiled)
            document = database[table.collection.name].find_one({"_id": entry["_id"]})
            assert document is not None
            assert differences(table, table.restore(document), tuple(row[: len(table.columns)])) == {}
    again = run(spoiled, tables=FEW)
    assert (again.counts.written, again.counts.quarantined) == (0, 0)
    execute(spoiled, "UPDATE investigation_states SET version = version + 1")
    assert run(spoiled, tables=FEW).counts.quarantined == 0, "the rules hold when partitions are loaded again"
    require_balance(spoiled)


def test_rows_that_are_still_bad_stay_with_their_new_reason_and_rows_that_are_gone_are_settled(
    spoiled: Settings,
) -> None:
    execute(
        spoiled,
        """
        UPDATE investigation_states SET settings_json = '[1]' WHERE settings_json LIKE '%a.b%';
        DELETE FROM transaction_scores WHERE investigation_id = 'inv-missing';
        """,
    )
    result = replay(spoiled, tables=["investigation_states", "transaction_scores"])
    assert [(table.loaded, table.gone, table.still_open) for table in result.tables] == [(0, 0, 3), (0, 4, 0)]
    assert states(spoiled) == {OPEN: 3 + BAD, GONE: 4}
    with target(spoiled) as database:
        entries = Quarantine(database).entries(tables=["investigation_states"])
        assert {(entry["reason"], entry["row"]["settings_json"]) for entry in entries} == {("dict_type", "[1]")}
        assert all(entry["first_seen"] and entry["partition"] for entry in entries)
    require_balance(spoiled)
    assert run(spoiled, tables=FEW).complete
    require_balance(spoiled)


SCRIPT = """
from workbench.migration.replay import replay
from workbench.settings import load_settings
replay(load_settings(), accept=["escape-keys"])
"""


@pytest.mark.parametrize("point", ["replay.loaded:2", "replay.settled:2", "replay.accounted:3"])
def test_a_killed_replay_is_finished_by_whoever_comes_next(spoiled: Settings, point: str) -> None:
    execute(spoiled, MEND)
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT], env={**environment(spoiled), faults.VARIABLE: point}, check=False, timeout=60
    )
    assert process.returncode == -signal.SIGKILL
    if point == "replay.settled:2":
        run(spoiled, tables=FEW)  # a migration finishes it as well
    replay(spoiled, accept=[ESCAPE_KEYS])
    require_balance(spoiled)
    assert states(spoiled)[OPEN] == 4
    assert all(found.duplicates == 0 for found in contents(spoiled).values())
    with target(spoiled) as database:
        assert database.audit_log.count_documents({"changes": {}}) == BAD
        assert Quarantine(database).collection.count_documents({"pending": {"$exists": True}}) == 0


def test_unknown_rules_and_a_running_migration_are_refused(small_settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match=r"Unknown rule guess.*escape-keys"):
        replay(small_settings, accept=["guess"])
    with pytest.raises(ConfigurationError, match="Unknown table guess"):
        replay(small_settings, tables=["guess"])
    with extract.open_snapshot(small_settings, None) as other:
        fence.claim(other, small_settings, print)
        with pytest.raises(MigrationError, match="Another migration"):
            replay(small_settings)


def test_waived_rows_are_decided_and_still_counted(spoiled: Settings) -> None:
    with target(spoiled) as database:
        ids: list[Any] = [entry["_id"] for entry in Quarantine(database).entries(tables=["transaction_scores"])]
    assert waive(spoiled, [*ids, derive_id("detectors", "none")], "a person") == 4
    assert waive(spoiled, ids, "another person") == 0
    assert states(spoiled) == {OPEN: 3 + BAD, WAIVED: 4}
    require_balance(spoiled)


def test_command_lists_replays_and_waives(spoiled: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(spoiled).items():
        monkeypatch.setenv(name, value)

    def command(*arguments: str) -> tuple[int, str]:
        said = CliRunner().invoke(quarantine_app, arguments, catch_exceptions=False)
        return said.exit_code, said.output

    code, said = command("list")
    assert code == 1
    assert "investigation_audit_log.changes_json" in said
    assert "9 rows are open." in said
    code, said = command("list", "--json", "--reason", "orphan")
    assert code == 1
    assert [json.loads(line)["row"]["investigation_id"] for line in said.splitlines()] == ["inv-missing"] * 4
    code, said = command("replay", "--accept", ESCAPE_KEYS, "--accept", KEEP_UNREADABLE_JSON)
    assert code == 1
    assert "4 examined = 0 loaded + 0 gone + 4 still open" in said
    with pytest.raises(ConfigurationError, match="Nothing says which rows"):
        command("waive", "--by", "a person")
    assert command("waive", "--by", "a person", "--reason", "orphan") == (0, "4 rows are waived.\n")
    assert command("list") == (0, "0 rows are open.\n")
    assert command("replay")[0] == 0
    require_balance(spoiled)


def test_frames_group_what_is_open_and_what_was_decided(spoiled: Settings) -> None:
    with target(spoiled) as database:
        causes = frames.causes(database)
        assert dict(zip(causes.reason, causes.rule, strict=True)) == {
            "orphan": "accept-orphan",
            "key_not_storable": ESCAPE_KEYS,
            "malformed_json": KEEP_UNREADABLE_JSON,
        }
        assert list(causes.rows) == [4, 3, BAD]
        assert list(frames.causes(database, tables=["transaction_scores"], examples=2).examples.str.count(", ")) == [1]
        waive(spoiled, [entry["_id"] for entry in Quarantine(database).entries(reason="orphan")], "a person")
        decided = frames.decisions(database).set_index("table")
        assert decided.loc["transaction_scores"].to_dict() == {"open": 0, "loaded": 0, "waived": 4, "gone": 0}
        rows = frames.raw_rows(database, "investigation_states", limit=2)
        assert len(rows) == 2
        assert "a.b" in rows.row[0]
