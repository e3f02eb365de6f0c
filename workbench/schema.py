"""Plan and apply the target's collections, indexes, validators and vector index from the COLLECTION specs.

`plan` compares the specs with what the server has and returns data; `apply` runs it. Applying twice plans nothing.
There are two phases: before a bulk load only what the load needs (collections, and the unique indexes that find
duplicates which `_id` cannot find); after it everything. Building indexes on loaded data is several times cheaper
than maintaining them while it is loaded, and MongoDB's own advice is to validate after the load.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import bson
from pymongo.database import Database
from pymongo.errors import OperationFailure
from pymongo.operations import SearchIndexModel

from workbench.errors import ConfigurationError
from workbench.models import COLLECTIONS
from workbench.models.spec import Collection, Index, VectorIndex
from workbench.models.validator import json_schema
from workbench.settings import Settings

SEARCH_UNAVAILABLE = {31082, 115, 59, 40324}
"""SearchNotEnabled, CommandNotSupported (SecantusDB), CommandNotFound, unknown stage: no vector search here."""


_VALIDATION_DEFAULTS = {"validationLevel": "strict", "validationAction": "error"}
"""A server need not report options that have their default."""


class Phase(StrEnum):
    """What a plan is for: each phase includes those before it."""

    LOAD = "load"
    """Before a bulk load: collections, and the unique indexes that find duplicates."""
    PROVE = "prove"
    """After it: everything but the retention, which would delete history before it is verified."""
    SERVE = "serve"


class Action(StrEnum):
    """What a step does."""

    CREATE_COLLECTION = "create collection"
    CREATE_INDEX = "create index"
    SET_VALIDATOR = "set validator"
    SET_RETENTION = "set retention"
    CREATE_VECTOR_INDEX = "create vector index"


@dataclass(frozen=True)
class Step:
    """One change of the target. `options` are the arguments of the command that makes it."""

    action: Action
    collection: str
    subject: str
    reason: str
    options: dict[str, Any] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return f"{self.action} {self.collection} {self.subject}".rstrip() + f" ({self.reason})"


@dataclass(frozen=True)
class Conflict:
    """Something the target has that contradicts its spec and that no step may change by itself."""

    collection: str
    subject: str
    expected: str
    found: str
    todo: str

    def __str__(self) -> str:
        return f"{self.collection} {self.subject}: expected {self.expected}, found {self.found}. {self.todo}"


@dataclass(frozen=True)
class Plan:
    """The steps that are missing, the conflicts that a person must decide, and what the deployment cannot do."""

    steps: tuple[Step, ...]
    conflicts: tuple[Conflict, ...] = ()
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [str(step) for step in self.steps] or ["Nothing to do: the target matches the specs."]
        lines += [f"CONFLICT {conflict}" for conflict in self.conflicts]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def plan(
    database: Database[Any],
    settings: Settings,
    *,
    phase: Phase = Phase.SERVE,
    collections: Iterable[Collection] | None = None,
) -> Plan:
    """What is missing in `database`. Reads only."""
    existing = {info["name"]: info for info in database.list_collections()}
    steps: list[Step] = []
    conflicts: list[Conflict] = []
    notes: list[str] = []
    for spec in collections or COLLECTIONS.values():
        info = existing.get(spec.name)
        if info is None:
            options = _create_options(spec, settings)
            steps.append(Step(Action.CREATE_COLLECTION, spec.name, "", f"{spec.kind} collection", options))
        else:
            conflicts += _kind_conflicts(spec, settings, info)
        index_steps, index_conflicts = _plan_indexes(database, spec, phase, exists=info is not None)
        steps += index_steps
        conflicts += index_conflicts
        if phase is not Phase.LOAD:
            if spec.time_series is None or phase is Phase.SERVE:
                steps += _plan_options(spec, settings, info)
            if spec.vector:
                found = _plan_vector(database, spec, spec.vector, settings, exists=info is not None)
                steps += found.steps
                conflicts += found.conflicts
                notes += found.notes
    return Plan(tuple(steps), tuple(conflicts), tuple(notes))


def retention_left(database: Database[Any], settings: Settings) -> list[str]:
    """The time series that do not expire yet although the settings want it: history must be proven first."""
    if not settings.retention_days:
        return []
    series = [spec.name for spec in COLLECTIONS.values() if spec.time_series]
    found = database.list_collections(filter={"name": {"$in": series}})
    return sorted(info["name"] for info in found if not info.get("options", {}).get("expireAfterSeconds"))


def apply(database: Database[Any], plan: Plan, *, on_step: Callable[[Step], None] | None = None) -> tuple[Step, ...]:
    """Run a plan's steps in order; the steps that were run.

    Raises:
        ConfigurationError: the plan has conflicts. Nothing was changed.
    """
    if plan.conflicts:
        raise ConfigurationError("The target contradicts its specs:\n" + "\n".join(map(str, plan.conflicts)))
    for step in plan.steps:
        if on_step:
            on_step(step)
        _run(database, step)
    return plan.steps


def _run(database: Database[Any], step: Step) -> None:
    collection = database[step.collection]
    match step.action:
        case Action.CREATE_COLLECTION:
            try:
                database.create_collection(step.collection, **step.options)
            except OperationFailure as error:
                if error.code != 48:  # NamespaceExists: another process applied the same plan
                    raise
        case Action.CREATE_INDEX:
            options = dict(step.options)
            collection.create_index(options.pop("keys"), **options)
        case Action.SET_VALIDATOR | Action.SET_RETENTION:
            database.command("collMod", step.collection, **step.options)
        case Action.CREATE_VECTOR_INDEX:
            collection.create_search_index(SearchIndexModel(**step.options))


def _create_options(spec: Collection, settings: Settings) -> dict[str, Any]:
    if spec.time_series is None:
        return {}
    return {
        "timeseries": {
            "timeField": spec.time_series.time_field,
            "metaField": spec.time_series.meta_field,
            "granularity": getattr(settings, spec.time_series.granularity_setting),
        }
    }


def _kind_conflicts(spec: Collection, settings: Settings, info: Mapping[str, Any]) -> list[Conflict]:
    found = info["options"].get("timeseries")
    if (spec.time_series is None) != (found is None):
        kind = "a time series" if found else "a standard collection"
        return [Conflict(spec.name, "", spec.kind, kind, "Move it away under another name.")]
    if not found:
        return []
    expected = _create_options(spec, settings)["timeseries"]
    return [
        Conflict(spec.name, name, value, str(found.get(name)), "Load into a new collection, or change the setting.")
        for name, value in expected.items()
        if found.get(name) != value
    ]


def index_options(index: Index) -> dict[str, Any]:
    """The options of an index beside its keys, as the server reports them."""
    options: dict[str, Any] = {"unique": True} if index.unique else {}
    if index.partial:
        options["partialFilterExpression"] = dict(index.partial)
    return options


def _plan_indexes(
    database: Database[Any], spec: Collection, phase: Phase, *, exists: bool
) -> tuple[list[Step], list[Conflict]]:
    found = {
        tuple((path, int(direction)) for path, direction in info["key"]): info
        for info in (database[spec.name].index_information() if exists else {}).values()
        if all(isinstance(direction, (int, float)) for _, direction in info["key"])
    }
    steps: list[Step] = []
    conflicts: list[Conflict] = []
    for index in spec.indexes:
        if phase is Phase.LOAD and not index.before_load:
            continue
        options = index_options(index)
        info = found.get(index.keys)
        if info is None:
            arguments = {"keys": list(index.keys), "name": index.name, **options}
            steps.append(Step(Action.CREATE_INDEX, spec.name, index.name, index.question, arguments))
            continue
        present = {name: info[name] for name in ("unique", "partialFilterExpression") if info.get(name)}
        if bson.encode(present) != bson.encode(options):  # as values: the driver returns their dates without a zone
            todo = f"Drop it (db.{spec.name}.dropIndex) and apply again."
            conflicts.append(Conflict(spec.name, f"index {index.name}", str(options), str(present), todo))
    return steps, conflicts


def _plan_options(spec: Collection, settings: Settings, info: Mapping[str, Any] | None) -> list[Step]:
    present = info["options"] if info else {}
    if spec.time_series:  # time series take no validator; their documents are validated by the models only
        return _plan_retention(spec, settings.retention_days, present.get("expireAfterSeconds"))
    options = {
        "validator": {"$jsonSchema": json_schema(spec)},
        "validationLevel": "strict",
        "validationAction": "error",
    }
    if {**_VALIDATION_DEFAULTS, **present} == {**_VALIDATION_DEFAULTS, **present, **options}:
        return []
    return [Step(Action.SET_VALIDATOR, spec.name, "", f"from the model {spec.document.__name__}", options)]


def _plan_retention(spec: Collection, days: int, present: Any) -> list[Step]:
    seconds = days * 86_400
    if seconds == int(present or 0):
        return []
    retention = {"expireAfterSeconds": seconds or "off"}
    return [Step(Action.SET_RETENTION, spec.name, f"{days} days" if days else "none", "retention", retention)]


def vector_definition(index: VectorIndex, settings: Settings) -> dict[str, Any]:
    """The definition of a vector search index, as `createSearchIndexes` takes it."""
    vector: dict[str, Any] = {
        "type": "vector",
        "path": index.path,
        "numDimensions": settings.vector_dimensions,
        "similarity": settings.vector_similarity,
    }
    return {"fields": [vector, *({"type": "filter", "path": path} for path in index.filter_paths)]}


def _plan_vector(
    database: Database[Any], spec: Collection, vector: VectorIndex, settings: Settings, *, exists: bool
) -> Plan:
    """A search index can only be asked about on a collection that exists, so its step may need a second plan."""
    name = settings.vector_index
    try:
        present = list(database[spec.name].list_search_indexes(name)) if exists else []
        database.command("aggregate", spec.name, pipeline=[{"$listSearchIndexes": {}}], cursor={})
    except OperationFailure as error:
        if error.code in SEARCH_UNAVAILABLE:
            note = f"{spec.name}: this deployment has no vector search; similar documents are found by exact search."
            return Plan((), (), (note,))
        raise
    definition = vector_definition(vector, settings)
    if present:
        return Plan((), tuple(_vector_conflicts(spec, name, definition, present[0].get("latestDefinition") or {})))
    options = {"definition": definition, "name": name, "type": "vectorSearch"}
    return Plan((Step(Action.CREATE_VECTOR_INDEX, spec.name, name, "similar anomalies", options),))


def _vector_conflicts(
    spec: Collection, name: str, expected: Mapping[str, Any], found: Mapping[str, Any]
) -> list[Conflict]:
    """Fields of the definition that the server has otherwise; it may report further options of its own."""
    fields = {field.get("path"): field for field in found.get("fields", ())}
    todo = f"Drop it (db.{spec.name}.dropSearchIndex) and apply again, or change the setting."
    return [
        Conflict(spec.name, f"vector index {name}", str(wanted), str(fields.get(wanted["path"], "no such field")), todo)
        for wanted in expected["fields"]
        if not wanted.items() <= fields.get(wanted["path"], {}).items()
    ]
