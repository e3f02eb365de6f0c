"""Which numbers of a JSON column are stored as doubles however the source spells them, because the model says so.

Everywhere else the spelling decides: `1` is stored as an int, `1.0` as a double. A score is a double in its model, and
a `1` becomes `1.0` there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

DOUBLE: Final = "double"
Tree = str | tuple[dict[str, "Tree"], "Tree | None"]
"""`DOUBLE`, or the trees of an object's named fields and of its other fields (or of an array's elements)."""


def doubles_in(schema: Any) -> Tree | None:
    """The places in values of this `$jsonSchema` that hold doubles; None if there are none."""
    if not isinstance(schema, Mapping):
        return None
    types = schema.get("bsonType", ())
    if DOUBLE in ([types] if isinstance(types, str) else types):
        return DOUBLE
    named = {name: tree for name, part in schema.get("properties", {}).items() if (tree := doubles_in(part))}
    other = doubles_in(schema.get("items", schema.get("additionalProperties")))
    return (named, other) if named or other else None
