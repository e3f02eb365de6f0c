"""Values of a filter: each is validated against the type that the model declares, so none can be an operator."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from workbench.errors import InvalidInput
from workbench.models.document import Document
from workbench.models.fields import Key, json_problem

Filter = dict[str, Any]
Stored = dict[str, Any]
"""A document, or a part of one, as the driver gives and takes it."""

_TENANT: TypeAdapter[str] = TypeAdapter(Key)
MAX_VALUES = 500


def tenant_literal(value: object) -> str:
    """A tenant, which every question needs.

    Raises:
        InvalidInput: it is empty, longer than 255 characters, or no text.
    """
    return str(_validated(_TENANT, "tenant", value))


def literal(document: type[Document], path: str, value: object) -> Any:
    """The value as it stands in a filter on `path`: a scalar of the type that the model declares there.

    Raises:
        InvalidInput: the model has no scalar at `path`, or the value is of another type; a dict, a list, a pattern
            or None always is.
    """
    return _validated(_adapter(document, path), path, value)


def literals(document: type[Document], path: str, values: object) -> list[Any]:
    """Distinct values for a filter "one of these" or "all of these", at most 500."""
    if isinstance(values, (str, bytes, Mapping)) or not hasattr(values, "__iter__"):
        raise InvalidInput(path, "must be a list of values")
    found = list(dict.fromkeys(literal(document, path, value) for value in values))
    if not 1 <= len(found) <= MAX_VALUES:
        raise InvalidInput(path, f"must be 1 to {MAX_VALUES} values, found {len(found)}")
    return found


def between(document: type[Document], path: str, since: object, until: object) -> Filter:
    """The filter `since <= path < until` on numbers or dates; None leaves a side open, no filter is left if both are.

    The lower bound is written as "greater than the value just below": the same for BSON numbers and dates, but the
    embedded server loses the equal values of a `$gte` where the index descends and goes on with another field.
    """
    bounds: Filter = {}
    if since is not None:
        bounds["$gt"] = _just_below(literal(document, path, since))
    if until is not None:
        bounds["$lt"] = literal(document, path, until)
    return {path: bounds} if bounds else {}


def _just_below(value: Any) -> Any:
    return value - timedelta(milliseconds=1) if isinstance(value, datetime) else math.nextafter(value, -math.inf)


def whole_number(name: str, value: object, low: int, high: int) -> int:
    """An argument that counts something."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidInput(name, f"must be a whole number from {low} to {high}")
    return value


def instant(name: str, value: object) -> datetime:
    """An argument that is a point in time with its zone."""
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise InvalidInput(name, "must be a datetime with a zone")
    return value


def _validated(adapter: TypeAdapter[Any], name: str, value: object) -> Any:
    try:
        found = adapter.validate_python(value)
    except ValidationError as error:
        # Neither chained nor quoted: the value may be anything, also a secret.
        raise InvalidInput(name, error.errors(include_input=False, include_url=False)[0]["msg"]) from None
    if isinstance(found, Enum):
        found = found.value
    if isinstance(found, str) and (problem := json_problem(found)):
        raise InvalidInput(name, problem[1])
    return found


@cache
def _adapter(document: type[Document], path: str) -> TypeAdapter[Any]:
    annotation: Any = document
    for name in path.split("."):
        fields = annotation.model_fields if isinstance(annotation, type) and issubclass(annotation, BaseModel) else {}
        if name not in fields:
            raise InvalidInput(path, f"is no field of {document.__name__}")
        field = fields[name]
        annotation = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        annotation = _inner(annotation)
    if get_origin(annotation) is dict or (isinstance(annotation, type) and issubclass(annotation, (BaseModel, dict))):
        raise InvalidInput(path, "is no scalar field, it cannot be asked about")
    if annotation is Any or (get_origin(annotation) is Annotated and get_args(annotation)[0] in (Any, dict[str, Any])):
        raise InvalidInput(path, "holds any JSON, it cannot be asked about")
    return TypeAdapter(annotation)


def _inner(annotation: Any) -> Any:
    """The type of one value: without "or None", and of a list its items."""
    if get_origin(annotation) in (Union, UnionType):
        (annotation,) = (option for option in get_args(annotation) if option is not NoneType)
    if get_origin(annotation) is list:
        return _inner(get_args(annotation)[0])
    return annotation
