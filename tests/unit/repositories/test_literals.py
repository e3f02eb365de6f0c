"""Values of filters: typed by the model, never an operator."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from bson.code import Code

from workbench.errors import InvalidInput
from workbench.models.anomaly_events import AnomalyEvent, Severity
from workbench.models.audit_log import AuditEntry
from workbench.models.detectors import Detector
from workbench.models.investigations import Investigation
from workbench.repositories.literals import between, instant, literal, literals, tenant_literal, whole_number

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("document", "path", "given", "found"),
    [
        (Investigation, "status", "COMPLETED", "COMPLETED"),
        (AnomalyEvent, "severity", Severity.WARN, "warn"),
        (AnomalyEvent, "run_id", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")),
        (AnomalyEvent, "investigation_id", "$ne", "$ne"),
        (AnomalyEvent, "investigation_id", Code("js"), "js"),
        (Detector, "cohort_by", Code("js"), "js"),
        (AnomalyEvent, "score", 4, 4.0),
        (AnomalyEvent, "window.start", NOON, NOON),
        (AuditEntry, "metadata.user_id", "ann", "ann"),
        (Detector, "cohort_by", "country", "country"),
        (Detector, "enabled", True, True),
    ],
)
def test_a_value_of_the_declared_type_stands_as_it_is(document: type, path: str, given: object, found: object) -> None:
    assert literal(document, path, given) == found
    assert type(literal(document, path, given)) is type(found)


@pytest.mark.parametrize(
    ("document", "path", "given"),
    [
        (Investigation, "status", "UNKNOWN"),
        (Investigation, "status", {"$ne": "COMPLETED"}),
        (Investigation, "user_id", ["ann"]),
        (Investigation, "user_id", re.compile("ann")),
        (Investigation, "user_id", None),
        (Investigation, "user_id", ""),
        (Investigation, "user_id", "x" * 256),
        (Detector, "cohort_by", "\ud800"),
        (AnomalyEvent, "investigation_id", None),
        (AnomalyEvent, "run_id", "not-a-uuid"),
        (AnomalyEvent, "score", float("nan")),
        (AnomalyEvent, "score", "4"),
        (AnomalyEvent, "created_at", datetime(2026, 3, 1)),  # noqa: DTZ001 a time without a zone is what is tested
        (Investigation, "settings", {"name": "x"}),
        (Investigation, "settings.name", "x"),
        (Investigation, "progress", "x"),
        (Investigation, "$where", "1"),
        (Investigation, "nothing", "1"),
        (AuditEntry, "changes", "x"),
        (AuditEntry, "metadata", {"user_id": "ann"}),
    ],
)
def test_anything_else_is_refused_and_not_quoted(document: type, path: str, given: object) -> None:
    with pytest.raises(InvalidInput) as refused:
        literal(document, path, given)
    assert refused.value.field == path
    assert refused.value.__cause__ is None


def test_lists_of_values_are_distinct_and_bounded() -> None:
    assert literals(Detector, "cohort_by", ["a", "b", "a"]) == ["a", "b"]
    for wrong in ([], "abc", {"$in": ["a"]}, [{"$gt": ""}], 7, [str(number) for number in range(501)]):
        with pytest.raises(InvalidInput):
            literals(Detector, "cohort_by", wrong)


def test_a_range_is_open_where_a_side_is_none() -> None:
    assert between(AnomalyEvent, "created_at", NOON, None) == {"created_at": {"$gt": NOON - timedelta(milliseconds=1)}}
    assert between(AnomalyEvent, "score", 4, None)["score"]["$gt"] < 4
    assert between(AnomalyEvent, "created_at", None, NOON) == {"created_at": {"$lt": NOON}}
    assert between(AnomalyEvent, "created_at", None, None) == {}
    with pytest.raises(InvalidInput):
        between(AnomalyEvent, "created_at", {"$gt": NOON}, None)


def test_tenants_numbers_and_instants() -> None:
    assert tenant_literal("acme") == "acme"
    assert whole_number("limit", 5, 1, 5) == 5
    assert instant("time", NOON) is NOON
    for tenant in ("", None, 7, {"$gt": ""}, "x" * 256):
        with pytest.raises(InvalidInput):
            tenant_literal(tenant)
    for number in (0, 6, True, 2.0, "3", None):
        with pytest.raises(InvalidInput):
            whole_number("limit", number, 1, 5)
    for time in ("2026-03-01", datetime(2026, 3, 1), None):  # noqa: DTZ001
        with pytest.raises(InvalidInput):
            instant("time", time)
