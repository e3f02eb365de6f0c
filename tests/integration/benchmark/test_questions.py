"""Every question: the same answer on both sides, an index of the spec, the tenant, a plan that explains it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from tests.integration.benchmark.conftest import SEED
from tests.integration.benchmark.traces import named
from workbench import connections
from workbench.benchmark.answers import Difference
from workbench.benchmark.draws import POOL_ROWS, Draws
from workbench.benchmark.explain import compare_plans, explain_target
from workbench.benchmark.runner import Check, check
from workbench.benchmark.scratch import scratch
from workbench.benchmark.sessions import SourceSession, TargetSession, both_sessions
from workbench.benchmark.workloads import WORKLOADS, Kind, Workload, choose
from workbench.benchmark.workloads.base import SCRATCH, Find, Search, Update
from workbench.models import COLLECTIONS
from workbench.settings import Settings, TenancyRule


@pytest.fixture(scope="module")
def prepared(migrated: Settings, draws: Draws) -> Iterator[tuple[SourceSession, TargetSession]]:
    """Sessions on both servers, with the copies of every workload made."""
    with scratch(migrated, WORKLOADS, draws) as left_out, both_sessions(migrated) as sessions:
        assert left_out == {}
        yield sessions


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_both_databases_give_the_same_answers(
    workload: Workload, prepared: tuple[SourceSession, TargetSession], draws: Draws
) -> None:
    found = check(workload, *prepared, draws.stream(workload.name), 6)
    assert found == Check(workload.name, 6, found.rows)
    assert found.rows > 0, "no parameters gave a row, so nothing was compared"


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_every_question_to_mongodb_is_served_by_an_index_of_its_spec(
    workload: Workload, prepared: tuple[SourceSession, TargetSession], draws: Draws
) -> None:
    plans = compare_plans(workload, workload.parameters(draws.stream(workload.name)), *prepared)
    for plan in plans.target:
        assert not plan.scans_collection, plan
        known = {index.name for index in COLLECTIONS[plan.collection.removeprefix(f"{SCRATCH}_")].indexes}
        assert plan.indexes, plan
        assert set(plan.indexes) <= known, plan
    assert bool(plans.target) == (workload.kind is not Kind.INSERT)


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_every_operation_names_the_tenant(workload: Workload, draws: Draws) -> None:
    parameters = workload.parameters(draws.stream(workload.name))
    operation = workload.mongodb(parameters)
    match operation:
        case Find() | Update():
            conditions = [operation.filter]
        case Search():
            conditions = [{"tenant_id": operation.tenant_id}]
        case _ if hasattr(operation, "parts"):
            conditions = [find.filter for _, find, _ in operation.parts]
        case _ if hasattr(operation, "documents"):
            conditions = [{**document, **document.get("metadata", {})} for document in operation.documents]
        case _:
            conditions = [operation.pipeline[0]["$match"]]
    for condition in conditions:
        assert {"tenant_id", "metadata.tenant_id"} & condition.keys()


def test_a_planted_difference_is_found(prepared: tuple[SourceSession, TargetSession], draws: Draws) -> None:
    source, target = prepared
    workload = named("detector by id")
    detector = draws.stream("planted").pick("detector")
    changed = {"tenant_id": detector["tenant_id"], "detector_id": detector["detector_id"]}
    collection = target.database["detectors"]
    before = collection.find_one_and_update(changed, {"$set": {"name": "another"}})
    assert before is not None
    asked = replace(workload, parameters=lambda _: detector)
    try:
        found = check(asked, source, target, draws.stream("planted"), 1)
    finally:
        collection.update_one(changed, {"$set": {"name": before["name"]}})
    assert found.difference == Difference("row 0, name", repr(before["name"]), "'another'")
    assert check(asked, source, target, draws.stream("planted"), 1).same


def test_a_statement_that_fails_is_a_difference_and_not_a_crash(
    prepared: tuple[SourceSession, TargetSession], draws: Draws
) -> None:
    broken = replace(named("detector by id"), sql=("SELECT nothing FROM nowhere",))
    found = check(broken, *prepared, draws.stream("broken"), 1)
    assert found.difference == Difference("execution", "UndefinedTable", "-")


def test_the_same_seed_draws_the_same_parameters(migrated: Settings, draws: Draws) -> None:
    with connections.open_source(migrated) as connection:
        again, other = Draws(connection, migrated, seed=SEED), Draws(connection, migrated, seed=SEED + 1)
    one, two, three = ([d.stream("x").pick("score") for _ in range(3)] for d in (draws, again, other))
    assert one == two
    assert one != three


def test_draws_spread_over_cases_of_every_size_and_over_tenants(settings: Settings) -> None:
    with connections.open_source(settings) as connection:
        draws = Draws(connection, settings, seed=SEED)
        sizes = dict(
            connection.execute("SELECT investigation_id, count(*) FROM transaction_scores GROUP BY 1").fetchall()
        )
        tenants = connection.execute("SELECT count(DISTINCT tenant_id) FROM composio_action_audits").fetchall()[0][0]
    asked = {row["investigation_id"] for row in draws.rows("score")}
    assert len(asked) == POOL_ROWS < len(sizes)
    tenths = np.quantile(list(sizes.values()), np.arange(0.1, 1, 0.1))
    of_each = np.bincount(np.searchsorted(tenths, [sizes[case] for case in asked]), minlength=10)
    assert of_each.min() > POOL_ROWS / 20
    assert len({row["tenant_id"] for row in draws.rows("action")}) == tenants > 1


def test_a_scan_is_answered_by_an_index_to_create(prepared: tuple[SourceSession, TargetSession], draws: Draws) -> None:
    source, target = prepared
    scan = replace(
        named("top risky transactions"),
        sql=("SELECT 1 FROM transaction_scores WHERE risk_score = %(risk)s",),
        mongodb=lambda p: Find("transaction_scores", {"created_at": p["at"], "risk_score": {"$gt": 2}}),
    )
    pair = compare_plans(scan, {"risk": -1.0, "at": draws.latest("audit")}, source, target)
    assert pair.source is not None
    assert "scans transaction_scores, removes" in pair.source.advice[0]
    (plan,) = pair.target
    assert plan.scans_collection
    assert plan.advice[0].endswith("create an index on (created_at 1, risk_score 1)")


def test_explaining_an_update_changes_nothing(prepared: tuple[SourceSession, TargetSession], draws: Draws) -> None:
    source, target = prepared
    workload = named("update progress with a version")
    parameters = workload.parameters(draws.stream("explained"))
    assert workload.readback is not None
    before = target.prepare(workload.readback, parameters)()
    (plan,) = explain_target(workload.mongodb(parameters), target)
    assert (plan.documents_examined, plan.returned) == (1, 1)
    assert target.prepare(workload.readback, parameters)() == before
    assert source.prepare(workload.readback, parameters)() != []


def test_the_seven_kinds_and_ten_collections_are_asked(draws: Draws) -> None:
    assert len(WORKLOADS) >= 20
    assert {workload.kind for workload in WORKLOADS} == set(Kind)
    asked = set()
    for workload in WORKLOADS:
        operation = workload.mongodb(workload.parameters(draws.stream(workload.name)))
        asked.add(getattr(operation, "collection", "anomaly_events").removeprefix(f"{SCRATCH}_"))
    assert asked == set(COLLECTIONS)
    assert len({workload.name for workload in WORKLOADS}) == len(WORKLOADS)


def test_questions_about_whole_tables_are_left_out_where_tenants_are_users(migrated: Settings) -> None:
    by_user = migrated.model_copy(update={"tenancy_rule": TenancyRule.USER})
    left = {workload.name for workload in WORKLOADS} - {workload.name for workload in choose(by_user)}
    assert left == {"audit history", "case timeline", "templates by tag", "daily counts of a tenant"}


async def test_similar_anomalies_are_found_inside_a_running_event_loop_too(
    prepared: tuple[SourceSession, TargetSession], draws: Draws
) -> None:
    workload = named("similar anomalies")  # as in a notebook, whose kernel runs a loop
    assert len(prepared[1].prepare(workload, workload.parameters(draws.stream("loop")))()) == workload.limit
