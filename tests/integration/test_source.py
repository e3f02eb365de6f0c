"""What is read from a real PostgreSQL: partitions without gaps, edge values without loss, the budget of loss."""

from __future__ import annotations

import itertools

import pytest
from psycopg import sql

from tests.integration.test_migration import execute, run, target
from tests.rows import differences
from workbench import connections, sample
from workbench.errors import LossError
from workbench.migration import extract
from workbench.migration.loss import loss_budget, scan_each
from workbench.migration.partition import Partition, plan_partitions
from workbench.migration.quarantine import Quarantine
from workbench.migration.tables import TABLES
from workbench.models.fields import derive_id
from workbench.settings import Settings

EDGES = """
    INSERT INTO investigation_states VALUES
        ('é中😀''"\\', 'u', 'CREATED', '', NULL, 'CREATED', 2147483647,
         '0001-01-01', '9999-12-31 23:59:59.999999', 'infinity'),
        ('i2', 'u', 'COMPLETED', ' null ', '{"risk_score": 1, "domain_findings": {"net": {"risk_score": 0.25}},
         "x": [1e400, 12345678901234567890.123456789012345678901234567890, -0.0, {"": null}]}', 'ERROR', 1,
         '1969-12-31 23:59:59.999999', '1970-01-01', '-infinity');
    INSERT INTO investigation_templates VALUES
        ('t1', 'u', 'n1', NULL, 'a, b', '{}', 0, '12026-01-01 00:00:00.000001', now(), now()),
        ('t2', 'u', 'n2', '', '["a","b"]', '{"k": "\\u0000 \\ud83d\\ude00"}', 7, '0044-03-15 BC', now(), now()),
        ('t3', 'u', 'n3', 'd', NULL, '{"deep": [[[[[[]]]]]]}', 0, NULL, now(), now());
    INSERT INTO investigation_audit_log VALUES
        ('e1', 'i2', 'u', 'UPDATED', '[1, "two", null]', '"text"', 'API', NULL, 2, '2026-01-01 00:00:00.999999'),
        ('e2', 'i2', 'u', 'UPDATED', 'null', '', 'API', 0, 1, '1900-01-01');
    INSERT INTO detectors VALUES
        ('00000000-0000-0000-0000-000000000001', 'd', 't', '[]', '["m"]', '{"a": 1.10, "b": 1e-400}', true,
         '2026-03-29 03:30:00.000001+02', now());
    INSERT INTO detection_runs VALUES
        ('00000000-0000-0000-0000-000000000002', '00000000-0000-0000-0000-000000000001', 'success',
         '2026-01-01 00:00:00.123456Z', 'infinity', '0001-01-01', '9999-12-31 23:59:59.999Z', 'null');
    INSERT INTO anomaly_events VALUES
        ('00000000-0000-0000-0000-000000000003', '00000000-0000-0000-0000-000000000002',
         '00000000-0000-0000-0000-000000000001', NULL, '{}', now(), now(), 'm', 'NaN', '-Infinity', 0, 'info', 'new', 0,
         '[1, 2.50]', now()),
        ('00000000-0000-0000-0000-000000000004', '00000000-0000-0000-0000-000000000002',
         '00000000-0000-0000-0000-000000000001', 'i2', '{"c": "x"}', now(), now() + '1 day', 'm',
         12345678901234567890123456789012345678901234567890.000, 0.000, 1e308, 'critical', 'closed', 2147483647,
         NULL, now());
    INSERT INTO transaction_scores VALUES ('i2', 't', 0, '1969-07-20 20:17:40.123457'),
        ('i2', 'u', '-0', now()::timestamp), ('i2', 'v', 1, '9999-12-31 23:59:59.999999'),
        ('i2', 'w', 4.9e-324, '0001-01-01');
    INSERT INTO composio_connections VALUES
        ('c1', 'bank', 'slack', 'x', 'active', 'token', NULL, 'infinity', '2026-01-01', '2026-01-01', '-infinity');
    INSERT INTO composio_action_audits VALUES
        ('a1', 'a', NULL, 't', 'n', 'bank', NULL, '123456789012345678901234567890', 'true', 'failed', now(), 0, '');
    INSERT INTO soar_playbook_executions VALUES
        ('s1', 'p', NULL, '00000000-0000-0000-0000-000000000003', 'bank', NULL, 'running', now(), 'infinity',
         '[{"action_id": "1", "started_at": "2026-01-01T00:00:00+05:30", "completed_at": null, "more": 1e400,
            "result": {"started_at": 1e9999}}]', NULL),
        ('s2', 'p', NULL, NULL, 'bank', '', 'completed', now(), now(), '[]', '');
"""


