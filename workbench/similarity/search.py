"""The anomalies most like another one: by the vector index where the deployment has one, else exactly.

Exact search reads the tenant's vectors once and keeps them; the collection's count and the tenant's newest document
tell, for two cheap reads, whether they still hold. What those two cannot show (vectors replaced in place) is seen
after `CACHE_SECONDS`. What is kept of all tenants together is bounded by `CACHED_BYTES`: those asked least lately go,
and a tenant with more is not kept: each search streams its vectors.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, TypeAlias
from uuid import UUID

import numpy as np
import numpy.typing as npt
from bson import ObjectId
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure, PyMongoError

from workbench.connections import translate_target_error
from workbench.errors import NotFound
from workbench.models.anomaly_events import COLLECTION
from workbench.schema import SEARCH_UNAVAILABLE
from workbench.settings import Settings
from workbench.similarity.embedder import Embedder, Vectors, embedder_for, from_binary, to_binary
from workbench.similarity.features import cohort_pairs, evidence_words, words

CACHE_SECONDS = 60.0
CHECK_SECONDS = 5.0
"""So long the last look at count and newest document holds."""
CACHED_BYTES = 300_000_000
"""About 200,000 vectors of 384 dimensions."""
BLOCK_ROWS = 5_000
CANDIDATES_PER_HIT = 20
"""Atlas advises at least 20 candidates for each result of an approximate search."""
CAPABILITY_SECONDS = 300.0

_SMALL_WORDS = frozenset(("and", "for", "from", "not", "over", "than", "that", "the", "was", "with"))
"""They explain nothing; a word of the shared cohort is named there."""

Json: TypeAlias = dict[str, Any]


class Method(StrEnum):
    """How the neighbours were found."""

    VECTOR_INDEX = "vector index ($vectorSearch)"
    EXACT = "exact cosine over all vectors"


@dataclass(frozen=True)
class Reason:
    """What two anomalies share."""

    metric: str | None
    cohort: tuple[str, ...]
    words: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"metric {self.metric}"] if self.metric else []
        parts += [f"cohort {', '.join(self.cohort)}"] if self.cohort else []
        parts += [f"evidence {', '.join(self.words)}"] if self.words else []
        return "; ".join(parts) or "structure only"


@dataclass(frozen=True)
class Hit:
    """One neighbour: its cosine similarity (-1 to 1), what it shares, and its document without the vector."""

    anomaly_id: UUID
    score: float
    reason: Reason
    event: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class SimilarResult:
    """The hits, best first, and how they were found; `compared` is the number of vectors looked at, where known."""

    hits: tuple[Hit, ...]
    method: Method
    compared: int | None
    elapsed_seconds: float


@dataclass(frozen=True)
class _Block:
    ids: list[ObjectId]
    severities: npt.NDArray[np.str_]
    vectors: Vectors


@dataclass(frozen=True)
class _Cached:
    version: tuple[Any, ...]
    read_at: float
    checked_at: float
    blocks: list[_Block] | None


class SimilaritySearch:
    """Searches one database. It belongs to the event loop of its client.

    Args:
        database: of an async client.
        settings: names the vector index and the embedder.
        embedder: in place of the one that the settings name.
    """

    def __init__(self, database: AsyncDatabase[Json], settings: Settings, embedder: Embedder | None = None) -> None:
        self.embedder = embedder or embedder_for(settings)
        self._collection = database[COLLECTION.name]
        self._settings = settings
        self._cache: dict[str, _Cached] = {}
        self._reading = asyncio.Lock()
        self._has_index: tuple[float, bool] | None = None

    async def to_event(
        self, tenant_id: str, anomaly_id: UUID, *, limit: int = 10, severity: str | None = None
    ) -> SimilarResult:
        """The anomalies most like a stored one, which is itself left out.

        Raises:
            NotFound: the tenant has no such anomaly.
        """
        with _translated():
            event = await self._collection.find_one({"tenant_id": tenant_id, "anomaly_id": anomaly_id})
        if event is None:
            raise NotFound(COLLECTION.name, str(anomaly_id))
        return await self.to_vector(
            tenant_id, self.vector_of(event), like=event, limit=limit, severity=severity, exclude=event["_id"]
        )

    def vector_of(self, event: Mapping[str, Any]) -> Vectors:
        """The stored vector where the present embedder made it, else a new one."""
        if event.get("embedding") is not None and event.get("embedding_model") == self.embedder.name:
            return np.asarray(from_binary([event["embedding"]])[0])
        return np.asarray(self.embedder.embed([event])[0])

    async def to_vector(
        self,
        tenant_id: str,
        vector: Vectors,
        *,
        like: Mapping[str, Any],
        limit: int = 10,
        severity: str | None = None,
        exclude: ObjectId | None = None,
    ) -> SimilarResult:
        """The anomalies nearest to a vector; `like` is the event that the reasons compare with."""
        started = time.monotonic()
        wanted = limit + (exclude is not None)
        with _translated():
            if await self._index_is_queryable():
                method, compared = Method.VECTOR_INDEX, None
                found = await self._indexed(tenant_id, vector, wanted, severity)
            else:
                method = Method.EXACT
                found, compared = await self._exact(tenant_id, vector, wanted, severity)
            events = await self._events(tenant_id, [id_ for id_, _ in found if id_ != exclude][:limit])
        hits = tuple(
            Hit(events[id_]["anomaly_id"], score, shared(like, events[id_]), events[id_])
            for id_, score in found
            if id_ in events
        )
        return SimilarResult(hits, method, compared, time.monotonic() - started)

    async def warm_up(self, tenant_id: str) -> int:
        """Read the tenant's vectors, so that the first search does not wait for them; how many are kept."""
        with _translated():
            if await self._index_is_queryable():
                return 0
            async with self._reading:
                blocks = await self._cached_blocks(tenant_id)
        return sum(len(block.ids) for block in blocks or ())

    async def _events(self, tenant_id: str, ids: list[ObjectId]) -> dict[ObjectId, Json]:
        cursor = self._collection.find({"_id": {"$in": ids}, "tenant_id": tenant_id}, {"embedding": 0})
        return {event["_id"]: event async for event in cursor}

    async def _index_is_queryable(self) -> bool:
        now = time.monotonic()
        if self._has_index is None or now - self._has_index[0] > CAPABILITY_SECONDS:
            self._has_index = (now, await self._ask_for_index())
        return self._has_index[1]

    async def _ask_for_index(self) -> bool:
        try:
            cursor = await self._collection.list_search_indexes(self._settings.vector_index)
            return any([index.get("queryable") async for index in cursor])
        except OperationFailure as error:
            if error.code in SEARCH_UNAVAILABLE:
                return False
            raise

    async def _indexed(
        self, tenant_id: str, vector: Vectors, limit: int, severity: str | None
    ) -> list[tuple[ObjectId, float]]:
        conditions: Json = {"tenant_id": {"$eq": tenant_id}, "embedding_model": {"$eq": self.embedder.name}}
        if severity:
            conditions["severity"] = {"$eq": severity}
        search = {
            "index": self._settings.vector_index,
            "path": "embedding",
            "queryVector": to_binary(vector[None, :])[0],
            "numCandidates": min(10_000, max(100, limit * CANDIDATES_PER_HIT)),
            "limit": limit,
            "filter": conditions,
        }
        pipeline: list[Json] = [
            {"$vectorSearch": search},
            {"$match": {"tenant_id": tenant_id}},
            {"$project": {"score": {"$meta": "vectorSearchScore"}}},
        ]
        cursor = await self._collection.aggregate(pipeline)
        kind = self._settings.vector_similarity
        return [(found["_id"], cosine_of_score(found["score"], kind)) async for found in cursor]

    async def _exact(
        self, tenant_id: str, vector: Vectors, limit: int, severity: str | None
    ) -> tuple[list[tuple[ObjectId, float]], int]:
        best: list[tuple[float, ObjectId]] = []
        compared = 0
        async for block in self._blocks(tenant_id):
            scores = block.vectors @ vector
            if severity:
                scores = np.where(block.severities == severity, scores, -np.inf)
            compared += int(np.isfinite(scores).sum())
            top = np.argpartition(-scores, min(limit, len(scores)) - 1)[:limit]
            best += [(float(scores[i]), block.ids[i]) for i in top if np.isfinite(scores[i])]
            best = sorted(best, key=lambda pair: (-pair[0], pair[1]))[:limit]
        return [(id_, score) for score, id_ in best], compared

    async def _blocks(self, tenant_id: str) -> AsyncIterator[_Block]:
        async with self._reading:  # who comes second finds what the first has read
            blocks = await self._cached_blocks(tenant_id)
        if blocks is None:
            async for block in self._read(tenant_id):
                yield block
        for block in blocks or ():
            yield block

    async def _cached_blocks(self, tenant_id: str) -> list[_Block] | None:
        """The tenant's vectors as they are now, or None where they are too many to keep."""
        now = time.monotonic()
        cached = self._cache.pop(tenant_id, None)
        if cached:
            self._cache[tenant_id] = cached  # the last one asked
        if cached and now - cached.checked_at < CHECK_SECONDS:
            return cached.blocks
        version = await self._version(tenant_id)
        if cached and cached.version == version and now - cached.read_at < CACHE_SECONDS:
            self._cache[tenant_id] = replace(cached, checked_at=now)
            return cached.blocks
        self._cache.pop(tenant_id, None)
        blocks, size = [], 0
        async for block in self._read(tenant_id):
            blocks.append(block)
            size += block.vectors.nbytes
            if size > CACHED_BYTES:
                break
        kept = blocks if size <= CACHED_BYTES else None
        self._cache[tenant_id] = _Cached(version, now, now, kept)
        while sum(map(_bytes, self._cache.values())) > CACHED_BYTES:
            del self._cache[next(iter(self._cache))]
        return kept

    async def _version(self, tenant_id: str) -> tuple[Any, ...]:
        newest = await self._collection.find_one(
            {"tenant_id": tenant_id}, {"_id": 1}, sort=[("created_at", -1), ("_id", -1)]
        )
        return await self._collection.estimated_document_count(), newest

    async def _read(self, tenant_id: str) -> AsyncIterator[_Block]:
        conditions = {"tenant_id": tenant_id, "embedding_model": self.embedder.name}
        cursor = self._collection.find(conditions, {"severity": 1, "embedding": 1}, batch_size=BLOCK_ROWS)
        rows: list[Json] = []
        async for row in cursor:
            rows.append(row)
            if len(rows) == BLOCK_ROWS:
                yield _block(rows)
                rows = []
        if rows:
            yield _block(rows)


