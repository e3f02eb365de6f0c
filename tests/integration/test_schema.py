"""Plan and apply the target's schema on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo.database import Database
from pymongo.errors import WriteError

from tests.documents import BUILDERS
from workbench import connections, schema
from workbench.errors import ConfigurationError
from workbench.models import COLLECTIONS
from workbench.models.spec import Kind
from workbench.settings import Settings


@pytest.fixture
def target(servers: Settings) -> Iterator[tuple[Settings, Database[Any]]]:
    settings = servers.model_copy(update={"mongodb_database": "workbench_test_schema"})
    with connections.open_target(settings) as client:
        client.drop_database(settings.mongodb_database)
        yield settings, client[settings.mongodb_database]
        client.drop_database(settings.mongodb_database)


def test_a_second_apply_plans_nothing(target: tuple[Settings, Database[Any]]) -> None:
    settings, database = target
    done = schema.apply(database, schema.plan(database, settings))
    assert {step.collection for step in done} == set(COLLECTIONS)
    again = schema.plan(database, settings)
    assert again.steps == again.conflicts == ()
    assert "Nothing to do" in str(again)


def test_before_a_load_only_what_finds_duplicates(target: tuple[Settings, Database[Any]]) -> None:
    settings, database = target
    plan = schema.plan(database, settings, phase=schema.Phase.LOAD)
    indexes = [step for step in plan.steps if step.action is schema.Action.CREATE_INDEX]
    assert {(step.collection, step.options["unique"]) for step in indexes} == {
        ("templates", True),
        ("composio_connections", True),
    }


@pytest.mark.parametrize("name", COLLECTIONS)
def test_the_server_takes_valid_documents_and_refuses_others(target: tuple[Settings, Database[Any]], name: str) -> None:
    settings, database = target
    spec = COLLECTIONS[name]
    schema.apply(database, schema.plan(database, settings, collections=[spec]))
    document = BUILDERS[name]("acme", 1).to_bson()
    database[name].insert_one(document)
    if spec.kind is Kind.STANDARD:
        with pytest.raises(WriteError) as caught:
            database[name].insert_one({**document, "_id": 1, "created_at": "yesterday"})
        assert caught.value.code == 121


def test_a_contradicting_index_is_a_conflict_and_nothing_is_changed(target: tuple[Settings, Database[Any]]) -> None:
    settings, database = target
    database.create_collection("templates")
    database.templates.create_index([("tenant_id", 1), ("template_id", 1)])
    plan = schema.plan(database, settings)
    assert [conflict.subject for conflict in plan.conflicts] == ["index tenant_id_1_template_id_1"]
    with pytest.raises(ConfigurationError, match="dropIndex"):
        schema.apply(database, plan)
    assert database.list_collection_names() == ["templates"]


def test_a_collection_of_the_wrong_kind_is_a_conflict(target: tuple[Settings, Database[Any]]) -> None:
    settings, database = target
    database.create_collection("audit_log")
    conflicts = schema.plan(database, settings).conflicts
    assert [(conflict.collection, conflict.expected) for conflict in conflicts] == [("audit_log", "time series")]


def test_retention_is_set_on_time_series_only_when_asked(target: tuple[Settings, Database[Any]]) -> None:
    settings, database = target
    schema.apply(database, schema.plan(database, settings))
    keep = settings.model_copy(update={"retention_days": 400})
    steps = schema.plan(database, keep).steps
    assert {(step.collection, step.options["expireAfterSeconds"]) for step in steps} == {
        ("audit_log", 400 * 86_400),
        ("detection_runs", 400 * 86_400),
    }
    # The embedded server accepts the change but does not report it, so only a real one shows that it is planned once.
    assert schema.retention_left(database, settings) == []
    assert schema.retention_left(database, keep) == ["audit_log", "detection_runs"]
    assert len(schema.apply(database, schema.plan(database, keep))) == 2


@pytest.mark.parametrize(
    ("days", "present", "planned"), [(0, None, None), (0, 86_400, "off"), (2, 86_400, 172_800), (1, 86_400, None)]
)
def test_a_changed_retention_is_planned_and_so_is_none(days: int, present: int | None, planned: Any) -> None:
    steps = schema._plan_retention(COLLECTIONS["audit_log"], days, present)
    assert [step.options["expireAfterSeconds"] for step in steps] == ([] if planned is None else [planned])


def test_before_the_proof_nothing_may_delete_history(target: tuple[Settings, Database[Any]]) -> None:
    settings, database = target
    keep = settings.model_copy(update={"retention_days": 400})
    steps = schema.plan(database, keep, phase=schema.Phase.PROVE).steps
    actions = {step.action for step in steps}
    assert schema.Action.SET_VALIDATOR in actions
    assert schema.Action.SET_RETENTION not in actions


def test_a_validator_that_only_warns_is_set_anew(target: tuple[Settings, Database[Any]]) -> None:
    settings, database = target
    schema.apply(database, schema.plan(database, settings))
    database.command("collMod", "templates", validationAction="warn")
    assert [(step.action, step.collection) for step in schema.plan(database, settings).steps] == [
        (schema.Action.SET_VALIDATOR, "templates")
    ]


def test_a_vector_index_of_another_definition_is_a_conflict() -> None:
    spec = COLLECTIONS["anomaly_events"]
    assert spec.vector
    expected = schema.vector_definition(spec.vector, Settings(_env_file=None))
    assert schema._vector_conflicts(spec, "v", expected, {**expected, "more": 1}) == []
    other = {"fields": [{**expected["fields"][0], "numDimensions": 768}, *expected["fields"][2:]]}
    conflicts = schema._vector_conflicts(spec, "v", expected, other)
    assert len(conflicts) == 2
    assert "768" in conflicts[0].found
    assert conflicts[1].found == "no such field"
