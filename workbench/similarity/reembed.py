"""New vectors for the anomalies whose vectors another embedder made, or that have none."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

from workbench.connections import open_target, translate_target_error
from workbench.models.anomaly_events import COLLECTION
from workbench.settings import Settings
from workbench.similarity.embedder import Embedder, embedder_for, to_binary

BATCH_ROWS = 1_000
_FEATURES = ("metric", "cohort", "observed", "expected", "score", "severity", "evidence")
_NEEDED = dict.fromkeys(("tenant_id", "anomaly_id", *_FEATURES), 1)


@dataclass(frozen=True)
class ReembedResult:
    """What a run did: documents with a new vector, and those that the present embedder had made already."""

    embedding_model: str
    written: int
    up_to_date: int
    elapsed_seconds: float


def reembed(
    settings: Settings, *, embedder: Embedder | None = None, on_progress: Callable[[int, int], None] | None = None
) -> ReembedResult:
    """Give every anomaly a vector of the present embedder, of all tenants.

    Only `embedding` and `embedding_model` are written, a batch at a time. A run that is stopped is resumed by the
    next one, and one that has nothing to do writes nothing. Memory: a batch of documents.

    Args:
        settings: target and embedder.
        embedder: in place of the one that the settings name.
        on_progress: called after each batch with (documents written, documents there are to write).

    Raises:
        ConfigurationError: the embedder's package is not installed.
        TargetUnavailable: the target cannot be reached or refuses.
    """
    started = time.monotonic()
    model = embedder or embedder_for(settings)
    stale = {"embedding_model": {"$ne": model.name}}
    written = 0
    with open_target(settings, bulk=True) as client:
        collection = client[settings.mongodb_database][COLLECTION.name]
        try:
            total = collection.count_documents(stale)
            current = collection.estimated_document_count() - total
            batch: list[dict[str, Any]] = []
            for document in collection.find(stale, _NEEDED, batch_size=BATCH_ROWS):
                batch.append(document)
                if len(batch) == BATCH_ROWS:
                    written += _write(collection, model, batch)
                    batch = []
                    if on_progress:
                        on_progress(written, total)
            if batch:
                written += _write(collection, model, batch)
                if on_progress:
                    on_progress(written, total)
        except PyMongoError as error:
            raise translate_target_error(error) from error
    return ReembedResult(model.name, written, current, time.monotonic() - started)


def _write(collection: Collection[dict[str, Any]], model: Embedder, batch: list[dict[str, Any]]) -> int:
    """Write the vectors of a batch; the filter has the shard key, so that each update goes to one shard."""
    vectors = to_binary(model.embed(batch))
    updates = [
        UpdateOne(
            {"_id": document["_id"], "tenant_id": document["tenant_id"], "anomaly_id": document["anomaly_id"]},
            {"$set": {"embedding": vector, "embedding_model": model.name}},
        )
        for document, vector in zip(batch, vectors, strict=True)
    ]
    return collection.bulk_write(updates, ordered=False).matched_count
