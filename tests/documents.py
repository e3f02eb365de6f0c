"""Valid documents of the ten collections, for tests that need stored data without a migration.

Each builder takes a tenant and a number; the same arguments give the same document.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from bson.binary import Binary, BinaryVectorDtype

from workbench.models.anomaly_events import AnomalyEvent
from workbench.models.audit_log import AuditEntry
from workbench.models.composio_action_audits import ComposioActionAudit
from workbench.models.composio_connections import ComposioConnection
from workbench.models.detection_runs import DetectionRun
from workbench.models.detectors import Detector
from workbench.models.document import Document
from workbench.models.investigations import Investigation
from workbench.models.soar_playbook_executions import SoarPlaybookExecution
from workbench.models.templates import Template
from workbench.models.transaction_scores import TransactionScore

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
_NAMESPACE = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")


def uuid_of(*parts: object) -> UUID:
    """A UUID that these parts name."""
    return uuid5(_NAMESPACE, "/".join(map(str, parts)))


def instant(number: int) -> datetime:
    """A time: a minute later for each number; every fifth document shares its predecessor's."""
    return START + timedelta(minutes=number - (number % 5 == 4))


def investigation(tenant: str, number: int, **fields: Any) -> Investigation:
    values: dict[str, Any] = {
        "investigation_id": f"{tenant}-investigation-{number}",
        "tenant_id": tenant,
        "user_id": f"{tenant}-user-{number % 3}",
        "lifecycle_stage": "IN_PROGRESS",
        "status": ("CREATED", "IN_PROGRESS", "COMPLETED")[number % 3],
        "settings": {"name": f"Case {number}"},
        "progress": {"current_phase": "scoring", "progress_percentage": number % 100},
        "results": {"risk_score": number % 10 / 10, "transaction_scores": {"t1": 0.5}},
        "created_at": START,
        "updated_at": instant(number),
    }
    return Investigation.model_validate({**values, **fields})


def template(tenant: str, number: int) -> Template:
    return Template(
        template_id=f"{tenant}-template-{number}",
        tenant_id=tenant,
        user_id=f"{tenant}-user-{number % 3}",
        name=f"Template {number}",
        tags=["cards", "web" if number % 2 else "app"],
        template={"domains": ["device"]},
        usage_count=number % 7,
        created_at=START,
        updated_at=instant(number),
    )


def audit_entry(tenant: str, number: int, **fields: Any) -> AuditEntry:
    values: dict[str, Any] = {
        "entry_id": f"{tenant}-entry-{number}",
        "timestamp": instant(number),
        "metadata": {
            "investigation_id": f"{tenant}-investigation-{number % 4}",
            "user_id": f"{tenant}-user-{number % 3}",
            "tenant_id": tenant,
            "action_type": "UPDATED",
            "source": "API",
        },
        "changes": [{"field": "status", "before": "CREATED", "after": "IN_PROGRESS"}],
        "from_version": number,
        "to_version": number + 1,
    }
    return AuditEntry.model_validate({**values, **fields})


def detector(tenant: str, number: int) -> Detector:
    return Detector(
        detector_id=uuid_of(tenant, "detector", number),
        tenant_id=tenant,
        name=f"Detector {number}",
        type=("cusum", "stl_mad")[number % 2],
        cohort_by=["country", "merchant"],
        metrics=["amount"],
        enabled=number % 3 != 0,
        created_at=START,
        updated_at=instant(number),
    )


def detection_run(tenant: str, number: int) -> DetectionRun:
    started = instant(number)
    return DetectionRun.model_validate(
        {
            "run_id": uuid_of(tenant, "run", number),
            "started_at": started,
            "metadata": {
                "detector_id": uuid_of(tenant, "detector", number % 5),
                "detector_type": "cusum",
                "tenant_id": tenant,
            },
            "status": ("success", "failed")[number % 4 == 3],
            "finished_at": started + timedelta(seconds=number % 20 + 1),
            "window": {"start": START, "end": started},
        }
    )


