"""The two what-ifs of the document model: the audit entries and the transaction scores of investigations.

Each question has a form for items in documents of their own, and one for items in arrays (bucket and embed).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from pymongo.collection import Collection
from pymongo.database import Database

from workbench.benchmark.document_models import (
    BUCKET_ITEMS,
    Answer,
    Family,
    Question,
    Shape,
    ShapeFigures,
    measure_shapes,
)
from workbench.benchmark.draws import Draws
from workbench.benchmark.scratch import exclusive
from workbench.benchmark.workloads.base import SCRATCH
from workbench.connections import open_source, open_target
from workbench.errors import ConfigurationError
from workbench.settings import Settings

Json: TypeAlias = dict[str, Any]
Stored: TypeAlias = Collection[Json]

_LAST_ENTRIES = 20
_TOP = 10
_PAGE = 50
_RISKY = 0.95
_BY_OWNER = ("tenant_id", 1), ("investigation_id", 1)


def _case(owner: Json) -> Json:
    return {"tenant_id": owner["tenant_id"], "investigation_id": owner["investigation_id"]}


# -- audit entries --------------------------------------------------------------------------------------------------


def _last_of_reference(stored: Stored, owner: Json) -> Answer:
    found = stored.find(_case(owner)).sort([("timestamp", -1)]).limit(_LAST_ENTRIES)
    return [entry["timestamp"] for entry in found]


def _last_of_buckets(stored: Stored, owner: Json) -> Answer:
    # The newest bucket may have been begun just now; the one before it is full.
    found = list(stored.find(_case(owner)).sort([("last", -1)]).limit(2))
    entries = [entry["timestamp"] for bucket in found for entry in reversed(bucket["items"])]
    return entries[:_LAST_ENTRIES]


def _last_of_embedded(stored: Stored, owner: Json) -> Answer:
    found = stored.find_one(_case(owner), {"items": {"$slice": -_LAST_ENTRIES}})
    return [entry["timestamp"] for entry in reversed(found["items"])] if found else []


def _week(owner: Json) -> Json:
    return {"$gte": owner["from"], "$lt": owner["to"]}


def _week_of_reference(stored: Stored, owner: Json) -> Answer:
    return [stored.count_documents({"tenant_id": owner["tenant_id"], "timestamp": _week(owner)})]


def _week_of_arrays(stored: Stored, owner: Json) -> Answer:
    touched = {"tenant_id": owner["tenant_id"], "last": {"$gte": owner["from"]}, "first": {"$lt": owner["to"]}}
    pipeline: list[Json] = [
        {"$match": touched},
        {"$unwind": "$items"},
        {"$match": {"items.timestamp": _week(owner)}},
        {"$count": "entries"},
    ]
    return [next((row["entries"] for row in stored.aggregate(pipeline)), 0)]


def _new_entry(owner: Json) -> Json:
    return {"entry_id": f"benchmark_{owner['serial']}", "timestamp": owner["to"], "action_type": "UPDATED"}


def _add_entry(stored: Stored, owner: Json) -> Answer:
    stored.insert_one({**_case(owner), **_new_entry(owner)})
    return []


AUDIT = Family(
    name="audit",
    owner="investigation_id",
    order="timestamp",
    indexes={
        Shape.REFERENCE: ((*_BY_OWNER, ("timestamp", -1)), (("tenant_id", 1), ("timestamp", 1))),
        Shape.BUCKET: ((*_BY_OWNER, ("last", -1)), (("tenant_id", 1), ("last", 1))),
        Shape.EMBED: (_BY_OWNER, (("tenant_id", 1), ("last", 1))),
    },
    questions=(
        Question(
            f"last {_LAST_ENTRIES} of a case",
            {
                Shape.REFERENCE: _last_of_reference,
                Shape.BUCKET: _last_of_buckets,
                Shape.EMBED: _last_of_embedded,
            },
        ),
        Question(
            "all of a week",
            {
                Shape.REFERENCE: _week_of_reference,
                Shape.BUCKET: _week_of_arrays,
                Shape.EMBED: _week_of_arrays,
            },
        ),
        Question(
            "add one",
            {
                Shape.REFERENCE: _add_entry,
                Shape.BUCKET: lambda stored, owner: _push(stored, owner, _new_entry(owner), "timestamp", full=True),
                Shape.EMBED: lambda stored, owner: _push(stored, owner, _new_entry(owner), "timestamp", full=False),
            },
            writes=True,
        ),
    ),
)


# -- transaction scores ---------------------------------------------------------------------------------------------


def _top_of_reference(stored: Stored, owner: Json) -> Answer:
    found = stored.find(_case(owner)).sort([("risk_score", -1)]).limit(_TOP)
    return [score["risk_score"] for score in found]


def _top_of_arrays(stored: Stored, owner: Json) -> Answer:
    pipeline: list[Json] = [
        {"$match": _case(owner)},
        {"$unwind": "$items"},
        {"$sort": {"items.risk_score": -1}},
        {"$limit": _TOP},
        {"$project": {"_id": 0, "score": "$items.risk_score"}},
    ]
    return [row["score"] for row in stored.aggregate(pipeline)]


def _page_of_reference(stored: Stored, owner: Json) -> Answer:
    after = {**_case(owner), "transaction_id": {"$gt": owner["after"]}}
    return [score["transaction_id"] for score in stored.find(after).sort([("transaction_id", 1)]).limit(_PAGE)]


def _page_of_arrays(stored: Stored, owner: Json) -> Answer:
    pipeline: list[Json] = [
        {"$match": {**_case(owner), "last": {"$gt": owner["after"]}}},
        {"$unwind": "$items"},
        {"$match": {"items.transaction_id": {"$gt": owner["after"]}}},
        {"$sort": {"items.transaction_id": 1}},
        {"$limit": _PAGE},
        {"$project": {"_id": 0, "key": "$items.transaction_id"}},
    ]
    return [row["key"] for row in stored.aggregate(pipeline)]


def _risky_of_reference(stored: Stored, owner: Json) -> Answer:
    return [stored.count_documents({"tenant_id": owner["tenant_id"], "risk_score": {"$gte": _RISKY}})]


def _risky_of_arrays(stored: Stored, owner: Json) -> Answer:
    pipeline: list[Json] = [
        {"$match": {"tenant_id": owner["tenant_id"], "items.risk_score": {"$gte": _RISKY}}},
        {"$unwind": "$items"},
        {"$match": {"items.risk_score": {"$gte": _RISKY}}},
        {"$count": "scores"},
    ]
    return [next((row["scores"] for row in stored.aggregate(pipeline)), 0)]


def _new_score(owner: Json) -> Json:
    return {"transaction_id": f"txn_{10**15 + owner['serial']}", "risk_score": 0.5, "created_at": owner["to"]}


def _add_score(stored: Stored, owner: Json) -> Answer:
    stored.insert_one({**_case(owner), **_new_score(owner)})
    return []


SCORES = Family(
    name="scores",
    owner="investigation_id",
    order="transaction_id",
    indexes={
        Shape.REFERENCE: (
            (*_BY_OWNER, ("transaction_id", 1)),
            (*_BY_OWNER, ("risk_score", -1)),
            (("tenant_id", 1), ("risk_score", -1)),
        ),
        Shape.BUCKET: ((*_BY_OWNER, ("last", 1)), (("tenant_id", 1), ("items.risk_score", -1))),
        Shape.EMBED: (_BY_OWNER, (("tenant_id", 1), ("items.risk_score", -1))),
    },
    questions=(
        Question(
            f"top {_TOP} of a case",
            {Shape.REFERENCE: _top_of_reference, Shape.BUCKET: _top_of_arrays, Shape.EMBED: _top_of_arrays},
        ),
        Question(
            f"page of {_PAGE}",
            {Shape.REFERENCE: _page_of_reference, Shape.BUCKET: _page_of_arrays, Shape.EMBED: _page_of_arrays},
        ),
        Question(
            "riskiest of all cases",
            {Shape.REFERENCE: _risky_of_reference, Shape.BUCKET: _risky_of_arrays, Shape.EMBED: _risky_of_arrays},
        ),
        Question(
            "add one",
            {
                Shape.REFERENCE: _add_score,
                Shape.BUCKET: lambda stored, owner: _push(
                    stored, owner, _new_score(owner), "transaction_id", full=True
                ),
                Shape.EMBED: lambda stored, owner: _push(
                    stored, owner, _new_score(owner), "transaction_id", full=False
                ),
            },
            writes=True,
        ),
    ),
)


def _push(stored: Stored, owner: Json, item: Json, order: str, *, full: bool) -> Answer:
    """Append to the case's document, or to its bucket that is not full; a new one is made where there is none."""
    conditions: Json = _case(owner)
    if full:
        conditions["count"] = {"$lt": BUCKET_ITEMS}
    change = {
        "$push": {"items": item},
        "$inc": {"count": 1},
        "$set": {"last": item[order]},
        "$setOnInsert": {"first": item[order]},
    }
    stored.update_one(conditions, change, upsert=True)
    return []


