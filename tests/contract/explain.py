"""Does an index serve a command? Asked of the server by `explain`, for the filter of any command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any

from pymongo.database import Database

from workbench.models import COLLECTIONS

Filter = Mapping[str, Any]


def collection_scan(database: Database[Any], command: Mapping[str, Any]) -> bool:
    """Whether the server would read the whole collection for a command that was sent.

    A server applies the clauses that its index does not cover to what the index finds. The embedded server does so
    too, but its `explain` says COLLSCAN for any such clause, so there it is asked about the clauses one by one: the
    tenant with another clause, or a clause alone that is not the tenant's. The tenant alone is no answer.
    """
    verb, collection = next(iter(command.items()))
    if verb == "aggregate":
        explained = {"aggregate": collection, "pipeline": command["pipeline"], "cursor": {}}
        filter = command["pipeline"][0]["$match"]
    else:
        filter = _filter(verb, command)
        explained = {"find": collection, "filter": filter, "sort": command.get("sort", {})}
    if "COLLSCAN" not in _stages(_explain(database, explained)):
        return False
    if database.client.admin.command("hello").get("setName") != "secantus":
        return True
    narrower = [{"find": collection, "filter": part} for part in _narrower(collection, filter)]
    return all("COLLSCAN" in _stages(_explain(database, part)) for part in narrower)


def serving_index(command: Mapping[str, Any]) -> str | None:
    """The index of the spec that serves all clauses and the sort of a command: its question; None if there is none.

    Equalities must fill a prefix of the index, the sort must go on from there, and a range may end it; the condition
    of a partial index counts as served.
    """
    verb, collection = next(iter(command.items()))
    spec = COLLECTIONS[collection]
    filter = dict(command["pipeline"][0]["$match"] if verb == "aggregate" else _filter(verb, command))
    if "_id" in filter and not isinstance(filter["_id"], Mapping):
        return "the document's _id"
    sort = dict(command.get("sort", {}))
    if sort.keys() == {"_id"}:  # the documents of one sort value, found by an equality on it, are sorted in memory
        sort = {}
        filter.pop("_id", None)
    equal = {path for path, clause in filter.items() if _is_equality(clause)}
    if spec.time_series and equal >= set(spec.natural_key):  # one document, whose tenant is then looked at
        equal.discard(spec.tenant_path)
        filter.pop(spec.tenant_path)
    wanted = [(path, way) for path, way in sort.items() if path not in equal]
    for index in spec.indexes:
        ranges = {path for path, clause in filter.items() if (index.partial or {}).get(path) != clause} - equal
        fixed = list(takewhile(lambda key: key[0] in equal, index.keys))
        rest = index.keys[len(fixed) :]
        follows = [path for path, _ in wanted] == [path for path, _ in rest[: len(wanted)]]
        one_way = len({way == own for (_, way), (_, own) in zip(wanted, rest, strict=False)}) < 2
        ends = {path for path, _ in rest[: len(wanted) or 1]}
        if {path for path, _ in fixed} == equal and follows and one_way and ranges <= ends:
            return index.question
    return None


def _is_equality(clause: object) -> bool:
    return not isinstance(clause, Mapping) or bool({"$in", "$all", "$eq"} & clause.keys())


def _filter(verb: str, command: Mapping[str, Any]) -> Filter:
    match verb:
        case "find":
            return dict(command["filter"])
        case "findAndModify":
            return dict(command["query"])
        case "update":
            return dict(command["updates"][0]["q"])
        case "delete":
            return dict(command["deletes"][0]["q"])
    raise AssertionError(f"a repository sent {verb}")


def _narrower(collection: str, filter: Filter) -> Iterator[Filter]:
    tenant = COLLECTIONS[collection].tenant_path
    for path, clause in filter.items():
        if path == tenant:
            continue
        if isinstance(clause, Mapping) and "$all" in clause:
            clause = clause["$all"][0]  # how a server with an index on the array plans $all
        yield {path: clause}
        yield {tenant: filter[tenant], path: clause}


def _explain(database: Database[Any], command: Mapping[str, Any]) -> Any:
    return database.command("explain", command, codec_options=database.codec_options)


def _stages(explained: Any) -> set[str]:
    """The stages of all winning plans in an answer of `explain`, in any server's form."""
    found: set[str] = set()
    stack = [explained]
    while stack:
        item = stack.pop()
        if isinstance(item, Mapping):
            if isinstance(item.get("stage"), str):
                found.add(item["stage"])
            stack += [value for name, value in item.items() if name != "rejectedPlans"]
        elif isinstance(item, list):
            stack += item
    assert found, f"explain gave no plan: {explained}"
    return found
