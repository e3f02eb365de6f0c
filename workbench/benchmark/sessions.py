"""A client's view of each database: a connection of its own, and a workload made ready so that only it is timed."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any, Protocol, TypeAlias, TypeVar

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb
from pymongo import MongoClient
from pymongo.database import Database

from workbench.benchmark.answers import Row
from workbench.benchmark.workloads.base import (
    Aggregate,
    Find,
    Insert,
    Kind,
    Merge,
    Search,
    Side,
    Update,
    Workload,
)
from workbench.connections import open_source, open_target, open_target_async
from workbench.errors import VersionConflict
from workbench.settings import Settings
from workbench.similarity.search import Method, SimilaritySearch

Json: TypeAlias = dict[str, Any]
T = TypeVar("T")
Execution: TypeAlias = Callable[[], list[Row]]


class Session(Protocol):
    """One client of one database."""

    side: Side

    def prepare(self, workload: Workload, parameters: Mapping[str, Any]) -> Execution:
        """What runs the workload once and returns its rows, fetched and decoded."""

    def close(self) -> None:
        """Close its connections."""


@contextlib.contextmanager
def both_sessions(settings: Settings) -> Iterator[tuple[SourceSession, TargetSession]]:
    """A client of each database, closed at the end of the block."""
    with (
        contextlib.closing(SourceSession(settings)) as source,
        contextlib.closing(TargetSession(settings)) as target,
    ):
        yield source, target


class SourceSession:
    """One PostgreSQL connection, each statement its own transaction. psycopg prepares what it sees five times."""

    side = Side.POSTGRESQL

    def __init__(self, settings: Settings, *, views: str = "") -> None:
        """`views` names a schema whose views hide the tables of their names."""
        self.connection = open_source(settings, autocommit=True)
        path = [*([views] if views else []), settings.source_schema, *_extension_schema(self.connection)]
        self.connection.execute(sql.SQL("SET search_path = {}").format(sql.SQL(", ").join(map(sql.Identifier, path))))

    def prepare(self, workload: Workload, parameters: Mapping[str, Any]) -> Execution:
        values = {name: Jsonb(value) if isinstance(value, dict) else value for name, value in parameters.items()}
        statements = [statement.encode() for statement in workload.sql]
        cursor = self.connection.cursor(row_factory=tuple_row)

        def execute() -> list[Row]:
            known = values
            for statement in statements[:-1]:
                cursor.execute(statement, known)
                names = [column.name for column in cursor.description or ()]
                known = {**known, **dict(zip(names, cursor.fetchone() or (), strict=False))}
            rows = cursor.execute(statements[-1], known).fetchall()
            if workload.kind is Kind.UPDATE and not rows:
                raise VersionConflict(workload.writes_to, workload.name, expected=1, actual=0)
            return rows

        return execute

    def close(self) -> None:
        self.connection.close()


def _extension_schema(connection: psycopg.Connection[Any]) -> list[str]:
    """Where pgvector's types and operators are, if the extension is there."""
    return [
        name
        for (name,) in connection.execute(
            "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace "
            "WHERE e.extname = 'vector'"
        )
    ]


class TargetSession:
    """A MongoDB client. With `beside` it shares that session's pool, which gives each thread its own connection, and
    its search with the vectors that this holds; the other one must outlive it."""

    side = Side.MONGODB

    def __init__(
        self, settings: Settings, client: MongoClient[Json] | None = None, *, beside: TargetSession | None = None
    ) -> None:
        self._settings, self._beside = settings, beside
        self._own = client is None and beside is None
        self.client: MongoClient[Json] = beside.client if beside else client or open_target(settings)
        self.database: Database[Json] = self.client[settings.mongodb_database]
        self._search: _Searcher | None = None
        self._search_lock = threading.Lock()

    def prepare(self, workload: Workload, parameters: Mapping[str, Any]) -> Execution:
        operation = workload.mongodb(parameters)
        match operation:
            case Find():
                return self._find(operation, workload.columns)
            case Merge():
                return self._merge(operation)
            case Aggregate():
                return self._aggregate(operation, workload.columns)
            case Insert():
                return self._insert(operation)
            case Update():
                return self._update(operation, workload)
            case Search():
                return self._searcher().prepare(operation)

    @property
    def searches_approximately(self) -> bool:
        """Whether the last search used a vector index, whose answers may miss a neighbour."""
        return self._search is not None and self._search.method is Method.VECTOR_INDEX

    def close(self) -> None:
        if self._search:
            self._search.close()
        if self._own:
            self.client.close()

    def _find(self, operation: Find, columns: tuple[str, ...]) -> Execution:
        collection = self.database[operation.collection]
        projection = {"_id": 0, **dict.fromkeys(columns, 1)}

        def execute() -> list[Row]:
            cursor = collection.find(operation.filter, projection, limit=operation.limit)
            found = cursor.sort(list(operation.sort)) if operation.sort else cursor
            return [tuple(value_at(document, path) for path in columns) for document in found]

        return execute

    def _merge(self, operation: Merge) -> Execution:
        parts = [(name, self._find(find, columns)) for name, find, columns in operation.parts]

        def execute() -> list[Row]:
            rows = [(name, *row) for name, find in parts for row in find()]
            rows.sort(key=lambda row: row[1], reverse=True)
            return rows[: operation.limit]

        return execute

    def _aggregate(self, operation: Aggregate, columns: tuple[str, ...]) -> Execution:
        collection, pipeline = self.database[operation.collection], list(operation.pipeline)
        return lambda: [
            tuple(value_at(document, path) for path in columns) for document in collection.aggregate(pipeline)
        ]

    def _insert(self, operation: Insert) -> Execution:
        collection = self.database[operation.collection]

        def execute() -> list[Row]:
            result = collection.insert_many(operation.documents, ordered=False)
            return [(len(result.inserted_ids),)]

        return execute

    def _update(self, operation: Update, workload: Workload) -> Execution:
        collection = self.database[operation.collection]

        def execute() -> list[Row]:
            found = collection.find_one(operation.filter, {"_id": 0, operation.guard: 1})
            guard = (found or {}).get(operation.guard)
            result = collection.update_one({**operation.filter, operation.guard: guard}, operation.change)
            if not result.matched_count:
                raise VersionConflict(workload.writes_to, workload.name, expected=1, actual=0)
            return [(guard,)]

        return execute

    def _searcher(self) -> _Searcher:
        if self._beside:
            return self._beside._searcher()
        with self._search_lock:
            if self._search is None:
                self._search = _Searcher(self._settings)
            return self._search


class _Searcher:
    """The analysts' search with a client and an event loop of its own. It keeps exact search's vectors in memory.

    The loop has a thread of its own: a notebook's kernel already runs one in the thread that calls.
    """

    def __init__(self, settings: Settings) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._client = open_target_async(settings)
        self._search = SimilaritySearch(self._client[settings.mongodb_database], settings)
        self.method: Method | None = None

    def prepare(self, operation: Search) -> Execution:
        def execute() -> list[Row]:
            result = self._wait_for(
                self._search.to_event(
                    operation.tenant_id, operation.anomaly_id, limit=operation.limit, severity=operation.severity
                )
            )
            self.method = result.method
            return [(hit.anomaly_id, hit.score) for hit in result.hits]

        return execute

    def close(self) -> None:
        self._wait_for(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def value_at(document: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path, None where there is none."""
    value: Any = document
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
