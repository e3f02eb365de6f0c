"""Aggregations: counts, distributions and statistics over what an index selects."""

from __future__ import annotations

from typing import Any

from workbench.benchmark.workloads.base import Aggregate, Kind, Workload


def _count_if(field: str, value: str) -> dict[str, Any]:
    return {"$sum": {"$cond": [{"$eq": [f"${field}", value]}, 1, 0]}}


_DAY = {"$dateToString": {"date": "$timestamp", "format": "%Y-%m-%d"}}

SCORE_DISTRIBUTION = Workload(
    name="score distribution",
    kind=Kind.AGGREGATION,
    question="How are the risk scores of this investigation distributed over ten bins?",
    sql=(
        "SELECT least(floor(risk_score * 10), 9)::int, count(*) FROM transaction_scores "
        "WHERE investigation_id = %(investigation_id)s GROUP BY 1 ORDER BY 1",
    ),
    mongodb=lambda p: Aggregate(
        "transaction_scores",
        (
            {"$match": {"tenant_id": p["tenant_id"], "investigation_id": p["investigation_id"]}},
            {
                "$group": {
                    "_id": {"$min": [{"$floor": {"$multiply": ["$risk_score", 10]}}, 9]},
                    "transactions": {"$sum": 1},
                }
            },
            {"$sort": {"_id": 1}},
        ),
    ),
    parameters=lambda draw: draw.pick("score"),
    columns=("_id", "transactions"),
    ordered_by=("_id",),
)

AVERAGE_RISK = Workload(
    name="average risk of an investigation",
    kind=Kind.AGGREGATION,
    question="How many transactions has this investigation, and how risky are they on average and at most?",
    sql=(
        "SELECT count(*), avg(risk_score), max(risk_score) FROM transaction_scores "
        "WHERE investigation_id = %(investigation_id)s",
    ),
    mongodb=lambda p: Aggregate(
        "transaction_scores",
        (
            {"$match": {"tenant_id": p["tenant_id"], "investigation_id": p["investigation_id"]}},
            {
                "$group": {
                    "_id": None,
                    "transactions": {"$sum": 1},
                    "mean": {"$avg": "$risk_score"},
                    "highest": {"$max": "$risk_score"},
                }
            },
        ),
    ),
    parameters=lambda draw: draw.pick("score"),
    columns=("transactions", "mean", "highest"),
)

PLAYBOOK_STATISTICS = Workload(
    name="playbook statistics",
    kind=Kind.AGGREGATION,
    question="Per playbook of this tenant in 60 days: how often did it run, how often fail, how long did it take?",
    sql=(
        "SELECT playbook_id, count(*), count(*) FILTER (WHERE status = 'failed'), "
        "avg(extract(epoch FROM date_trunc('milliseconds', completed_at) - date_trunc('milliseconds', started_at)) "
        "* 1000)::double precision FROM soar_playbook_executions "
        "WHERE tenant_id = %(tenant_id)s AND started_at >= %(from)s AND started_at < %(to)s GROUP BY playbook_id",
    ),
    mongodb=lambda p: Aggregate(
        "soar_playbook_executions",
        (
            {"$match": {"tenant_id": p["tenant_id"], "started_at": {"$gte": p["from"], "$lt": p["to"]}}},
            {
                "$group": {
                    "_id": "$playbook_id",
                    "runs": {"$sum": 1},
                    "failures": _count_if("status", "failed"),
                    "mean_ms": {"$avg": "$duration_ms"},
                }
            },
        ),
    ),
    parameters=lambda draw: {**draw.pick("execution"), **draw.window("execution", days=60)},
    columns=("_id", "runs", "failures", "mean_ms"),
)

DAILY_COUNTS = Workload(
    name="daily counts of a tenant",
    kind=Kind.AGGREGATION,
    question="How many changes of each kind did this tenant see on each of seven days?",
    sql=(
        "SELECT to_char(timestamp, 'YYYY-MM-DD'), action_type, count(*) FROM investigation_audit_log "
        "WHERE timestamp >= %(from)s AND timestamp < %(to)s GROUP BY 1, 2",
    ),
    mongodb=lambda p: Aggregate(
        "audit_log",
        (
            {"$match": {"metadata.tenant_id": p["tenant_id"], "timestamp": {"$gte": p["from"], "$lt": p["to"]}}},
            {"$group": {"_id": {"day": _DAY, "action": "$metadata.action_type"}, "changes": {"$sum": 1}}},
        ),
    ),
    parameters=lambda draw: {"tenant_id": draw.tenant, **draw.window("audit", days=7)},
    columns=("_id.day", "_id.action", "changes"),
    whole_tenant=True,
)

