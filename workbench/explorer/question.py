"""One question to the target as a value: it runs, and it is shown, from the same data. It cannot lack a tenant."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from bson import Decimal128, ObjectId

from workbench.errors import InvalidInput
from workbench.models.composio_connections import SECRET_FIELDS
from workbench.models.spec import Collection
from workbench.repositories.literals import tenant_literal

Json: TypeAlias = dict[str, Any]

MAX_ROWS = 20_000
"""No question brings more into the kernel."""
_WRITING_STAGES = ("$out", "$merge")


def within(name: str, value: int, least: int, most: int) -> None:
    """Check a number that people give.

    Raises:
        InvalidInput: it is not from `least` to `most`.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidInput(name, f"must be a whole number from {least} to {most}, not {value!r}")


@dataclass(frozen=True)
class Question:
    """A find, or with `stages` an aggregation over what the filter leaves.

    Attributes:
        collection: the spec of the collection.
        tenants: whose documents; at least one.
        filter: further conditions; never on the tenant.
        fields: what comes back of each document; all fields where empty.
        sort: path -> direction.
        limit: rows at most.
        stages: stages of an aggregation after the filter; then `fields` and `sort` do not apply.
    """

    collection: Collection
    tenants: tuple[str, ...]
    filter: Mapping[str, Any] = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    sort: Mapping[str, int] = field(default_factory=dict)
    limit: int = MAX_ROWS
    stages: Sequence[Json] = ()

    def __post_init__(self) -> None:
        if not self.tenants:
            raise ValueError("A question needs a tenant.")
        for tenant in self.tenants:
            tenant_literal(tenant)
        if self.collection.tenant_path in self.filter:
            raise ValueError("The tenant stands in `tenants`, not in the filter.")
        if any(stage for stages in self.stages for stage in stages if stage in _WRITING_STAGES):
            raise ValueError("A question does not write.")
        secret = {name for name in SECRET_FIELDS if name in self.collection.document.model_fields}
        if secret and not self.stages and (not self.fields or secret & set(self.fields)):
            raise ValueError(f"Ask {self.collection.name} for named fields without tokens.")

    @property
    def condition(self) -> Json:
        """The filter with its tenant first."""
        tenant: Any = self.tenants[0] if len(self.tenants) == 1 else {"$in": list(self.tenants)}
        return {self.collection.tenant_path: tenant, **self.filter}

    @property
    def projection(self) -> Json | None:
        """The fields as the driver takes them."""
        return dict.fromkeys(self.fields, 1) if self.fields else None

    @property
    def pipeline(self) -> list[Json]:
        """The aggregation, capped like every question."""
        return [{"$match": self.condition}, *self.stages, {"$limit": self.limit}]

    def mongosh(self) -> str:
        """The question as one can paste it into mongosh."""
        name = f"db.{self.collection.name}"
        if self.stages:
            return f"{name}.aggregate({_script(self.pipeline)})"
        text = f"{name}.find({_script(self.condition)}"
        text += f", {_script(self.projection)})" if self.projection else ")"
        if self.sort:
            text += f".sort({_script(dict(self.sort))})"
        return f"{text}.limit({self.limit})"


def _script(value: Any) -> str:
    """A value as JavaScript that mongosh reads."""
    match value:
        case Mapping():
            return "{" + ", ".join(f"{json.dumps(key)}: {_script(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(_script, value)) + "]"
        case ObjectId():
            return f'ObjectId("{value}")'
        case UUID():
            return f'UUID("{value}")'
        case datetime():
            return f'ISODate("{value.isoformat()}")'
        case Decimal128():
            return f'NumberDecimal("{value}")'
        case _:
            return json.dumps(value, ensure_ascii=False)
