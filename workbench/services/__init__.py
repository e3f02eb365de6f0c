"""Rules on top of the repositories: the state of investigations, scores, audit, completion, health."""

from workbench.services.health import Health, State
from workbench.services.investigation_state import InvestigationStateService
from workbench.services.lifecycle import Services
from workbench.services.requests import CreateInvestigation, UpdateInvestigation, User

__all__ = [
    "CreateInvestigation",
    "Health",
    "InvestigationStateService",
    "Services",
    "State",
    "UpdateInvestigation",
    "User",
]
