"""The acknowledging sink speaks enough of the wire protocol for the driver, counts exactly, and ends with its block."""

from __future__ import annotations

import bson
import psutil
import pymongo
import pytest
from bson.raw_bson import RawBSONDocument
from pymongo import DeleteOne, ReplaceOne
from pymongo.errors import OperationFailure, ServerSelectionTimeoutError

from workbench.benchmark.sink import acknowledging_sink, count_documents


def _acknowledged(client: pymongo.MongoClient) -> dict[str, int]:
    return client.admin.command("serverStatus")["opcounters"]


def test_it_counts_what_it_acknowledges() -> None:
    with acknowledging_sink() as uri, pymongo.MongoClient(uri) as client:
        collection = client.scratch.things
        assert collection.insert_one({"a": 1}).acknowledged
        collection.insert_many([{"a": number} for number in range(1_000)])
        collection.insert_many([RawBSONDocument(bson.encode({"_id": 1, "a": "x" * 3_000_000})) for _ in range(40)])
        result = collection.bulk_write([ReplaceOne({"_id": 1}, {"a": 2}, upsert=True), DeleteOne({"_id": 1})])
        assert result.matched_count == 1
        assert _acknowledged(client) == {"insert": 1_041, "update": 1, "delete": 1}


def test_reads_find_nothing_and_administration_succeeds() -> None:
    with acknowledging_sink() as uri, pymongo.MongoClient(uri) as client:
        database = client.scratch
        database.create_collection("things")
        database.things.create_index([("a", 1)])
        database.things.insert_one({"a": 1})
        assert database.list_collection_names() == []
        assert database.things.find_one({"a": 1}) is None
        assert database.things.estimated_document_count() == database.things.count_documents({}) == 0
        assert list(database.things.aggregate([{"$match": {}}])) == []
        assert database.things.find_one_and_update({}, {"$set": {"a": 2}}) is None
        with pytest.raises(OperationFailure, match="no command mapReduce") as caught:
            database.command("mapReduce", "things")
        assert caught.value.code == 59


def test_it_ends_with_its_block() -> None:
    with acknowledging_sink() as uri:
        port = int(uri.rpartition(":")[2].partition("/")[0])
        sink = next(
            child
            for child in psutil.Process().children()
            if any(each.laddr.port == port for each in child.net_connections())
        )
    assert not sink.is_running()
    with pymongo.MongoClient(uri, serverSelectionTimeoutMS=100) as client, pytest.raises(ServerSelectionTimeoutError):
        client.admin.command("ping")


def test_count_documents_refuses_a_sequence_that_is_cut_short() -> None:
    documents = b"".join(bson.encode({"number": number}) for number in range(7))
    assert count_documents(documents, 0, len(documents)) == 7
    assert count_documents(b"before" + documents, 6, len(documents) + 6) == 7
    for wrong in (documents[:-1], documents + b"\0\0\0\0", b"\0" * 5):
        with pytest.raises(ValueError, match="cut short"):
            count_documents(wrong, 0, len(wrong))
