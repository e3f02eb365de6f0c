"""Advice follows from what a plan looked at, whatever shape the server gives it."""

from __future__ import annotations

from typing import Any

import pytest

from workbench.benchmark.explain import _matched, _source_advice, _target_advice, suggested_index

CONDITIONS = {"tenant_id": "t", "created_at": {"$gte": 1}, "status": "new"}
SORT = (("score", -1), ("_id", -1))


def advice(
    stages: tuple[str, ...], *, pattern: dict[str, int] | None = None, examined: int, matched: int | None
) -> list[str]:
    return list(_target_advice(stages, [pattern] if pattern else [], CONDITIONS, SORT, examined, matched))


def test_an_index_has_equality_then_sort_then_range() -> None:
    expected = (("tenant_id", 1), ("status", 1), ("score", -1), ("_id", -1), ("created_at", 1))
    assert suggested_index(CONDITIONS, SORT) == expected
    assert suggested_index({"a": {"$in": [1]}, "b": {"$gt": 1, "$lt": 2}}) == (("a", 1), ("b", 1))


def test_a_collection_scan_is_answered_by_the_index_to_create() -> None:
    (text,) = advice(("SORT", "COLLSCAN"), examined=5_000, matched=10)
    assert text == (
        "scans the collection (5,000 documents): create an index on "
        "(tenant_id 1, status 1, score -1, _id -1, created_at 1)"
    )


def test_a_sort_in_memory_is_told_from_one_that_an_index_could_save() -> None:
    found = advice(("SORT", "FETCH", "IXSCAN"), pattern={"tenant_id": 1, "status": 1}, examined=500, matched=100)
    assert found[0].startswith("sorts 500 documents in memory")
    pattern = {"tenant_id": 1, "status": 1, "score": -1, "_id": -1}
    (told,) = advice(("SORT", "FETCH", "IXSCAN"), pattern=pattern, examined=500, matched=10)
    assert told == "the index has this order, but the server sorts 500 documents all the same"


@pytest.mark.parametrize("matched", [0, 3, 150])
def test_many_documents_for_few_are_wasteful_however_few(matched: int) -> None:
    (text,) = advice(("LIMIT", "FETCH", "IXSCAN"), pattern={"tenant_id": 1}, examined=2_000, matched=matched)
    assert text.startswith(f"examines 2,000 documents, of which {matched} match: create an index on")


def test_an_index_that_is_there_is_not_advised() -> None:
    pattern = {"tenant_id": 1, "status": 1, "score": -1, "_id": -1, "created_at": 1}
    assert advice(("LIMIT", "FETCH", "IXSCAN"), pattern=pattern, examined=2_000, matched=1) == []


def test_what_matches_is_counted_before_it_is_grouped() -> None:
    fetch = {"stage": "FETCH", "nReturned": 900, "inputStage": {"stage": "IXSCAN", "nReturned": 950}}
    stats = {"nReturned": 1, "executionStages": {"stage": "GROUP", "nReturned": 1, "inputStage": fetch}}
    assert list(_matched({"executionStats": stats})) == [900]
    shards = {
        "executionStats": {"executionStages": {"stage": "SHARD_MERGE", "shards": [{"executionStages": fetch}] * 2}}
    }
    assert list(_matched(shards)) == [900, 900]
    assert list(
        _matched({"stages": [{"$cursor": {"executionStats": {"executionStages": fetch}}}, {"$group": {}}]})
    ) == [900]
    assert advice(("FETCH", "IXSCAN"), pattern={"tenant_id": 1}, examined=2_000, matched=None) == []


@pytest.mark.parametrize(("stages", "examined"), [(("COLLSCAN",), 99), (("FETCH", "IXSCAN"), 90)])
def test_few_documents_are_worth_no_advice(stages: tuple[str, ...], examined: int) -> None:
    assert advice(stages, examined=examined, matched=1) == []


@pytest.mark.parametrize(
    ("node", "start"),
    [
        (
            {"Node Type": "Seq Scan", "Relation Name": "t", "Filter": "(a = 1)", "Rows Removed by Filter": 900},
            "scans t, removes 900 rows by (a = 1) and keeps 1: an index may help",
        ),
        (
            {"Node Type": "Index Scan", "Filter": "(b = 1)", "Rows Removed by Filter": 900, "Actual Rows": 0},
            "Index Scan removes 900 rows by (b = 1)",
        ),
        (
            {"Node Type": "Index Scan", "Filter": "(b = 1)", "Rows Removed by Filter": 9_000, "Actual Rows": 200},
            "Index Scan removes 9,000 rows by (b = 1)",
        ),
        ({"Node Type": "Sort", "Sort Space Type": "Disk", "Sort Space Used": 4_096}, "sorts on disk (4,096 kB)"),
    ],
)
def test_postgresql_plans_give_advice(node: dict[str, Any], start: str) -> None:
    (text,) = _source_advice({"Actual Rows": 1, "Actual Loops": 1, **node})
    assert text.startswith(start)


def test_a_good_postgresql_plan_gives_none() -> None:
    node = {"Node Type": "Index Scan", "Index Name": "i", "Actual Rows": 10, "Actual Loops": 1}
    assert list(_source_advice(node)) == []
