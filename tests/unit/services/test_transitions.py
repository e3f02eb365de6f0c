"""From one state to the next, without a server."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.documents import investigation
from workbench.errors import InvalidInput
from workbench.models.fields import utc_now
from workbench.services.completion import is_comparison
from workbench.services.entities import wants_entities
from workbench.services.requests import UpdateInvestigation
from workbench.services.transitions import action_of, new_state, next_state

BEFORE = investigation("acme", 1)


@pytest.mark.parametrize(
    ("request_", "action"),
    [
        (UpdateInvestigation(status="ERROR"), "STATE_CHANGE"),
        (UpdateInvestigation(lifecycle_stage="COMPLETED", settings={"a": 1}), "STATE_CHANGE"),
        (UpdateInvestigation(settings={"a": 1}), "SETTINGS_CHANGE"),
        (UpdateInvestigation(settings={"a": 1}, tags=("x",)), "UPDATED"),
        (UpdateInvestigation(progress={"progress_percentage": 3.0}), "UPDATED"),
        (UpdateInvestigation(), "UPDATED"),
    ],
)
def test_an_update_is_the_next_version_and_has_its_name(request_: UpdateInvestigation, action: str) -> None:
    after = next_state(BEFORE, request_)
    assert after.version == BEFORE.version + 1
    assert after.updated_at > BEFORE.updated_at
    assert action_of(BEFORE, after) == action


def test_times_order_like_versions_even_if_the_clock_is_behind() -> None:
    ahead = BEFORE.model_copy(update={"updated_at": utc_now() + timedelta(hours=1)})
    assert next_state(ahead, UpdateInvestigation()).updated_at == ahead.updated_at + timedelta(milliseconds=1)


def test_sections_that_are_not_given_stay() -> None:
    after = next_state(BEFORE, UpdateInvestigation(tags=("vip",), custom_fields={"k": 1}))
    assert (after.settings, after.progress, after.results) == (BEFORE.settings, BEFORE.progress, BEFORE.results)
    assert (after.metadata.tags, after.metadata.custom_fields) == (["vip"], {"k": 1})
    assert BEFORE.metadata.tags == []


def test_wrong_values_are_named() -> None:
    with pytest.raises(InvalidInput, match=r"progress\.progress_percentage"):
        next_state(BEFORE, UpdateInvestigation(progress={"progress_percentage": 120.0}))
    with pytest.raises(InvalidInput, match="tenant_id"):
        new_state({**BEFORE.model_dump(), "tenant_id": {"$gt": ""}})


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        (None, False),
        ({}, False),
        ({"auto_select_entities": "yes"}, False),
        ({"auto_select_entities": True}, True),
        ({"auto_select_entities": True, "entities": ["ip:1"]}, False),
        ({"auto_select_entities": True, "entity": "ip:1"}, False),
    ],
)
def test_entities_are_chosen_only_where_asked(settings: dict[str, object] | None, wanted: bool) -> None:
    assert wants_entities(settings) is wanted


def test_comparison_runs_are_the_system_users_or_say_so() -> None:
    assert is_comparison(investigation("acme", 1, user_id="system"), "system")
    assert is_comparison(investigation("acme", 1, settings={"comparison": {"a": 1}}), "system")
    assert not is_comparison(BEFORE, "system")