# -- reading and running ----------------------------------------------------------------------------------------------


def read_audit(database: Database[Json], cases: Sequence[Mapping[str, Any]]) -> list[Json]:
    """The audit entries of the cases, flat: metadata's fields beside the others."""
    items = []
    for case in cases:
        conditions = {
            "metadata.tenant_id": case["tenant_id"],
            "metadata.investigation_id": case["investigation_id"],
        }
        for entry in database["audit_log"].find(conditions, {"_id": 0, "provenance": 0}):
            items.append({**entry.pop("metadata"), **entry})
    return items


def read_scores(database: Database[Json], cases: Sequence[Mapping[str, Any]]) -> list[Json]:
    """The transaction scores of the cases."""
    items: list[Json] = []
    for case in cases:
        items += database["transaction_scores"].find(_case(dict(case)), {"_id": 0, "provenance": 0})
    return items


def asked_owners(items: Sequence[Json], family: Family) -> list[Json]:
    """The cases that the questions are about: each with a key to page after and a week that it saw."""
    first: dict[tuple[str, str], Json] = {}
    for item in items:
        first.setdefault((item["tenant_id"], item[family.owner]), item)
    owners = []
    for (tenant, owner), item in first.items():
        start: datetime = item.get("timestamp") or item["created_at"]
        week = {"from": start, "to": start + timedelta(days=7)}
        owners.append({"tenant_id": tenant, family.owner: owner, "after": item.get("transaction_id", ""), **week})
    return owners


_FAMILIES = {"audit": (AUDIT, read_audit), "scores": (SCORES, read_scores)}


def run_what_if(settings: Settings, family: str, *, seed: int = 0, samples: int = 30) -> list[ShapeFigures]:
    """The figures of every shape of `audit` or `scores`, on the items of up to 200 investigations.

    Side effects: scratch collections `workbench_benchmark_*` in the target, dropped at the end.

    Raises:
        ConfigurationError: there is no such family, or the target has no items of it.
    """
    if family not in _FAMILIES:
        raise ConfigurationError(f"There is no what-if {family!r}.", todo=f"There are: {', '.join(_FAMILIES)}.")
    chosen, read = _FAMILIES[family]
    with (
        open_source(settings, autocommit=True) as connection,
        open_target(settings, bulk=True) as client,
        exclusive(connection),
    ):
        database = client[settings.mongodb_database]
        items = read(database, Draws(connection, settings, seed=seed).rows("investigation"))
        if not items:
            raise ConfigurationError(f"The target has no {family} to shape.", todo="Run `workbench migrate` first.")
        return measure_shapes(database, chosen, items, asked_owners(items, chosen), samples=samples, prefix=SCRATCH)
