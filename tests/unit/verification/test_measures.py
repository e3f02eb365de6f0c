"""The declarations of level 3 cover every table, and name only what exists on both sides."""

from __future__ import annotations

import re

import pytest

from workbench.migration.tables import TABLES
from workbench.models.validator import json_schema
from workbench.verification.measures import MEASURES, Measured
from workbench.verification.references import REFERENCES

UNMEASURED = {"cohort", "tags", "encrypted_access_token", "anomaly_id", "trigger_reason", "detector_id"}
"""Columns that have no aggregate of their own: compared field by field, and by references."""


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
    assert {column.name for column in TABLES[table].columns} - measured <= UNMEASURED


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
        assert reference.to_column in TABLES[reference.to_table].key
        assert TABLES[reference.to_table].collection.name == reference.to_collection
