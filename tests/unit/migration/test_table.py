"""A table as data: registries agree, reasons are named, secrets are masked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from workbench.migration.build import Rejected, build_batch
from workbench.migration.load import _range as time_range
from workbench.migration.partition import Partition
from workbench.migration.quarantine import raw_row
from workbench.migration.tables import TABLES
from workbench.migration.tables.columns import INFINITY, RowProblem
from workbench.models import COLLECTIONS
from workbench.models.fields import derive_id
from workbench.models.spec import Kind
from workbench.sample.ddl import COLUMNS, KEYS

NOW = 753_315_200_000_000  # 2023-11-14 22:13:20
SCORE: dict[str, Any] = {"investigation_id": "i", "transaction_id": "t", "risk_score": 0.5, "created_at": NOW}
CONNECTION: dict[str, Any] = {
    "id": "c", "tenant_id": "bank", "toolkit_name": "slack", "connection_id": "x", "status": "active",
    "encrypted_access_token": "planted-secret", "refresh_token": None, "expires_at": INFINITY, "created_at": NOW,
    "updated_at": NOW, "last_used_at": None,
}  # fmt: skip


def row(table: str, values: dict[str, Any], broken: str | None = None) -> tuple[Any, ...]:
    tenant = () if TABLES[table].has_tenant else ("default",)
    return (*values.values(), *tenant, broken)


def problem_of(table: str, values: dict[str, Any], broken: str | None = None) -> RowProblem:
    documents, rejected = build_batch(TABLES[table], [row(table, values, broken)], None)
    assert not documents
    return rejected[0].problem


def test_specs_agree_with_the_source_s_schema() -> None:
    assert list(TABLES) == [spec.source_table for spec in COLLECTIONS.values()]
    for name, table in TABLES.items():
        assert [column.name for column in table.columns] == list(COLUMNS[name])
        assert table.key == KEYS[name]
        assert bool(table.time_column) == (table.collection.kind is Kind.TIME_SERIES)
        natural = [column.path for key in table.key for column in table.columns if column.name == key]
        assert tuple(natural) == table.collection.natural_key


def test_a_row_becomes_a_document_with_its_provenance() -> None:
    (document,), rejected = build_batch(TABLES["transaction_scores"], [row("transaction_scores", SCORE)], None)
    assert not rejected
    assert document.id == derive_id("transaction_scores", "i", "t")
    fields = TABLES["transaction_scores"].build(row("transaction_scores", {**SCORE, "created_at": NOW + 7}))
    assert fields["provenance"] == {"table": "transaction_scores", "micros": {"created_at": 7}}
    assert fields["tenant_id"] == "default"


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"risk_score": 1.5}, "risk_score", "out_of_range"),
        ({"risk_score": float("nan")}, "risk_score", "not_finite"),
        ({"risk_score": None}, "risk_score", "null_not_allowed"),
        ({"created_at": INFINITY}, "created_at", "not_storable"),
        ({"transaction_id": ""}, "transaction_id", "empty"),
        ({"transaction_id": "x" * 256}, "transaction_id", "too_long"),
    ],
)
def test_reasons(change: dict[str, Any], field: str, reason: str) -> None:
    problem = problem_of("transaction_scores", {**SCORE, **change})
    assert (problem.field, problem.reason) == (field, reason)
    assert problem.message


def test_a_broken_rule_across_rows_is_named_unless_it_is_accepted() -> None:
    broken = "orphan investigation_id"
    problem = problem_of("transaction_scores", SCORE, broken)
    assert (problem.field, problem.reason) == ("investigation_id", "orphan")
    rules = frozenset({"accept-orphan"})
    documents, _ = build_batch(TABLES["transaction_scores"], [row("transaction_scores", SCORE, broken)], None, rules)
    assert len(documents) == 1


def test_good_rows_of_a_batch_land_beside_bad_ones() -> None:
    rows = [row("transaction_scores", {**SCORE, "transaction_id": str(n), "risk_score": n / 4}) for n in range(8)]
    documents, rejected = build_batch(TABLES["transaction_scores"], rows, None)
    assert (len(documents), len(rejected)) == (5, 3)
    assert {id(item.row) for item in documents}.isdisjoint(id(item.row) for item in rejected)


def test_secrets_reach_neither_problem_nor_raw_row() -> None:
    connection = row("composio_connections", {**CONNECTION, "status": "archived"})
    _, (rejected,) = build_batch(TABLES["composio_connections"], [connection], None)
    shown = raw_row(TABLES["composio_connections"], rejected.row)
    assert "planted-secret" not in str(rejected.problem) + str(shown)
    assert shown["encrypted_access_token"] == "(secret)"
    assert shown["refresh_token"] is None, "that there is none is no secret"
    assert shown["expires_at"] == "infinity"
    assert shown["created_at"] == "2023-11-14T22:13:20+00:00"


def test_raw_rows_are_cut_with_their_length_and_readable() -> None:
    table = TABLES["composio_action_audits"]
    values = ["x" * 30_000 if column.name == "result" else "\ud800" for column in table.columns]
    shown = raw_row(
        table, [12 if column.kind == "instant" else value for column, value in zip(table.columns, values, strict=True)]
    )
    assert shown["result"] is not None
    assert shown["result"].endswith("... (30,000 characters)")
    assert shown["action_id"] == "\\ud800"
    beyond = raw_row(TABLES["transaction_scores"], ["i", "t", 0.1, 10**18])
    assert beyond["created_at"] == "1000000000000000000 microseconds since 2000"


def test_row_keys_are_in_the_order_of_the_key() -> None:
    assert TABLES["transaction_scores"].row_key(["inv", "txn", 1, 2, None]) == ("inv", "txn")
    identity = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
    assert TABLES["detectors"].row_key([identity] + [None] * 10) == (str(identity),)


def test_the_range_of_a_time_series_is_its_partition_s_and_only_what_was_migrated() -> None:
    table = TABLES["detection_runs"]
    query = time_range(table, Partition("detection_runs", 1, ("2026-01-01 00:00:00+00",), ("2026-02-01 00:00:00+00",)))
    assert query == {
        "provenance.table": "detection_runs",
        "started_at": {"$gte": datetime(2026, 1, 1, tzinfo=UTC), "$lt": datetime(2026, 2, 1, tzinfo=UTC)},
    }
    assert time_range(table, Partition("detection_runs", 0, None, None)) == {"provenance.table": "detection_runs"}
    audit = TABLES["investigation_audit_log"]
    first = time_range(audit, Partition(audit.name, 0, None, ("2026-01-01 00:00:00",)))
    assert first["timestamp"] == {"$lt": datetime(2026, 1, 1, tzinfo=UTC)}, "a time without a zone is UTC"
    first, last = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
    bc, beyond = ("0044-03-15 00:00:00 BC",), ("12000-01-01 00:00:00",)
    assert time_range(audit, Partition(audit.name, 0, bc, beyond))["timestamp"] == {"$gte": first}, "every document"
    assert time_range(audit, Partition(audit.name, 0, beyond, ("13000-01-01 00:00:00",)))["timestamp"] == {"$gt": last}
    assert time_range(audit, Partition(audit.name, 0, None, bc))["timestamp"] == {"$lt": first}, "none"


def test_actions_with_impossible_dates_are_refused_not_a_crash() -> None:
    table = TABLES["soar_playbook_executions"]
    for date in ("yesterday", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "10000-01-01"):
        values = ("e", "p", None, None, "bank", None, "running", NOW, None, f'[{{"started_at": "{date}"}}]', None, None)
        _, rejected = build_batch(table, [values], None)
        assert isinstance(rejected[0], Rejected)
        assert rejected[0].problem.reason == "bad_date"
        assert rejected[0].problem.field == "actions_executed.0.started_at"
