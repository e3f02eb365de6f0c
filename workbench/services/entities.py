"""The entities of a new investigation, chosen where its settings ask for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeGuard

from workbench.repositories.transaction_scores import TransactionScoreRepository

EntitySelector = Callable[[str, Mapping[str, Any]], Awaitable[Sequence[str]]]
"""Tenant and settings -> entities, each as "type:value"."""

DEFAULT_ENTITIES = 10
MAX_ENTITIES = 100


def wants_entities(settings: Mapping[str, Any] | None) -> TypeGuard[Mapping[str, Any]]:
    """Whether the settings ask for automatic choice and name no entity themselves."""
    if settings is None or settings.get("auto_select_entities") is not True:
        return False
    return not settings.get("entities") and not settings.get("entity")


def riskiest_transactions(scores: TransactionScoreRepository) -> EntitySelector:
    """A selector that takes the tenant's transactions with the highest scores, `max_entities` of them (else 10)."""

    async def select(tenant: str, settings: Mapping[str, Any]) -> Sequence[str]:
        wanted = settings.get("max_entities")
        limit = wanted if isinstance(wanted, int) and 1 <= wanted <= MAX_ENTITIES else DEFAULT_ENTITIES
        page = await scores.page(tenant, limit=limit)
        return list(dict.fromkeys(f"transaction:{score.transaction_id}" for score in page.items))

    return select
