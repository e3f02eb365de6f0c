"""Indexed queries: short lists that an index finds and orders."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from workbench.benchmark.draws import Draws
from workbench.benchmark.workloads.base import Find, Kind, Merge, Parameters, Workload, newest_first

AUDIT_HISTORY = Workload(
    name="audit history",
    kind=Kind.INDEXED_QUERY,
    question="Who changed this investigation, and what was its state after each change? (the last 50)",
    sql=(
        "SELECT entry_id, timestamp, user_id, action_type, source, from_version, to_version, "
        "NULLIF(state_snapshot_json, '')::jsonb FROM investigation_audit_log "
        "WHERE investigation_id = %(investigation_id)s ORDER BY timestamp DESC LIMIT 50",
    ),
    mongodb=lambda p: Find(
        "audit_log",
        {"metadata.tenant_id": p["tenant_id"], "metadata.investigation_id": p["investigation_id"]},
        sort=(("timestamp", -1),),
        limit=50,
    ),
    parameters=lambda draw: draw.pick("investigation"),
    columns=(
        "entry_id", "timestamp", "metadata.user_id", "metadata.action_type", "metadata.source", "from_version",
        "to_version", "state_snapshot",
    ),
    ordered_by=("timestamp",),
    limit=50,
    whole_tenant=True,
)  # fmt: skip


def _timeline(p: Parameters) -> Merge:
    case = p["investigation_id"]
    audit = {"metadata.tenant_id": p["tenant_id"], "metadata.investigation_id": case}
    anomalies = {"tenant_id": p["tenant_id"], "investigation_id": case}
    playbooks = {"tenant_id": p["playbook_tenant"], "investigation_id": case}
    return Merge(
        (
            (
                "audit",
                Find("audit_log", audit, sort=(("timestamp", -1),), limit=100),
                ("timestamp", "metadata.action_type", "metadata.user_id"),
            ),
            (
                "anomaly",
                Find("anomaly_events", anomalies, sort=newest_first("created_at"), limit=100),
                ("created_at", "severity", "metric"),
            ),
            (
                "playbook",
                Find("soar_playbook_executions", playbooks, sort=newest_first("started_at"), limit=100),
                ("started_at", "status", "playbook_id"),
            ),
        ),
        limit=100,
    )


def _case(draw: Draws, pool: str) -> dict[str, Any]:
    """A case that has anomalies or playbooks, where one can be found in a few draws."""
    for _ in range(20):
        row = draw.pick(pool)
        if row["investigation_id"]:
            return row
    return {**draw.pick(pool), "investigation_id": draw.pick("investigation")["investigation_id"]}


def _case_with_playbooks(draw: Draws) -> dict[str, Any]:
    """Investigations belong to the constant tenant here, their playbooks to one of their own."""
    row = _case(draw, "execution")
    return {**row, "tenant_id": draw.tenant, "playbook_tenant": row["tenant_id"]}


TIMELINE = Workload(
    name="case timeline",
    kind=Kind.INDEXED_QUERY,
    question="What happened in this case, newest first: changes, anomalies, playbooks? (the last 100)",
    sql=(
        "SELECT 'audit' AS kind, timestamp AT TIME ZONE 'UTC' AS at, action_type AS what, user_id AS who "
        "FROM investigation_audit_log WHERE investigation_id = %(investigation_id)s "
        "UNION ALL SELECT 'anomaly', created_at, severity, metric FROM anomaly_events "
        "WHERE investigation_id = %(investigation_id)s "
        "UNION ALL SELECT 'playbook', started_at, status, playbook_id FROM soar_playbook_executions "
        "WHERE investigation_id = %(investigation_id)s AND tenant_id = %(playbook_tenant)s ORDER BY at DESC LIMIT 100",
    ),
    mongodb=_timeline,
    parameters=_case_with_playbooks,
    columns=("kind", "at", "what", "who"),
    ordered_by=("at",),
    limit=100,
    whole_tenant=True,
)

TOP_RISKY = Workload(
    name="top risky transactions",
    kind=Kind.INDEXED_QUERY,
    question="Which ten transactions of this investigation are the riskiest?",
    sql=(
        "SELECT transaction_id, risk_score FROM transaction_scores "
        "WHERE investigation_id = %(investigation_id)s ORDER BY risk_score DESC LIMIT 10",
    ),
    mongodb=lambda p: Find(
        "transaction_scores",
        {"tenant_id": p["tenant_id"], "investigation_id": p["investigation_id"]},
        sort=(("risk_score", -1), ("_id", -1)),
        limit=10,
    ),
    parameters=lambda draw: draw.pick("score"),
    columns=("transaction_id", "risk_score"),
    ordered_by=("risk_score",),
    limit=10,
)

ANOMALIES_OF_CASE = Workload(
    name="anomalies of an investigation",
    kind=Kind.INDEXED_QUERY,
    question="Which anomalies led to this investigation?",
    sql=(
        "SELECT id, created_at, metric, severity, status, score, observed, expected, cohort FROM anomaly_events "
        "WHERE investigation_id = %(investigation_id)s ORDER BY created_at DESC LIMIT 100",
    ),
    mongodb=lambda p: Find(
        "anomaly_events",
        {"tenant_id": p["tenant_id"], "investigation_id": p["investigation_id"]},
        sort=newest_first("created_at"),
        limit=100,
    ),
    parameters=lambda draw: _case(draw, "anomaly"),
    columns=(
        "anomaly_id", "created_at", "metric", "severity", "status", "score", "observed", "expected", "cohort",
    ),
    ordered_by=("created_at",),
    limit=100,
)  # fmt: skip

FAILED_ACTIONS = Workload(
    name="failed actions with retries",
    kind=Kind.INDEXED_QUERY,
    question="Which actions failed although they were tried again at least so many times?",
    sql=(
        "SELECT id, action_name, toolkit_name, executed_at, retry_count, error_message FROM composio_action_audits "
        "WHERE tenant_id = %(tenant_id)s AND status = 'failed' AND retry_count >= %(retries)s "
        "ORDER BY retry_count DESC, id",
    ),
    mongodb=lambda p: Find(
        "composio_action_audits",
        # Not `$gte`: SecantusDB 0.7 leaves out the bound itself where further keys follow in the index.
        {"tenant_id": p["tenant_id"], "status": "failed", "retry_count": {"$gt": p["retries"] - 1}},
        sort=(("retry_count", -1), ("_id", -1)),
    ),
    parameters=lambda draw: {**draw.pick("action"), "retries": draw.number(3, 4)},
    columns=("audit_id", "action_name", "toolkit_name", "executed_at", "retry_count", "error_message"),
    ordered_by=("retry_count",),
)

EXPIRING = Workload(
    name="connections that expire",
    kind=Kind.INDEXED_QUERY,
    question="Which active connections of this tenant expire before a time?",
    sql=(
        "SELECT id, toolkit_name, expires_at FROM composio_connections "
        "WHERE tenant_id = %(tenant_id)s AND status = 'active' AND expires_at < %(before)s ORDER BY expires_at",
    ),
    mongodb=lambda p: Find(
        "composio_connections",
        {"tenant_id": p["tenant_id"], "status": "active", "expires_at": {"$lt": p["before"]}},
        sort=(("expires_at", 1),),
    ),
    parameters=lambda draw: {**draw.pick("connection"), "before": _a_month_after_one_expires(draw)},
    columns=("connection_id", "toolkit_name", "expires_at"),
    ordered_by=("expires_at",),
)


def _a_month_after_one_expires(draw: Draws) -> datetime:
    expires: datetime | None = draw.pick("connection")["expires_at"]
    return (expires or draw.latest("action")) + timedelta(days=30)


RUNS_OF_DETECTOR = Workload(
    name="runs of a detector",
    kind=Kind.INDEXED_QUERY,
    question="How did this detector's runs of a week end?",
    sql=(
        "SELECT id, started_at, finished_at, status FROM detection_runs WHERE detector_id = %(detector_id)s "
        "AND started_at >= %(from)s AND started_at < %(to)s ORDER BY started_at DESC",
    ),
    mongodb=lambda p: Find(
        "detection_runs",
        {
            "metadata.tenant_id": p["tenant_id"],
            "metadata.detector_id": p["detector_id"],
            "started_at": {"$gte": p["from"], "$lt": p["to"]},
        },
        sort=(("started_at", -1),),
    ),
    parameters=lambda draw: {**draw.pick("detector"), **draw.window("run", days=7)},
    columns=("run_id", "started_at", "finished_at", "status"),
    ordered_by=("started_at",),
)

TEMPLATES_BY_TAG = Workload(
    name="templates by tag",
    kind=Kind.INDEXED_QUERY,
    question="Which templates carry this tag? (PostgreSQL holds tags as JSON text or separated by commas)",
    sql=(
        "SELECT template_id, name, usage_count, updated_at FROM investigation_templates "
        "WHERE CASE WHEN tags LIKE '[%%' THEN tags::jsonb ? %(tag)s "
        "ELSE %(tag)s = ANY (string_to_array(replace(tags, ', ', ','), ',')) END ORDER BY updated_at DESC LIMIT 50",
    ),
    mongodb=lambda p: Find(
        "templates", {"tenant_id": p["tenant_id"], "tags": p["tag"]}, sort=newest_first("updated_at"), limit=50
    ),
    parameters=lambda draw: {**draw.pick("template"), "tag": _tag(draw)},
    columns=("template_id", "name", "usage_count", "updated_at"),
    ordered_by=("updated_at",),
    limit=50,
    whole_tenant=True,
)


def _tag(draw: Draws) -> str:
    """A tag that some template carries, where one can be found in a few draws."""
    for _ in range(20):
        tags = str(draw.pick("template")["tags"] or "").strip("[]")
        if tags:
            return str(draw.choice(*(tag.strip(' "') for tag in tags.split(","))))
    return "priority"


WORKLOADS = (
    AUDIT_HISTORY,
    TIMELINE,
    TOP_RISKY,
    ANOMALIES_OF_CASE,
    FAILED_ACTIONS,
    EXPIRING,
    RUNS_OF_DETECTOR,
    TEMPLATES_BY_TAG,
)
