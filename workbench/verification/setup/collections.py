"""Checks of the collections: options, indexes, time series and vector search as the specs want them."""

from __future__ import annotations

from typing import Any

from pymongo.errors import OperationFailure

from workbench import schema
from workbench.models import COLLECTIONS
from workbench.models.spec import Kind
from workbench.verification.setup.mongodb import Target
from workbench.verification.setup.results import Outcome, Probe, failed, not_applicable, passed, warned


def _collections(target: Target) -> Outcome:
    planned = schema.plan(target.database, target.settings)
    if planned.conflicts:
        return failed(
            "; ".join(map(str, planned.conflicts))[:500], "Resolve the conflicts; see `workbench schema --plan`."
        )
    left = set(schema.retention_left(target.database, target.settings))
    missing = [
        step
        for step in planned.steps
        if step.action is not schema.Action.CREATE_INDEX
        and not (step.action is schema.Action.SET_RETENTION and step.collection in left)
    ]
    if missing:
        names = ", ".join(sorted({f"{step.action} {step.collection}" for step in missing})[:6])
        return warned(
            f"{len(missing)} steps missing: {names}", "Run `workbench schema`, or the migration, which does it."
        )
    note = (
        f"; no retention yet on {', '.join(sorted(left))}: `workbench schema` sets it after the proof" if left else ""
    )
    return passed(f"{len(COLLECTIONS)} collections with their options and validators{note}")


def _indexes(target: Target) -> Outcome:
    planned = schema.plan(target.database, target.settings)
    missing = [step for step in planned.steps if step.action is schema.Action.CREATE_INDEX]
    total = sum(len(spec.indexes) for spec in COLLECTIONS.values())
    if missing:
        names = ", ".join(f"{step.collection}.{step.subject}" for step in missing[:4])
        return warned(f"{len(missing)} of {total} indexes missing: {names}", "Run `workbench schema`.")
    return passed(f"{total} indexes as specified")


def _index_builds(target: Target) -> Outcome:
    stage: list[dict[str, Any]] = [{"$currentOp": {"allUsers": True}}, {"$match": {"msg": {"$regex": "^Index Build"}}}]
    try:
        building = list(target.client.admin.aggregate(stage))
    except OperationFailure as error:
        return not_applicable(f"running operations cannot be seen (code {error.code})")
    if building:
        return warned(f"{len(building)} index builds are running", "Wait: a load beside an index build is slow.")
    return passed("no index build is running")


def _time_series_options(target: Target) -> Outcome:
    series = [spec for spec in COLLECTIONS.values() if spec.kind is Kind.TIME_SERIES]
    existing = {info["name"]: info for info in target.database.list_collections()}
    wrong = []
    for spec in series:
        options = existing.get(spec.name, {}).get("options", {}).get("timeseries")
        if spec.time_series and options:
            granularity = getattr(target.settings, spec.time_series.granularity_setting)
            wanted = (spec.time_series.time_field, spec.time_series.meta_field, granularity)
            found = tuple(options.get(name) for name in ("timeField", "metaField", "granularity"))
            wrong += [f"{spec.name}: {found}, expected {wanted}"] if found != wanted else []
    if wrong:
        return failed("; ".join(wrong), "Load into a new collection, or change the setting.")
    there = sum(spec.name in existing for spec in series)
    return passed(f"{there} of {len(series)} time series exist, with their time field, meta field and granularity")


def _vector_search(target: Target) -> Outcome:
    name, path = next((spec.name, spec.vector.path) for spec in COLLECTIONS.values() if spec.vector)
    try:
        found = list(target.database[name].list_search_indexes(target.settings.vector_index))
    except OperationFailure as error:
        if error.code in schema.SEARCH_UNAVAILABLE:
            return not_applicable(f"no vector search here (code {error.code}); exact search is used instead")
        raise
    if not found:
        return warned(f"no search index {target.settings.vector_index}", "Run `workbench schema` after the load.")
    state = found[0].get("status")
    if not found[0].get("queryable") or state != "READY":
        return warned(f"the search index is {state}", "Wait until it is READY; building takes minutes.")
    vector = (target.database[name].find_one({path: {"$ne": None}}) or {}).get(path)
    if vector is None:
        return warned("the search index is READY, but there is no document to search for", "Migrate first.")
    stage = {"index": target.settings.vector_index, "path": path, "queryVector": vector}
    hits = list(target.database[name].aggregate([{"$vectorSearch": {**stage, "numCandidates": 20, "limit": 1}}]))
    if not hits:  # a wrong index name or vector type returns nothing rather than an error
        return failed("a stored vector does not find itself", "Compare the index definition with the stored vectors.")
    return passed("the search index is READY, and a stored vector finds a document")


CHECKS = (
    Probe("collections and options", _collections, needed=True),
    Probe("indexes", _indexes, needed=True),
    Probe("index builds", _index_builds),
    Probe("time-series options", _time_series_options, needed=True),
    Probe("vector search", _vector_search),
)
