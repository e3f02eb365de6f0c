"""How the platform is run: audit activity, tool actions that failed, playbook durations, connections that expire."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from workbench.errors import InvalidInput
from workbench.explorer import charts
from workbench.explorer.part import Part
from workbench.explorer.question import Json, Question
from workbench.explorer.reader import Reader
from workbench.explorer.response import tool_part
from workbench.models import audit_log, composio_action_audits, composio_connections, soar_playbook_executions
from workbench.models.audit_log import ActionType
from workbench.models.fields import utc_now
from workbench.reporting import figures

MAX_DAYS = 365
NEWEST = 50
MAX_CONNECTIONS = 1_000
STATUSES = ("failed", "retrying", "success")
_CONNECTION_FIELDS = (
    "connection_id", "tenant_id", "toolkit_name", "status", "expires_at", "last_used_at", "updated_at",
)  # fmt: skip


@dataclass(frozen=True)
class OperationsOverview:
    """The parts of the overview; `overdue` counts connections still called active after their expiry."""

    audit: Part
    actions: Part
    failures: Part
    playbooks: Part
    connections: Part
    overdue: int

    @property
    def parts(self) -> tuple[Part, ...]:
        """All of them, in the order of reading."""
        return self.audit, self.actions, self.failures, self.playbooks, self.connections


async def read_overview(
    reader: Reader, tenant: str, integration_tenants: list[str], *, now: datetime, days: int
) -> OperationsOverview:
    """Audit activity of a tenant; tools, playbooks and connections of its integration tenants.

    Args:
        reader: where to ask.
        tenant: whose audit log.
        integration_tenants: the tenants of tools and playbooks.
        now: the moment from which expiry is counted, with its zone.
        days: connections that expire sooner are listed.
    """
    owners = tuple(integration_tenants) or (tenant,)
    week = {"$dateTrunc": {"date": "$timestamp", "unit": "week"}}
    asked = {
        "audit": _counted(audit_log.COLLECTION, (tenant,), {"week": week, "kind": "$metadata.action_type"}),
        "actions": _counted(composio_action_audits.COLLECTION, owners, {"name": "$toolkit_name", "kind": "$status"}),
        "failures": _failures(owners),
        "playbooks": _executions(owners),
        "connections": _expiring(owners, now + timedelta(days=days)),
    }
    answers = await asyncio.gather(*(reader.rows(question) for question in asked.values()))
    found = dict(zip(asked, answers, strict=True))
    connections = _connections(found["connections"], asked["connections"], now, days)
    return OperationsOverview(
        _audit(found["audit"], asked["audit"]),
        _actions(found["actions"], asked["actions"]),
        tool_part(found["failures"], (asked["failures"],), f"Failed tool actions with most retries (up to {NEWEST})"),
        _playbooks(found["playbooks"], asked["playbooks"]),
        connections,
        int((connections.frame["days left"] < 0).sum()),
    )


def moment_of(text: str) -> datetime:
    """ISO text as a moment, UTC where it names no zone; the present for an empty one.

    Raises:
        InvalidInput: it is no date and time.
    """
    if not text:
        return utc_now()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput("as_of", "must be a date and time such as 2026-11-01T00:00:00+00:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _counted(collection: Any, tenants: tuple[str, ...], by: Json) -> Question:
    return Question(collection, tenants, stages=({"$group": {"_id": by, "count": {"$sum": 1}}},))


def _failures(tenants: tuple[str, ...]) -> Question:
    fields = (
        "audit_id", "toolkit_name", "action_name", "status", "retry_count", "executed_at", "error_message",
    )  # fmt: skip
    sort = {"retry_count": -1, "_id": -1}
    return Question(composio_action_audits.COLLECTION, tenants, {"status": "failed"}, fields, sort, NEWEST)


def _executions(tenants: tuple[str, ...]) -> Question:
    fields, sort = ("playbook_id", "status", "duration_ms"), {"started_at": -1}
    return Question(soar_playbook_executions.COLLECTION, tenants, fields=fields, sort=sort)


def _expiring(tenants: tuple[str, ...], until: datetime) -> Question:
    conditions = {"status": "active", "expires_at": {"$lt": until}}
    return Question(
        composio_connections.COLLECTION,
        tenants,
        conditions,
        _CONNECTION_FIELDS,
        {"expires_at": 1},
        MAX_CONNECTIONS,
    )


def _audit(rows: list[Json], question: Question) -> Part:
    kinds = [str(kind) for kind in ActionType]
    weeks: dict[Any, dict[str, int]] = {}
    for row in rows:
        weeks.setdefault(row["_id"]["week"], dict.fromkeys(kinds, 0))[row["_id"]["kind"]] += row["count"]
    frame = pd.DataFrame([{"week": week, **weeks[week]} for week in sorted(weeks)], columns=["week", *kinds])
    title = "Audit entries by week and action"

    def draw(data: pd.DataFrame) -> Any:
        return charts.counts_in_time(data, time="week", kinds=kinds, title=title, ylabel="entries")

    total = int(frame[kinds].to_numpy().sum())
    alt = f"Lines of {total:,} audit entries by week and action over {len(frame)} weeks."
    return Part(title, frame, (question,), draw=draw, alt=alt)


def _actions(rows: list[Json], question: Question) -> Part:
    counts: dict[str, dict[str, int]] = {}
    for row in rows:
        counts.setdefault(row["_id"]["name"], dict.fromkeys(STATUSES, 0))[row["_id"]["kind"]] += row["count"]
    frame = pd.DataFrame([{"toolkit": n, **each} for n, each in sorted(counts.items())], columns=["toolkit", *STATUSES])
    title = "Tool actions by toolkit and status"

    def draw(data: pd.DataFrame) -> Any:
        return figures.stacked_bars(data, parts=STATUSES, label="toolkit", title=title, xlabel="actions")

    alt = figures.alt_text(frame, label="toolkit", value="failed")
    return Part(title, frame, (question,), draw=draw, alt=alt)


def _playbooks(rows: list[Json], question: Question) -> Part:
    raw = pd.DataFrame(rows, columns=["playbook_id", "status", "duration_ms"])
    raw["minutes"] = pd.to_numeric(raw["duration_ms"]) / 60_000
    frame = (
        raw.groupby("playbook_id")
        .agg(
            executions=("status", "size"),
            failed=("status", lambda s: int((s == "failed").sum())),
            median=("minutes", "median"),
            p95=("minutes", lambda s: s.quantile(0.95)),
        )
        .reset_index()
        .rename(columns={"playbook_id": "playbook", "median": "median minutes", "p95": "95 % within minutes"})
    )
    title = "How long playbooks take"

    def draw(data: pd.DataFrame) -> Any:
        values = {"median minutes": "half of them within", "95 % within minutes": "95 % within"}
        return figures.grouped_bars(data, values=values, label="playbook", title=title, xlabel="minutes")

    alt = figures.alt_text(frame, label="playbook", value="median minutes") if len(frame) else "No executions."
    note = f"The newest {len(rows):,} executions." if rows else "No playbook was executed."
    return Part(title, frame, (question,), note=note, draw=draw, alt=alt)


def _connections(rows: list[Json], question: Question, now: datetime, days: int) -> Part:
    frame = pd.DataFrame(
        [
            {
                "connection": row["connection_id"],
                "tenant": row["tenant_id"],
                "toolkit": row["toolkit_name"],
                "expires (UTC)": row["expires_at"],
                "days left": round((row["expires_at"] - now).total_seconds() / 86_400, 1),
                "last used (UTC)": row.get("last_used_at"),
            }
            for row in rows
        ],
        columns=["connection", "tenant", "toolkit", "expires (UTC)", "days left", "last used (UTC)"],
    )
    frame["days left"] = pd.to_numeric(frame["days left"])
    overdue = int((frame["days left"] < 0).sum())
    note = f"Active connections that expire within {days} days; {overdue} of them have expired already."
    return Part("Connections that expire", frame, (question,), note=note)
