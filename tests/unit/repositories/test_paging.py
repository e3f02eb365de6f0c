"""Cursors: bound to their question, refused when forged, and exact about where the next page begins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import InvalidInput
from workbench.models.investigations import Investigation
from workbench.models.transaction_scores import TransactionScore
from workbench.repositories.paging import (
    Order,
    Position,
    Ties,
    beyond_filter,
    decode_cursor,
    encode_cursor,
    question_digest,
    ties_filter,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NEWEST = Order("updated_at")
IDS = [ObjectId(f"{number:024x}") for number in range(4)]


@given(
    st.integers(0, 4_000_000_000_000).map(lambda ms: datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms)),
    st.binary(min_size=12, max_size=12).map(ObjectId),
)
def test_a_cursor_brings_its_position_back(value: datetime, last: ObjectId) -> None:
    position = Position(value, last)
    assert decode_cursor(encode_cursor(position, "q"), "q", Investigation, NEWEST) == position


@given(st.floats(0, 1))
def test_a_cursor_brings_numbers_back_exactly(value: float) -> None:
    position = Position(value, IDS[0])
    order = Order("risk_score")
    assert decode_cursor(encode_cursor(position, "q"), "q", TransactionScore, order) == position


def test_a_question_is_its_collection_filter_and_order() -> None:
    filter: dict[str, Any] = {"tenant_id": "acme", "status": "CREATED"}
    digest = question_digest("investigations", filter, NEWEST)
    assert digest == question_digest("investigations", dict(reversed(filter.items())), NEWEST)
    others = [
        question_digest("templates", filter, NEWEST),
        question_digest("investigations", {**filter, "tenant_id": "globex"}, NEWEST),
        question_digest("investigations", {**filter, "status": "ERROR"}, NEWEST),
        question_digest("investigations", filter, Order("updated_at", 1)),
    ]
    assert digest not in others
    cursor = encode_cursor(Position(NOON, IDS[0]), digest)
    for other in others:
        with pytest.raises(InvalidInput, match="another question or tenant"):
            decode_cursor(cursor, other, Investigation, NEWEST)


@given(st.text() | st.binary() | st.none() | st.integers())
def test_whatever_is_no_cursor_is_refused(junk: object) -> None:
    with pytest.raises(InvalidInput):
        decode_cursor(junk, "q", Investigation, NEWEST)


def test_the_next_page_begins_with_ties_and_goes_on_beyond() -> None:
    filter = {"tenant_id": "acme"}
    assert ties_filter(filter, NEWEST, NOON, IDS[2]) == {
        "tenant_id": "acme",
        "updated_at": NOON,
        "_id": {"$lt": IDS[2]},
    }
    assert beyond_filter(filter, NEWEST, NOON) == {"tenant_id": "acme", "updated_at": {"$lt": NOON}}
    apart = Order("updated_at", -1, Ties.APART)
    assert ties_filter(filter, apart, NOON) == {"tenant_id": "acme", "updated_at": NOON}
    assert (apart.sort, apart.sort_of_ties) == ({"updated_at": -1}, {"_id": -1})
    assert NEWEST.sort == NEWEST.sort_of_ties == {"updated_at": -1, "_id": -1}


def test_a_range_on_the_sort_value_is_never_widened() -> None:
    early, late = NOON - timedelta(hours=1), NOON + timedelta(hours=1)
    inside = beyond_filter({"updated_at": {"$gte": early, "$lt": late}}, NEWEST, NOON)
    assert inside == {"updated_at": {"$gte": early, "$lt": NOON}}
    forged = beyond_filter({"updated_at": {"$gte": early, "$lt": NOON}}, NEWEST, late)
    assert forged == {"updated_at": {"$gte": early, "$lt": NOON}}


def test_a_position_knows_what_comes_after_it() -> None:
    position, later = Position(NOON, IDS[1]), NOON + timedelta(minutes=1)
    soonest = Order("updated_at", 1)
    for id, moment, after_newest in ((IDS[0], NOON, True), (IDS[2], NOON, False), (IDS[0], later, False)):
        document = {"_id": id, "updated_at": moment}
        assert position.is_before(document, NEWEST) is after_newest
        assert position.is_before(document, soonest) is not after_newest
    same = {"_id": IDS[1], "updated_at": NOON}
    assert not position.is_before(same, NEWEST)
    assert not position.is_before(same, soonest)
