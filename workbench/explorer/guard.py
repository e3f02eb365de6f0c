"""A database that can only be read: what an explorer is given, so that no slip of it can change data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from pymongo.asynchronous.database import AsyncDatabase

from workbench.errors import AccessDenied

_READS = frozenset(
    {
        "aggregate",
        "count_documents",
        "distinct",
        "estimated_document_count",
        "find",
        "find_one",
        "list_search_indexes",
        "name",
    }
)


class _ReadOnlyCollection:
    """The reading methods of a collection; everything else is refused."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    def __getattr__(self, name: str) -> Any:
        if name not in _READS:
            raise AccessDenied(f"The explorer reads only: {name} of {self._collection.name} is refused.")
        if name == "aggregate":
            return self._aggregate
        return getattr(self._collection, name)

    async def _aggregate(self, pipeline: Sequence[Mapping[str, Any]], **options: Any) -> Any:
        if any(stage in ("$out", "$merge") for stages in pipeline for stage in stages):
            raise AccessDenied("The explorer reads only: $out and $merge are refused.")
        return await self._collection.aggregate(pipeline, **options)


class _ReadOnlyDatabase:
    def __init__(self, database: Any) -> None:
        self._database = database

    def __getitem__(self, name: str) -> _ReadOnlyCollection:
        return _ReadOnlyCollection(self._database[name])

    def __getattr__(self, name: str) -> Any:
        raise AccessDenied(f"The explorer reads only: {name} of the database is refused.")


def read_only(database: AsyncDatabase[dict[str, Any]]) -> AsyncDatabase[dict[str, Any]]:
    """`database` with its reading methods only; collections are reached as `database[name]`.

    Every other method raises `AccessDenied` before a command is sent.
    """
    return cast("AsyncDatabase[dict[str, Any]]", _ReadOnlyDatabase(database))
