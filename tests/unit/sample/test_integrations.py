"""Connections, actions and playbook executions agree on tenants and on each other."""

from __future__ import annotations

import json
from collections import Counter

from tests.unit.sample.test_investigations import as_dicts
from workbench.sample.integrations import action_rows, connection_rows, execution_rows
from workbench.sample.plan import SamplePlan

PLAN = SamplePlan(scale=1, seed=42)
CONNECTIONS = {row["connection_id"]: row for row in as_dicts("composio_connections", connection_rows(PLAN))}
EXECUTIONS = {row["id"]: row for row in as_dicts("soar_playbook_executions", execution_rows(PLAN))}
ACTIONS = as_dicts("composio_action_audits", action_rows(PLAN))


def test_tokens_look_encrypted_and_some_connections_expire() -> None:
    assert len(CONNECTIONS) == PLAN.connections
    for row in CONNECTIONS.values():
        assert str(row["encrypted_access_token"]).startswith("enc:")
        assert row["refresh_token"] is None or str(row["refresh_token"]).startswith("enc:")
        assert row["status"] != "expired" or str(row["expires_at"]) < "2026-11-01"
    assert {row["status"] for row in CONNECTIONS.values()} == {"active", "expired", "revoked"}
    soon = [row for row in CONNECTIONS.values() if "2026-11-01" < str(row["expires_at"] or "") < "2026-12-15"]
    assert soon


def test_tenants_differ_in_size() -> None:
    sizes = sorted(Counter(row["tenant_id"] for row in ACTIONS).values())
    assert len(sizes) > 4
    assert sizes[-1] > 5 * sizes[0]


def test_actions_use_a_connection_of_their_tenant_and_toolkit() -> None:
    for row in ACTIONS:
        if row["connection_id"]:
            connection = CONNECTIONS[row["connection_id"]]
            assert (row["tenant_id"], row["toolkit_name"]) == (connection["tenant_id"], connection["toolkit_name"])


def test_actions_of_an_execution_are_among_its_actions() -> None:
    owned = [row for row in ACTIONS if row["execution_id"]]
    assert len(owned) > len(ACTIONS) / 4
    for row in owned:
        execution = EXECUTIONS[row["execution_id"]]
        assert row["tenant_id"] == execution["tenant_id"]
        listed = json.loads(execution["actions_executed"] or "[]")
        assert not listed or row["action_id"] in {action["action_id"] for action in listed}


def test_retries_and_errors_follow_the_status() -> None:
    assert {row["status"] for row in ACTIONS} == {"success", "failed", "retrying"}
    for row in ACTIONS:
        assert (row["error_message"] is None) == (row["status"] == "success")
        assert int(row["retry_count"] or 0) >= (row["status"] != "success")
        assert row["parameters"] == "" or isinstance(json.loads(row["parameters"] or ""), dict)


def test_executions_end_with_their_last_action() -> None:
    assert {row["status"] for row in EXECUTIONS.values()} == {"running", "completed", "failed", "cancelled"}
    for row in EXECUTIONS.values():
        assert (row["completed_at"] is None) == (row["status"] == "running")
        actions = json.loads(row["actions_executed"] or "[]")
        if actions and row["completed_at"]:
            assert actions[0]["started_at"] == f"{row['started_at']}Z"
            assert actions[-1]["completed_at"] == f"{row['completed_at']}Z"
