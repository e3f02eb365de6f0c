"""One valid call of every public method of every repository, as a function of the tenant whose data it names."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pydantic import SecretStr

from tests.documents import BUILDERS, START, audit_entry, investigation, transaction_score, uuid_of
from workbench.models import COLLECTIONS
from workbench.models.fields import utc_now
from workbench.models.investigations import OutboxLease, Progress
from workbench.models.soar_playbook_executions import PlaybookAction
from workbench.repositories import Repositories, Repository
from workbench.repositories.base import OpenRepository

LATER = START + timedelta(days=9)
ONE = START + timedelta(minutes=27)
"""The time of one document of each kind, which no other question is about."""


@dataclass(frozen=True)
class Call:
    """The arguments behind the tenant."""

    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)


def call(*args: Any, **kwargs: Any) -> Call:
    return Call(args, kwargs)


def _entry(tenant: str, number: int, action: str = "UPDATED") -> Any:
    fields = {**audit_entry(tenant, 0).metadata.model_dump(), "action_type": action}
    fields["investigation_id"] = f"{tenant}-investigation-{number}"
    return audit_entry(tenant, 1000 + number, metadata=fields)


OWN: dict[str, dict[str, Callable[[str], Call]]] = {
    "investigations": {
        "by_user": lambda t: call(f"{t}-user-1"),
        "by_status": lambda t: call("IN_PROGRESS"),
        "by_stage": lambda t: call("IN_PROGRESS"),
        "touch": lambda t: call(f"{t}-investigation-1"),
        "create": lambda t: call(investigation(t, 500), _entry(t, 500, "CREATED")),
        "update": lambda t: call(investigation(t, 2), _entry(t, 2), expected_version=1),
        "update_progress": lambda t: call(f"{t}-investigation-3", Progress(), _entry(t, 3), expected_version=1),
        "mark_deleted": lambda t: call(f"{t}-investigation-4", _entry(t, 4, "DELETED"), expected_version=1),
        "find_with_deleted": lambda t: call(f"{t}-investigation-5"),
        "waiting": lambda t: call(),
        "lease_outbox": lambda t: call(
            f"{t}-investigation-3", OutboxLease(owner=f"{t}-owner", until=utc_now() + timedelta(minutes=1))
        ),
        "release_outbox": lambda t: call(f"{t}-investigation-3", f"{t}-owner", [f"{t}-entry-1003"]),
        "remove_deleted": lambda t: call(f"{t}-investigation-4", f"{t}-owner"),
        "completions_due": lambda t: call(utc_now()),
        "completion_done": lambda t: call(f"{t}-investigation-7", 3),
    },
    "templates": {
        "of_user": lambda t: call(f"{t}-user-1"),
        "by_tags": lambda t: call(["cards", "web"], match="all"),
        "most_used": lambda t: call(),
        "record_use": lambda t: call(f"{t}-template-1"),
    },
    "audit_log": {
        "in_time_range": lambda t: call(START, LATER),
        "delete_range": lambda t: call(ONE, ONE + timedelta(minutes=1)),
        "of_investigation": lambda t: call(f"{t}-investigation-1", pending=[_entry(t, 1)]),
        "by_action": lambda t: call("UPDATED"),
        "by_user": lambda t: call(f"{t}-user-1"),
        "counts_per_day": lambda t: call(START, LATER),
    },
    "detectors": {
        "by_type": lambda t: call("cusum"),
        "by_enabled": lambda t: call(True),
        "by_cohort_field": lambda t: call("country"),
        "enable": lambda t: call(uuid_of(t, "detector", 3)),
        "disable": lambda t: call(uuid_of(t, "detector", 4)),
    },
    "detection_runs": {
        "in_time_range": lambda t: call(START, LATER),
        "delete_range": lambda t: call(ONE, ONE + timedelta(minutes=1)),
        "by_detector": lambda t: call(uuid_of(t, "detector", 1), since=START, until=LATER),
        "by_status": lambda t: call("success"),
        "statistics": lambda t: call(START, LATER, detector_id=uuid_of(t, "detector", 1)),
    },
    "anomaly_events": {
        "by_run": lambda t: call(uuid_of(t, "run", 1)),
        "by_detector": lambda t: call(uuid_of(t, "detector", 1)),
        "by_investigation": lambda t: call(f"{t}-investigation-1"),
        "by_severity": lambda t: call("warn", since=START, until=LATER),
        "by_status": lambda t: call("new"),
        "with_score_at_least": lambda t: call(4.0),
        "statistics": lambda t: call(),
        "embedding_of": lambda t: call(uuid_of(t, "anomaly", 1)),
        "vectors": lambda t: call(severity="warn"),
        "set_status": lambda t: call(uuid_of(t, "anomaly", 1), "closed"),
        "link_to_investigation": lambda t: call(uuid_of(t, "anomaly", 1), f"{t}-investigation-9"),
    },
    "transaction_scores": {
        "of_investigation": lambda t: call(f"{t}-investigation-1"),
        "riskiest": lambda t: call(f"{t}-investigation-1"),
        "distribution": lambda t: call(f"{t}-investigation-1", bins=4),
        "averages": lambda t: call([f"{t}-investigation-1", f"{t}-investigation-2"]),
        "write": lambda t: call([transaction_score(t, 1, risk_score=0.25), transaction_score(t, 999)]),
    },
    "composio_connections": {
        "by_toolkit": lambda t: call("slack"),
        "active": lambda t: call(),
        "expiring_before": lambda t: call(LATER),
        "store_tokens": lambda t: call(
            f"{t}-connection-1",
            encrypted_access_token=SecretStr("planted-new-access"),
            refresh_token=SecretStr("planted-new-refresh"),
            expires_at=LATER,
        ),
        "mark_expired": lambda t: call(f"{t}-connection-2"),
        "mark_revoked": lambda t: call(f"{t}-connection-4"),
    },
    "composio_action_audits": {
        "by_action": lambda t: call("action-1"),
        "by_execution": lambda t: call("execution-1"),
        "by_toolkit": lambda t: call("slack"),
        "by_connection": lambda t: call(f"{t}-connection-1"),
        "by_status": lambda t: call("failed"),
        "in_time_range": lambda t: call(START, LATER),
        "failed_with_retries": lambda t: call(2),
        "record_retry": lambda t: call(f"{t}-audit-1", "failed", result={"n": 1}, error_message="no answer"),
        "statistics": lambda t: call(),
    },
    "soar_playbook_executions": {
        "by_playbook": lambda t: call("playbook-1"),
        "by_investigation": lambda t: call(f"{t}-investigation-1"),
        "by_status": lambda t: call("running"),
        "add_action": lambda t: call(f"{t}-execution-1", PlaybookAction(action_id="a")),
        "set_status": lambda t: call(f"{t}-execution-3", "failed", completed_at=LATER, error_message="timeout"),
        "statistics": lambda t: call(),
    },
}

LAST = 29
"""Number of the last document of each kind: the one that `delete` names."""


def _key(name: str, tenant: str, number: int) -> tuple[Any, ...]:
    document = BUILDERS[name](tenant, number)
    return tuple(getattr(document, path) for path in document.COLLECTION.natural_key)


def _of_every_collection(name: str) -> dict[str, Callable[[str], Call]]:
    path = COLLECTIONS[name].natural_key[0]
    return {
        "get": lambda t: call(*_key(name, t, 7)),
        "find_one": lambda t: call(*_key(name, t, 8)),
        "page": lambda t: call(),
        "find": lambda t: call(),
        "count_about": lambda t: call({path: _key(name, t, 7)[0]}),
    }


def _of_open_collections(name: str) -> dict[str, Callable[[str], Call]]:
    if not issubclass(repository_classes()[name], OpenRepository):
        return {}
    return {
        "insert": lambda t: call(BUILDERS[name](t, 500)),
        "delete": lambda t: call(*_key(name, t, LAST)),
    }


CHANGES = {
    *("insert", "delete", "create", "touch", "update", "update_progress", "mark_deleted", "lease_outbox"),
    *("release_outbox", "remove_deleted", "completion_done", "record_use", "delete_range", "enable", "disable"),
    *("set_status", "link_to_investigation", "write", "store_tokens", "mark_expired", "mark_revoked", "record_retry"),
    "add_action",
}
"""The methods that change something; all others only read."""


def public_methods(repository: type[Repository[Any]]) -> set[str]:
    """Names of the public methods of a repository that ask or change something."""
    return {
        name
        for name, member in inspect.getmembers(repository)
        if not name.startswith("_") and (inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member))
    }


def repository_classes() -> dict[str, type[Repository[Any]]]:
    """Collection -> its repository."""
    found: dict[str, type[Repository[Any]]] = {}
    classes = list(Repository.__subclasses__())
    for each in classes:
        classes += each.__subclasses__()
        if hasattr(each, "document"):
            found[each.document.COLLECTION.name] = each
    return found


async def ask(repositories: Repositories, collection: str, method: str, tenant: Any, call: Call) -> Any:
    """The answer of a method; what it iterates over as a list."""
    answer = getattr(getattr(repositories, collection), method)(tenant, *call.args, **call.kwargs)
    if hasattr(answer, "__aiter__"):
        return [item async for item in answer]
    return await answer


def _calls(name: str) -> dict[str, Callable[[str], Call]]:
    return {**_of_every_collection(name), **_of_open_collections(name), **OWN[name]}


QUESTIONS: list[tuple[str, str, Callable[[str], Call]]] = [
    (name, method, make) for name in BUILDERS for method, make in _calls(name).items()
]
"""(collection, method, call of a tenant), in an order in which each finds what it needs."""
