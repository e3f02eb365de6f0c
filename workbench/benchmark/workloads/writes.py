"""Writes: inserts, and updates under optimistic locking. All go to copies of the tables and collections."""

from __future__ import annotations

from typing import Any

from workbench.benchmark.draws import Draws
from workbench.benchmark.workloads.base import Find, Insert, Kind, Parameters, Update, Workload, scratch_name
from workbench.models.audit_log import AuditEntry
from workbench.models.composio_action_audits import ComposioActionAudit
from workbench.models.transaction_scores import TransactionScore


def _new_score(draw: Draws) -> dict[str, Any]:
    return {
        **draw.pick("investigation"),
        "transaction_id": f"benchmark_{draw.serial():09d}",
        "risk_score": draw.fraction(),
        "created_at": draw.latest("anomaly"),
    }


def _score_document(p: Parameters) -> dict[str, Any]:
    names = ("tenant_id", "investigation_id", "transaction_id", "risk_score", "created_at")
    return TransactionScore(**{name: p[name] for name in names}).to_bson()


INSERT_SCORE = Workload(
    name="insert a score",
    kind=Kind.INSERT,
    question="Store the score of one transaction.",
    sql=(
        "INSERT INTO workbench_benchmark.transaction_scores VALUES "
        "(%(investigation_id)s, %(transaction_id)s, %(risk_score)s, %(created_at)s) RETURNING 1",
    ),
    mongodb=lambda p: Insert(scratch_name("transaction_scores"), (_score_document(p),)),
    parameters=_new_score,
    columns=("inserted",),
    writes_to="transaction_scores",
    readback=Workload(
        name="read the score back",
        kind=Kind.SIMPLE_READ,
        question="Is the score stored as it was sent?",
        sql=(
            "SELECT transaction_id, risk_score, created_at FROM workbench_benchmark.transaction_scores "
            "WHERE investigation_id = %(investigation_id)s AND transaction_id = %(transaction_id)s",
        ),
        mongodb=lambda p: Find(
            scratch_name("transaction_scores"),
            {
                "tenant_id": p["tenant_id"],
                "investigation_id": p["investigation_id"],
                "transaction_id": p["transaction_id"],
            },
        ),
        parameters=_new_score,
        columns=("transaction_id", "risk_score", "created_at"),
    ),
)


def _new_entry(draw: Draws) -> dict[str, Any]:
    return {
        **draw.pick("investigation"),
        "entry_id": f"benchmark_{draw.serial():09d}",
        "at": draw.latest("audit"),
        "changes": {"progress": {"old": draw.number(0, 50), "new": draw.number(51, 100)}},
        "snapshot": {"status": "IN_PROGRESS", "phase": "analysis", "risk_score": draw.fraction()},
        "version": draw.number(1, 9),
    }


def _entry_document(p: Parameters) -> dict[str, Any]:
    return AuditEntry(
        entry_id=p["entry_id"],
        timestamp=p["at"],
        metadata={
            "investigation_id": p["investigation_id"],
            "user_id": p["user_id"],
            "tenant_id": p["tenant_id"],
            "action_type": "UPDATED",
            "source": "API",
        },
        changes=p["changes"],
        state_snapshot=p["snapshot"],
        from_version=p["version"],
        to_version=p["version"] + 1,
    ).to_bson()


INSERT_ENTRY = Workload(
    name="insert an audit entry",
    kind=Kind.INSERT,
    question="Record one change of an investigation.",
    sql=(
        "INSERT INTO workbench_benchmark.investigation_audit_log (entry_id, investigation_id, user_id, action_type, "
        "changes_json, state_snapshot_json, source, from_version, to_version, timestamp) VALUES "
        "(%(entry_id)s, %(investigation_id)s, %(user_id)s, 'UPDATED', %(changes)s::jsonb::text, "
        "%(snapshot)s::jsonb::text, 'API', %(version)s, %(version)s + 1, %(at)s) RETURNING 1",
    ),
    mongodb=lambda p: Insert(scratch_name("audit_log"), (_entry_document(p),)),
    parameters=_new_entry,
    columns=("inserted",),
    writes_to="audit_log",
    readback=Workload(
        name="read the entry back",
        kind=Kind.SIMPLE_READ,
        question="Is the entry stored as it was sent?",
        sql=(
            "SELECT timestamp, user_id, action_type, changes_json::jsonb, state_snapshot_json::jsonb, to_version "
            "FROM workbench_benchmark.investigation_audit_log WHERE entry_id = %(entry_id)s",
        ),
        mongodb=lambda p: Find(
            scratch_name("audit_log"), {"metadata.tenant_id": p["tenant_id"], "entry_id": p["entry_id"]}
        ),
        parameters=_new_entry,
        columns=(
            "timestamp", "metadata.user_id", "metadata.action_type", "changes", "state_snapshot", "to_version",
        ),
    ),
)  # fmt: skip


def _new_action(draw: Draws) -> dict[str, Any]:
    return {
        **draw.pick("action"),
        "audit_id": f"benchmark_{draw.serial():09d}",
        "action_id": f"benchmark_{draw.number(0, 999)}",
        "parameters": {"channel": "#fraud", "priority": draw.number(0, 4), "amount": draw.fraction()},
        "retry_count": draw.number(0, 3),
    }


