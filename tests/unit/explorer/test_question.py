"""A question has a tenant, does not write, never asks for a token, and is shown as it runs."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from uuid import UUID

import pytest
from bson import Decimal128, ObjectId

from workbench.errors import InvalidInput
from workbench.explorer.question import Question
from workbench.models import COLLECTIONS

INVESTIGATIONS = COLLECTIONS["investigations"]
CONNECTIONS = COLLECTIONS["composio_connections"]


def test_the_tenant_stands_first_in_every_condition() -> None:
    assert Question(INVESTIGATIONS, ("acme",), {"status": "ERROR"}).condition == {
        "tenant_id": "acme",
        "status": "ERROR",
    }
    assert Question(COLLECTIONS["audit_log"], ("a", "b")).condition == {"metadata.tenant_id": {"$in": ["a", "b"]}}
    pipeline = Question(INVESTIGATIONS, ("acme",), stages=({"$count": "n"},), limit=5).pipeline
    assert pipeline == [{"$match": {"tenant_id": "acme"}}, {"$count": "n"}, {"$limit": 5}]


@pytest.mark.parametrize("tenants", [(), ("",), ({"$ne": None},)])
def test_without_a_tenant_there_is_no_question(tenants: tuple[str, ...]) -> None:
    with pytest.raises((ValueError, InvalidInput)):
        Question(INVESTIGATIONS, tenants)


def test_the_filter_cannot_say_another_tenant() -> None:
    with pytest.raises(ValueError, match="tenant"):
        Question(INVESTIGATIONS, ("acme",), {"tenant_id": {"$ne": "acme"}})


@pytest.mark.parametrize("stage", [{"$out": "x"}, {"$merge": {"into": "x"}}])
def test_a_question_does_not_write(stage: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="write"):
        Question(INVESTIGATIONS, ("acme",), stages=(stage,))


@pytest.mark.parametrize("fields", [(), ("status", "refresh_token"), ("encrypted_access_token",)])
def test_tokens_cannot_be_asked_for(fields: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="tokens"):
        Question(CONNECTIONS, ("acme",), fields=fields)
    assert Question(CONNECTIONS, ("acme",), fields=("status",)).projection == {"status": 1}


def test_mongosh_text_of_a_find() -> None:
    question = Question(
        INVESTIGATIONS,
        ("acme",),
        {"updated_at": {"$lt": datetime(2026, 1, 2, tzinfo=UTC)}, "_id": ObjectId("0" * 24)},
        ("status",),
        {"updated_at": -1},
        50,
    )
    assert question.mongosh() == (
        'db.investigations.find({"tenant_id": "acme", "updated_at": {"$lt": ISODate("2026-01-02T00:00:00+00:00")}, '
        f'"_id": ObjectId("{"0" * 24}")}}, {{"status": 1}}).sort({{"updated_at": -1}}).limit(50)'
    )


def test_mongosh_text_of_an_aggregation_with_all_kinds_of_values() -> None:
    values = [UUID(int=1), Decimal128("1.5"), True, None, 2.5, 'quote " and é']
    text = Question(INVESTIGATIONS, ("acme",), {"x": {"$in": values}}, stages=({"$count": "n"},)).mongosh()
    assert (
        'UUID("00000000-0000-0000-0000-000000000001"), NumberDecimal("1.5"), true, null, 2.5, "quote \\" and é"' in text
    )
    plain = re.sub(r"\b(UUID|NumberDecimal)\((\"[^\"]*\")\)", r"\2", text)
    assert json.loads(plain.removeprefix("db.investigations.aggregate(").removesuffix(")"))[1] == {"$count": "n"}
