"""The field types that the documents share, and the identity of a document."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from hashlib import blake2b
from typing import Annotated, Any, NamedTuple

from bson import ObjectId
from bson.binary import VECTOR_SUBTYPE, Binary
from bson.decimal128 import create_decimal128_context
from pydantic import AfterValidator, AwareDatetime, Field, Strict, StringConstraints
from pydantic_core import PydanticCustomError

MAX_JSON_DEPTH = 90
"""Levels inside one JSON field; MongoDB allows 100 for the whole document (reference/limits)."""
MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
MAX_MEASUREMENT_BYTES = 4 * 1024 * 1024
"""A time-series measurement is limited to 4 MB, a document to 16 MB (manual, time-series limitations)."""
EMBEDDING_DIMENSIONS = 384
DECIMAL128 = create_decimal128_context()
_FLOAT32_VECTOR_HEADER = b"\x27\x00"


def derive_id(table: str, *key: str) -> ObjectId:
    """The `_id` of the document that stands for a row: 96 bits of BLAKE2b over the table's name and primary key.

    The same row gets the same `_id` in every run, on every machine, and also when a service creates the document.
    Lengths are part of the hash, so that no two keys share one text.
    """
    return ObjectId(next(derive_ids(table, [(part,) for part in key])))


def derive_ids(table: str, columns: Sequence[Sequence[str]]) -> Iterator[bytes]:
    """The bytes of `derive_id` for many rows, given the columns of their primary key."""
    begun = _hash_of(table)
    parts = [[f"{len(part)}:{part}" for part in column] for column in columns]
    for key in map("\0".join, zip(*parts, strict=True)):
        hasher = begun.copy()  # at half the cost of a new one
        hasher.update(key.encode("utf-8", "surrogatepass"))
        yield hasher.digest()


@cache
def _hash_of(table: str) -> blake2b:
    return blake2b(f"{table}\0".encode("utf-8", "surrogatepass"), digest_size=12)


def utc_now() -> datetime:
    """The present time in UTC, cut to the millisecond that a BSON date can hold."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


class JsonProblem(NamedTuple):
    """Why a JSON value cannot be stored: where, a code that stays the same, and a sentence."""

    path: str
    code: str
    reason: str


def json_problem(value: Any, max_depth: int = MAX_JSON_DEPTH) -> JsonProblem | None:
    """The first thing that MongoDB cannot hold in a JSON value, or None. Iterative: any depth is safe."""
    for path, depth, item in _walk(value, max_depth):
        if depth > max_depth:
            return JsonProblem(path[:100], "nested_too_deep", f"nested deeper than {max_depth} levels")
        if isinstance(item, dict):
            for key in item:
                problem = key_problem(key)
                if problem:
                    return JsonProblem(path, "key_not_storable", problem)
        elif type(item) is str:  # not bson.Code and its like, which are texts to Python and not to MongoDB
            if not _is_unicode(item):
                return JsonProblem(path, "lone_surrogate", "text holds a lone surrogate")
        elif isinstance(item, float):
            if not math.isfinite(item):
                return JsonProblem(path, "not_finite", "number is not finite")
        elif isinstance(item, int) and not isinstance(item, bool) and not -(2**63) <= item < 2**63:
            return JsonProblem(path, "integer_too_wide", "integer needs more than 64 bits")
        elif not isinstance(item, (list, int, bool, type(None), Decimal, datetime)):
            return JsonProblem(path, "wrong_type", f"{type(item).__name__} is not a JSON type")
    return None


def fits_decimal128(value: Decimal) -> bool:
    """Whether a BSON decimal (34 digits) holds the value exactly."""
    if not value.is_finite():
        return True
    try:
        return DECIMAL128.copy().create_decimal(value).compare_total(value) == 0
    except ArithmeticError:
        return False


def wide_decimal(value: Any) -> str | None:
    """The path of the first decimal in a JSON value that would be rounded, or None."""
    parts = _walk(value, MAX_JSON_DEPTH)
    return next((path for path, _, item in parts if isinstance(item, Decimal) and not fits_decimal128(item)), None)


def key_problem(key: object) -> str | None:
    """Why a text cannot be the name of a field that queries can reach, or None."""
    if not isinstance(key, str):
        return f"key {key!r} is not a string"
    if key.startswith("$") or "." in key or "\0" in key:
        return f"key {key!r} holds a dot or a NUL, or starts with a dollar sign"
    return None if _is_unicode(key) else "a key holds a lone surrogate"


def _walk(value: Any, max_depth: int) -> Iterator[tuple[str, int, Any]]:
    stack: list[tuple[str, int, Any]] = [("", 1, value)]
    while stack:
        path, depth, item = stack.pop()
        yield path, depth, item
        if depth > max_depth:
            continue
        if isinstance(item, dict):
            stack.extend((f"{path}.{key}" if path else str(key), depth + 1, child) for key, child in item.items())
        elif isinstance(item, list):
            stack.extend(
                (f"{path}.{index}" if path else str(index), depth + 1, child) for index, child in enumerate(item)
            )


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _storable(value: Any, max_depth: int = MAX_JSON_DEPTH) -> Any:
    problem = json_problem(value, max_depth)
    if problem:
        text = f"{problem.reason} at {problem.path!r}" if problem.path else problem.reason
        raise PydanticCustomError(problem.code, "{problem}", {"problem": text})
    return value


def _storable_about_json(value: Any) -> Any:
    return _storable(value, MAX_JSON_DEPTH + 2)


def _field_name(value: str) -> str:
    problem = key_problem(value)
    if problem:
        raise PydanticCustomError("key_not_storable", "{problem}", {"problem": problem})
    return value


def _float32_vector(value: bytes) -> Binary:
    if value[:2] != _FLOAT32_VECTOR_HEADER or (len(value) - 2) % 4 or len(value) < 6:
        raise ValueError("must be a BSON binary vector of float32 (subtype 9)")
    return Binary(value, VECTOR_SUBTYPE)


Key = Annotated[str, StringConstraints(min_length=1, max_length=255)]
"""An identifier: 1 to 255 characters."""
FieldName = Annotated[Key, AfterValidator(_field_name)]
"""A key of a stored map: a `Key` that MongoDB can hold as the name of a field and reach by queries."""
Name = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Count = Annotated[int, Strict(), Field(ge=0, le=2**31 - 1)]
Version = Annotated[int, Strict(), Field(ge=1, le=2**31 - 1)]
Score = Annotated[float, Strict(), Field(ge=0, le=1, allow_inf_nan=False)]
"""A risk score or a confidence: a finite number from 0 to 1."""
Finite = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Percentage = Annotated[float, Strict(), Field(ge=0, le=100, allow_inf_nan=False)]
Instant = AwareDatetime
"""A point in time with its zone; stored as UTC milliseconds."""
Numeric = Annotated[Decimal, Field(allow_inf_nan=True)]
"""An exact decimal; NaN and infinities exist, as in PostgreSQL."""
Json = Annotated[Any, AfterValidator(_storable)]
"""Any JSON value that MongoDB can hold: no `$` or `.` in keys, no NUL, at most 90 levels, finite numbers."""
AboutJson = Annotated[Any, AfterValidator(_storable_about_json)]
"""As `Json`, for what is told about a field of `Json`, with room for its name and for "old" and "new"."""
JsonObject = Annotated[dict[str, Any], AfterValidator(_storable)]
Embedding = Annotated[bytes, AfterValidator(_float32_vector)]
"""A BSON binary vector of float32: two header bytes and 4 bytes a dimension, little-endian."""
