"""`$jsonSchema` validators, generated from the models.

MongoDB speaks a subset of JSON Schema draft 4 plus `bsonType`; it refuses `$ref`, `$defs`, `default`, `format`,
`id` and the type "integer" (manual, $jsonSchema). Pydantic speaks 2020-12, so the generator below emits BSON types
at the leaves and the rest is inlined and cut down.
"""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from workbench.models.spec import Collection

_KEPT = {
    "additionalProperties", "anyOf", "bsonType", "enum", "exclusiveMaximum", "exclusiveMinimum", "items", "maxItems",
    "maxLength", "maximum", "minItems", "minLength", "minimum", "properties", "required", "uniqueItems",
}  # fmt: skip
_BSON_TYPE = {"object": "object", "array": "array", "string": "string", "boolean": "bool", "null": "null"}


class _BsonSchema(GenerateJsonSchema):
    """Pydantic's schema generator with BSON types for what JSON has no type for."""

    def int_schema(self, schema: core_schema.IntSchema) -> JsonSchemaValue:
        return self._bounded(schema, ["int", "long"])

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        return self._bounded(schema, ["double", "int", "long"])

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        return {"bsonType": "decimal"}

    def datetime_schema(self, schema: core_schema.DatetimeSchema) -> JsonSchemaValue:
        return {"bsonType": "date"}

    def uuid_schema(self, schema: core_schema.UuidSchema) -> JsonSchemaValue:
        return {"bsonType": "binData"}

    def bytes_schema(self, schema: core_schema.BytesSchema) -> JsonSchemaValue:
        return {"bsonType": "binData"}

    @staticmethod
    def _bounded(schema: Any, bson_types: list[str]) -> JsonSchemaValue:
        bounds = {"ge": "minimum", "le": "maximum"}
        return {"bsonType": bson_types, **{name: schema[key] for key, name in bounds.items() if key in schema}}


def json_schema(collection: Collection) -> dict[str, Any]:
    """The `$jsonSchema` of a collection's documents, in the subset that a real server accepts.

    Unknown top-level fields are refused, so a document that bypassed its model is noticed by the server.
    """
    raw = collection.document.model_json_schema(schema_generator=_BsonSchema, mode="validation")
    schema: dict[str, Any] = _reduce(raw, raw.get("$defs", {}))
    stored = [name for name in schema["properties"] if name != "provenance"]
    schema["properties"] = {"_id": {"bsonType": "objectId"}, **schema["properties"]}
    schema["required"] = ["_id", *stored]
    return schema


def _reduce(node: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(node, bool):
        return {} if node else False
    if "$ref" in node:
        return _reduce(definitions[node["$ref"].removeprefix("#/$defs/")], definitions)
    if "type" in node:
        node = {**node, "bsonType": _BSON_TYPE[node["type"]]}
    if "const" in node:
        node = {**node, "enum": [node["const"]]}
    reduced: dict[str, Any] = {}
    for name, value in node.items():
        if name not in _KEPT:
            continue
        if name == "properties":
            reduced[name] = {field: _reduce(child, definitions) for field, child in value.items()}
        elif name == "additionalProperties":
            if value is not True:
                reduced[name] = _reduce(value, definitions)
        elif name == "items":
            reduced[name] = _reduce(value, definitions)
        elif name == "anyOf":
            reduced[name] = [_reduce(child, definitions) for child in value]
        else:
            reduced[name] = value
    if set(reduced) == {"anyOf"}:
        return _join(reduced["anyOf"])
    if not reduced.get("required", True):
        del reduced["required"]
    return reduced


def _join(options: list[dict[str, Any]]) -> dict[str, Any]:
    """One schema for "this or null", which is what `anyOf` comes to in these models."""
    others = [option for option in options if option != {"bsonType": "null"}]
    if len(others) != 1 or "bsonType" not in others[0]:
        return {} if {} in others else {"anyOf": options}
    types = others[0]["bsonType"]
    joined = {**others[0], "bsonType": [*([types] if isinstance(types, str) else types), "null"]}
    if "enum" in joined:
        joined["enum"] = [*joined["enum"], None]
    return joined