def _action_document(p: Parameters) -> dict[str, Any]:
    same = (
        "audit_id", "action_id", "toolkit_name", "tenant_id", "connection_id", "parameters", "executed_at",
        "retry_count",
    )  # fmt: skip
    values = {name: p[name] for name in same}
    return ComposioActionAudit(**values, action_name="BENCHMARK", status="success").to_bson()


INSERT_ACTION = Workload(
    name="insert an action",
    kind=Kind.INSERT,
    question="Record one action of a tool.",
    sql=(
        "INSERT INTO workbench_benchmark.composio_action_audits (id, action_id, toolkit_name, action_name, tenant_id, "
        "connection_id, parameters, status, executed_at, retry_count) VALUES (%(audit_id)s, %(action_id)s, "
        "%(toolkit_name)s, 'BENCHMARK', %(tenant_id)s, %(connection_id)s, %(parameters)s::jsonb::text, 'success', "
        "%(executed_at)s, %(retry_count)s) RETURNING 1",
    ),
    mongodb=lambda p: Insert(scratch_name("composio_action_audits"), (_action_document(p),)),
    parameters=_new_action,
    columns=("inserted",),
    writes_to="composio_action_audits",
    readback=Workload(
        name="read the action back",
        kind=Kind.SIMPLE_READ,
        question="Is the action stored as it was sent?",
        sql=(
            "SELECT id, toolkit_name, connection_id, parameters::jsonb, status, executed_at, retry_count "
            "FROM workbench_benchmark.composio_action_audits WHERE id = %(audit_id)s AND tenant_id = %(tenant_id)s",
        ),
        mongodb=lambda p: Find(
            scratch_name("composio_action_audits"), {"tenant_id": p["tenant_id"], "audit_id": p["audit_id"]}
        ),
        parameters=_new_action,
        columns=(
            "audit_id", "toolkit_name", "connection_id", "parameters", "status", "executed_at", "retry_count",
        ),
    ),
)  # fmt: skip


def _new_progress(draw: Draws) -> dict[str, Any]:
    progress = {"current_phase": "analysis", "progress_percentage": float(draw.number(0, 100))}
    return {**draw.pick("investigation"), "progress": progress, "at": draw.latest("audit")}


UPDATE_PROGRESS = Workload(
    name="update progress with a version",
    kind=Kind.UPDATE,
    question="Store an investigation's progress, if nobody has changed it since it was read.",
    sql=(
        "SELECT version FROM workbench_benchmark.investigation_states WHERE investigation_id = %(investigation_id)s",
        "UPDATE workbench_benchmark.investigation_states SET progress_json = %(progress)s::jsonb::text, "
        "version = version + 1, updated_at = %(at)s WHERE investigation_id = %(investigation_id)s "
        "AND version = %(version)s RETURNING version - 1",
    ),
    mongodb=lambda p: Update(
        scratch_name("investigations"),
        {"tenant_id": p["tenant_id"], "investigation_id": p["investigation_id"]},
        guard="version",
        change={"$set": {"progress": p["progress"], "updated_at": p["at"]}, "$inc": {"version": 1}},
    ),
    parameters=_new_progress,
    columns=("version",),
    writes_to="investigations",
    readback=Workload(
        name="read the progress back",
        kind=Kind.SIMPLE_READ,
        question="Is the progress stored as it was sent, with the next version?",
        sql=(
            "SELECT version, progress_json::jsonb, updated_at FROM workbench_benchmark.investigation_states "
            "WHERE investigation_id = %(investigation_id)s",
        ),
        mongodb=lambda p: Find(
            scratch_name("investigations"), {"tenant_id": p["tenant_id"], "investigation_id": p["investigation_id"]}
        ),
        parameters=_new_progress,
        columns=("version", "progress", "updated_at"),
    ),
)


def _new_status(draw: Draws) -> dict[str, Any]:
    return {**draw.pick("anomaly"), "next": draw.choice("new", "triaged", "closed")}


UPDATE_TRIAGE = Workload(
    name="triage an anomaly",
    kind=Kind.UPDATE,
    question="Set the status of an anomaly, if nobody has triaged it since it was read.",
    sql=(
        "SELECT status FROM workbench_benchmark.anomaly_events WHERE id = %(anomaly_id)s",
        "UPDATE workbench_benchmark.anomaly_events SET status = %(next)s "
        "WHERE id = %(anomaly_id)s AND status = %(status)s RETURNING %(status)s::text",
    ),
    mongodb=lambda p: Update(
        scratch_name("anomaly_events"),
        {"tenant_id": p["tenant_id"], "anomaly_id": p["anomaly_id"]},
        guard="status",
        change={"$set": {"status": p["next"]}},
    ),
    parameters=_new_status,
    columns=("status",),
    writes_to="anomaly_events",
    readback=Workload(
        name="read the status back",
        kind=Kind.SIMPLE_READ,
        question="Is the status stored?",
        sql=("SELECT status FROM workbench_benchmark.anomaly_events WHERE id = %(anomaly_id)s",),
        mongodb=lambda p: Find(
            scratch_name("anomaly_events"), {"tenant_id": p["tenant_id"], "anomaly_id": p["anomaly_id"]}
        ),
        parameters=_new_status,
        columns=("status",),
    ),
)

WORKLOADS = (INSERT_SCORE, INSERT_ENTRY, INSERT_ACTION, UPDATE_PROGRESS, UPDATE_TRIAGE)
