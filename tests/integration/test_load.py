"""Batches of encoded documents into the real target: what became of each document."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import bson
import pytest
from bson import ObjectId
from pymongo import WriteConcern

from tests.integration.test_migration import target
from workbench.errors import TargetUnavailable
from workbench.migration import load
from workbench.migration.build import Encoded
from workbench.settings import Settings


def batch(size: int, *, characters: int = 10) -> list[Encoded]:
    return [Encoded(bson.encode({"_id": ObjectId(), "text": "x" * characters}), (n,)) for n in range(size)]


@pytest.mark.parametrize("characters", [10, 1_000_000], ids=["one command", "more than a command holds"])
def test_a_batch_is_inserted_and_what_is_there_already_is_told(empty_settings: Settings, characters: int) -> None:
    documents = batch(20, characters=characters)
    changed = Encoded(bson.encode({"_id": documents[3].id, "text": "changed"}), (3,))
    with target(empty_settings) as database:
        assert load.insert(database.things, documents[:10], sharded=False) == load.Written(inserted=10)
        again = load.insert(database.things, [*documents[:3], changed, *documents[4:]], sharded=False)
        assert again == load.Written(inserted=10, replaced=1, already_there=9)
        assert database.things.count_documents({}) == 20
        assert database.things.find_one({"_id": changed.id}) == {"_id": changed.id, "text": "changed"}


def test_what_the_server_refuses_is_told_with_its_row(empty_settings: Settings) -> None:
    documents = batch(5)
    with target(empty_settings) as database:
        database.things.create_index("text", unique=True)
        written = load.insert(database.things, documents, sharded=False)
    assert written.inserted == 1
    assert {(item.row, item.problem.reason) for item in written.rejected} == {
        ((n,), "duplicate_key") for n in range(1, 5)
    }


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ({"n": 4}, "was given 5 documents and tells of 4"),
        ({"n": 5, "writeConcernError": {"code": 64}}, "could not write .code 64"),
        ({"n": 4, "writeErrors": [{"index": 1, "code": 14031}]}, "could not write .code 14031"),
    ],
    ids=["one is not told of", "not durable", "full disk"],
)
def test_a_server_that_did_not_store_all_is_no_success(reply: dict[str, Any], message: str) -> None:
    collection: Any = SimpleNamespace(
        name="things",
        write_concern=WriteConcern("majority"),
        database=SimpleNamespace(command=lambda command: reply),
    )
    with pytest.raises(TargetUnavailable, match=message):
        load.insert(collection, batch(5), sharded=False)
