"""From one state of an investigation to the next: what a request makes of it. No input or output here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from workbench.errors import InvalidInput
from workbench.models.audit_log import ActionType
from workbench.models.fields import wide_decimal
from workbench.models.investigations import Investigation, InvestigationMetadata, InvestigationStatus, Progress
from workbench.services.audit import utc_now_after
from workbench.services.requests import UpdateInvestigation
from workbench.services.scores import checked_results


def new_state(values: Mapping[str, Any]) -> Investigation:
    """The investigation with these values.

    Raises:
        InvalidInput: a value breaks a rule of the model.
    """
    _refuse_wide_decimals({"settings": values.get("settings"), **values.get("metadata", {})})
    try:
        return Investigation.model_validate(dict(values))
    except ValidationError as error:
        raise _invalid(error) from None


def next_state(before: Investigation, request: UpdateInvestigation) -> Investigation:
    """The investigation with the request's sections replaced, the next version, and a later time.

    Raises:
        InvalidInput: progress or results break a rule.
    """
    given = {name: getattr(request, name) for name in request.model_fields_set}
    given = {name: value for name, value in given.items() if value is not None}
    _refuse_wide_decimals(given)
    changed: dict[str, Any] = {"version": before.version + 1, "updated_at": utc_now_after(before)}
    for name in ("lifecycle_stage", "status"):
        if name in given:
            changed[name] = given[name].value
    if "settings" in given:
        changed["settings"] = given["settings"]
    if "progress" in given:
        try:
            changed["progress"] = Progress.model_validate(given["progress"])
        except ValidationError as error:
            raise _invalid(error, "progress.") from None
    if "results" in given:
        changed["results"] = checked_results(given["results"])
    metadata = {
        name: list(value) if name == "tags" else value
        for name, value in given.items()
        if name in InvestigationMetadata.model_fields
    }
    if metadata:
        changed["metadata"] = before.metadata.model_copy(update=metadata)
    return before.model_copy(update=changed)


def action_of(before: Investigation, after: Investigation) -> ActionType:
    """What the audit calls a change: of the state, of the settings alone, or any other."""
    if (before.status, before.lifecycle_stage) != (after.status, after.lifecycle_stage):
        return ActionType.STATE_CHANGE
    others = ("progress", "results", "metadata")
    if before.settings != after.settings and all(getattr(before, name) == getattr(after, name) for name in others):
        return ActionType.SETTINGS_CHANGE
    return ActionType.UPDATED


def is_completed(investigation: Investigation) -> bool:
    """Whether its status is COMPLETED."""
    return investigation.status == InvestigationStatus.COMPLETED


def _refuse_wide_decimals(sections: Mapping[str, Any]) -> None:
    for name, value in sections.items():
        if (path := wide_decimal(value)) is not None:
            raise InvalidInput(f"{name}.{path}", "has more digits than a BSON decimal holds (34)")


def _invalid(error: ValidationError, prefix: str = "") -> InvalidInput:
    problem = error.errors(include_input=False, include_url=False)[0]
    return InvalidInput(prefix + ".".join(map(str, problem["loc"])), problem["msg"])
