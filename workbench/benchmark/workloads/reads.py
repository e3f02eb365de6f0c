"""Simple reads: one document by its natural key."""

from __future__ import annotations

from workbench.benchmark.workloads.base import Find, Kind, Workload

INVESTIGATION = Workload(
    name="investigation by id",
    kind=Kind.SIMPLE_READ,
    question="Open one investigation.",
    sql=(
        "SELECT investigation_id, user_id, status, lifecycle_stage, version, created_at, updated_at, "
        "NULLIF(settings_json, '')::jsonb "
        "FROM investigation_states WHERE investigation_id = %(investigation_id)s",
    ),
    mongodb=lambda p: Find(
        "investigations", {"tenant_id": p["tenant_id"], "investigation_id": p["investigation_id"]}, limit=1
    ),
    parameters=lambda draw: draw.pick("investigation"),
    columns=(
        "investigation_id", "user_id", "status", "lifecycle_stage", "version", "created_at", "updated_at", "settings",
    ),
)  # fmt: skip

TEMPLATE = Workload(
    name="template by id",
    kind=Kind.SIMPLE_READ,
    question="Open one template.",
    sql=(
        "SELECT template_id, user_id, name, description, usage_count, updated_at, template_json::jsonb "
        "FROM investigation_templates WHERE template_id = %(template_id)s",
    ),
    mongodb=lambda p: Find("templates", {"tenant_id": p["tenant_id"], "template_id": p["template_id"]}, limit=1),
    parameters=lambda draw: draw.pick("template"),
    columns=("template_id", "user_id", "name", "description", "usage_count", "updated_at", "template"),
)

DETECTOR = Workload(
    name="detector by id",
    kind=Kind.SIMPLE_READ,
    question="Open one detector.",
    sql=("SELECT id, name, type, cohort_by, metrics, params, enabled FROM detectors WHERE id = %(detector_id)s",),
    mongodb=lambda p: Find("detectors", {"tenant_id": p["tenant_id"], "detector_id": p["detector_id"]}, limit=1),
    parameters=lambda draw: draw.pick("detector"),
    columns=("detector_id", "name", "type", "cohort_by", "metrics", "params", "enabled"),
)

CONNECTION = Workload(
    name="connection by id",
    kind=Kind.SIMPLE_READ,
    question="Is this tool connection still active? (its tokens are not read)",
    sql=(
        "SELECT id, connection_id, toolkit_name, status, expires_at, last_used_at "
        "FROM composio_connections WHERE id = %(connection_id)s AND tenant_id = %(tenant_id)s",
    ),
    mongodb=lambda p: Find(
        "composio_connections", {"tenant_id": p["tenant_id"], "connection_id": p["connection_id"]}, limit=1
    ),
    parameters=lambda draw: draw.pick("connection"),
    columns=("connection_id", "composio_connection_id", "toolkit_name", "status", "expires_at", "last_used_at"),
)

EXECUTION = Workload(
    name="playbook execution by id",
    kind=Kind.SIMPLE_READ,
    question="Open one execution of a playbook.",
    sql=(
        "SELECT id, playbook_id, investigation_id, anomaly_id::text, status, started_at, completed_at, "
        "(extract(epoch FROM date_trunc('milliseconds', completed_at) - date_trunc('milliseconds', started_at)) "
        "* 1000)::double precision "
        "FROM soar_playbook_executions WHERE id = %(execution_id)s AND tenant_id = %(tenant_id)s",
    ),
    mongodb=lambda p: Find(
        "soar_playbook_executions", {"tenant_id": p["tenant_id"], "execution_id": p["execution_id"]}, limit=1
    ),
    parameters=lambda draw: draw.pick("execution"),
    columns=(
        "execution_id", "playbook_id", "investigation_id", "anomaly_id", "status", "started_at", "completed_at",
        "duration_ms",
    ),
)  # fmt: skip

WORKLOADS = (INVESTIGATION, TEMPLATE, DETECTOR, CONNECTION, EXECUTION)
