"""Two tenants with investigations to explore: many plain ones, and one case of which everything is known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from tests.documents import START, investigation, uuid_of
from tests.target import prepared_target
from workbench import connections
from workbench.models import COLLECTIONS
from workbench.models.anomaly_events import AnomalyEvent
from workbench.models.audit_log import AuditEntry
from workbench.models.composio_action_audits import ComposioActionAudit
from workbench.models.composio_connections import ComposioConnection
from workbench.models.detection_runs import DetectionRun
from workbench.models.detectors import Detector
from workbench.models.document import Document
from workbench.models.soar_playbook_executions import SoarPlaybookExecution
from workbench.models.transaction_scores import TransactionScore
from workbench.settings import Settings, TenancyRule
from workbench.similarity.embedder import StructureHashEmbedder, to_binary

TENANT, OTHER = "acme", "globex"
INVESTIGATIONS = 120
CASE = "case-<b>one</b>"
"""The id of the case; it is also an attempt at markup."""
MARKUP = "<script>alert(1)</script>"
TOKEN = "enc:never-to-be-seen"
ANOMALIES = 40


@contextmanager
def explored_target(servers: Settings) -> Iterator[Settings]:
    """Settings that reach a new database with the schema and the cases; it is dropped at the end."""
    with prepared_target(servers) as settings, connections.open_target(settings, bulk=True) as client:
        database = client[settings.mongodb_database]
        for name, documents in _documents().items():
            database[name].insert_many([document.to_bson() for document in documents])
        yield settings.model_copy(update={"tenancy_rule": TenancyRule.USER, "default_tenant": TENANT})


def _documents() -> dict[str, list[Document]]:
    found: dict[str, list[Document]] = {name: [] for name in COLLECTIONS if name != "templates"}
    for tenant in (TENANT, OTHER):
        found["investigations"] += [investigation(tenant, number) for number in range(INVESTIGATIONS)]
        found["anomaly_events"] += _anomalies(tenant)
    found["investigations"].append(_case())
    found["transaction_scores"] += [_score(number) for number in range(30)]
    found["audit_log"] += [entry(version) for version in range(1, 5)]
    found["detectors"] += [_detector(number) for number in range(2)]
    found["detection_runs"] += [_run(number) for number in range(8)]
    found["soar_playbook_executions"] += [_execution(number) for number in range(3)]
    found["composio_action_audits"] += [_action(number) for number in range(6)]
    found["composio_connections"] += [_connection(number) for number in range(4)]
    return {name: documents for name, documents in found.items() if documents}


def _case() -> Document:
    return investigation(
        TENANT,
        1_000,
        investigation_id=CASE,
        user_id=MARKUP,
        lifecycle_stage="COMPLETED",
        status="COMPLETED",
        version=5,
        results={
            "risk_score": 0.97,
            "domain_findings": {
                "device": {"risk_score": 0.9, "confidence": 0.8, "evidence": [MARKUP, "shared by 14 accounts"]},
                "network": {"risk_score": 0.4},
            },
        },
        created_at=START + timedelta(hours=1),
        updated_at=START + timedelta(days=30),
        outbox=[entry(5)],
    )


def entry(version: int) -> AuditEntry:
    """The entry that made a version: the status changes once, and settings.tools with each version."""
    statuses = ("CREATED", "SETTINGS", "IN_PROGRESS", "IN_PROGRESS", "COMPLETED")
    changes: dict[str, Any] = {"settings": {"tools": {"old": [f"t{version - 1}"], "new": [f"t{version}"]}}}
    old = statuses[version - 2] if version > 1 else None
    if old != statuses[version - 1]:
        changes["status"] = {"old": old, "new": statuses[version - 1]}
    return AuditEntry.model_validate(
        {
            "entry_id": f"entry-{version}",
            "timestamp": START + timedelta(hours=version),
            "metadata": {
                "investigation_id": CASE,
                "user_id": "analyst",
                "tenant_id": TENANT,
                "action_type": "CREATED" if version == 1 else "UPDATED",
                "source": "UI",
            },
            "changes": changes,
            "state_snapshot": {"status": statuses[version - 1], "note": {"text": f"v{version}"}},
            "from_version": version - 1,
            "to_version": version,
        }
    )


def anomaly_id(tenant: str, number: int) -> Any:
    """The id of an anomaly."""
    return uuid_of(tenant, "explored anomaly", number)


def _anomalies(tenant: str) -> list[Document]:
    """Two incidents of ten anomalies each, then noise. The first five of the first incident belong to the case."""
    events = [_anomaly(tenant, number) for number in range(ANOMALIES)]
    embedder = StructureHashEmbedder()
    for event, vector in zip(events, to_binary(embedder.embed([vars(event) for event in events])), strict=True):
        event.embedding, event.embedding_model = vector, embedder.name
    return list(events)


def _anomaly(tenant: str, number: int) -> AnomalyEvent:
    incident = number // 10 if number < 20 else number
    investigation_id = None
    if tenant == TENANT and number < 5:
        investigation_id = CASE
    elif number < 20:
        investigation_id = f"{tenant}-investigation-{number}"
    moment = START + timedelta(days=number)
    return AnomalyEvent.model_validate(
        {
            "anomaly_id": anomaly_id(tenant, number),
            "tenant_id": tenant,
            "run_id": uuid_of(tenant, "run", 0),
            "detector_id": uuid_of(TENANT, "explored detector", number % 2),
            "investigation_id": investigation_id,
            "cohort": {"country": f"C{incident}", "channel": MARKUP if number == 0 else f"ch{incident}"},
            "window": {"start": moment, "end": moment, "duration_minutes": 0.0},
            "metric": f"metric_{incident}",
            "observed": "12.50",
            "expected": "3",
            "score": 0.5 + number / 100,
            "severity": ("critical", "warn", "info")[number % 3],
            "status": "new",
            "persisted_n": 1,
            "evidence": {"signals": [f"signal{incident} proxy farm"]},
            "created_at": moment,
        }
    )


def _score(number: int) -> TransactionScore:
    return TransactionScore(
        investigation_id=CASE,
        transaction_id=f"tx-{number}",
        tenant_id=TENANT,
        risk_score=1.0 if number == 0 else number / 30,
        created_at=START,
    )


def _detector(number: int) -> Detector:
    return Detector(
        detector_id=uuid_of(TENANT, "explored detector", number),
        tenant_id=TENANT,
        name=f"Detector {number} {MARKUP}",
        type="cusum",
        cohort_by=["country"],
        metrics=["metric_0"],
        enabled=bool(number),
        created_at=START,
        updated_at=START,
    )


def _run(number: int) -> DetectionRun:
    return DetectionRun.model_validate(
        {
            "run_id": uuid_of(TENANT, "explored run", number),
            "started_at": START + timedelta(hours=number),
            "metadata": {
                "detector_id": uuid_of(TENANT, "explored detector", number % 2),
                "detector_type": "cusum",
                "tenant_id": TENANT,
            },
            "status": "failed" if number == 7 else "success",
            "window": {"start": START, "end": START},
        }
    )


def _execution(number: int) -> SoarPlaybookExecution:
    started = START + timedelta(minutes=number)
    action = {
        "action_id": f"a{number}",
        "action_type": "notify",
        "status": "success",
        "started_at": started,
        "completed_at": started + timedelta(seconds=30),
        "result": {"ticket": MARKUP},
    }
    return SoarPlaybookExecution.model_validate(
        {
            "execution_id": f"execution-{number}",
            "playbook_id": "contain",
            "investigation_id": CASE if number < 2 else None,
            "tenant_id": TENANT,
            "status": ("completed", "failed", "completed")[number],
            "started_at": started,
            "completed_at": started + timedelta(minutes=number + 1),
            "duration_ms": 60_000.0 * (number + 1),
            "actions_executed": [action] if number != 1 else None,
            "error_message": "no answer" if number == 1 else None,
        }
    )


def _action(number: int) -> ComposioActionAudit:
    return ComposioActionAudit(
        audit_id=f"audit-{number}",
        action_id=f"action-{number}",
        execution_id=f"execution-{number % 3}",
        toolkit_name="slack",
        action_name="SEND",
        tenant_id=TENANT,
        connection_id="connection-0",
        status=("success", "failed", "retrying")[number % 3],  # type: ignore[arg-type]
        executed_at=START + timedelta(minutes=number),
        retry_count=number,
        error_message=MARKUP if number % 3 == 1 else None,
    )


def _connection(number: int) -> ComposioConnection:
    return ComposioConnection.model_validate(
        {
            "connection_id": f"connection-{number}",
            "composio_connection_id": f"conn_{number}",
            "tenant_id": TENANT if number < 3 else OTHER,
            "toolkit_name": "slack",
            "status": "revoked" if number == 2 else "active",
            "encrypted_access_token": f"{TOKEN}-{number}",
            "refresh_token": f"{TOKEN}-refresh-{number}",
            "expires_at": START + timedelta(days=number * 5 - 2),
            "created_at": START,
            "updated_at": START,
        }
    )
