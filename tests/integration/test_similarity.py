"""Search by vector, re-embedding and relevance on real servers."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest
from bson import ObjectId
from pymongo.database import Database

from tests.cases import ANOMALIES, OTHER, TENANT, anomaly_id, explored_target
from workbench import connections
from workbench.errors import ConfigurationError, NotFound
from workbench.migration.executors import this_process
from workbench.migration.pipeline import migrate
from workbench.settings import Settings
from workbench.similarity import search as search_module
from workbench.similarity.embedder import StructureHashEmbedder, from_binary
from workbench.similarity.reembed import reembed
from workbench.similarity.relevance import measure_recall
from workbench.similarity.search import Method, SimilaritySearch


@pytest.fixture
def database(explored: Settings) -> Iterator[Database[Any]]:
    with connections.open_target(explored) as client:
        yield client[explored.mongodb_database]


@pytest.fixture
async def search(explored: Settings) -> AsyncIterator[SimilaritySearch]:
    client = connections.open_target_async(explored)
    yield SimilaritySearch(client[explored.mongodb_database], explored)
    await client.close()


async def test_the_members_of_an_incident_are_each_others_neighbours(search: SimilaritySearch) -> None:
    found = await search.to_event(TENANT, anomaly_id(TENANT, 3), limit=9)
    assert {hit.anomaly_id for hit in found.hits} == {anomaly_id(TENANT, n) for n in range(10)} - {
        anomaly_id(TENANT, 3)
    }
    scores = [hit.score for hit in found.hits]
    assert scores == sorted(scores, reverse=True)
    best = found.hits[0]
    assert best.reason.metric == "metric_0"
    assert "signal0" in best.reason.words
    assert "embedding" not in best.event


async def test_it_says_how_it_searched(search: SimilaritySearch) -> None:
    found = await search.to_event(TENANT, anomaly_id(TENANT, 3))
    if found.method is Method.EXACT:
        assert found.compared == ANOMALIES
    else:
        assert found.compared is None


async def test_exact_search_gives_the_cosines(search: SimilaritySearch, database: Database[Any]) -> None:
    query = StructureHashEmbedder().embed([{"metric": "metric_1", "evidence": "signal1"}])[0]
    found, compared = await search._exact(TENANT, query, 5, None)
    rows = list(database.anomaly_events.find({"tenant_id": TENANT}))
    cosines = from_binary([row["embedding"] for row in rows]) @ query
    expected = dict(zip([row["_id"] for row in rows], cosines.tolist(), strict=True))
    assert compared == ANOMALIES
    np.testing.assert_allclose([score for _, score in found], [expected[id_] for id_, _ in found], atol=1e-6)
    np.testing.assert_allclose([score for _, score in found], sorted(expected.values(), reverse=True)[:5], atol=1e-6)


async def test_the_severity_filter_holds(search: SimilaritySearch) -> None:
    found = await search.to_event(TENANT, anomaly_id(TENANT, 3), limit=50, severity="warn")
    assert {hit.event["severity"] for hit in found.hits} == {"warn"}
    assert len(found.hits) == sum(n % 3 == 1 for n in range(ANOMALIES))


async def test_a_tenant_never_sees_anothers_anomalies(search: SimilaritySearch) -> None:
    found = await search.to_event(TENANT, anomaly_id(TENANT, 0), limit=500)
    assert len(found.hits) == ANOMALIES - 1
    assert {hit.event["tenant_id"] for hit in found.hits} == {TENANT}
    with pytest.raises(NotFound):
        await search.to_event(TENANT, anomaly_id(OTHER, 0))


async def test_vectors_are_read_once_and_again_when_something_was_added(
    search: SimilaritySearch, database: Database[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_module, "CHECK_SECONDS", 0.0)
    assert await search.warm_up(TENANT) == ANOMALIES
    kept = search._cache[TENANT].blocks
    await search.warm_up(TENANT)
    assert search._cache[TENANT].blocks is kept
    added = dict(database.anomaly_events.find_one({"anomaly_id": anomaly_id(TENANT, 39)}))
    added |= {"_id": ObjectId(), "anomaly_id": anomaly_id(TENANT, 999)}
    database.anomaly_events.insert_one(added)
    try:
        assert await search.warm_up(TENANT) == ANOMALIES + 1
    finally:
        database.anomaly_events.delete_one({"_id": added["_id"]})


async def test_tenants_that_were_asked_least_lately_are_not_kept(
    search: SimilaritySearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_module, "CACHED_BYTES", int(1.5 * ANOMALIES * 4 * 384))
    assert await search.warm_up(TENANT) == ANOMALIES
    assert await search.warm_up(OTHER) > 0
    assert list(search._cache) == [OTHER]
    assert len((await search.to_event(TENANT, anomaly_id(TENANT, 0))).hits) == 10
    assert list(search._cache) == [TENANT]


async def test_more_vectors_than_are_kept_are_streamed(
    search: SimilaritySearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = await search.to_event(TENANT, anomaly_id(TENANT, 3))
    monkeypatch.setattr(search_module, "CACHED_BYTES", 10 * 4 * 384)
    monkeypatch.setattr(search_module, "BLOCK_ROWS", 7)
    search._cache.clear()
    streamed = await search.to_event(TENANT, anomaly_id(TENANT, 3))
    assert [hit.anomaly_id for hit in streamed.hits] == [hit.anomaly_id for hit in expected.hits]
    assert search._cache[TENANT].blocks is None


class _NextModel(StructureHashEmbedder):
    """The same vectors under the name of a later version."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "structure-hash@test"


