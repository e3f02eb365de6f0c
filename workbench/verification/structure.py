"""Level 4, within a collection: kind, indexes, validator and options against the specs.

`schema.plan` says what is missing. What it does not ask is compared here: options that make an index useless for our
questions (hidden, sparse, another collation), and whatever makes documents vanish by themselves (a TTL, a cap).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pymongo.database import Database
from pymongo.errors import OperationFailure

from workbench import schema
from workbench.models.spec import Collection, Kind, VectorIndex
from workbench.settings import Settings
from workbench.verification.findings import Check, Findings

_OF_INDEXES = ("hidden", "sparse", "collation", "expireAfterSeconds", "wildcardProjection", "prepareUnique")
_NOT_OURS = ("capped", "size", "max", "collation", "viewOn", "clusteredIndex", "expireAfterSeconds")
_DEFAULTS = {"validationLevel": "strict", "validationAction": "error"}
_UNFIT = frozenset({"FAILED", "DOES_NOT_EXIST", "DELETING"})
Keys = tuple[tuple[str, Any], ...]


def compare_structure(
    database: Database[Any], spec: Collection, settings: Settings, findings: Findings
) -> tuple[int, str]:
    """Compare a collection with its spec; how many things were compared, and a note about what is odd but harmless."""
    plan = schema.plan(database, settings, phase=schema.Phase.PROVE, collections=[spec])
    for step in plan.steps:
        findings.add(
            Check.STRUCTURE,
            f"missing: {step.action} {step.subject}".rstrip(),
            field=step.subject,
            expected=str(step.action),
            found="absent, or another",
        )
    for conflict in plan.conflicts:
        findings.add(
            Check.STRUCTURE,
            f"contradictions of the spec: {conflict.subject or 'kind'}",
            field=conflict.subject,
            expected=conflict.expected,
            found=conflict.found,
        )
    notes = []
    if spec.name in schema.retention_left(database, settings):
        notes.append(
            f"the retention of {settings.retention_days:,} days is not set, as it must not be before the proof; "
            "`workbench schema` sets it"
        )
    for info in database.list_collections(filter={"name": spec.name}):
        compare_options(info.get("options", {}), spec, settings, findings)
        indexes = [dict(index) for index in database[spec.name].list_indexes()]
        notes.append(compare_indexes(indexes, spec, findings))
        if spec.vector:
            notes.append(_compare_search_index(database, spec, spec.vector, settings, findings))
    examined = 2 + len(spec.indexes) + (1 if spec.vector else 0)
    return examined, "; ".join(filter(None, notes))


def compare_options(options: Mapping[str, Any], spec: Collection, settings: Settings, findings: Findings) -> None:
    """Compare the options of a collection with those that it was created with."""
    for name in _NOT_OURS:
        if not options.get(name):
            continue
        if name == "expireAfterSeconds" and spec.time_series and settings.retention_days:
            age = settings.retention_days * 86_400
            if int(options[name]) != age:
                _add(findings, "documents expire at another age than the settings say", name, age, options[name])
            continue
        _add(findings, f"options that the spec does not have: {name}", name, "absent", options[name])
    if spec.kind is Kind.STANDARD:
        for name, wanted in _DEFAULTS.items():
            found = options.get(name, wanted)
            if found != wanted:
                _add(findings, f"documents are not validated: {name}", name, wanted, found)


def compare_indexes(indexes: Iterable[Mapping[str, Any]], spec: Collection, findings: Findings) -> str:
    """Compare the options of the indexes that are there; a note that names those that no spec asks for.

    An index beyond the spec costs room and does no harm, unless it deletes documents or refuses them.
    """
    wanted: dict[Keys, list[Mapping[str, Any]]] = {index.keys: [] for index in spec.indexes}
    extra: list[Mapping[str, Any]] = []
    by_server: set[Keys] = {(("_id", 1),)}
    if series := spec.time_series:  # MongoDB 6.3 and later make this one themselves
        by_server.add(((series.meta_field, 1), (series.time_field, 1)))
    for index in indexes:
        keys = tuple((path, _direction(direction)) for path, direction in dict(index["key"]).items())
        if keys not in by_server or _odd(index):
            wanted.get(keys, extra).append(index)
    for same in wanted.values():
        good = next((index for index in same if not _odd(index)), None)
        for index in same:
            if good is None:
                for name in _odd(index):
                    _add(
                        findings, f"an index has another option: {name}", str(index["name"]), "absent", index[name]
                    )  # fmt: skip
            elif index is not good:
                extra.append(index)
    for index in extra:
        for name in ("expireAfterSeconds", "unique"):
            if index.get(name) is not None and index[name] is not False:
                harm = "deletes" if name == "expireAfterSeconds" else "refuses"
                _add(
                    findings, f"an index that no spec has {harm} documents", str(index["name"]), "no such index",
                    f"{name} {index[name]}",
                )  # fmt: skip
    harmless = sorted(str(index["name"]) for index in extra)
    return f"indexes that no spec has: {', '.join(harmless)}" if harmless else ""


def _odd(index: Mapping[str, Any]) -> list[str]:
    return [name for name in _OF_INDEXES if index.get(name) is not None and index[name] is not False]


def _direction(value: Any) -> Any:
    return int(value) if isinstance(value, (int, float)) else value


def _compare_search_index(
    database: Database[Any], spec: Collection, vector: VectorIndex, settings: Settings, findings: Findings
) -> str:
    try:
        found = list(database[spec.name].list_search_indexes(settings.vector_index))
    except OperationFailure as error:
        if error.code in schema.SEARCH_UNAVAILABLE:
            return "no vector search here; exact search is used instead"
        raise
    return compare_search_index(found[0], vector, settings, findings) if found else ""


def compare_search_index(
    found: Mapping[str, Any], vector: VectorIndex, settings: Settings, findings: Findings
) -> str:  # fmt: skip
    """Compare a vector search index with its definition and state; a note if it is still being built."""
    definition = found.get("latestDefinition") or found.get("definition") or {}
    there = {field.get("path"): field for field in definition.get("fields", ())}
    for field in schema.vector_definition(vector, settings)["fields"]:
        for name, wanted in field.items():
            value = there.get(field["path"], {}).get(name)
            if value != wanted:
                _add(findings, f"the vector index has another {name} of {field['path']}", name, wanted, value)
    status = str(found.get("status"))
    if status in _UNFIT:
        _add(findings, "the vector index cannot be used", "status", "READY", status)
    return "" if status == "READY" or status in _UNFIT else f"the vector index is {status}"


def _add(findings: Findings, cause: str, field: str, expected: Any, found: Any) -> None:
    findings.add(Check.STRUCTURE, cause, key=field, field=field, expected=str(expected), found=str(found))
