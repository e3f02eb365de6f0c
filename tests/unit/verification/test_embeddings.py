"""Embeddings: every one made anew where that is cheap, a random sample with its bound where it is not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from workbench.settings import Settings
from workbench.similarity.embedder import StructureHashEmbedder, from_binary, to_binary
from workbench.verification import embeddings
from workbench.verification.embeddings import MAX_RECOMPUTED, Embeddings, judge_embeddings

SETTINGS = Settings(_env_file=None)
EMBEDDER = StructureHashEmbedder()


class Stored:
    """A database with one collection."""

    def __init__(self, documents: list[dict[str, Any]]) -> None:
        self.documents = documents

    def __getitem__(self, name: str) -> Stored:
        return self

    def count_documents(self, query: dict[str, Any]) -> int:
        return len(self.documents)

    @contextmanager
    def find(self, *_: Any, **__: Any) -> Iterator[Iterator[dict[str, Any]]]:
        yield iter(self.documents)


def events(count: int = 50) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"anomaly_id": UUID(int=n), "metric": f"metric_{n}", "cohort": {"country": "BR"}, "observed": None,
         "expected": None, "score": 0.5, "severity": "info", "evidence": {"n": n}, "embedding_model": EMBEDDER.name}
        for n in range(count)
    ]  # fmt: skip
    for event, vector in zip(found, to_binary(EMBEDDER.embed(found)), strict=True):
        event["embedding"] = vector
    return found


def judged(documents: list[dict[str, Any]], settings: Settings = SETTINGS) -> Embeddings:
    return judge_embeddings(Stored(documents), "anomaly_events", settings)  # type: ignore[arg-type]


def causes(found: Embeddings) -> dict[str, int]:
    return {cluster.cause: cluster.count for cluster in found.findings.clusters()}


def test_good_embeddings_pass_and_are_all_looked_at() -> None:
    found = judged(events())
    assert (causes(found), found.examined, found.bound, found.note) == ({}, 50, 0.0, "")


@pytest.mark.parametrize("model", [None, "other@9"])
def test_embeddings_of_an_unknown_model_do_not_pass_unseen(model: str | None) -> None:
    documents = [{**event, "embedding_model": model} for event in events()]
    assert causes(judged(documents)) == {
        f"embeddings were made by {model}, the settings name {EMBEDDER.name}: they were not made anew": 50
    }


def test_a_swap_at_the_end_of_a_long_collection_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "_BATCH", 7)
    documents = events()
    documents[-1]["embedding"], documents[-2]["embedding"] = documents[-2]["embedding"], documents[-1]["embedding"]
    assert causes(judged(documents)) == {"embeddings are not those of their documents": 2}


def test_half_precision_shows() -> None:
    documents = events()
    vectors = from_binary([document["embedding"] for document in documents]).astype(np.float16).astype(np.float32)
    for document, vector in zip(documents, to_binary(vectors), strict=True):
        document["embedding"] = vector
    assert causes(judged(documents)) == {"embeddings are not those of their documents": 50}


def test_a_model_that_is_not_cheap_is_sampled_with_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "embedder_for", lambda settings: EMBEDDER)
    costly = SETTINGS.model_copy(update={"embedding_model": "minilm"})
    found = judged(events(1_000), costly)
    made = int(found.note.split()[0])
    assert MAX_RECOMPUTED * 0.7 < made < MAX_RECOMPUTED * 1.3
    assert 0 < found.bound <= 3 / made
    assert f"{made} of 1,000 embeddings were made anew" in found.note
