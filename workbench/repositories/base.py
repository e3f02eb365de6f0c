"""What all repositories share: the tenant in each query, paging, versions, time limits, translation of errors.

A public method's first argument is the tenant. Filters are plain equalities (and at most one range) on values that
were validated against the model, in the order of the index that serves them; nothing a caller gives becomes an
operator. Documents are treated as immutable values: a method that changes one returns the new state.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from bson import ObjectId
from pydantic import ValidationError
from pymongo import ReturnDocument
from pymongo.asynchronous.database import AsyncDatabase

from workbench.errors import DataError, InvalidInput, NotFound, VersionConflict
from workbench.models.document import Document, resolve
from workbench.models.fields import derive_id
from workbench.models.spec import Collection
from workbench.repositories.literals import Filter, Stored, between, literal, tenant_literal, whole_number
from workbench.repositories.operations import Operations, TimeLimitReached, shown
from workbench.repositories.paging import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    Order,
    Page,
    Position,
    Ties,
    beyond_filter,
    decode_cursor,
    encode_cursor,
    question_digest,
    ties_filter,
)
from workbench.settings import Settings

D = TypeVar("D", bound=Document)

COUNT_LIMIT = 10_000
COUNT_SECONDS = 1.0


@dataclass(frozen=True)
class About:
    """A count that was limited in size and time: there are `at_least` so many, and exactly so many if `exact`."""

    at_least: int
    exact: bool

    def __str__(self) -> str:
        return f"{self.at_least:,}" if self.exact else f"at least {self.at_least:,}"


class Repository(Generic[D]):
    """The questions that every collection answers. Safe to share within one event loop.

    Args:
        database: of a client made by `connections.open_target_async`.
        settings: `operation_timeout_seconds` limits each operation with all its attempts, `max_attempts` bounds them.
    """

    document: type[D]
    left_out: ClassVar[tuple[str, ...]] = ()
    """Large optional fields that lists leave out; `get` reads them."""

    def __init__(self, database: AsyncDatabase[Stored], settings: Settings) -> None:
        self.spec: Collection = self.document.COLLECTION
        self._settings = settings
        self._collection = database[self.spec.name]
        self._run = Operations(self.spec, settings).run
        ties = Ties.APART if self.spec.time_series else Ties.ID
        self._newest = Order(self.spec.sort_path, -1, ties)

    # -- questions of every collection -----------------------------------------------------------------------------

    async def get(self, tenant: str, *key: object) -> D:
        """The document with this natural key.

        Raises:
            NotFound: there is none, or it is another tenant's.
        """
        found = await self.find_one(tenant, *key)
        if found is None:
            raise NotFound(self.spec.name, shown(key))
        return found

    async def find_one(self, tenant: str, *key: object) -> D | None:
        """The document with this natural key, or None."""
        filter = self._key_filter(tenant, key)
        stored = await self._run(lambda: self._collection.find_one(filter), idempotent=True)
        return None if stored is None or not self._is_live(stored) else self._load(stored)

    async def page(self, tenant: str, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None) -> Page[D]:
        """All documents of the tenant, newest first."""
        return await self._page(tenant, {}, limit=limit, cursor=cursor)

    async def find(self, tenant: str) -> AsyncIterator[D]:
        """Iterate over all documents of the tenant in no order; one batch of the driver is in memory at a time."""
        async for stored in self._stream(self._filter(tenant), self._projection()):
            if self._is_live(stored):
                yield self._load(stored)

    async def count_about(self, tenant: str, where: Mapping[str, object] | None = None) -> About:
        """How many documents have these values (path -> value): exact up to 10,000, and within a second."""
        filter = self._filter(tenant, where)
        try:
            found = await self._run(
                lambda: self._collection.count_documents(filter, limit=COUNT_LIMIT + 1),
                idempotent=True,
                seconds=COUNT_SECONDS,
            )
        except TimeLimitReached:
            return About(0, exact=False)
        return About(min(found, COUNT_LIMIT), exact=found <= COUNT_LIMIT)

    # -- for the modules of the collections ------------------------------------------------------------------------

    async def _insert(self, tenant: str, document: D) -> D:
        if not isinstance(document, self.document):
            raise InvalidInput("document", f"must be a {self.document.__name__}")
        if resolve(document, self.spec.tenant_path) != tenant_literal(tenant):
            raise InvalidInput(self.spec.tenant_path, "is not the tenant of the call")
        stored = document.to_bson()
        await self._run(lambda: self._collection.insert_one(stored), idempotent=False, key=document.key())
        return document

    def _filter(self, tenant: str, where: Mapping[str, object] | None = None) -> Filter:
        """The tenant, and equalities on values of the caller."""
        filter: Filter = {self.spec.tenant_path: tenant_literal(tenant)}
        if where is not None and not isinstance(where, Mapping):
            raise InvalidInput("where", "must map paths to values")
        for path, value in (where or {}).items():
            if path == self.spec.tenant_path:
                raise InvalidInput(path, "is given by the tenant of the call")
            filter[path] = literal(self.document, path, value)
        return filter

    def _key_filter(self, tenant: str, key: Sequence[object]) -> Filter:
        """The natural key and the tenant, led by what is most selective."""
        paths = self.spec.natural_key
        if len(key) != len(paths):
            raise InvalidInput("key", f"must be {', '.join(paths)}")
        values = {path: literal(self.document, path, value) for path, value in zip(paths, key, strict=True)}
        if self.spec.time_series:
            return {**values, **self._filter(tenant)}
        return {**self._filter(tenant), **values}

    def _range(self, since: object, until: object) -> Filter:
        return between(self.document, self.spec.sort_path, since, until)

    async def _page(
        self,
        tenant: str,
        where: Mapping[str, object],
        *,
        limit: int,
        cursor: str | None,
        order: Order | None = None,
        ranges: Filter | None = None,
        pending: Sequence[Stored] = (),
    ) -> Page[D]:
        """A page of the documents with these values.

        `ranges` and `pending` are the repository's own: conditions that are no equalities, and documents that belong
        to the list though they are not yet in the collection.
        """
        limit = whole_number("limit", limit, 1, MAX_LIMIT)
        order = order or self._newest
        filter = {**self._filter(tenant, where), **(ranges or {})}
        digest = question_digest(self.spec.name, filter, order)
        position = None if cursor is None else decode_cursor(cursor, digest, self.document, order)
        found, more = await self._after(filter, order, position, limit + 1)
        if pending:
            late = [document for document in pending if position is None or position.is_before(document, order)]
            found = order.ordered({document["_id"]: document for document in (*late, *found)}.values())
        more = more or len(found) > limit
        found = found[:limit]
        items = tuple(self._load(document) for document in found if self._is_live(document))
        return Page(items, encode_cursor(Position(*order.place(found[-1])), digest) if more else None)

    async def _after(
        self, filter: Filter, order: Order, position: Position | None, wanted: int
    ) -> tuple[list[Stored], bool]:
        """Up to `wanted` documents after a position, each once, and whether there are surely as many.

        Ties and what lies beyond are two queries because each of them is one tight range of the index, however
        many documents share a sort value; an `$or` of both is not.
        """
        found: list[Stored] = []
        if position is not None:
            if order.ties is not Ties.NONE:
                found = await self._tied(filter, order, position.value, position.id, wanted)
            filter = beyond_filter(filter, order, position.value)
        if len(found) < wanted:
            found += await self._from(filter, order, wanted - len(found))
        return _distinct(found), len(found) == wanted

    async def _from(self, filter: Filter, order: Order, wanted: int) -> list[Stored]:
        """The first `wanted` documents of a list. Where its index does not order ties, those at its end, which may
        not be the first of them, are read again in order."""
        found = await self._fetch(filter, order.sort, wanted)
        if order.ties is not Ties.APART:
            return found
        if len(found) == wanted:
            last = resolve(found[-1], order.path)
            found = [document for document in found if resolve(document, order.path) != last]
            found += await self._tied(filter, order, last, None, wanted - len(found))
        return order.ordered(found)

    async def _tied(
        self, filter: Filter, order: Order, value: object, after: ObjectId | None, wanted: int
    ) -> list[Stored]:
        return await self._fetch(ties_filter(filter, order, value, after), order.sort_of_ties, wanted)

    async def _fetch(self, filter: Filter, sort: Mapping[str, int], limit: int) -> list[Stored]:
        async def read() -> list[Stored]:
            cursor = self._collection.find(filter, self._projection(), sort=sort, limit=limit)
            return await cursor.to_list()

        return await self._run(read, idempotent=True)

    async def _aggregate(self, filter: Filter, *stages: Stored) -> list[Stored]:
        """The result of a pipeline over the documents that `filter` selects; it must be small."""

        async def read() -> list[Stored]:
            cursor = await self._collection.aggregate([{"$match": filter}, *stages])
            return await cursor.to_list()

        return await self._run(read, idempotent=True)

    async def _stream(self, filter: Filter, projection: Stored | None) -> AsyncIterator[Stored]:
        cursor = self._collection.find(filter, projection)
        try:
            while True:
                # Not idempotent: a cursor that has lost a batch cannot ask for it again.
                batch = await self._run(lambda: cursor.to_list(self._settings.batch_rows), idempotent=False)
                if not batch:
                    return
                for stored in batch:
                    yield stored
        finally:
            await cursor.close()

    async def _change(
        self,
        tenant: str,
        key: Sequence[object],
        update: Stored | list[Stored],
        *,
        guard: Filter | None = None,
        idempotent: bool = False,
    ) -> D | None:
        """One atomic change of the document with this key; the new state, or None if key and guard match nothing.

        Fields that are set forget what `provenance` says about their old value.
        """
        filter, update = self._guarded(tenant, key, update, guard)
        stored = await self._run(
            lambda: self._collection.find_one_and_update(filter, update, return_document=ReturnDocument.AFTER),
            idempotent=idempotent,
        )
        return None if stored is None else self._load(stored)

    async def _matched(
        self, tenant: str, key: Sequence[object], update: Stored, *, guard: Filter, idempotent: bool = False
    ) -> bool:
        """As `_change`, where the new state is not needed: whether key and guard matched."""
        filter, checked = self._guarded(tenant, key, update, guard)
        result = await self._run(lambda: self._collection.update_one(filter, checked), idempotent=idempotent)
        return result.matched_count == 1

    def _guarded(
        self, tenant: str, key: Sequence[object], update: Stored | list[Stored], guard: Filter | None
    ) -> tuple[Filter, Stored | list[Stored]]:
        filter = {"_id": self._id(key), **self._key_filter(tenant, key), **(guard or {})}
        return filter, _forgetting_provenance(update)

    async def _must_change(
        self, tenant: str, key: Sequence[object], update: Stored | list[Stored], *, idempotent: bool = False
    ) -> D:
        """As `_change`, of a document that must exist."""
        changed = await self._change(tenant, key, update, idempotent=idempotent)
        if changed is None:
            raise NotFound(self.spec.name, shown(key))
        return changed

    async def _change_version(
        self, tenant: str, key: Sequence[object], update: Stored, *, expected: int, guard: Filter
    ) -> None:
        """One atomic change of the document with this key and version.

        Raises:
            NotFound: it is gone, or another tenant's.
            VersionConflict: it has another version.
        """
        if await self._matched(tenant, key, update, guard={"version": expected, **guard}):
            return
        present = await self.get(tenant, *key)
        raise VersionConflict(self.spec.name, shown(key), expected=expected, actual=resolve(present, "version"))

    def _id(self, key: Sequence[object]) -> Any:
        paths = self.spec.natural_key
        if len(key) != len(paths):
            raise InvalidInput("key", f"must be {', '.join(paths)}")
        texts = [str(literal(self.document, path, value)) for path, value in zip(paths, key, strict=True)]
        return derive_id(self.spec.source_table, *texts)

    def _projection(self) -> Stored | None:
        return dict.fromkeys(self.left_out, 0) or None

    def _is_live(self, stored: Stored) -> bool:
        """Whether a stored document counts as there."""
        return True

    def _load(self, stored: Stored) -> D:
        try:
            return self.document.from_bson(stored)
        except ValidationError as error:
            where = "; ".join(".".join(map(str, problem["loc"])) for problem in error.errors(include_input=False)[:5])
            raise DataError(
                f"{self.spec.name}: the stored document {stored.get('_id')} breaks its model at {where}.",
                todo="Run the verification to find all of them.",
            ) from None  # the cause would quote the document


class OpenRepository(Repository[D]):
    """A collection whose documents are stored and removed one by one, under no further rule."""

    async def insert(self, tenant: str, document: D) -> D:
        """Store a new document.

        Raises:
            InvalidInput: it is another tenant's, too large, or refused by the collection's validator.
            AlreadyExists: its natural key or another unique key is taken.
        """
        return await self._insert(tenant, document)

    async def delete(self, tenant: str, *key: object) -> None:
        """Remove a document.

        Raises:
            NotFound: there is none, or it is another tenant's.
        """
        filter = self._key_filter(tenant, key)
        result = await self._run(lambda: self._collection.delete_one(filter), idempotent=False)
        if result.deleted_count == 0:
            raise NotFound(self.spec.name, shown(key))


def _forgetting_provenance(update: Stored | list[Stored]) -> Stored | list[Stored]:
    """The update, which also removes what `provenance` says about the old values of the fields that it sets."""
    stages = update if isinstance(update, list) else [update]
    paths = {path for stage in stages for verb in ("$set", "$max", "$inc") for path in stage.get(verb, {})}
    if "provenance" in paths:
        return update
    forgotten = [f"provenance.{part}.{path}" for path in sorted(paths) for part in ("micros", "exact")]
    if isinstance(update, list):
        return [*update, {"$unset": forgotten}]
    return {**update, "$unset": dict.fromkeys(forgotten, "")}


def _distinct(documents: list[Stored]) -> list[Stored]:
    """Each document once: a time series may hold one twice after a lost reply."""
    return list({document["_id"]: document for document in documents}.values())
