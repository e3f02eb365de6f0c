"""Keyset paging: the order of a list, a page of it, and the cursor that says where the next page begins."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Generic, TypeVar

from bson import ObjectId
from bson.errors import BSONError

from workbench.errors import InvalidInput
from workbench.models.document import Document, resolve
from workbench.repositories.literals import Filter, Stored, literal

D = TypeVar("D", bound=Document)

DEFAULT_LIMIT = 50
MAX_LIMIT = 500
_MAX_CURSOR_CHARACTERS = 4 * 1024


class Ties(StrEnum):
    """What orders documents with equal sort values.

    ID: the index goes on with `_id`. APART: it cannot (time series order by time only), so the documents of one sort
    value are sorted by `_id` in a question of their own. NONE: there are no equal values, because they are unique.
    """

    ID = "id"
    APART = "apart"
    NONE = "none"


@dataclass(frozen=True)
class Order:
    """By which path a list is sorted, and whether newest or highest (-1) or lowest (1) comes first."""

    path: str
    direction: int = -1
    ties: Ties = Ties.ID

    @property
    def sort(self) -> dict[str, int]:
        """As the driver takes it; the same as the end of the index that serves it."""
        return {self.path: self.direction, **({"_id": self.direction} if self.ties is Ties.ID else {})}

    @property
    def beyond(self) -> str:
        """The operator for "further down the list"."""
        return "$lt" if self.direction < 0 else "$gt"

    @property
    def sort_of_ties(self) -> dict[str, int]:
        """As `sort`, among documents with one sort value."""
        return {"_id": self.direction} if self.ties is Ties.APART else self.sort

    def place(self, document: Mapping[str, Any]) -> tuple[Any, ObjectId]:
        """What orders a stored document in the list."""
        return resolve(document, self.path), document["_id"]

    def ordered(self, documents: Iterable[Stored]) -> list[Stored]:
        """The documents in the order of the list."""
        return sorted(documents, key=self.place, reverse=self.direction < 0)


@dataclass(frozen=True)
class Page(Generic[D]):
    """Some documents of a list, and the cursor of the next page or None at the end.

    A page may hold fewer documents than asked for, and there is more as long as it has a cursor.
    """

    items: tuple[D, ...]
    next_cursor: str | None


@dataclass(frozen=True)
class Position:
    """The last document that was given: its sort value and its `_id`."""

    value: Any
    id: ObjectId

    def is_before(self, document: Mapping[str, Any], order: Order) -> bool:
        """Whether a document comes after this position in the list."""
        place, own = order.place(document), (self.value, self.id)
        return place < own if order.direction < 0 else place > own


def ties_filter(filter: Filter, order: Order, value: object, after: ObjectId | None = None) -> Filter:
    """The documents with this sort value, from the beginning or after one of them."""
    return {**filter, order.path: value, **({} if after is None else {"_id": {order.beyond: after}})}


def beyond_filter(filter: Filter, order: Order, value: object) -> Filter:
    """The documents whose sort value is beyond this one; a range on the same path stays in force."""
    bounds = dict(filter.get(order.path, {}))
    strictest = min if order.direction < 0 else max
    bounds[order.beyond] = strictest(value, bounds.get(order.beyond, value))
    return {**filter, order.path: bounds}


def question_digest(collection: str, filter: Filter, order: Order) -> str:
    """What a cursor is bound to: collection, filter with its tenant, and order."""
    text = repr((collection, sorted(filter.items()), order))
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=9).hexdigest()


def encode_cursor(position: Position, digest: str) -> str:
    """A position as text that a client hands back unread."""
    value = position.value.isoformat() if isinstance(position.value, datetime) else position.value
    payload = json.dumps([digest, value, str(position.id)], separators=(",", ":"))
    return base64.urlsafe_b64encode(payload.encode()).decode()


def decode_cursor(cursor: object, digest: str, document: type[Document], order: Order) -> Position:
    """The position in a cursor.

    A cursor only ever moves within its own question and tenant, which stand in the query itself: a forged one shows
    nothing that the question would not.

    Raises:
        InvalidInput: it is no cursor, or one of another question or tenant.
    """
    try:
        if not isinstance(cursor, str) or len(cursor) > _MAX_CURSOR_CHARACTERS:
            raise ValueError
        found, value, id = json.loads(base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True))
        if not isinstance(id, str):
            raise ValueError
        last = ObjectId(id)
    except (ValueError, TypeError, RecursionError, BSONError):
        raise InvalidInput("cursor", "is not one that a page gave") from None
    if found != digest:
        raise InvalidInput("cursor", "belongs to another question or tenant")
    return Position(literal(document, order.path, value), last)
