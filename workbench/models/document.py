"""The base of the ten documents: validation, the way to BSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Self
from uuid import UUID

from bson import Binary, ObjectId
from bson.decimal128 import Decimal128, create_decimal128_context
from pydantic import BaseModel, ConfigDict, SecretStr, model_validator
from pydantic_core import PydanticCustomError

from workbench.models.fields import Json, derive_id, key_problem
from workbench.models.spec import Collection

_DECIMAL128 = create_decimal128_context()


class Part(BaseModel):
    """A sub-document: unknown fields are refused, enums are held as their text."""

    model_config = ConfigDict(extra="forbid", use_enum_values=True, validate_default=True)


class SparsePart(Part):
    """A sub-document in which a field that was never set is absent from the stored form, rather than null."""


class OpenPart(SparsePart):
    """A sub-document that other systems write into: known fields are checked, others kept as they are."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Json]

    @model_validator(mode="after")
    def _storable_names(self) -> Self:
        for name in self.__pydantic_extra__ or ():
            problem = key_problem(name)
            if problem:
                raise PydanticCustomError("key_not_storable", "{problem}", {"problem": problem})
        return self


class Provenance(SparsePart):
    """Where a document came from, and what of its row a BSON value cannot hold.

    Attributes:
        table: the source table.
        micros: field path -> microseconds (1 to 999) below the millisecond of the BSON date at that path.
        exact: field path -> PostgreSQL's text of a value that BSON holds only in part: numerics beyond 34 digits,
            dates that BSON or Python cannot hold, infinities, the empty text of an empty JSON column.
    """

    table: str
    micros: dict[str, int] | None = None
    exact: dict[str, str] | None = None


class Document(Part):
    """Base of the documents. `provenance` is there only where a document was migrated."""

    COLLECTION: ClassVar[Collection]

    provenance: Provenance | None = None

    def key(self) -> tuple[str, ...]:
        """The natural key's values as text, in the order of the source table's primary key."""
        return tuple(str(resolve(self, path)) for path in self.COLLECTION.natural_key)

    def id(self) -> ObjectId:
        """The document's `_id`, derived from its natural key."""
        return derive_id(self.COLLECTION.source_table, *self.key())

    def to_bson(self) -> dict[str, Any]:
        """The document as a dict that the driver can encode, `_id` first, secrets revealed.

        Absent optional fields are stored as null; only `provenance` is left out where there is none.
        """
        document = {"_id": self.id(), **bson_value(self)}
        if self.provenance is None:
            del document["provenance"]
        return document

    @classmethod
    def from_bson(cls, document: Mapping[str, Any]) -> Self:
        """The model of a stored document.

        Raises:
            pydantic.ValidationError: the stored document breaks a rule of its model.
        """
        return cls.model_validate({name: python_value(v) for name, v in document.items() if name != "_id"})


def resolve(value: Any, path: str) -> Any:
    """The value at a dotted path of a model or a dict."""
    for name in path.split("."):
        value = value[name] if isinstance(value, Mapping) else getattr(value, name)
    return value


_ATOMS = frozenset((str, int, float, bool, type(None), datetime, UUID, bytes, Binary))


def bson_value(value: Any) -> Any:
    """A model's value as the driver can encode it."""
    if type(value) in _ATOMS:  # nine of ten values: keep them cheap
        return value
    if isinstance(value, BaseModel):
        stored = value.__dict__
        if isinstance(value, SparsePart):
            stored = {name: item for name, item in stored.items() if name in value.model_fields_set}
        fields = {name: bson_value(item) for name, item in stored.items()}
        if value.__pydantic_extra__:
            fields.update({name: bson_value(item) for name, item in value.__pydantic_extra__.items()})
        return fields
    if isinstance(value, dict):
        return {key: bson_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [bson_value(item) for item in value]
    if isinstance(value, Decimal):
        return Decimal128(_DECIMAL128.create_decimal(value))
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return value


def python_value(value: Any) -> Any:
    """A stored value as the models hold it: `Decimal128` becomes `Decimal`, at any depth."""
    if isinstance(value, Decimal128):
        return value.to_decimal()
    if isinstance(value, dict):
        return {key: python_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [python_value(item) for item in value]
    return value
