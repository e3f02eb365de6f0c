"""What a collection is, as data: kind, keys, indexes, time-series options, vector index, shard key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.models.document import Document


class Kind(StrEnum):
    """The two kinds of collection."""

    STANDARD = "standard"
    TIME_SERIES = "time series"


@dataclass(frozen=True)
class Index:
    """One index and the question that needs it.

    `before_load` is for unique indexes that find duplicates which the `_id` cannot find; every other index is
    built after a bulk load, which is several times cheaper than keeping it up to date meanwhile.
    """

    keys: tuple[tuple[str, int], ...]
    question: str
    unique: bool = False
    partial: Mapping[str, Any] | None = None
    before_load: bool = False

    @property
    def name(self) -> str:
        """The server's own default form, so that an index made by hand is recognised."""
        return "_".join(f"{path}_{direction}" for path, direction in self.keys)


@dataclass(frozen=True)
class TimeSeries:
    """Options of a time-series collection; `granularity_setting` names the setting that holds the granularity."""

    time_field: str
    meta_field: str
    granularity_setting: str


@dataclass(frozen=True)
class VectorIndex:
    """Where the embedding stands and which fields a search may filter on."""

    path: str
    filter_paths: tuple[str, ...]


@dataclass(frozen=True)
class Collection:
    """One target collection.

    Attributes:
        name: the collection.
        source_table: the PostgreSQL table it comes from; also the namespace of its `_id`s.
        document: the model that every document passes.
        natural_key: the fields, of the first level, that identify a document, in the order of the table's primary key.
        tenant_path: where the tenant stands.
        shard_key: begins every unique index of the collection, as MongoDB demands of a sharded one.
        sort_path: the date by which lists are sorted, newest first.
    """

    name: str
    source_table: str
    document: type[Document]
    natural_key: tuple[str, ...]
    sort_path: str
    indexes: tuple[Index, ...]
    shard_key: tuple[tuple[str, int | str], ...]
    tenant_path: str = "tenant_id"
    time_series: TimeSeries | None = None
    vector: VectorIndex | None = None
    kind: Kind = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", Kind.TIME_SERIES if self.time_series else Kind.STANDARD)


def ascending(*paths: str) -> tuple[tuple[str, int], ...]:
    """Index keys that all ascend."""
    return tuple((path, 1) for path in paths)


def newest(*paths: str, by: str) -> tuple[tuple[str, int], ...]:
    """Index keys for "these equal, newest first": the paths, then the date descending, then `_id` to break ties."""
    return (*ascending(*paths), (by, -1), ("_id", -1))
