"""Shapes: a document of its model's form passes; another type, a missing or an unknown field is named."""

from __future__ import annotations

from typing import Any

import pytest
from bson import Int64, ObjectId
from bson.decimal128 import Decimal128

from workbench.models import COLLECTIONS
from workbench.models.fields import utc_now
from workbench.verification.shapes import Shapes

NOW = utc_now()


def score() -> dict[str, Any]:
    return {
        "_id": ObjectId(), "investigation_id": "i", "transaction_id": "t", "tenant_id": "d", "risk_score": 0.5,
        "created_at": NOW, "provenance": {"table": "transaction_scores", "micros": {"created_at": 5}},
    }  # fmt: skip


def execution() -> dict[str, Any]:
    names = COLLECTIONS["soar_playbook_executions"].document.model_fields
    document: dict[str, Any] = {name: None for name in names if name != "provenance"}
    document |= {"_id": ObjectId(), "execution_id": "e", "playbook_id": "p", "tenant_id": "d", "status": "running"}
    return document | {"started_at": NOW, "actions_executed": [{"action_id": "a"}, {"status": "x", "other": 1}]}


def test_documents_of_their_models_pass() -> None:
    shapes = Shapes(COLLECTIONS["transaction_scores"])
    assert shapes.problem(score()) == ""
    assert shapes.problem(score() | {"risk_score": 1}) == ""
    assert shapes.problem(score() | {"risk_score": Int64(1)}) == ""
    assert Shapes(COLLECTIONS["soar_playbook_executions"]).problem(execution()) == ""


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"risk_score": "0.5"}, "risk_score: BSON type string is not allowed"),
        ({"risk_score": Decimal128("0.5")}, "risk_score: BSON type decimal is not allowed"),
        ({"risk_score": True}, "risk_score: BSON type bool is not allowed"),
        ({"created_at": "2026"}, "created_at: BSON type string is not allowed"),
        ({"extra": None}, "extra: a field that the model does not have"),
        ({"provenance": {"micros": {}}}, "provenance.table: the field is absent"),
        ({"provenance": {"table": 1}}, "provenance.table: BSON type int is not allowed"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], problem: str) -> None:
    assert Shapes(COLLECTIONS["transaction_scores"]).problem(score() | change) == problem


def test_a_missing_field_is_named() -> None:
    document = score()
    del document["tenant_id"]
    assert Shapes(COLLECTIONS["transaction_scores"]).problem(document) == "tenant_id: the field is absent"


def test_elements_of_arrays_are_judged() -> None:
    shapes = Shapes(COLLECTIONS["soar_playbook_executions"])
    wrong = execution()
    wrong["actions_executed"][1]["started_at"] = "yesterday"
    assert shapes.problem(execution()) == ""
    assert shapes.problem(wrong) == "actions_executed[].started_at: BSON type string is not allowed"
