"""The generated validators use only what a real MongoDB accepts, and agree with the models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft4Validator

from workbench.models import COLLECTIONS
from workbench.models.validator import json_schema

REFUSED = {"$ref", "$schema", "$defs", "definitions", "default", "format", "id", "examples", "const"}
BSON_TYPES = {"object", "array", "string", "bool", "null", "int", "long", "double", "decimal"}
BSON_TYPES |= {"date", "binData", "objectId"}


def schemas(node: Any) -> Iterator[dict[str, Any]]:
    """Every schema within a schema; names of fields are not keywords."""
    if not isinstance(node, dict):
        return
    yield node
    for name, child in node.items():
        if name == "properties":
            for field in child.values():
                yield from schemas(field)
        elif name in ("items", "additionalProperties"):
            yield from schemas(child)
        elif name == "anyOf":
            for option in child:
                yield from schemas(option)


@pytest.mark.parametrize("name", COLLECTIONS)
def test_only_keywords_that_a_real_server_accepts(name: str) -> None:
    for schema in schemas(json_schema(COLLECTIONS[name])):
        assert not REFUSED & set(schema)
        assert "type" not in schema
        types = schema.get("bsonType", [])
        assert set([types] if isinstance(types, str) else types) <= BSON_TYPES


@pytest.mark.parametrize("name", COLLECTIONS)
def test_it_is_draft_4(name: str) -> None:
    Draft4Validator.check_schema(json_schema(COLLECTIONS[name]))


@pytest.mark.parametrize("name", COLLECTIONS)
def test_every_field_is_there_and_required(name: str) -> None:
    schema = json_schema(COLLECTIONS[name])
    fields = set(COLLECTIONS[name].document.model_fields)
    assert set(schema["properties"]) == {"_id", *fields}
    assert set(schema["required"]) == {"_id", *fields} - {"provenance"}
    assert schema["additionalProperties"] is False
