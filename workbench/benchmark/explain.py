"""Explain plans of both databases side by side, and the advice on indexes that follows from them.

The stages of MongoDB's plans are collected wherever they stand, since their nesting differs between servers, engines
and sharded clusters. Writes are explained by the read that finds what they change; inserts have no plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from workbench.benchmark.sessions import SourceSession, TargetSession
from workbench.benchmark.workloads.base import Aggregate, Find, Kind, Merge, Operation, Search, Update, Workload

Json: TypeAlias = dict[str, Any]

WASTEFUL_RATIO = 10
"""Documents examined for each that matches from which a better index pays."""
FEW_DOCUMENTS = 100
"""Below so many, no plan is worth advice."""
_READING = {"FETCH", "COLLSCAN", "IXSCAN", "EXPRESS_IXSCAN", "IDHACK", "CLUSTERED_IXSCAN"}
_RANGES = {"$gt", "$gte", "$lt", "$lte", "$ne", "$nin", "$regex", "$exists"}


@dataclass(frozen=True)
class TargetPlan:
    """How MongoDB answers one command."""

    collection: str
    stages: tuple[str, ...]
    indexes: tuple[str, ...]
    returned: int
    keys_examined: int
    documents_examined: int
    advice: tuple[str, ...]

    @property
    def scans_collection(self) -> bool:
        """Whether no index was used."""
        return "COLLSCAN" in self.stages


@dataclass(frozen=True)
class SourcePlan:
    """How PostgreSQL answers one statement."""

    nodes: tuple[str, ...]
    rows: int
    execution_ms: float
    advice: tuple[str, ...]


@dataclass(frozen=True)
class PlanPair:
    """The plans of one workload on both sides."""

    workload: str
    source: SourcePlan | None
    target: tuple[TargetPlan, ...]

    def as_dict(self) -> Json:
        """JSON types."""
        return asdict(self)


def compare_plans(
    workload: Workload, parameters: Mapping[str, Any], source: SourceSession, target: TargetSession
) -> PlanPair:
    """The plans of both sides for one set of parameters. Runs the read on both."""
    return PlanPair(
        workload.name,
        explain_source(workload, parameters, source),
        explain_target(workload.mongodb(parameters), target),
    )


def explain_target(operation: Operation, session: TargetSession) -> tuple[TargetPlan, ...]:
    """MongoDB's plan of each read that an operation makes; none for inserts and searches."""
    return tuple(_explain(read, session) for read in _reads(operation))


def explain_source(workload: Workload, parameters: Mapping[str, Any], session: SourceSession) -> SourcePlan | None:
    """PostgreSQL's plan of a workload's read; None for inserts."""
    if workload.kind is Kind.INSERT:
        return None
    statement = b"EXPLAIN (ANALYZE, FORMAT JSON) " + workload.sql[0].encode()
    top = session.connection.execute(statement, parameters).fetchall()[0][0][0]
    nodes = list(_walk_nodes(top["Plan"]))
    return SourcePlan(
        nodes=tuple(_node_name(node) for node in nodes),
        rows=int(top["Plan"]["Actual Rows"]),
        execution_ms=float(top["Execution Time"]),
        advice=tuple(text for node in nodes for text in _source_advice(node)),
    )


def suggested_index(conditions: Mapping[str, Any], sort: Sequence[tuple[str, int]] = ()) -> tuple[tuple[str, int], ...]:
    """The index for a filter and a sort, by the rule equality, sort, range (MongoDB manual, "ESR")."""
    ranges = [path for path, value in conditions.items() if isinstance(value, Mapping) and _RANGES & value.keys()]
    equal = [path for path in conditions if path not in ranges and not path.startswith("$")]
    keys = dict.fromkeys(equal, 1)
    keys.update({path: direction for path, direction in sort if path not in keys})
    keys.update({path: 1 for path in ranges if path not in keys})
    return tuple(keys.items())


def _reads(operation: Operation) -> Iterator[Find | Aggregate]:
    match operation:
        case Find() | Aggregate():
            yield operation
        case Merge():
            yield from (find for _, find, _ in operation.parts)
        case Update():
            yield Find(operation.collection, operation.filter, limit=1)
        case Search():
            # What decides the speed of exact search; with a vector index there is no such read.
            yield Find("anomaly_events", {"tenant_id": operation.tenant_id, "anomaly_id": operation.anomaly_id})


