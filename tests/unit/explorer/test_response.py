"""What was done about an investigation is told as it ended, whatever the source recorded of it."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest

from tests.documents import START
from workbench.explorer.response import WHOLE, playbook_part, timeline_part, tool_part


def execution(status: str, actions: list[dict[str, Any]] | None, error: str | None = None) -> dict[str, Any]:
    return {
        "playbook_id": "contain$x$",
        "execution_id": "e-1",
        "status": status,
        "started_at": START,
        "completed_at": START + timedelta(minutes=5),
        "actions_executed": actions,
        "error_message": error,
    }


def test_a_failed_execution_names_its_failing_action_and_its_error() -> None:
    actions = [
        {"action_type": "isolate", "status": "success"},
        {"action_type": "block", "status": "failed", "error": "no route"},
        {"action_type": "notify"},
    ]
    frame = playbook_part([execution("failed", actions, "gave up")], ()).frame.set_index("action")
    assert frame["status"].to_dict() == {WHOLE: "failed", "isolate": "success", "block": "failed", "notify": "unknown"}
    assert frame.loc[WHOLE, ["result", "error"]].tolist() == ["failed: block", "gave up"]
    assert frame.loc["block", "error"] == "no route"


def test_a_failed_execution_whose_actions_all_succeeded_does_not_look_fine() -> None:
    part = playbook_part([execution("failed", [{"action_type": "isolate", "status": "success"}], "gave up")], ())
    assert "1 of them failed" in part.note
    assert part.frame["error"].tolist() == ["gave up", ""]


@pytest.mark.parametrize("actions", [None, [], [{}], [{"started_at": "no date"}]])
def test_playbooks_and_tools_lie_in_time(actions: Any) -> None:
    tool = {
        "action_name": "lock", "toolkit_name": "mail", "status": "failed", "retry_count": 2, "audit_id": "a",
        "executed_at": START + timedelta(minutes=2),
    }  # fmt: skip
    part = timeline_part(playbook_part([execution("failed", actions)], ()), tool_part([tool], ()))
    assert {"playbook contain$x$", "tool mail: lock"} <= set(part.frame["what"])
    figure = part.figure()
    assert figure is not None
    figure.savefig(io.BytesIO(), format="png")
    assert figure.axes[0].get_xlabel().startswith("minutes since 20")


def test_nothing_done_says_so() -> None:
    part = timeline_part(playbook_part([], ()), tool_part([], ()))
    assert part.figure() is None
    assert part.note
