"""The filter that people set becomes a question; what they type is taken literally."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from workbench.errors import InvalidInput
from workbench.explorer.investigations import InvestigationFilter, InvestigationPage, _beyond, day_of
from workbench.explorer.part import Part
from workbench.models.investigations import Investigation
from workbench.reporting.parameters import describe
from workbench.repositories.literals import between


def conditions(**values: Any) -> dict[str, Any]:
    return InvestigationFilter("acme", **values).question().condition


def test_an_empty_filter_asks_for_the_tenant_only() -> None:
    assert conditions() == {"tenant_id": "acme"}


def test_all_filters_together() -> None:
    assert conditions(
        user="u", status="ERROR", stage="SETTINGS", since=date(2026, 1, 1), until=date(2026, 1, 31), risk_from=0.5
    ) == {
        "tenant_id": "acme",
        "user_id": "u",
        "status": "ERROR",
        "lifecycle_stage": "SETTINGS",
        **between(Investigation, "updated_at", datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)),
        "results.risk_score": {"$gte": 0.5},
    }


@pytest.mark.parametrize("text", [".*", "a|b", "(", "[", "^x$", "a\\", "{$ne:1}", "a.b", "+?"])
def test_text_is_literal_whatever_it_holds(text: str) -> None:
    by_id, by_user = conditions(text=text)["$or"]
    prefix, part = by_id["investigation_id"]["$regex"], by_user["user_id"]["$regex"]
    assert re.match(prefix, f"{text}-1")
    assert re.search(part, f"user {text}")
    assert not re.match(prefix, "something else")
    assert not re.search(part, "something else")


@pytest.mark.parametrize(
    "values",
    [
        {"status": "SLEEPING"},
        {"status": {"$ne": "ERROR"}},
        {"user": {"$gt": ""}},
        {"user": "u" * 256},
        {"stage": ["CREATED"]},
        {"text": "t" * 101},
        {"risk_from": -0.1},
        {"risk_to": 1.1},
        {"risk_from": {"$gt": 0}},
        {"risk_to": True},
        {"since": "2026-01-01"},
    ],
    ids=str,
)
def test_what_is_not_of_its_type_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        conditions(**values)


def test_the_next_page_begins_after_the_last_row_and_keeps_the_filter() -> None:
    moment, id_ = datetime(2026, 1, 15, tzinfo=UTC), ObjectId()
    question = InvestigationFilter("acme", until=date(2026, 1, 31), text="x").question()
    beyond = _beyond(question, (moment, id_)).condition
    assert beyond["tenant_id"] == "acme"
    assert beyond["updated_at"] == {"$lte": moment}
    assert beyond["$and"] == [
        {"$or": [{"updated_at": {"$lt": moment}}, {"_id": {"$lt": id_}}]},
        {"$or": question.filter["$or"]},
    ]


@pytest.mark.parametrize(
    ("first", "rows", "about", "expected"),
    [
        (1, 50, 1_200, "1-50 of about 1,200"),
        (51, 50, 90, "51-100 of about 100"),
        (1, 50, None, "1-50 of many"),
        (1, 50, 10_000, "1-50 of more than 9,999"),
        (1, 0, 0, "nothing found"),
    ],
)
def test_the_position_is_told(first: int, rows: int, about: int | None, expected: str) -> None:
    import pandas as pd

    ids = tuple(map(str, range(rows)))
    assert InvestigationPage(Part("p", pd.DataFrame()), first, about, ids, None).position == expected


def test_a_deep_link_can_name_every_filter() -> None:
    notebook = Path(__file__).parents[3] / "notebooks" / "10_investigations.ipynb"
    assert {field.name for field in fields(InvestigationFilter)} <= {each.name for each in describe(notebook)}


def test_a_day_of_a_deep_link() -> None:
    assert day_of("since", "") is None
    assert day_of("since", "2026-11-01") == date(2026, 11, 1)
    with pytest.raises(InvalidInput, match="since"):
        day_of("since", "yesterday")


def test_the_last_day_of_the_calendar_is_no_bound() -> None:
    assert "updated_at" not in InvestigationFilter("acme", until=date.max).question().filter
