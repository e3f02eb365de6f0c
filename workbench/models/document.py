"""The base of the ten documents: validation, the way to BSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import Enum
from types import UnionType
from typing import Annotated, Any, ClassVar, Required, Self, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from bson import Binary, ObjectId
from bson.decimal128 import Decimal128
from pydantic import BaseModel, ConfigDict, SecretStr, model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict, is_typeddict  # Pydantic needs this TypedDict before Python 3.12

from workbench.models.fields import DECIMAL128, Json, derive_id, key_problem
from workbench.models.spec import Collection

_ATOMS = frozenset((str, int, float, bool, type(None), datetime, UUID, bytes, Binary))
"""Types whose values the driver encodes as they are."""


def _is_plain(annotation: Any) -> bool:
    """Whether the driver can encode every value of a field with this annotation as it is."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _is_plain(get_args(annotation)[0])
    if origin in (Union, UnionType, dict, list):
        return all(map(_is_plain, get_args(annotation)))
    if is_typeddict(annotation):
        return all(map(_is_plain, get_type_hints(annotation).values()))
    return annotation in _ATOMS or (isinstance(annotation, type) and issubclass(annotation, Enum))


class Part(BaseModel):
    """A sub-document: unknown fields are refused, enums are held as their text."""

    model_config = ConfigDict(extra="forbid", use_enum_values=True, validate_default=True)
    _converted_fields: ClassVar[tuple[str, ...]]

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        cls._converted_fields = tuple(
            name for name, field in cls.model_fields.items() if not _is_plain(field.annotation)
        )

    def stored_fields(self) -> dict[str, Any]:
        """The fields that are stored, as the driver can encode them. Most are so already, which is quick."""
        fields = self._present_fields()
        for name in self._converted_fields:
            if name in fields:
                fields[name] = bson_value(fields[name])
        return fields

    def _present_fields(self) -> dict[str, Any]:
        return self.__dict__.copy()


class SparsePart(Part):
    """A sub-document in which a field that was never set is absent from the stored form, rather than null."""

    def _present_fields(self) -> dict[str, Any]:
        given = self.__pydantic_fields_set__
        return {name: value for name, value in self.__dict__.items() if name in given}


class OpenPart(SparsePart):
    """A sub-document that other systems write into: known fields are checked, others kept as they are."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Json]

    def stored_fields(self) -> dict[str, Any]:
        extra = {name: bson_value(value) for name, value in self.__pydantic_extra__.items()}
        return {**super().stored_fields(), **extra}

    @model_validator(mode="after")
    def _storable_names(self) -> Self:
        for name in self.__pydantic_extra__ or ():
            problem = key_problem(name)
            if problem:
                raise PydanticCustomError("key_not_storable", "{problem}", {"problem": problem})
        return self


class Provenance(TypedDict, total=False):
    """Where a document came from, and what of its row a BSON value cannot hold. A dict, since every document has one.

    Attributes:
        table: the source table.
        micros: field path -> microseconds (1 to 999) below the millisecond of the BSON date at that path.
        exact: field path -> PostgreSQL's text of a value that BSON holds only in part: numerics beyond 34 digits,
            dates that BSON or Python cannot hold, infinities, the empty text of an empty JSON column.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    table: Required[str]
    micros: dict[str, int]
    exact: dict[str, str]


class Document(Part):
    """Base of the documents. `provenance` is there only where a document was migrated."""

    COLLECTION: ClassVar[Collection]

    provenance: Provenance | None = None

    def key(self) -> tuple[str, ...]:
        """The natural key's values as text, in the order of the source table's primary key."""
        values = self.__dict__
        return tuple([str(values[name]) for name in self.COLLECTION.natural_key])

    def id(self) -> ObjectId:
        """The document's `_id`, derived from its natural key."""
        return derive_id(self.COLLECTION.source_table, *self.key())

    def to_bson(self) -> dict[str, Any]:
        """The document as a dict that the driver can encode, `_id` first, secrets revealed.

        Absent optional fields are stored as null; only `provenance` is left out where there is none.
        """
        document = {"_id": self.id(), **self.__dict__}
        for name in self._converted_fields:
            document[name] = bson_value(document[name])
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


def bson_value(value: Any) -> Any:
    """A model's value as the driver can encode it."""
    kind = type(value)
    if kind in _ATOMS:  # nine of ten values: keep them cheap
        return value
    if kind is dict:
        return {key: bson_value(item) for key, item in value.items()}
    if kind is list:
        return [bson_value(item) for item in value]
    if isinstance(value, Part):
        return value.stored_fields()
    if isinstance(value, Decimal):
        return Decimal128(DECIMAL128.create_decimal(value))
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
