"""What was done about an investigation: playbook executions and the actions of tools, with their times."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd

from workbench.explorer.diff import text_of
from workbench.explorer.part import Part
from workbench.explorer.question import Json, Question
from workbench.explorer.reader import Reader
from workbench.models import composio_action_audits, soar_playbook_executions
from workbench.reporting import figures

MAX_EXECUTIONS = 200
MAX_ACTIONS = 500


async def response_parts(reader: Reader, tenants: list[str], investigation_id: str) -> tuple[Part, Part]:
    """The playbook executions of an investigation, and the tool actions of these executions.

    `tenants` are those under which playbooks and tools are stored: their tables have a tenant of their own.
    """
    if not tenants:
        return playbook_part([], ()), tool_part([], ())
    executions = Question(
        soar_playbook_executions.COLLECTION,
        tuple(tenants),
        {"investigation_id": investigation_id},
        sort={"started_at": -1},
        limit=MAX_EXECUTIONS,
    )
    rows = await reader.rows(executions)
    if not rows:
        return playbook_part([], (executions,)), tool_part([], ())
    actions = Question(
        composio_action_audits.COLLECTION,
        tuple(sorted({str(row["tenant_id"]) for row in rows})),
        {"execution_id": {"$in": [row["execution_id"] for row in rows]}},
        (
            "audit_id", "execution_id", "toolkit_name", "action_name", "status", "retry_count", "executed_at",
            "error_message",
        ),
        {"executed_at": -1},
        MAX_ACTIONS,
    )  # fmt: skip
    return playbook_part(rows, (executions,)), tool_part(await reader.rows(actions), (actions,))


def playbook_part(rows: list[Json], questions: tuple[Question, ...]) -> Part:
    """Executions with a line for each of their actions, drawn as a timeline."""
    lines = [line for row in rows for line in _lines(row)]
    columns = ["playbook", "execution", "action", "status", "start", "end", "result", "error"]
    frame = pd.DataFrame(lines, columns=columns)
    for column in ("start", "end"):
        frame[column] = pd.to_datetime(frame[column], utc=True, format="mixed")
    note = f"{len(rows)} playbook executions." if rows else "No playbook was executed for it."
    failed = int((frame["status"] == "failed").sum())
    alt = f"Timeline of {len(frame)} playbook actions in {len(rows)} executions; {failed} failed."
    drawable = frame["start"].notna().any()
    return Part("Playbook executions", frame, questions, note=note, draw=_timeline if drawable else None, alt=alt)


def _timeline(frame: pd.DataFrame) -> Any:
    known = frame[frame["start"].notna()].copy()
    known["end"] = known["end"].fillna(known["start"])
    return figures.timeline(
        known,
        lane="playbook",
        state="status",
        title="What the playbooks did, and how it ended",
        xlabel="seconds since the first action",
    )


def _lines(row: Json) -> list[Json]:
    common = {"playbook": row["playbook_id"], "execution": row["execution_id"]}
    actions = [action for action in row.get("actions_executed") or [] if isinstance(action, dict)]
    if not actions:
        return [
            common
            | {
                "action": "(whole execution)",
                "status": row["status"],
                "start": row["started_at"],
                "end": row.get("completed_at"),
                "result": "",
                "error": text_of(row.get("error_message")),
            }
        ]
    return [
        common
        | {
            "action": text_of(action.get("action_type") or action.get("action_id")),
            "status": text_of(action.get("status") or row["status"]),
            "start": moment(action.get("started_at")) or row["started_at"],
            "end": moment(action.get("completed_at")),
            "result": text_of(action.get("result")),
            "error": text_of(action.get("error")),
        }
        for action in actions
    ]


def moment(value: Any) -> datetime | None:
    """A date, or ISO text as the source's JSON has it, as a datetime with its zone; None for anything else."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def tool_part(rows: list[Json], questions: tuple[Question, ...], title: str = "Tool actions") -> Part:
    """Actions through tool connections with their retries."""
    frame = pd.DataFrame(
        [
            {
                "action": row["action_name"],
                "toolkit": row["toolkit_name"],
                "status": row["status"],
                "retries": row["retry_count"],
                "executed (UTC)": row["executed_at"],
                "error": text_of(row.get("error_message")),
                "audit id": row["audit_id"],
            }
            for row in rows
        ],
        columns=["action", "toolkit", "status", "retries", "executed (UTC)", "error", "audit id"],
    )
    return Part(title, frame, questions, note="" if len(frame) else "No tool action is recorded.")