def test_reembedding_changes_the_vectors_only_and_only_once(servers: Settings) -> None:
    with explored_target(servers) as settings, connections.open_target(settings) as client:
        events = client[settings.mongodb_database].anomaly_events
        before = {row["_id"]: row for row in events.find()}
        events.update_many({"tenant_id": OTHER}, {"$set": {"embedding": None, "embedding_model": None}})
        calls: list[tuple[int, int]] = []
        mended = reembed(settings, on_progress=lambda *counts: calls.append(counts))
        assert (mended.written, mended.up_to_date) == (ANOMALIES, ANOMALIES)
        assert calls == [(ANOMALIES, ANOMALIES)]
        assert {row["_id"]: row for row in events.find()} == before

        assert reembed(settings).written == 0
        changed = reembed(settings, embedder=_NextModel())
        assert (changed.written, changed.embedding_model) == (2 * ANOMALIES, "structure-hash@test")
        after = {row["_id"]: row for row in events.find()}
        assert {row["embedding_model"] for row in after.values()} == {"structure-hash@test"}
        assert [{**row, "embedding_model": None} for row in after.values()] == [
            {**row, "embedding_model": None} for row in before.values()
        ]


class _Stopping(_NextModel):
    def embed(self, events: Any) -> Any:
        if self.calls == 2:
            raise KeyboardInterrupt
        self.calls += 1
        return super().embed(events)

    calls = 0


def test_reembedding_goes_on_where_it_was_stopped(servers: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.similarity.reembed.BATCH_ROWS", 15)
    with explored_target(servers) as settings:
        with pytest.raises(KeyboardInterrupt):
            reembed(settings, embedder=_Stopping())
        resumed = reembed(settings, embedder=_NextModel())
        assert (resumed.up_to_date, resumed.written) == (30, 2 * ANOMALIES - 30)


@pytest.fixture(scope="module")
def migrated(settings: Settings) -> Settings:
    """The whole sample's anomalies in the target."""
    tables = ["detectors", "detection_runs", "anomaly_events"]
    assert migrate(settings, tables=tables, executor=this_process).complete
    return settings


def test_nine_of_ten_neighbours_belong_to_the_same_incident(migrated: Settings) -> None:
    recall = measure_recall(migrated)
    assert recall.candidates == 4_000
    assert recall.families > 100
    assert recall.recall >= 0.9
    assert recall.passed
    assert "recall@10" in str(recall)


async def test_a_search_among_the_whole_sample_takes_less_than_a_second_once_warm(migrated: Settings) -> None:
    client = connections.open_target_async(migrated)
    search = SimilaritySearch(client[migrated.mongodb_database], migrated)
    tenant = migrated.default_tenant
    event = await client[migrated.mongodb_database].anomaly_events.find_one({"tenant_id": tenant})
    assert event is not None
    await search.warm_up(tenant)
    started = time.monotonic()
    found = await search.to_event(tenant, event["anomaly_id"])
    assert time.monotonic() - started < 1
    assert len(found.hits) == 10
    await client.close()


def test_relevance_needs_vectors_and_sample_data(migrated: Settings, empty_settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="workbench embed"):
        measure_recall(migrated, embedder=_NextModel())
    with pytest.raises(ConfigurationError, match="no sample data"):
        measure_recall(empty_settings)
