"""What counts as found: the table, the key and the field, and no row beside them."""

from __future__ import annotations

from typing import Any

import pytest

from workbench.verification.findings import Check, Findings
from workbench.verification.planting import Position, Sought, _names, _places

SOUGHT = Sought(None, frozenset({"k1"}), frozenset({"retry_count"}), "retry_count", frozenset({"k1"}))


@pytest.mark.parametrize(
    ("finding", "lacking"),
    [
        ({}, ""),
        ({"field": "document shape", "cause": "rows differ in document shape: retry_count: BSON type double"}, ""),
        ({"field": "document shape", "cause": "rows differ in document shape: another: BSON type"}, "no finding names"),
        ({"field": "other"}, "no finding names retry_count of k1"),
        ({"key": "k2"}, "no finding names retry_count of k1"),
        ({"key": ""}, "no finding names retry_count of k1"),
        ({"table": "detectors"}, "no finding names retry_count of k1"),
    ],
)
def test_only_a_finding_at_the_place_counts(finding: dict[str, Any], lacking: str) -> None:
    found = {"table": "t", "cause": "c", "key": "k1", "field": "retry_count", **finding}
    findings = Findings(found.pop("table"))
    findings.add(Check.FIELDS, found.pop("cause"), **found)
    assert SOUGHT.lacks("t", findings.clusters()).startswith(lacking)
    assert bool(SOUGHT.lacks("t", findings.clusters())) is bool(lacking)


def test_a_row_that_is_right_must_not_be_named() -> None:
    findings = Findings("t")
    findings.add(Check.FIELDS, "c", key="k1", field="retry_count")
    findings.add(Check.FIELDS, "c", key="k2", field="retry_count")
    assert SOUGHT.lacks("t", findings.clusters()) == "rows that are right were named: k2"


def test_a_collection_as_a_whole_is_found_by_its_check_and_words() -> None:
    findings = Findings("t")
    findings.add(Check.STRUCTURE, "missing: create index x")
    assert not Sought(Check.STRUCTURE, words="create index").lacks("t", findings.clusters())
    assert Sought(Check.STRUCTURE, words="validator").lacks("t", findings.clusters())
    assert Sought(Check.LEDGER, words="create index").lacks("t", findings.clusters())


@pytest.mark.parametrize(
    ("collection", "path", "names"),
    [
        ("templates", "template.steps.1.order", {"template_json"}),
        ("investigations", "results.risk_score", {"progress_json"}),
        ("transaction_scores", "provenance.micros.created_at", {"created_at"}),
        ("soar_playbook_executions", "provenance.micros.actions_executed/0/started_at", {"actions_executed"}),
        ("anomaly_events", "embedding", {"embedding"}),
    ],
)
def test_a_path_is_found_under_the_name_of_its_column(collection: str, path: str, names: set[str]) -> None:
    assert _names(collection, path) == names


def test_a_partition_edge_is_never_replaced_by_another_place() -> None:
    assert list(_places(Position.PARTITION_EDGE, 100, [15, 14])) == [15, 14]
    assert _places(Position.LAST, 100, [])[0] == 99
    assert _places(Position.MIDDLE, 100, [])[0] == 50
