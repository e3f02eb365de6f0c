"""What a workload is: one question in SQL and in MongoDB's form side by side, its parameters, its target.

The MongoDB form is data, so that it can be run, explained and shown. Write workloads work on copies of the real
tables and collections (`benchmark.scratch`), which are dropped afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

if TYPE_CHECKING:
    from workbench.benchmark.draws import Draws

SCRATCH = "workbench_benchmark"
"""Schema of the copies in PostgreSQL, and prefix of the copies in MongoDB."""

Parameters: TypeAlias = Mapping[str, Any]


class Side(StrEnum):
    """The two databases."""

    POSTGRESQL = "PostgreSQL"
    MONGODB = "MongoDB"


class Kind(StrEnum):
    """The seven kinds of question, each with its target."""

    SIMPLE_READ = "simple read"
    INDEXED_QUERY = "indexed query"
    PAGE = "page"
    AGGREGATION = "aggregation"
    INSERT = "insert"
    UPDATE = "update"
    VECTOR_SEARCH = "vector search"


TARGET_MS: Mapping[Kind, float] = {
    Kind.SIMPLE_READ: 100,
    Kind.INDEXED_QUERY: 100,
    Kind.PAGE: 200,
    Kind.AGGREGATION: 500,
    Kind.INSERT: 100,
    Kind.UPDATE: 100,
    Kind.VECTOR_SEARCH: 500,
}
"""P99 in milliseconds that the new database must stay below."""


@dataclass(frozen=True)
class Find:
    """Documents that match, cut down to columns."""

    collection: str
    filter: Mapping[str, Any]
    sort: tuple[tuple[str, int], ...] = ()
    limit: int = 0


@dataclass(frozen=True)
class Aggregate:
    """A pipeline; its first stage matches the tenant."""

    collection: str
    pipeline: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Merge:
    """Rows of several finds, merged by the client, newest first.

    Each part is the rows' first value, a find, and its columns, of which the first is the time. A `$unionWith` would
    do the same on the server; three finds use their indexes on every server.
    """

    parts: tuple[tuple[str, Find, tuple[str, ...]], ...]
    limit: int


@dataclass(frozen=True)
class Insert:
    """Documents for a scratch collection; the answer is the number that were written."""

    collection: str
    documents: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Update:
    """A change under optimistic locking: read `guard`, then write only if it is still what was read.

    The answer is one row with what the guard was. Where somebody else was faster it is a `VersionConflict`.
    """

    collection: str
    filter: Mapping[str, Any]
    guard: str
    change: Mapping[str, Any]


@dataclass(frozen=True)
class Search:
    """The anomalies most like a stored one, by the search that the analysts use."""

    tenant_id: str
    anomaly_id: UUID
    severity: str | None
    limit: int


Operation: TypeAlias = Find | Merge | Aggregate | Insert | Update | Search


@dataclass(frozen=True)
class Workload:
    """One question to both databases.

    Attributes:
        name: short and unique, for tables and the command line.
        kind: decides the target.
        question: what the operator or analyst asks.
        sql: statements with named parameters, run in order; columns of one are parameters of the next, and the rows
            of the last are the answer. Tables without a schema are the source's.
        mongodb: the operation for parameters. It names the tenant.
        parameters: one set of parameters, drawn from the real data.
        columns: the answer's columns: in MongoDB paths of the resulting documents, in SQL their positions.
        ordered_by: the columns that the answer is ordered by; none if order does not matter.
        limit: rows at which the answer is cut off; rows that tie with the last one are interchangeable.
        tolerance: relative tolerance of doubles in the comparison of the answers.
        whole_tenant: PostgreSQL asks for all rows, because the table has no tenant; comparable only where one
            tenant owns all of it.
        needs_vectors: whether the embeddings must be copied to PostgreSQL first.
        writes_to: the collection whose copies the workload writes to.
        readback: for writes: reads what was written, by the same parameters, so that both sides can be compared.
    """

    name: str
    kind: Kind
    question: str
    sql: tuple[str, ...]
    mongodb: Callable[[Parameters], Operation]
    parameters: Callable[[Draws], dict[str, Any]]
    columns: tuple[str, ...]
    ordered_by: tuple[str, ...] = ()
    limit: int = 0
    tolerance: float = 1e-9
    whole_tenant: bool = False
    needs_vectors: bool = False
    writes_to: str = ""
    readback: Workload | None = None
    target_ms: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "target_ms", TARGET_MS[self.kind])


def scratch_name(collection: str) -> str:
    """The name of a collection's copy."""
    return f"{SCRATCH}_{collection}"


def newest_first(path: str) -> tuple[tuple[str, int], ...]:
    """The sort of the indexes that `models.spec.newest` makes."""
    return ((path, -1), ("_id", -1))
