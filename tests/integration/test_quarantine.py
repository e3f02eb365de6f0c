"""Dirty data: every planted bad row ends as planted says, with its reason and its raw row, and nothing else does."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from pymongo.database import Database

from tests.conftest import source_database, target_database
from tests.rows import differences
from workbench import connections, sample
from workbench.migration.build import Rejected, build_batch
from workbench.migration.executors import this_process
from workbench.migration.extract import open_snapshot, select_by_key
from workbench.migration.partition import Partition
from workbench.migration.pipeline import migrate
from workbench.migration.quarantine import OPEN, WAIVED, PartitionEntries, Quarantine
from workbench.migration.results import MigrationResult
from workbench.migration.tables import TABLES
from workbench.migration.tables.columns import RowProblem
from workbench.models.fields import derive_id
from workbench.settings import Settings

REASONS = {
    "malformed_json": {"malformed_json"},
    "truncated_json": {"malformed_json"},
    "json_scalar": {"dict_type", "list_type", "model_type"},
    "jsonb_wrong_shape": {"dict_type", "list_type"},
    "json_nan": {"not_finite"},
    "json_infinity": {"not_finite"},
    "json_too_deep": {"nested_too_deep"},
    "json_key_with_dot": {"key_not_storable"},
    "json_key_with_dollar": {"key_not_storable"},
    "json_key_with_nul": {"key_not_storable"},
    "json_duplicate_key": {"duplicate_json_key"},
    "json_lone_surrogate": {"lone_surrogate"},
    "oversize_document": {"oversize"},
    "progress_above_100": {"out_of_range"},
    "json_score_above_1": {"out_of_range"},
    "score_nan": {"not_finite"},
    "score_infinity": {"not_finite"},
    "score_above_1": {"out_of_range"},
    "score_negative": {"out_of_range"},
    "unknown_status": {"not_allowed_value"},
    "unknown_lifecycle_stage": {"not_allowed_value"},
    "unknown_severity": {"not_allowed_value"},
    "unknown_action_type": {"not_allowed_value"},
    "unknown_source": {"not_allowed_value"},
    "version_zero": {"out_of_range"},
    "version_negative": {"out_of_range"},
    "null_required": {"null_not_allowed"},
    "empty_user": {"empty"},
    "empty_tenant": {"empty"},
    "identifier_too_long": {"too_long"},
    "orphaned_audit": {"orphan"},
    "orphaned_score": {"orphan"},
    "orphaned_run": {"orphan"},
    "orphaned_anomaly": {"orphan"},
    "duplicate_name_space": {"duplicate_after_normalisation"},
    "duplicate_name_unicode": {"duplicate_after_normalisation"},
    "negative_retry_count": {"out_of_range"},
    "negative_usage_count": {"out_of_range"},
    "window_ends_before_start": {"ends_before_start"},
    "completed_before_started": {"ends_before_start"},
    "tags_not_text": {"string_type"},
    "required_time_beyond_9999": {"not_storable"},
    "required_time_infinite": {"not_storable"},
}
"""The reason under which each kind of bad row must be found."""


@pytest.fixture(scope="module")
def dirty(servers: Settings) -> Iterator[tuple[Settings, MigrationResult]]:
    """A source with one percent of bad rows, and what the migration made of it."""
    with source_database(servers, template=None) as source, target_database(source) as settings:
        with connections.open_source(settings) as connection:
            sample.create_schema(connection, strict=False)
            sample.fill(connection, dirty=0.01)
        yield settings, migrate(settings, executor=this_process)


@pytest.fixture
def database(dirty: tuple[Settings, MigrationResult]) -> Iterator[Database[Any]]:
    with connections.open_target(dirty[0]) as client:
        yield client[dirty[0].mongodb_database]


def planted(settings: Settings) -> list[tuple[str, tuple[str, ...], str, str, bool]]:
    """Table, key, kind, field, and whether it must be quarantined."""
    with connections.open_source(settings) as connection:
        rows = connection.execute("SELECT table_name, key, kind, field, quarantined FROM workbench_sample.planted")
        return [(table, tuple(json.loads(key)), *rest) for table, key, *rest in rows]


def test_at_least_25_kinds_are_quarantined() -> None:
    assert {kind.name for kind in sample.KINDS.values() if kind.quarantined} == REASONS.keys()
    assert len(REASONS) >= 25


def test_every_planted_row_ends_as_planted(dirty: tuple[Settings, MigrationResult], database: Database[Any]) -> None:
    settings, result = dirty
    assert result.complete
    entries = {entry["_id"]: entry for entry in Quarantine(database).entries()}
    rows = planted(settings)
    assert {kind for _, _, kind, _, _ in rows} == sample.KINDS.keys()
    stored = {
        name: {document["_id"] for document in database[table.collection.name].find({}, {"_id": 1})}
        for name, table in TABLES.items()
    }
    wrong: dict[str, list[Any]] = defaultdict(list)
    for table, key, kind, field, quarantined in rows:
        identity = derive_id(table, *key)
        entry = entries.pop(identity, None)
        if (entry is not None) != quarantined or (identity in stored[table]) == quarantined:
            wrong[f"{kind}: quarantined={quarantined}"].append((table, key, field, entry and entry["reason"]))
        elif entry is not None:
            if entry["reason"] not in REASONS[kind]:
                wrong[kind].append((table, field, entry["field"], entry["reason"], entry["message"]))
            named = {column.name: column.path for column in TABLES[table].columns}
            names = (field, named[field], "results" if field == "progress_json" else field, named[field].split(".")[0])
            if entry["reason"] != "oversize" and not entry["field"].startswith(names):
                wrong[f"{kind}: field"].append((table, field, entry["field"]))
            assert entry["table"] == table
            assert tuple(entry["key"]) == key
            assert entry["row"].keys() == named.keys()
            assert entry["message"]
            assert entry["partition"].startswith(f"{table}/")
            assert result.run_id == entry["run_id"]
    assert dict(wrong) == {}
    assert entries == {}, "nothing else is in the quarantine"
    assert result.counts.quarantined == sum(quarantined for *_, quarantined in rows)


def test_documents_and_entries_are_all_rows(dirty: tuple[Settings, MigrationResult], database: Database[Any]) -> None:
    _, result = dirty
    entries = Quarantine(database).counts()
    for name, table in TABLES.items():
        documents = database[table.collection.name].count_documents({})
        assert documents + entries.get(name, 0) == result.tables[name].source_rows
        assert result.tables[name].counts.quarantined == entries.get(name, 0)


def test_raw_rows_are_the_source_s_and_secrets_are_masked(
    dirty: tuple[Settings, MigrationResult], database: Database[Any]
) -> None:
    settings, _ = dirty
    quarantine = Quarantine(database)
    with connections.open_source(settings) as connection:
        tokens = connection.execute("SELECT encrypted_access_token, refresh_token FROM composio_connections").fetchall()
        stored = [str(entry) for entry in quarantine.entries(tables=["composio_connections"])]
        assert stored
        assert not any(token in text for text in stored for pair in tokens for token in pair if token)
        assert all("(secret)" in text for text in stored)
        entry = quarantine.entries(tables=["investigation_states"], reason="malformed_json")[0]
        row = connection.execute(
            "SELECT settings_json, progress_json, created_at FROM investigation_states WHERE investigation_id = %s",
            [entry["key"][0]],
        ).fetchone()
    assert row is not None
    assert (entry["row"]["settings_json"], entry["row"]["progress_json"]) == row[:2]
    assert entry["row"]["created_at"].startswith(row[2].isoformat())


def test_causes_group_all_open_entries(database: Database[Any]) -> None:
    quarantine = Quarantine(database)
    causes = quarantine.causes()
    assert sum(cause["rows"] for cause in causes) == len(quarantine.entries())
    assert [cause["rows"] for cause in causes] == sorted((cause["rows"] for cause in causes), reverse=True)
    assert all(1 <= len(cause["examples"]) <= 3 and cause["message"] for cause in causes)


def test_a_kept_row_comes_back_from_the_target_as_it_was(
    dirty: tuple[Settings, MigrationResult], database: Database[Any]
) -> None:
    settings, _ = dirty
    kept: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for table, key, _, _, quarantined in planted(settings):
        if not quarantined:
            kept[table].append(key)
    with open_snapshot(settings, None) as source:
        for name, keys in kept.items():
            table = TABLES[name]
            for row in select_by_key(source, table, keys, settings):
                document = database[table.collection.name].find_one({"_id": derive_id(name, *table.row_key(row))})
                assert document is not None
                assert differences(table, table.restore(document), tuple(row[: len(table.columns)])) == {}
                assert len(build_batch(table, [row], None)[0]) == 1
    assert len(kept) >= 4


def test_a_waived_row_stays_waived_until_it_changes(
    dirty: tuple[Settings, MigrationResult], database: Database[Any]
) -> None:
    settings, _ = dirty
    quarantine = Quarantine(database)
    chosen = quarantine.entries(tables=["detectors"])[:2]
    assert quarantine.settle([entry["_id"] for entry in chosen], WAIVED, "a person") == 2
    with connections.open_source(settings) as connection:
        connection.execute("UPDATE detectors SET type = type || '2' WHERE id = %s", [chosen[0]["key"][0]])
    result = migrate(settings, tables=["detectors"], executor=this_process)
    assert result.complete
    states = {entry["_id"]: entry["state"] for entry in quarantine.entries(tables=["detectors"], state=None)}
    assert states[chosen[0]["_id"]] == OPEN, "the row has changed: decide again"
    assert states[chosen[1]["_id"]] == WAIVED
    assert result.counts.quarantined == len(states)


def test_rejected_rows_are_written_in_portions_and_replace_those_of_the_attempt_before(
    empty_settings: Settings,
) -> None:
    table, partition = TABLES["transaction_scores"], Partition("transaction_scores", 0, None, None)

    def rejected(count: int) -> list[Rejected]:
        problem = RowProblem("risk_score", "out_of_range", "above 1")
        return [Rejected(("inv", f"t-{number}", 2.0, 0, None), problem) for number in range(count)]

    with connections.open_target(empty_settings) as client:
        quarantine = Quarantine(client[empty_settings.mongodb_database])
        first = PartitionEntries(quarantine, partition, table, "first")
        first.add(rejected(450))
        assert quarantine.collection.count_documents({}) == 400, "only an incomplete portion is in memory"
        first.close()
        assert quarantine.counts() == {table.name: 450}
        seen = {entry["_id"]: entry["first_seen"] for entry in quarantine.entries()}
        second = PartitionEntries(quarantine, partition, table, "second")
        second.add(rejected(250))
        second.close()
        entries = quarantine.entries()
        assert len(entries) == 250
        assert {entry["run_id"] for entry in entries} == {"second"}
        assert all(entry["first_seen"] == seen[entry["_id"]] for entry in entries)

        class Unaware(SimpleNamespace):
            """A collection in which another worker writes between the look and the write."""

            def find(self, *_: object) -> list[Any]:
                return []

        third = PartitionEntries(quarantine, partition, table, "third")
        third._collection = Unaware(bulk_write=quarantine.collection.bulk_write)  # type: ignore[assignment]
        third.add(rejected(200))
        found = Counter(entry["run_id"] for entry in quarantine.entries())
    assert found == {"third": 200, "second": 50}