def _bytes(cached: _Cached) -> int:
    return sum(block.vectors.nbytes for block in cached.blocks or ())


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except PyMongoError as error:
        raise translate_target_error(error) from error


def _block(rows: list[Json]) -> _Block:
    severities = np.array([row.get("severity") or "" for row in rows])
    return _Block([row["_id"] for row in rows], severities, from_binary([row["embedding"] for row in rows]))


def cosine_of_score(score: float, similarity: str) -> float:
    """The cosine behind a score of `$vectorSearch`; all vectors have unit length.

    Scores are (1 + cosine) / 2 for cosine and dotProduct, 1 / (1 + distance squared) for euclidean (Atlas manual).
    """
    if similarity == "euclidean":
        return 1 - (1 / score - 1) / 2
    return 2 * score - 1


def shared(one: Mapping[str, Any], other: Mapping[str, Any]) -> Reason:
    """What two events have in common: the metric, cohort values, words of evidence."""
    metric = one.get("metric")
    cohort = set(cohort_pairs(one)) & set(cohort_pairs(other))
    told = {word for _, value in cohort for word in words(value)} | _SMALL_WORDS
    common = {word for word in evidence_words(one) & evidence_words(other) if len(word) > 2} - told
    return Reason(
        metric if metric and metric == other.get("metric") else None,
        tuple(f"{key} {value}" for key, value in sorted(cohort)),
        tuple(sorted(common, key=lambda word: (-len(word), word))[:6]),
    )