def _explain(read: Find | Aggregate, session: TargetSession) -> TargetPlan:
    database = session.database
    if isinstance(read, Find):
        command: Json = {"find": read.collection, "filter": read.filter}
        if read.sort:
            command["sort"] = dict(read.sort)
        if read.limit:
            command["limit"] = read.limit
        conditions, sort = read.filter, read.sort
    else:
        command = {"aggregate": read.collection, "pipeline": list(read.pipeline), "cursor": {}}
        conditions, sort = read.pipeline[0]["$match"], ()
    answer = database.command("explain", command, verbosity="executionStats", codec_options=database.codec_options)
    plans = list(_find_all(answer, "winningPlan"))[:1] or [answer]
    stats: Mapping[str, Any] = next(_find_all(answer, "executionStats"), {})
    stages = tuple(str(stage) for stage in _find_all(plans[0], "stage"))
    patterns = list(_find_all(plans[0], "keyPattern"))
    returned = int(stats.get("nReturned", 0))
    matched = list(_matched(answer))
    limit = read.limit if isinstance(read, Find) else 0
    examined = int(stats.get("totalDocsExamined", 0))
    return TargetPlan(
        collection=read.collection,
        stages=stages,
        indexes=tuple(dict.fromkeys(str(name) for name in _find_all(plans[0], "indexName"))),
        returned=min(returned, limit) if limit else returned,
        keys_examined=int(stats.get("totalKeysExamined", 0)),
        documents_examined=examined,
        advice=tuple(_target_advice(stages, patterns, conditions, sort, examined, sum(matched) if matched else None)),
    )


def _matched(value: Any) -> Iterator[int]:
    """Documents that the outermost stages that read found to match, before any are sorted, cut off or grouped.

    What a command returns says less: a group of thousands is one document, and of thousands sorted ten are returned.
    """
    if isinstance(value, Mapping):
        if str(value.get("stage")) in _READING and "nReturned" in value:
            yield int(value["nReturned"])
            return
        for key in ("executionStats", "executionStages", "inputStage", "inputStages", "shards", "stages", "$cursor"):
            if key in value:
                parts = value[key]
                named = key == "shards" and isinstance(parts, Mapping)
                yield from _matched(list(parts.values()) if named else parts)
                if key == "executionStats":
                    return  # some servers repeat it in `stages`
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _matched(item)


def _target_advice(
    stages: Sequence[str],
    patterns: Sequence[Mapping[str, Any]],
    conditions: Mapping[str, Any],
    sort: Sequence[tuple[str, int]],
    examined: int,
    matched: int | None,
) -> Iterator[str]:
    """Advice on a plan that examined so many documents; `matched` of them fit the filter, None if that is not known."""
    if examined < FEW_DOCUMENTS:
        return
    index = suggested_index(conditions, sort)
    wanted = ", ".join(f"{path} {direction}" for path, direction in index)
    if "COLLSCAN" in stages:
        yield f"scans the collection ({examined:,} documents): create an index on ({wanted})"
        return
    if any(tuple(pattern.items())[: len(index)] == index for pattern in patterns):
        if "SORT" in stages:
            yield f"the index has this order, but the server sorts {examined:,} documents all the same"
        return
    if "SORT" in stages:
        if any(_gives_order(pattern, conditions, sort) for pattern in patterns):
            yield f"the index has this order, but the server sorts {examined:,} documents all the same"
            return
        yield f"sorts {examined:,} documents in memory: an index on ({wanted}) gives them in order"
    if matched is not None and examined > WASTEFUL_RATIO * max(matched, 1):
        yield f"examines {examined:,} documents, of which {matched:,} match: create an index on ({wanted})"


def _gives_order(pattern: Mapping[str, Any], conditions: Mapping[str, Any], sort: Sequence[tuple[str, int]]) -> bool:
    """Whether an index has the sort's keys after those that the filter holds equal."""
    equal = {path for path, value in conditions.items() if not isinstance(value, Mapping)}
    if not sort:
        return False
    rest = [path for path in pattern if path not in equal]
    return rest[: len(sort)] == [path for path, _ in sort]


def _source_advice(node: Mapping[str, Any]) -> Iterator[str]:
    loops = int(node.get("Actual Loops", 1))
    removed = int(node.get("Rows Removed by Filter", 0)) * loops
    kept = float(node["Actual Rows"]) * loops
    wasteful = removed >= FEW_DOCUMENTS and removed > WASTEFUL_RATIO * max(kept, 1)
    if node.get("Filter") and wasteful:
        if node["Node Type"] == "Seq Scan":
            rows = f"removes {removed:,} rows by {node['Filter']} and keeps {kept:,.0f}"
            yield f"scans {node['Relation Name']}, {rows}: an index may help"
        else:
            yield f"{node['Node Type']} removes {removed:,} rows by {node['Filter']}: add those columns to its index"
    if node.get("Sort Space Type") == "Disk":
        yield f"sorts on disk ({node['Sort Space Used']:,} kB): an index in this order, or more work_mem"


def _walk_nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _walk_nodes(child)


def _node_name(node: Mapping[str, Any]) -> str:
    on = node.get("Index Name") or node.get("Relation Name")
    return f"{node['Node Type']} ({on})" if on else str(node["Node Type"])


def _find_all(value: Any, name: str) -> Iterator[Any]:
    """Every value under a key, at any depth, outer ones first."""
    if isinstance(value, Mapping):
        if name in value:
            yield value[name]
        for key, item in value.items():
            if key != "rejectedPlans":
                yield from _find_all(item, name)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _find_all(item, name)