ANOMALY_COUNTS = Workload(
    name="anomalies by severity and status",
    kind=Kind.AGGREGATION,
    question="How many anomalies of each severity came up in two weeks, and how far is their triage?",
    sql=(
        "SELECT severity, status, count(*), max(score) FROM anomaly_events "
        "WHERE created_at >= %(from)s AND created_at < %(to)s GROUP BY severity, status",
    ),
    mongodb=lambda p: Aggregate(
        "anomaly_events",
        (
            {"$match": {"tenant_id": p["tenant_id"], "created_at": {"$gte": p["from"], "$lt": p["to"]}}},
            {
                "$group": {
                    "_id": {"severity": "$severity", "status": "$status"},
                    "anomalies": {"$sum": 1},
                    "highest": {"$max": "$score"},
                }
            },
        ),
    ),
    parameters=lambda draw: {"tenant_id": draw.tenant, **draw.window("anomaly", days=14)},
    columns=("_id.severity", "_id.status", "anomalies", "highest"),
)

RUN_STATISTICS = Workload(
    name="run statistics of a detector",
    kind=Kind.AGGREGATION,
    question="Per day of a month: how often did this detector run, how often fail, how long did it take?",
    sql=(
        "SELECT to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD'), count(*), "
        "count(*) FILTER (WHERE status = 'failed'), "
        "avg(extract(epoch FROM date_trunc('milliseconds', finished_at) - date_trunc('milliseconds', started_at)) "
        "* 1000)::double precision FROM detection_runs "
        "WHERE detector_id = %(detector_id)s AND started_at >= %(from)s AND started_at < %(to)s GROUP BY 1",
    ),
    mongodb=lambda p: Aggregate(
        "detection_runs",
        (
            {
                "$match": {
                    "metadata.tenant_id": p["tenant_id"],
                    "metadata.detector_id": p["detector_id"],
                    "started_at": {"$gte": p["from"], "$lt": p["to"]},
                }
            },
            {
                "$group": {
                    "_id": {"$dateToString": {"date": "$started_at", "format": "%Y-%m-%d"}},
                    "runs": {"$sum": 1},
                    "failures": _count_if("status", "failed"),
                    "mean_ms": {"$avg": {"$subtract": ["$finished_at", "$started_at"]}},
                }
            },
        ),
    ),
    parameters=lambda draw: {**draw.pick("detector"), **draw.window("run", days=30)},
    columns=("_id", "runs", "failures", "mean_ms"),
)

ACTION_STATISTICS = Workload(
    name="action statistics",
    kind=Kind.AGGREGATION,
    question="Per toolkit and outcome of this tenant in 30 days: how many actions, how many retries?",
    sql=(
        "SELECT toolkit_name, status, count(*), sum(retry_count) FROM composio_action_audits "
        "WHERE tenant_id = %(tenant_id)s AND executed_at >= %(from)s AND executed_at < %(to)s "
        "GROUP BY toolkit_name, status",
    ),
    mongodb=lambda p: Aggregate(
        "composio_action_audits",
        (
            {"$match": {"tenant_id": p["tenant_id"], "executed_at": {"$gte": p["from"], "$lt": p["to"]}}},
            {
                "$group": {
                    "_id": {"toolkit": "$toolkit_name", "status": "$status"},
                    "actions": {"$sum": 1},
                    "retries": {"$sum": "$retry_count"},
                }
            },
        ),
    ),
    parameters=lambda draw: {**draw.pick("action"), **draw.window("action", days=30)},
    columns=("_id.toolkit", "_id.status", "actions", "retries"),
)

WORKLOADS = (
    SCORE_DISTRIBUTION,
    AVERAGE_RISK,
    PLAYBOOK_STATISTICS,
    DAILY_COUNTS,
    ANOMALY_COUNTS,
    RUN_STATISTICS,
    ACTION_STATISTICS,
)
