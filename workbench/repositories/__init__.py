"""What is asked of the ten collections. Every method needs a tenant."""

from __future__ import annotations

from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from workbench.repositories.anomaly_events import AnomalyEventRepository
from workbench.repositories.audit_log import AuditLogRepository
from workbench.repositories.base import About, Repository
from workbench.repositories.composio_action_audits import ComposioActionAuditRepository
from workbench.repositories.composio_connections import ComposioConnectionRepository
from workbench.repositories.detection_runs import DetectionRunRepository
from workbench.repositories.detectors import DetectorRepository
from workbench.repositories.investigations import InvestigationRepository
from workbench.repositories.paging import Page
from workbench.repositories.soar_playbook_executions import SoarPlaybookExecutionRepository
from workbench.repositories.templates import TemplateRepository
from workbench.repositories.transaction_scores import TransactionScoreRepository
from workbench.settings import Settings

__all__ = ["About", "Page", "Repositories", "Repository"]


class Repositories:
    """The ten repositories of one database, each under its collection's name."""

    def __init__(self, database: AsyncDatabase[dict[str, Any]], settings: Settings) -> None:
        self.investigations = InvestigationRepository(database, settings)
        self.templates = TemplateRepository(database, settings)
        self.audit_log = AuditLogRepository(database, settings)
        self.detectors = DetectorRepository(database, settings)
        self.detection_runs = DetectionRunRepository(database, settings)
        self.anomaly_events = AnomalyEventRepository(database, settings)
        self.transaction_scores = TransactionScoreRepository(database, settings)
        self.composio_connections = ComposioConnectionRepository(database, settings)
        self.composio_action_audits = ComposioActionAuditRepository(database, settings)
        self.soar_playbook_executions = SoarPlaybookExecutionRepository(database, settings)
