"""What a caller asks of the service: who it is, and what shall be created or changed. All are frozen."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from workbench.models.audit_log import Source
from workbench.models.fields import JsonObject, Key
from workbench.models.investigations import InvestigationStatus, LifecycleStage


class Request(BaseModel):
    """Base of the requests: unknown fields are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class User(Request):
    """Who asks, as the caller has authenticated them.

    Attributes:
        user_id: the user.
        is_admin: whether the user may act on all investigations of the tenant.
        source: the channel, for the audit entry.
    """

    user_id: Key
    is_admin: bool = False
    source: Source = Source.API


class CreateInvestigation(Request):
    """A new investigation. Without an id the service chooses a random one, which nobody can guess.

    With `auto_select_entities` true in the settings, and no entity there, the service chooses the entities.
    """

    investigation_id: Key | None = None
    lifecycle_stage: LifecycleStage = LifecycleStage.CREATED
    status: InvestigationStatus = InvestigationStatus.CREATED
    settings: JsonObject | None = None
    source: str | None = None
    tags: tuple[str, ...] = ()
    custom_fields: JsonObject = {}


class UpdateInvestigation(Request):
    """The sections to replace; a section that is not given stays as it is.

    `progress` and `results` are plain JSON: the service checks them and names what is wrong.
    """

    lifecycle_stage: LifecycleStage | None = None
    status: InvestigationStatus | None = None
    settings: JsonObject | None = None
    progress: dict[str, Any] | None = None
    results: dict[str, Any] | None = None
    tags: tuple[str, ...] | None = None
    custom_fields: JsonObject | None = None