def anomaly_event(tenant: str, number: int) -> AnomalyEvent:
    vector = [float(number % 7 + 1)] + [1.0] * 383
    return AnomalyEvent.model_validate(
        {
            "anomaly_id": uuid_of(tenant, "anomaly", number),
            "tenant_id": tenant,
            "run_id": uuid_of(tenant, "run", number % 6),
            "detector_id": uuid_of(tenant, "detector", number % 5),
            "investigation_id": f"{tenant}-investigation-{number % 4}",
            "window": {"start": START, "end": instant(number), "duration_minutes": float(number)},
            "metric": "amount",
            "observed": "12.50",
            "score": float(number % 9),
            "severity": ("info", "warn", "critical")[number % 3],
            "status": ("new", "triaged")[number % 2],
            "persisted_n": 1,
            "created_at": instant(number),
            "embedding": Binary.from_vector(vector, BinaryVectorDtype.FLOAT32),
            "embedding_model": "test",
        }
    )


def transaction_score(tenant: str, number: int, **fields: Any) -> TransactionScore:
    values: dict[str, Any] = {
        "investigation_id": f"{tenant}-investigation-{number % 4}",
        "transaction_id": f"{tenant}-transaction-{number:04}",
        "tenant_id": tenant,
        "risk_score": number % 11 / 10,
        "created_at": START,
    }
    return TransactionScore.model_validate({**values, **fields})


def composio_connection(tenant: str, number: int) -> ComposioConnection:
    return ComposioConnection.model_validate(
        {
            "connection_id": f"{tenant}-connection-{number}",
            "composio_connection_id": f"outside-{number}",
            "tenant_id": tenant,
            "toolkit_name": ("slack", "jira")[number % 2],
            "status": ("active", "expired")[number % 4 == 3],
            "encrypted_access_token": f"planted-access-{tenant}-{number}",
            "refresh_token": f"planted-refresh-{tenant}-{number}",
            "expires_at": instant(number + 1000),
            "created_at": START,
            "updated_at": instant(number),
        }
    )


def composio_action_audit(tenant: str, number: int) -> ComposioActionAudit:
    return ComposioActionAudit.model_validate(
        {
            "audit_id": f"{tenant}-audit-{number}",
            "action_id": f"action-{number % 3}",
            "execution_id": f"execution-{number % 3}",
            "toolkit_name": ("slack", "jira")[number % 2],
            "action_name": f"name-{number % 3}",
            "tenant_id": tenant,
            "connection_id": f"{tenant}-connection-{number % 5}",
            "parameters": {"channel": "fraud"},
            "status": ("failed", "success")[number % 2],
            "executed_at": instant(number),
            "retry_count": number % 6,
        }
    )


def soar_playbook_execution(tenant: str, number: int) -> SoarPlaybookExecution:
    return SoarPlaybookExecution.model_validate(
        {
            "execution_id": f"{tenant}-execution-{number}",
            "playbook_id": f"playbook-{number % 3}",
            "investigation_id": f"{tenant}-investigation-{number % 4}",
            "tenant_id": tenant,
            "status": ("running", "completed", "failed")[number % 3],
            "started_at": instant(number),
            "completed_at": instant(number) + timedelta(seconds=2) if number % 3 else None,
            "duration_ms": 2000.0 if number % 3 else None,
        }
    )


BUILDERS: dict[str, Callable[[str, int], Document]] = {
    "investigations": investigation,
    "templates": template,
    "audit_log": audit_entry,
    "detectors": detector,
    "detection_runs": detection_run,
    "anomaly_events": anomaly_event,
    "transaction_scores": transaction_score,
    "composio_connections": composio_connection,
    "composio_action_audits": composio_action_audit,
    "soar_playbook_executions": soar_playbook_execution,
}
"""Collection -> builder."""