def test_edge_values_come_back_from_the_real_target(empty_settings: Settings) -> None:
    with connections.open_source(empty_settings) as connection:
        sample.create_schema(connection)
        connection.execute(EDGES.encode())
    result = run(empty_settings)
    assert {name: table.errors for name, table in result.tables.items() if not table.complete} == {}
    with target(empty_settings) as database:
        assert [(entry["key"], entry["message"]) for entry in Quarantine(database).entries()] == []
    compared = 0
    with target(empty_settings) as database, extract.open_snapshot(empty_settings, None) as source:
        for name, table in TABLES.items():
            documents = {document["_id"]: document for document in database[table.collection.name].find()}
            batches = extract.stream(source, table, Partition(name, 0, None, None), empty_settings)
            for row in itertools.chain.from_iterable(batches):
                document = documents[derive_id(name, *table.row_key(row))]
                assert differences(table, table.restore(document), tuple(row[: len(table.columns)])) == {}, name
                compared += 1
    assert compared == result.counts.read == 19


@pytest.mark.parametrize("name", TABLES)
def test_partitions_cover_every_row_once(name: str, settings: Settings) -> None:
    table = TABLES[name]
    with extract.open_snapshot(settings, None) as source:
        rows = extract.count_rows(source, table)
        partitions = plan_partitions(source, table, rows=max(7, rows // 9))
        assert len(partitions) >= 5
        assert [partition.index for partition in partitions] == list(range(len(partitions)))
        assert partitions[0].lower is None
        assert partitions[-1].upper is None
        found = [extract.fingerprint(source, table, partition, settings)[0] for partition in partitions]
        assert sum(found) == rows
        assert max(found) <= 2 * max(7, rows // 9)
        assert partitions == plan_partitions(source, table, rows=max(7, rows // 9)), "the same cut every time"


def test_rows_that_come_later_and_rows_without_a_time_fall_into_a_partition(empty_settings: Settings) -> None:
    table = TABLES["detection_runs"]
    with connections.open_source(empty_settings) as connection:
        sample.create_schema(connection, strict=False)
        connection.execute(
            "INSERT INTO detection_runs (id, started_at) SELECT gen_random_uuid(),"
            " '2026-01-01'::timestamptz + n * '1 hour'::interval FROM generate_series(1, 40) n"
        )
    with extract.open_snapshot(empty_settings, None) as source:
        partitions = plan_partitions(source, table, rows=10)
    execute(
        empty_settings,
        "INSERT INTO detection_runs (id, started_at) SELECT gen_random_uuid(), t::timestamptz FROM"
        " unnest(ARRAY[NULL, '-infinity', 'infinity', '1900-01-01', '2100-01-01', '0044-03-15 BC']) t",
    )
    with extract.open_snapshot(empty_settings, None) as source:
        counts = [extract.fingerprint(source, table, partition, empty_settings)[0] for partition in partitions]
        empty = plan_partitions(source, TABLES["detectors"], rows=10)
    assert sum(counts) == 46
    assert counts[0] == 10 + 4
    assert len(empty) == 1


def test_fingerprints_see_every_change_and_nothing_else(small_settings: Settings) -> None:
    table, whole = TABLES["transaction_scores"], Partition("transaction_scores", 0, None, None)

    def fingerprint() -> tuple[int, str]:
        with extract.open_snapshot(small_settings, None) as source:
            return extract.fingerprint(source, table, whole, small_settings)

    before = fingerprint()
    execute(small_settings, "UPDATE transaction_scores SET risk_score = risk_score")
    assert fingerprint() == before, "the order of rows on disk is not data"
    execute(
        small_settings,
        "UPDATE transaction_scores SET created_at = created_at + '1 us'::interval WHERE risk_score > 0.9",
    )
    changed = fingerprint()
    assert changed[0] == before[0]
    assert changed[1] != before[1]
    execute(
        small_settings,
        "DELETE FROM investigation_states WHERE investigation_id ="
        " (SELECT min(investigation_id) FROM transaction_scores)",
    )
    assert fingerprint()[1] != changed[1], "rows that became orphans are other rows"


def test_rows_by_key(small_settings: Settings) -> None:
    table = TABLES["transaction_scores"]
    with extract.open_snapshot(small_settings, None) as source:
        keys = [
            tuple(key)
            for key in source.execute("SELECT investigation_id, transaction_id FROM transaction_scores LIMIT 3")
        ]
        rows = extract.select_by_key(source, table, [*keys, ("no'body", "x")], small_settings)
    assert sorted(table.row_key(row) for row in rows) == sorted(keys)


def test_the_budget_of_loss_counts_what_bson_cannot_hold(empty_settings: Settings) -> None:
    with connections.open_source(empty_settings) as connection:
        sample.create_schema(connection)
        connection.execute(EDGES.encode())
        connection.execute(
            "INSERT INTO composio_action_audits VALUES"
            " ('bad', 'a', NULL, 't', 'n', 'b', NULL, '{', NULL, 'failed', 'infinity', 0, NULL)"
        )
        budget = {(loss.table, loss.column): loss for loss in loss_budget(connection, empty_settings, TABLES.values())}
    assert len(budget) == sum(len(table.columns) for table in TABLES.values())

    def counts(table: str, column: str) -> tuple[int, int, int]:
        loss = budget[table, column]
        return loss.rows, loss.kept_exact, loss.quarantined

    assert counts("investigation_states", "last_accessed") == (2, 2, 0)
    assert counts("investigation_states", "updated_at") == (2, 1, 0)
    assert counts("anomaly_events", "observed") == (2, 1, 0)
    assert counts("composio_action_audits", "parameters") == (2, 0, 1)
    assert counts("composio_action_audits", "executed_at")[2] == 1
    assert counts("investigation_templates", "last_used") == (3, 2, 0)
    assert counts("transaction_scores", "transaction_id") == (4, 0, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("ADD COLUMN flagged boolean", "no rule says what becomes of the column flagged"),
        ("DROP COLUMN params", "the source lacks the column params"),
    ],
)
def test_a_column_without_a_rule_is_refused(small_settings: Settings, change: str, message: str) -> None:
    with connections.open_source(small_settings) as connection:
        connection.execute(sql.SQL("ALTER TABLE detectors {}").format(sql.SQL(change)))  # type: ignore[arg-type]
        with pytest.raises(LossError, match=message):
            loss_budget(connection, small_settings, [TABLES["detectors"]])
        budget, refused = scan_each(connection, small_settings, [TABLES["detectors"], TABLES["composio_connections"]])
    assert {loss.table for loss in budget} == {"composio_connections"}, "the other table is scanned all the same"
    assert message in refused[0]


def test_a_column_of_another_type_does_not_stop_the_scan_of_the_other_tables(small_settings: Settings) -> None:
    with connections.open_source(small_settings) as connection:
        connection.execute("ALTER TABLE composio_connections ALTER COLUMN expires_at TYPE text")
        budget, refused = scan_each(connection, small_settings, [TABLES["composio_connections"], TABLES["detectors"]])
    assert {loss.table for loss in budget} == {"detectors"}
    assert refused[0].startswith("composio_connections: PostgreSQL: ")
