"""Checks that write: into a scratch database of their own, which is dropped again whatever happens."""

from __future__ import annotations

import contextlib
import secrets
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from bson.binary import VECTOR_SUBTYPE, Binary
from pymongo import WriteConcern
from pymongo.errors import OperationFailure, PyMongoError

from workbench.verification.setup.mongodb import ATLAS_ERROR, UNSUPPORTED, Target
from workbench.verification.setup.results import Outcome, Probe, failed, not_applicable, passed, warned

SLOW_WRITE_SECONDS = 0.1
PROBE_DOCUMENTS = 2_000
_NOT_WRITABLE = "Grant readWrite and dbAdmin on it, or run the check as a user who has them."


@contextlib.contextmanager
def scratch_database(target: Target) -> Iterator[Any]:
    """A database that did not exist before and does not afterwards."""
    name = f"{target.settings.mongodb_database[:40]}_check_{secrets.token_hex(4)}"
    try:
        yield target.client[name]
    finally:
        with contextlib.suppress(PyMongoError):  # what failed before is the finding
            target.client.drop_database(name)


def _canary(target: Target) -> Outcome:
    """Every kind of operation that the workbench does, once."""
    steps: list[str] = []
    with scratch_database(target) as database:
        try:
            canary = database["canary"]
            canary.insert_one({"_id": 1, "tenant_id": "canary", "version": 1})
            steps.append("insert")
            canary.create_index([("tenant_id", 1), ("version", -1)], unique=True)
            steps.append("create index")
            canary.find_one_and_update({"_id": 1, "version": 1}, {"$inc": {"version": 1}})
            steps.append("find and update")
            database.command("collMod", "canary", validator={"$jsonSchema": {"required": ["tenant_id"]}})
            steps.append("set validator")
            list(canary.aggregate([{"$group": {"_id": "$tenant_id", "n": {"$sum": 1}}}]))
            steps.append("aggregate")
            canary.delete_many({"tenant_id": "canary"})
            steps.append("delete")
        except OperationFailure as error:
            done = ", ".join(steps) or "nothing"
            said = str((error.details or {}).get("errmsg", ""))[:120] if error.code == ATLAS_ERROR else ""
            why = f"{error.code}: {said}" if said else f"{error.code}"  # Atlas: no right, or no room left
            return failed(f"worked: {done}; then refused with code {why}", _NOT_WRITABLE)
    return passed(", ".join(steps) + ", drop")


def _transaction(target: Target) -> Outcome:
    with scratch_database(target) as database:
        database.create_collection("canary")
        try:
            with target.client.start_session() as session, session.start_transaction():
                database["canary"].insert_one({"_id": 1}, session=session)
                session.abort_transaction()
        except OperationFailure as error:
            return failed(f"transactions are refused (code {error.code})", "Use a replica set or a sharded cluster.")
        left = database["canary"].count_documents({})
    if left:
        return failed("an aborted transaction left a document behind", "This server does not isolate: do not use it.")
    return passed("an aborted transaction left nothing behind")


def _validation(target: Target) -> Outcome:
    with scratch_database(target) as database:
        database.create_collection("canary", validator={"$jsonSchema": {"required": ["tenant_id"]}})
        try:
            database["canary"].insert_one({"_id": 1})
        except OperationFailure as error:
            if error.code == 121:
                return passed("a document that breaks its validator is refused")
            raise
    return failed("a document that breaks its validator was stored", "This server does not validate: do not use it.")


def _time_series(target: Target) -> Outcome:
    """Time series must not take what MongoDB refuses; else trials here say little about the real server."""
    lenient: list[str] = []
    with scratch_database(target) as database:
        try:
            database.create_collection("series", timeseries={"timeField": "t", "metaField": "m"})
        except OperationFailure as error:
            if error.code in UNSUPPORTED:
                return failed(f"no time series here (code {error.code})", "Use MongoDB 7.0.3 or later.")
            raise
        series, now = database["series"], datetime.now(UTC)
        series.insert_one({"t": now, "m": {"k": 1}, "v": 1})
        if _accepted(lambda: series.insert_one({"m": {"k": 1}})):
            lenient.append("inserts without a time")
        if _accepted(lambda: series.insert_one({"t": now.isoformat(), "m": {"k": 1}})):
            lenient.append("a text as time")
        if _accepted(lambda: series.update_one({"v": 1}, {"$set": {"v": 2}})):
            lenient.append("updates of measurements")

        def in_transaction() -> None:
            with target.client.start_session() as session, session.start_transaction():
                series.insert_one({"t": now, "m": {"k": 1}}, session=session)
                session.abort_transaction()

        if _accepted(in_transaction):
            lenient.append("writes in transactions")
    if lenient:
        return warned(
            f"the server takes what MongoDB refuses: {', '.join(lenient)}",
            "Nothing to do here; run the checks again on the real target before you rely on them.",
        )
    return passed("time series refuse what they must: no time, text as time, updates, transactions")


def _accepted(write: Any) -> bool:
    try:
        write()
    except PyMongoError:
        return False
    return True


def _vectors(target: Target) -> Outcome:
    vector = Binary(b"\x27\x00" + b"\x00\x00\x80\x3f" * target.settings.vector_dimensions, VECTOR_SUBTYPE)
    with scratch_database(target) as database:
        database["vectors"].insert_one({"_id": 1, "embedding": vector})
        found = (database["vectors"].find_one({"_id": 1}) or {}).get("embedding")
    if found != vector or getattr(found, "subtype", None) != VECTOR_SUBTYPE:
        return failed("a BSON binary vector came back changed", "Use MongoDB 7.0.3 or later.")
    return passed(f"a float32 vector of {target.settings.vector_dimensions} numbers comes back as it was")


def _performance(target: Target) -> Outcome:
    """Latency of majority writes, and the rate of bulk inserts by one client."""
    with scratch_database(target) as database:
        canary = database.get_collection("canary", write_concern=WriteConcern("majority"))
        latencies = []
        for number in range(20):
            began = time.perf_counter()
            canary.insert_one({"_id": -1 - number})
            latencies.append(time.perf_counter() - began)
        began = time.perf_counter()
        canary.insert_many([{"_id": number, "text": "x" * 200} for number in range(PROBE_DOCUMENTS)], ordered=False)
        rate = PROBE_DOCUMENTS / (time.perf_counter() - began)
    latency = statistics.median(latencies)
    text = f"a majority write takes {latency * 1000:.1f} ms (median of 20), one client inserts {rate:,.0f} documents/s"
    if latency > SLOW_WRITE_SECONDS:
        return warned(text, "Run the migration nearer to the cluster, or with more workers.")
    return passed(text)


def _change_streams(target: Target) -> Outcome:
    with scratch_database(target) as database:
        database.create_collection("canary")
        try:
            with database["canary"].watch(max_await_time_ms=1):
                return passed("change streams can be opened")
        except OperationFailure as error:
            return not_applicable(f"change streams cannot be opened (code {error.code})")


CHECKS = (
    Probe("canary writes", _canary, needed=True),
    Probe("transactions", _transaction, needed=True),
    Probe("validators", _validation, needed=True),
    Probe("time-series rules", _time_series, needed=True),
    Probe("vectors", _vectors, needed=True),
    Probe("change streams", _change_streams),
    Probe("performance", _performance),
)
