"""What a target holds, as one hash a collection: two targets with equal hashes hold the same documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import bson
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo.database import Database

from workbench.models import COLLECTIONS

CODEC: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True,
    uuid_representation=UuidRepresentation.STANDARD,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)
"""How documents are read that are to be compared."""


@dataclass(frozen=True)
class Content:
    """The documents of one collection.

    Attributes:
        documents: how many.
        duplicates: documents whose `_id` another one has as well, which only a time series allows.
        hash: sum of the documents' hashes; the order of documents and of fields makes no difference.
    """

    documents: int
    duplicates: int
    hash: str


def content(database: Database[Any], collections: Iterable[str] | None = None) -> dict[str, Content]:
    """The content of the named collections, of all ten where none are given.

    Reads every document once; memory is 12 bytes and a set's overhead for each document of one collection.
    """
    return {name: _content(database, name) for name in (COLLECTIONS if collections is None else collections)}


def _content(database: Database[Any], name: str) -> Content:
    documents, total = 0, 0
    ids: set[Any] = set()
    for document in database.get_collection(name, codec_options=CODEC).find():
        documents += 1
        ids.add(document["_id"])
        total += int.from_bytes(digest(document), "big")
    return Content(documents, documents - len(ids), f"{total % 2**128:032x}")


def decode(raw: bytes) -> dict[str, Any]:
    """An encoded document as it would be read from the target."""
    document: dict[str, Any] = bson.decode(raw, CODEC)
    return document


def digest(document: Mapping[str, Any]) -> bytes:
    """A hash of a document's values; a time series returns the fields in another order than they came."""
    return blake2b(bson.encode(_sorted(document), codec_options=CODEC), digest_size=16).digest()


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value
