"""Connections to external tools, the actions run through them, and the playbooks that ran those actions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from workbench.sample.detection import anomaly_ids
from workbench.sample.plan import SamplePlan
from workbench.sample.values import (
    DAY,
    HISTORY_US,
    HOUR,
    MINUTE,
    REFERENCE_US,
    SECOND,
    Hashes,
    Ints,
    Row,
    dumps,
    hashes,
    picks,
    timestamps,
    uniforms,
    uuids,
    zipf_picks,
)

ROWS_IN_BLOCK = 2_000

_MAX_ACTIONS = 4

_TOOLKITS = {
    "slack": ("SLACK_SEND_MESSAGE", "SLACK_OPEN_CHANNEL"),
    "jira": ("JIRA_CREATE_ISSUE", "JIRA_ADD_COMMENT"),
    "github": ("GITHUB_CREATE_ISSUE", "GITHUB_GET_COMMIT"),
    "gmail": ("GMAIL_SEND_EMAIL", "GMAIL_SEARCH"),
    "servicenow": ("SERVICENOW_CREATE_INCIDENT", "SERVICENOW_UPDATE_INCIDENT"),
    "okta": ("OKTA_SUSPEND_USER", "OKTA_RESET_SESSIONS"),
}
_TOOLKIT_NAMES = tuple(_TOOLKITS)
_PLAYBOOKS = ("contain-account", "notify-bank", "block-cards", "collect-evidence", "équipe-nuit", "close-mule")
_ACTION_TYPES = ("notify", "block_card", "suspend_user", "create_ticket", "collect_logs")
_ERRORS = ("429 Too Many Requests", "connection reset by peer", "403: scope “chat:write” missing", "timeout after 30 s")


def _tenants(plan: SamplePlan, connections: Ints) -> list[str]:
    """The tenant of each connection; few tenants have most of them."""
    numbers = zipf_picks(plan.seed, "connection tenant", connections, plan.tenants)
    return [plan.tenant_id(number) for number in numbers.tolist()]


def _toolkits(plan: SamplePlan, connections: Ints) -> list[str]:
    return [_TOOLKIT_NAMES[number] for number in picks(plan.seed, "toolkit", connections, len(_TOOLKITS)).tolist()]


def _composio_ids(plan: SamplePlan, connections: Ints) -> list[str]:
    return [f"conn_{number:016x}" for number in hashes(plan.seed, "composio", connections).tolist()]


def connection_rows(plan: SamplePlan) -> Iterator[list[Row]]:
    """Blocks of `composio_connections`. Tokens only look encrypted: they are hashes with the prefix `enc:`."""
    for start in range(0, plan.connections, ROWS_IN_BLOCK):
        index = np.arange(start, min(start + ROWS_IN_BLOCK, plan.connections), dtype=np.int64)
        created = REFERENCE_US - DAY - picks(plan.seed, "connected", index, HISTORY_US - 2 * DAY)
        used = created + ((REFERENCE_US - created) * uniforms(plan.seed, "used", index)).astype(np.int64)
        # From 20 days ago to 40 days ahead: some have expired, some will within hours.
        due = REFERENCE_US - 20 * DAY + picks(plan.seed, "expires", index, 60 * DAY)
        late = (due < REFERENCE_US).tolist()
        yield [
            (
                row_id,
                tenant_id,
                toolkit,
                composio_id,
                "revoked" if bits % 15 == 0 else "expired" if expired and bits % 9 else "active",
                f"enc:gAAAAA{access:016x}{bits:016x}==",
                f"enc:gAAAAA{bits ^ access:016x}==" if bits % 5 else None,
                expires if expired or bits % 8 else None,
                created_at,
                last_used,
                last_used if bits % 7 else None,
            )
            for row_id, tenant_id, toolkit, composio_id, bits, access, expired, expires, created_at, last_used in zip(
                uuids(plan.seed, "connection", index),
                _tenants(plan, index),
                _toolkits(plan, index),
                _composio_ids(plan, index),
                hashes(plan.seed, "connection facts", index).tolist(),
                hashes(plan.seed, "access token", index).tolist(),
                late,
                timestamps(due),
                timestamps(created),
                timestamps(used),
                strict=True,
            )
        ]


def _connection_of_execution(plan: SamplePlan, executions: Ints) -> Ints:
    return zipf_picks(plan.seed, "execution connection", executions, plan.connections)


def _execution_started(plan: SamplePlan, executions: Ints) -> Ints:
    ordered = REFERENCE_US - HISTORY_US + executions * (HISTORY_US - 2 * DAY) // plan.executions
    return np.asarray(ordered + picks(plan.seed, "execution started", executions, DAY), dtype=np.int64)


def _action_count(facts: Hashes) -> Ints:
    return 1 + (facts % np.uint64(_MAX_ACTIONS)).astype(np.int64)


def action_rows(plan: SamplePlan) -> Iterator[list[Row]]:
    """Blocks of `composio_action_audits`; two in five belong to a playbook execution, of the same tenant."""
    for start in range(0, plan.actions, ROWS_IN_BLOCK):
        index = np.arange(start, min(start + ROWS_IN_BLOCK, plan.actions), dtype=np.int64)
        executions = index * plan.executions // plan.actions
        owned = uniforms(plan.seed, "owned", index) < 0.4
        free = zipf_picks(plan.seed, "action connection", index, plan.connections)
        connections = np.where(owned, _connection_of_execution(plan, executions), free)
        executed = _execution_started(plan, executions) + picks(plan.seed, "executed", index, MINUTE)
        block: list[Row] = []
        for (
            row_id, execution, execution_id, belongs, toolkit, tenant_id, composio_id, bits, actions, executed_at,
        ) in zip(
            plan.action_audit_ids(index),
            executions.tolist(),
            plan.execution_ids(executions),
            owned.tolist(),
            _toolkits(plan, connections),
            _tenants(plan, connections),
            _composio_ids(plan, connections),
            hashes(plan.seed, "action facts", index).tolist(),
            _action_count(hashes(plan.seed, "execution facts", executions)).tolist(),
            timestamps(executed),
            strict=True,
        ):  # fmt: skip
            luck = bits % 100
            status = "success" if luck < 86 else "failed" if luck < 96 else "retrying"
            retries = (bits >> 8) % 3 if status == "success" and luck < 8 else 0
            block.append(
                (
                    row_id,
                    f"act-{execution:08x}-{bits % actions}" if belongs else f"act-{bits:016x}",
                    execution_id if belongs else None,
                    toolkit,
                    _TOOLKITS[toolkit][bits >> 7 & 1],
                    tenant_id,
                    composio_id if belongs or bits % 10 else None,
                    _action_parameters(bits) if bits % 40 else "",
                    f'{{"ok":true,"id":{bits >> 33},"latency_ms":{bits % 90_000 / 100}}}'
                    if status == "success"
                    else None,
                    status,
                    executed_at,
                    str(retries if status == "success" else 1 + (bits >> 8) % 4),
                    None if status == "success" else _ERRORS[(bits >> 10) % 4],
                )
            )
        yield block


def _action_parameters(bits: int) -> str:
    return dumps(
        {
            "channel": f"#fraud-{bits % 30}",
            "text": f"Prüfung nötig: case {bits >> 44} ⚠",
            "options": {"dry_run": False, "priority": bits % 5, "amount": bits % 10**9 / 100},
        }
    )


def execution_rows(plan: SamplePlan) -> Iterator[list[Row]]:
    """Blocks of `soar_playbook_executions`."""
    for start in range(0, plan.executions, ROWS_IN_BLOCK):
        index = np.arange(start, min(start + ROWS_IN_BLOCK, plan.executions), dtype=np.int64)
        began = _execution_started(plan, index)
        seconds = 5 * SECOND + picks(plan.seed, "execution seconds", index, HOUR // 4)
        case = np.minimum(index * plan.investigations // plan.executions, plan.investigations - 1)
        anomalies = picks(plan.seed, "execution anomaly", index, plan.anomalies)
        facts = hashes(plan.seed, "execution facts", index)
        # Start, then the end of each action; the last of them is the end of the execution.
        counts = _action_count(facts)
        steps = np.minimum(np.arange(_MAX_ACTIONS + 1), counts[:, None])
        flat = timestamps((began[:, None] + seconds[:, None] * steps // counts[:, None]).ravel())
        width = _MAX_ACTIONS + 1
        moments_of_all = [
            flat[place * width : place * width + count + 1] for place, count in enumerate(counts.tolist())
        ]
        recent = (index >= 0.98 * plan.executions).tolist()
        block: list[Row] = []
        for number, row_id, case_id, anomaly_id, tenant_id, bits, young, moments in zip(
            index.tolist(),
            plan.execution_ids(index),
            plan.investigation_ids(case),
            anomaly_ids(plan, anomalies),
            _tenants(plan, _connection_of_execution(plan, index)),
            facts.tolist(),
            recent,
            moments_of_all,
            strict=True,
        ):
            luck = (bits >> 16) % 100
            status = "running" if young and luck < 50 else "completed" if luck < 88 else "failed"
            status = "cancelled" if status == "failed" and luck > 95 else status
            block.append(
                (
                    row_id,
                    _PLAYBOOKS[bits >> 24 & 3 if bits & 1 << 40 else (bits >> 24) % 6],
                    case_id if bits >> 30 & 3 else None,
                    anomaly_id if bits >> 32 & 1 else None,
                    tenant_id,
                    f"score above {0.5 + bits % 50 / 100:.2f}" if bits >> 34 & 7 else None,
                    status,
                    moments[0],
                    None if status == "running" else moments[-1],
                    _actions(number, bits, status, moments) if bits >> 37 & 31 else "",
                    _ERRORS[bits % 4] if status == "failed" else None,
                )
            )
        yield block


def _actions(execution: int, bits: int, status: str, moments: list[str]) -> str:
    count = len(moments) - 1
    actions: list[dict[str, object]] = []
    for number in range(count):
        last = number == count - 1
        state = (
            {"running": "running", "failed": "failed", "cancelled": "skipped"}.get(status, "success")
            if last
            else "success"
        )
        actions.append(
            {
                "action_id": f"act-{execution:08x}-{number}",
                "action_type": _ACTION_TYPES[(bits >> (8 + 3 * number)) % 5],
                "status": state,
                "started_at": moments[number] + "Z",
                "completed_at": None if state == "running" else moments[number + 1] + "Z",
                "result": {"affected": (bits >> number) % 9, "ticket": f"SEC-{bits >> 50}"}
                if state == "success"
                else None,
                "error": _ERRORS[bits % 4] if state == "failed" else None,
            }
        )
    return dumps(actions)
