"""The declarations of level 3 cover every table, and name only what exists on both sides."""

from __future__ import annotations

import re

import pytest

from workbench.migration.tables import TABLES
from workbench.models.validator import json_schema
from workbench.settings import Settings, TenancyRule
from workbench.verification.measures import MEASURES, Measured, tenant_measure
from workbench.verification.references import REFERENCES


def test_every_table_is_measured() -> None:
    assert list(MEASURES) == list(TABLES)


@pytest.mark.parametrize("table", TABLES)
def test_measures_name_columns_and_fields_that_exist(table: str) -> None:
    columns = {column.name for column in TABLES[table].columns}
    schema = json_schema(TABLES[table].collection)
    for measure in MEASURES[table]:
        assert set(re.findall(r"t\.(\w+)", measure.source)) <= columns
        node = schema
        for name in measure.target.split("."):
            assert name in node["properties"], measure.target
            node = node["properties"][name]


@pytest.mark.parametrize("table", TABLES)
def test_no_column_is_forgotten(table: str) -> None:
    measured = {name for measure in MEASURES[table] for name in re.findall(r"t\.(\w+)", measure.source)}
    assert {column.name for column in TABLES[table].columns} <= measured


def test_a_secret_has_no_aggregate_that_shows_it() -> None:
    secrets = {column.name for table in TABLES.values() for column in table.columns if column.secret}
    assert secrets
    for measures in MEASURES.values():
        assert all(measure.kind is Measured.LENGTH for measure in measures if measure.name in secrets)


@pytest.mark.parametrize("tenant", ["default", "it's", "50 % {off}"])
def test_a_derived_tenant_is_measured(tenant: str) -> None:
    settings = Settings(_env_file=None, default_tenant=tenant)
    derived = {name: tenant_measure(table, settings) for name, table in TABLES.items()}
    assert [name for name, measure in derived.items() if measure is None] == [
        name for name, table in TABLES.items() if table.has_tenant
    ]
    measure = derived["detectors"]
    assert measure is not None
    assert measure.source.replace("{{", "{").replace("}}", "}").replace("%%", "%") == f"({_quoted(tenant)})::text"
    by_user = Settings(_env_file=None, tenancy_rule=TenancyRule.USER)
    of_user = tenant_measure(TABLES["investigation_states"], by_user)
    assert of_user is not None
    assert of_user.source == "(t.user_id)::text"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@pytest.mark.parametrize("table", TABLES)
def test_a_column_that_may_be_null_counts_its_nulls(table: str) -> None:
    schema = json_schema(TABLES[table].collection)
    for measure in MEASURES[table]:
        node = schema
        for name in measure.target.split("."):
            node = node["properties"][name]
        types = node.get("bsonType", "any")
        nullable = types == "any" or "null" in types
        if measure.kind not in (Measured.CATEGORY, Measured.TIME):
            assert measure.nullable or not nullable, measure.name


def test_references_lead_from_table_to_table() -> None:
    for reference in REFERENCES:
        assert reference.column in {column.name for column in TABLES[reference.table].columns}
        assert reference.to_column in {column.name for column in TABLES[reference.to_table].columns}
        assert TABLES[reference.to_table].collection.name == reference.to_collection
