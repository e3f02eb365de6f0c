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
WHOLE = "(whole execution)"
_UNITS = (("days", 86_400), ("hours", 3_600), ("minutes", 60), ("seconds", 1))


async def response_parts(reader: Reader, tenants: list[str], investigation_id: str) -> tuple[Part, ...]:
    """What was done in time, the playbook executions of an investigation, and the tool actions of these executions.

    `tenants` are those under which playbooks and tools are stored: their tables have a tenant of their own.
    """
    if not tenants:
        return _parts([], (), [], ())
    executions = Question(
        soar_playbook_executions.COLLECTION,
        tuple(tenants),
        {"investigation_id": investigation_id},
        sort={"started_at": -1},
        limit=MAX_EXECUTIONS,
    )
    rows = await reader.rows(executions)
    if not rows:
        return _parts([], (executions,), [], ())
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
    return _parts(rows, (executions,), await reader.rows(actions), (actions,))


def _parts(
    executions: list[Json], of_executions: tuple[Question, ...], actions: list[Json], of_actions: tuple[Question, ...]
) -> tuple[Part, ...]:
    playbooks, tools = playbook_part(executions, of_executions), tool_part(actions, of_actions)
    return timeline_part(playbooks, tools), playbooks, tools


def playbook_part(rows: list[Json], questions: tuple[Question, ...]) -> Part:
    """A line for each execution, followed by a line for each of its actions."""
    lines = [line for row in rows for line in _lines(row)]
    columns = ["playbook", "execution", "action", "status", "start", "end", "result", "error"]
    frame = pd.DataFrame(lines, columns=columns)
    for column in ("start", "end"):
        frame[column] = pd.to_datetime(frame[column], utc=True, format="mixed")
    failed = sum(row["status"] == "failed" for row in rows)
    note = f"{len(rows)} playbook executions, {failed} of them failed." if rows else "No playbook was executed for it."
    return Part("Playbook executions", frame, questions, note=note)


def timeline_part(playbooks: Part, tools: Part) -> Part:
    """What playbooks and tools did, in time: from the two parts that tell it in words."""
    done, used = playbooks.frame, tools.frame
    whole = done["action"] == WHOLE
    frame = pd.concat(
        [
            pd.DataFrame(
                {
                    "what": ("playbook " + done["playbook"]).where(whole, done["playbook"] + ": " + done["action"]),
                    "status": done["status"],
                    "start": done["start"],
                    "end": done["end"],
                    "retries": 0,
                }
            ),
            pd.DataFrame(
                {
                    "what": "tool " + used["toolkit"] + ": " + used["action"],
                    "status": used["status"],
                    "start": pd.to_datetime(used["executed (UTC)"], utc=True),
                    "end": pd.to_datetime(used["executed (UTC)"], utc=True),
                    "retries": used["retries"],
                }
            ),
        ],
        ignore_index=True,
    )
    frame = frame[frame["start"].notna()].sort_values("start", kind="stable").reset_index(drop=True)
    failed = int((frame["status"] == "failed").sum())
    alt = f"Timeline of {len(frame)} playbook executions, their actions and tool actions; {failed} failed."
    note = "" if len(frame) else "Nothing was done about it by playbooks or tools."
    return Part("Response in time", frame, (*playbooks.questions, *tools.questions), note=note, draw=_timeline, alt=alt)


def _timeline(frame: pd.DataFrame) -> Any:
    first = frame["start"].min()
    ends = frame["end"].fillna(frame["start"])
    span = (ends.max() - first).total_seconds()
    unit, seconds = next((u for u in _UNITS if span >= 3 * u[1]), _UNITS[-1])
    ends = ends.clip(lower=frame["start"] + pd.Timedelta(seconds=span * 0.006))  # what took no time is still seen
    drawn = frame.assign(
        start=(frame["start"] - first).dt.total_seconds() / seconds, end=(ends - first).dt.total_seconds() / seconds
    )
    return figures.timeline(
        drawn,
        lane="what",
        state="status",
        title="What playbooks and tools did, and how it ended",
        xlabel=f"{unit} since {first:%Y-%m-%d %H:%M:%S} UTC",
    )


def _lines(row: Json) -> list[Json]:
    common = {"playbook": str(row["playbook_id"]), "execution": row["execution_id"]}
    actions = [
        common
        | {
            "action": text_of(action.get("action_type") or action.get("action_id")) or "(unnamed)",
            "status": text_of(action.get("status")) or ("failed" if action.get("error") else "unknown"),
            "start": moment(action.get("started_at")) or row["started_at"],
            "end": moment(action.get("completed_at")),
            "result": text_of(action.get("result")),
            "error": text_of(action.get("error")),
        }
        for action in row.get("actions_executed") or []
        if isinstance(action, dict)
    ]
    broken = ", ".join(action["action"] for action in actions if action["status"] == "failed")
    execution = common | {
        "action": WHOLE,
        "status": row["status"],
        "start": row["started_at"],
        "end": row.get("completed_at"),
        "result": f"failed: {broken}" if broken else "",
        "error": text_of(row.get("error_message")),
    }
    return [execution, *actions]


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
