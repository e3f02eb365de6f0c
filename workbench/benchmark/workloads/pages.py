"""Pages: a screenful after a cursor key, never by skipping."""

from __future__ import annotations

from workbench.benchmark.workloads.base import Find, Kind, Workload, newest_first

PAGE_ROWS = 50

OF_A_USER = Workload(
    name="page of a user's investigations",
    kind=Kind.PAGE,
    question="The next page of this user's investigations, the last changed first.",
    sql=(
        "SELECT investigation_id, status, lifecycle_stage, version, updated_at FROM investigation_states "
        "WHERE user_id = %(user_id)s AND updated_at < %(updated_at)s ORDER BY updated_at DESC LIMIT 50",
    ),
    mongodb=lambda p: Find(
        "investigations",
        {"tenant_id": p["tenant_id"], "user_id": p["user_id"], "updated_at": {"$lt": p["updated_at"]}},
        sort=newest_first("updated_at"),
        limit=PAGE_ROWS,
    ),
    parameters=lambda draw: draw.pick("investigation"),
    columns=("investigation_id", "status", "lifecycle_stage", "version", "updated_at"),
    ordered_by=("updated_at",),
    limit=PAGE_ROWS,
)

OF_SCORES = Workload(
    name="page of an investigation's scores",
    kind=Kind.PAGE,
    question="The next page of an investigation's transaction scores.",
    sql=(
        "SELECT transaction_id, risk_score, created_at FROM transaction_scores "
        "WHERE investigation_id = %(investigation_id)s AND transaction_id > %(transaction_id)s "
        "ORDER BY transaction_id LIMIT 50",
    ),
    mongodb=lambda p: Find(
        "transaction_scores",
        {
            "tenant_id": p["tenant_id"],
            "investigation_id": p["investigation_id"],
            "transaction_id": {"$gt": p["transaction_id"]},
        },
        sort=(("transaction_id", 1),),
        limit=PAGE_ROWS,
    ),
    parameters=lambda draw: draw.pick("score"),
    columns=("transaction_id", "risk_score", "created_at"),
    ordered_by=("transaction_id",),
    limit=PAGE_ROWS,
)

OF_ANOMALIES = Workload(
    name="page of critical anomalies",
    kind=Kind.PAGE,
    question="The next page of critical anomalies, newest first.",
    sql=(
        "SELECT id, created_at, metric, status, score, investigation_id FROM anomaly_events "
        "WHERE severity = 'critical' AND created_at < %(created_at)s ORDER BY created_at DESC LIMIT 50",
    ),
    mongodb=lambda p: Find(
        "anomaly_events",
        {"tenant_id": p["tenant_id"], "severity": "critical", "created_at": {"$lt": p["created_at"]}},
        sort=newest_first("created_at"),
        limit=PAGE_ROWS,
    ),
    parameters=lambda draw: draw.pick("anomaly"),
    columns=("anomaly_id", "created_at", "metric", "status", "score", "investigation_id"),
    ordered_by=("created_at",),
    limit=PAGE_ROWS,
)

OF_ACTIONS = Workload(
    name="page of a toolkit's actions",
    kind=Kind.PAGE,
    question="The next page of what was done through a toolkit, newest first.",
    sql=(
        "SELECT id, action_name, status, executed_at, retry_count, NULLIF(parameters, '')::jsonb "
        "FROM composio_action_audits WHERE tenant_id = %(tenant_id)s AND toolkit_name = %(toolkit_name)s "
        "AND executed_at < %(executed_at)s ORDER BY executed_at DESC LIMIT 50",
    ),
    mongodb=lambda p: Find(
        "composio_action_audits",
        {
            "tenant_id": p["tenant_id"],
            "toolkit_name": p["toolkit_name"],
            "executed_at": {"$lt": p["executed_at"]},
        },
        sort=newest_first("executed_at"),
        limit=PAGE_ROWS,
    ),
    parameters=lambda draw: draw.pick("action"),
    columns=("audit_id", "action_name", "status", "executed_at", "retry_count", "parameters"),
    ordered_by=("executed_at",),
    limit=PAGE_ROWS,
)

WORKLOADS = (OF_A_USER, OF_SCORES, OF_ANOMALIES, OF_ACTIONS)
