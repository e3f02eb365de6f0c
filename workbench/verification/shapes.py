"""Whether a stored document has the fields and BSON types of its model, and no others.

Values are compared elsewhere; this finds what a comparison by value forgives: a float where a decimal belongs, a
number as an int, a field that nobody asked for. Shapes are few, so each is judged once and remembered; a document
costs a few microseconds. The judge is the schema that is generated for the server's own validator, which time-series
collections cannot have.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from bson import DatetimeMS, Decimal128, ObjectId

from workbench.models.spec import Collection
from workbench.models.validator import json_schema

_MAX_REMEMBERED = 10_000
_BSON: dict[type, tuple[str, ...]] = {
    str: ("string",),
    bool: ("bool",),
    int: ("int", "long"),
    float: ("double",),
    Decimal128: ("decimal",),
    datetime: ("date",),
    DatetimeMS: ("date",),
    UUID: ("binData",),
    bytes: ("binData",),
    ObjectId: ("objectId",),
    type(None): ("null",),
    list: ("array",),
    dict: ("object",),
}
Shape = tuple[Any, ...]
Inner = dict[str, "Inner | None"]


class Shapes:
    """Judges the documents of one collection."""

    def __init__(self, collection: Collection) -> None:
        self._schema = json_schema(collection)
        if collection.vector:  # large, read apart, and judged by `structure`
            self._schema["required"].remove(collection.vector.path)
            self._schema["properties"].pop(collection.vector.path)
        self._inner = _inner(self._schema)
        self._known: dict[Shape, str] = {}

    def problem(self, document: Mapping[str, Any]) -> str:
        """What is wrong with the shape of `document`, as `path: reason`; empty if nothing is."""
        shape = _shape(document, self._inner)
        found = self._known.get(shape)
        if found is None:
            found = _judge(document, self._schema, "")
            if len(self._known) < _MAX_REMEMBERED:
                self._known[shape] = found
        return found


def _inner(schema: Mapping[str, Any]) -> Inner:
    """The fields whose own fields, or elements, the schema names: field -> the same of its parts."""
    found: Inner = {}
    for name, known in schema.get("properties", {}).items():
        parts = known.get("items", known) if isinstance(known, Mapping) else {}
        if isinstance(parts, Mapping) and ("properties" in parts or parts is not known):
            found[name] = _inner(parts) if "properties" in parts else None
    return found


def _shape(value: Mapping[str, Any], inner: Inner) -> Shape:
    """Names and types of an object's fields, deep only where the schema names parts."""
    parts: list[Any] = [*value, *map(type, value.values())]
    for name, deeper in inner.items():
        item = value.get(name)
        if type(item) is dict:
            if deeper is not None:
                parts.append(_shape(item, deeper))
        elif type(item) is list:
            deep = deeper is not None
            parts.append(
                tuple([_shape(each, deeper or {}) if deep and type(each) is dict else type(each) for each in item])
            )
    return tuple(parts)


def _judge(value: Any, schema: Any, path: str) -> str:
    if not isinstance(schema, Mapping):
        return ""
    allowed = schema.get("bsonType")
    if allowed:
        found = next((names for kind, names in _BSON.items() if isinstance(value, kind)), (type(value).__name__,))
        if isinstance(value, bool):
            found = ("bool",)
        if not set(found) & set([allowed] if isinstance(allowed, str) else allowed):
            return f"{path}: BSON type {found[0]} is not allowed"
    if isinstance(value, list) and "items" in schema:
        return next((problem for item in value if (problem := _judge(item, schema["items"], f"{path}[]"))), "")
    if isinstance(value, dict) and "properties" in schema:
        return _judge_object(value, schema, path)
    return ""


def _judge_object(value: Mapping[str, Any], schema: Mapping[str, Any], path: str) -> str:
    prefix = f"{path}." if path else ""
    for name in schema.get("required", ()):
        if name not in value:
            return f"{prefix}{name}: the field is absent"
    for name, item in value.items():
        known = schema["properties"].get(name)
        if known is None:
            if schema.get("additionalProperties") is False:
                return f"{prefix}{name}: a field that the model does not have"
            continue
        problem = _judge(item, known, f"{prefix}{name}")
        if problem:
            return problem
    return ""
