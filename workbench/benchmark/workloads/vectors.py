"""Vector search: the anomalies most like another one; pgvector on PostgreSQL's side, exact on a copy of the vectors."""

from __future__ import annotations

from workbench.benchmark.workloads.base import Kind, Search, Workload

HITS = 10


SIMILAR = Workload(
    name="similar anomalies",
    kind=Kind.VECTOR_SEARCH,
    question="Which ten anomalies are most like this one?",
    sql=(
        "SELECT v.anomaly_id, 1 - (v.embedding <=> q.embedding) FROM workbench_benchmark.anomaly_embeddings v, "
        "(SELECT embedding FROM workbench_benchmark.anomaly_embeddings WHERE anomaly_id = %(anomaly_id)s) q "
        "WHERE v.anomaly_id <> %(anomaly_id)s ORDER BY v.embedding <=> q.embedding LIMIT 10",
    ),
    mongodb=lambda p: Search(p["tenant_id"], p["anomaly_id"], None, HITS),
    parameters=lambda draw: draw.pick("anomaly"),
    columns=("anomaly_id", "score"),
    ordered_by=("score",),
    limit=HITS,
    tolerance=1e-5,
    needs_vectors=True,
)

SIMILAR_CRITICAL = Workload(
    name="similar critical anomalies",
    kind=Kind.VECTOR_SEARCH,
    question="Which ten critical anomalies are most like this one?",
    sql=(
        "SELECT v.anomaly_id, 1 - (v.embedding <=> q.embedding) FROM workbench_benchmark.anomaly_embeddings v, "
        "(SELECT embedding FROM workbench_benchmark.anomaly_embeddings WHERE anomaly_id = %(anomaly_id)s) q "
        "WHERE v.anomaly_id <> %(anomaly_id)s AND v.severity = 'critical' "
        "ORDER BY v.embedding <=> q.embedding LIMIT 10",
    ),
    mongodb=lambda p: Search(p["tenant_id"], p["anomaly_id"], "critical", HITS),
    parameters=lambda draw: draw.pick("anomaly"),
    columns=("anomaly_id", "score"),
    ordered_by=("score",),
    limit=HITS,
    tolerance=1e-5,
    needs_vectors=True,
)

WORKLOADS = (SIMILAR, SIMILAR_CRITICAL)
