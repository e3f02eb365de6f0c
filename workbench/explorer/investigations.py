"""Which investigations: the filter that people set, page by page, and the riskiest one."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from workbench.errors import InvalidInput
from workbench.explorer.part import Part
from workbench.explorer.question import Json, Question
from workbench.explorer.reader import COUNT_CAP, Reader
from workbench.models.investigations import COLLECTION, Investigation
from workbench.repositories.literals import Filter, between, literal

PAGE_ROWS = 50
MAX_TEXT = 100
_FIELDS = (
    "investigation_id",
    "user_id",
    "status",
    "lifecycle_stage",
    "results.risk_score",
    "progress.progress_percentage",
    "updated_at",
    "version",
)
_UTC = ZoneInfo("UTC")


@dataclass(frozen=True)
class InvestigationFilter:
    """What is looked for. Empty or None means: any.

    `text` is taken literally, in capitals or not: the beginning of an investigation's id, or any part of a user's.
    Dates are days in UTC, both included, of the last update. A risk bound leaves out those without a risk score.
    """

    tenant: str
    user: str = ""
    status: str = ""
    stage: str = ""
    since: date | None = None
    until: date | None = None
    risk_from: float = 0.0
    risk_to: float = 1.0
    text: str = ""

    def question(self) -> Question:
        """The question for the newest `PAGE_ROWS`.

        Raises:
            InvalidInput: a value is of the wrong type or range.
        """
        conditions: Filter = {}
        for path, value in (("user_id", self.user), ("status", self.status), ("lifecycle_stage", self.stage)):
            if value:
                conditions[path] = literal(Investigation, path, value)
        conditions |= between(Investigation, "updated_at", _midnight(self.since), _midnight(self.until, days=1))
        if self.since and self.until and self.since > self.until:
            raise InvalidInput("since", f"is after until ({self.since} > {self.until}): nothing can match")
        conditions |= self._risk()
        if self.text.strip():
            conditions |= self._text()
        sort = {"updated_at": -1, "_id": -1}
        return Question(COLLECTION, (self.tenant,), conditions, _FIELDS, sort, PAGE_ROWS)

    def _risk(self) -> Filter:
        for name, value in (("risk_from", self.risk_from), ("risk_to", self.risk_to)):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
                raise InvalidInput(name, "must be a number from 0 to 1")
        if self.risk_from > self.risk_to:
            raise InvalidInput(
                "risk_from", f"is above risk_to ({self.risk_from:g} > {self.risk_to:g}): nothing can match"
            )
        bounds: dict[str, float] = {}
        if self.risk_from > 0:
            bounds["$gte"] = self.risk_from
        if self.risk_to < 1:
            bounds["$lte"] = self.risk_to
        return {"results.risk_score": bounds} if bounds else {}

    def _text(self) -> Filter:
        text = literal(Investigation, "user_id", self.text.strip())
        if len(text) > MAX_TEXT:
            raise InvalidInput("text", f"must have at most {MAX_TEXT} characters")
        literally = re.escape(text)
        patterns = {"investigation_id": f"^{literally}", "user_id": literally}
        return {"$or": [{path: {"$regex": pattern, "$options": "i"}} for path, pattern in patterns.items()]}


@dataclass(frozen=True)
class InvestigationPage:
    """One page: `first` is the number of its first row, `about` how many there are (None: not known)."""

    part: Part
    first: int
    about: int | None
    ids: tuple[str, ...]
    next_key: tuple[datetime, Any] | None

    @property
    def position(self) -> str:
        """For example "1-50 of about 1,200"."""
        if not self.ids:
            return "nothing found"
        last = self.first + len(self.ids) - 1
        if self.about is None:
            known = "many"
        elif self.about >= COUNT_CAP:
            known = f"more than {COUNT_CAP - 1:,}"
        else:
            known = f"about {max(self.about, last):,}"
        return f"{self.first:,}-{last:,} of {known}"


async def read_page(
    reader: Reader,
    wanted: InvestigationFilter,
    *,
    after: tuple[datetime, Any] | None = None,
    first: int = 1,
    about: int | None = None,
) -> InvestigationPage:
    """One page, newest first.

    Args:
        reader: where to ask.
        wanted: the filter.
        after: the previous page's `next_key`.
        first: the number of the first row.
        about: what an earlier page counted; the first page counts itself.
    """
    whole = wanted.question()
    asked = _beyond(whole, after)
    one_more = replace(asked, limit=PAGE_ROWS + 1)  # whether there is another page
    if after is None:
        rows, about = await asyncio.gather(reader.rows(one_more), reader.count(whole))
    else:
        rows = await reader.rows(one_more)
    more, rows = len(rows) > PAGE_ROWS, rows[:PAGE_ROWS]
    next_key = (rows[-1]["updated_at"], rows[-1]["_id"]) if more else None
    part = Part("Investigations", page_frame(rows), (asked,))
    return InvestigationPage(part, first, about, tuple(row["investigation_id"] for row in rows), next_key)


def _beyond(question: Question, after: tuple[datetime, Any] | None) -> Question:
    """The question for what comes after a row: a range that the index bounds, then the tie by `_id`."""
    if after is None:
        return question
    moment, id_ = after
    conditions = dict(question.filter)
    bounds = {**conditions.get("updated_at", {}), "$lte": moment}
    bounds.pop("$lt", None)  # the last row was inside it
    clauses = [{"$or": [{"updated_at": {"$lt": moment}}, {"_id": {"$lt": id_}}]}]
    if "$or" in conditions:
        clauses.append({"$or": conditions.pop("$or")})
    return replace(question, filter={**conditions, "updated_at": bounds, "$and": clauses})


def page_frame(rows: list[Json]) -> pd.DataFrame:
    """Investigations as a table for people, a row each."""
    return pd.DataFrame(
        [
            {
                "investigation": row["investigation_id"],
                "user": row["user_id"],
                "status": row["status"],
                "stage": row["lifecycle_stage"],
                "risk": (row.get("results") or {}).get("risk_score"),
                "progress %": (row.get("progress") or {}).get("progress_percentage"),
                "updated (UTC)": row["updated_at"],
                "version": row["version"],
            }
            for row in rows
        ],
        columns=["investigation", "user", "status", "stage", "risk", "progress %", "updated (UTC)", "version"],
        dtype=object,
    )


async def riskiest(reader: Reader, tenant: str) -> str | None:
    """The id of the completed investigation with the highest risk score; the newest where several have it."""
    question = Question(
        COLLECTION,
        (tenant,),
        {"status": "COMPLETED", "results.risk_score": {"$gte": 0}},
        ("investigation_id",),
        {"results.risk_score": -1, "updated_at": -1},
        1,
    )
    rows = await reader.rows(question)
    return str(rows[0]["investigation_id"]) if rows else None


def day_of(name: str, text: str) -> date | None:
    """A day as a deep link names it, for example 2026-11-01; None for an empty text.

    Raises:
        InvalidInput: it is no day.
    """
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidInput(name, "must be a day such as 2026-11-01") from None


def _midnight(day: date | None, *, days: int = 0) -> datetime | None:
    if day is None:
        return None
    if not isinstance(day, date):
        raise InvalidInput("date", "must be a day")
    try:
        return datetime.combine(day + timedelta(days=days), time(), _UTC)
    except OverflowError:
        return None  # there is nothing beyond the last day of the calendar
