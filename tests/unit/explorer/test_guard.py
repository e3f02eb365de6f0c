"""The guarded database reads only; what writes is refused before anything is sent."""

from __future__ import annotations

import inspect

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from workbench.errors import AccessDenied
from workbench.explorer.guard import _READS, read_only


@pytest.fixture
def database() -> AsyncDatabase[dict[str, object]]:
    # Nothing listens there: a command that was sent would be noticed as a failed connection.
    client: AsyncMongoClient[dict[str, object]] = AsyncMongoClient("mongodb://127.0.0.1:9", connect=False)
    return read_only(client["scratch"])


WRITES = sorted(
    name
    for name, _ in inspect.getmembers(AsyncCollection, inspect.isfunction)
    if not name.startswith("_") and name not in _READS
)


def test_the_list_of_refused_methods_holds_the_well_known_ones() -> None:
    assert {"insert_one", "update_many", "delete_one", "bulk_write", "drop", "create_index", "rename"} <= set(WRITES)


@pytest.mark.parametrize("name", WRITES)
def test_every_other_method_of_a_collection_is_refused(database: AsyncDatabase[dict[str, object]], name: str) -> None:
    with pytest.raises(AccessDenied, match=name):
        getattr(database["investigations"], name)


@pytest.mark.parametrize("name", ["command", "drop_collection", "create_collection", "client", "get_collection"])
def test_every_method_of_the_database_is_refused(database: AsyncDatabase[dict[str, object]], name: str) -> None:
    with pytest.raises(AccessDenied, match=name):
        getattr(database, name)


@pytest.mark.parametrize("stage", [{"$out": "x"}, {"$merge": {"into": "x"}}])
async def test_pipelines_that_write_are_refused(
    database: AsyncDatabase[dict[str, object]], stage: dict[str, object]
) -> None:
    with pytest.raises(AccessDenied, match="merge"):
        await database["investigations"].aggregate([{"$match": {}}, stage])
