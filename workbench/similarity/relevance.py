"""How relevant the neighbours are: recall against the incident families that the sample data knows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from psycopg import sql
from pymongo.errors import PyMongoError

from workbench.connections import open_source, open_target, translate_target_error
from workbench.errors import ConfigurationError
from workbench.models.anomaly_events import COLLECTION
from workbench.sample import SAMPLE_SCHEMA
from workbench.settings import Settings
from workbench.similarity.embedder import Embedder, Vectors, embedder_for, from_binary

TARGET = 0.9
NEIGHBOURS = 10
MAX_QUERIES = 2_000
BLOCK_ROWS = 500


@dataclass(frozen=True)
class Recall:
    """How many of an anomaly's nearest neighbours belong to its incident, on average.

    Attributes:
        embedding_model: whose vectors.
        recall: mean over the queries of (neighbours of the same family) / (those that there could be, at most `k`).
        k: neighbours looked at.
        queries: anomalies asked for; all are members of families.
        candidates: anomalies that they were compared with.
        families: incident families there are.
        target: what the recall should be at least.
    """

    embedding_model: str
    recall: float
    k: int
    queries: int
    candidates: int
    families: int
    target: float = TARGET

    @property
    def passed(self) -> bool:
        """Whether the target is met."""
        return self.recall >= self.target

    def __str__(self) -> str:
        return (
            f"recall@{self.k} {self.recall:.3f} (target {self.target}) of {self.embedding_model}: {self.queries:,} "
            f"queries among {self.candidates:,} anomalies of {self.families:,} incident families"
        )


def measure_recall(settings: Settings, *, embedder: Embedder | None = None, k: int = NEIGHBOURS) -> Recall:
    """The recall of the target's stored vectors, exactly searched within each tenant.

    Memory: all vectors of the target, 1.5 kB each, and a block of similarities.

    Args:
        settings: both servers; the source must hold the sample data.
        embedder: in place of the one that the settings name; only its vectors count.
        k: neighbours of each anomaly.

    Raises:
        ConfigurationError: the source holds no sample data, or the target no vector of this embedder.
    """
    model = (embedder or embedder_for(settings)).name
    family = _families(settings)
    ids, tenants, vectors = _vectors(settings, model)
    labels = np.array([family.get(id_, "") for id_ in ids])
    if not (labels != "").any():
        raise ConfigurationError(
            f"No anomaly of the target has a vector of {model} and an incident family.",
            todo="Run `workbench migrate`, or `workbench embed` after a change of the model.",
        )
    found: list[float] = []
    for tenant in sorted(set(tenants)):
        own = np.array(tenants) == tenant
        found += _recalls(vectors[own], labels[own], k)
    return Recall(model, float(np.mean(found)), k, len(found), len(ids), len(set(family.values())))


def _recalls(vectors: Vectors, labels: npt.NDArray[np.str_], k: int) -> list[float]:
    """The recall of each query: members of families of two or more, evenly spread where they are too many."""
    sizes = Counter(labels.tolist())
    members = np.flatnonzero([label != "" and sizes[label] > 1 for label in labels.tolist()])
    members = members[:: max(1, -(-len(members) // MAX_QUERIES))]
    found: list[float] = []
    k = min(k, len(vectors) - 1)
    for start in range(0, len(members), BLOCK_ROWS):
        rows = members[start : start + BLOCK_ROWS]
        scores = vectors[rows] @ vectors.T
        scores[np.arange(len(rows)), rows] = -np.inf
        nearest = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        same = (labels[nearest] == labels[rows][:, None]).sum(axis=1)
        found += [int(n) / min(k, sizes[label] - 1) for n, label in zip(same, labels[rows].tolist(), strict=True)]
    return found


def _families(settings: Settings) -> dict[str, str]:
    table = sql.Identifier(SAMPLE_SCHEMA, "incident_family")
    with open_source(settings) as connection:
        there = connection.execute("SELECT to_regclass(%s)", [f"{SAMPLE_SCHEMA}.incident_family"]).fetchone()
        if there is None or there[0] is None:
            raise ConfigurationError(
                "The source holds no sample data, so no one knows which anomalies belong together.",
                todo="Measure relevance on the demo's servers.",
            )
        rows = connection.execute(sql.SQL("SELECT anomaly_id, family FROM {}").format(table))
        return {str(anomaly_id): family for anomaly_id, family in rows}


def _vectors(settings: Settings, model: str) -> tuple[list[str], list[str], Vectors]:
    ids: list[str] = []
    tenants: list[str] = []
    stored: list[bytes] = []
    with open_target(settings, bulk=True) as client:
        collection = client[settings.mongodb_database][COLLECTION.name]
        try:
            fields = {"anomaly_id": 1, "tenant_id": 1, "embedding": 1}
            for row in collection.find({"embedding_model": model}, fields, batch_size=5_000):
                ids.append(str(row["anomaly_id"]))
                tenants.append(row["tenant_id"])
                stored.append(row["embedding"])
        except PyMongoError as error:
            raise translate_target_error(error) from error
    return ids, tenants, from_binary(stored)
