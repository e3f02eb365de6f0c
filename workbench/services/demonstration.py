"""A real conflict on a real server, for people to see: what notebook 05 shows, in a tenant of its own."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from workbench.errors import VersionConflict
from workbench.models.investigations import InvestigationStatus
from workbench.services.investigation_state import InvestigationStateService
from workbench.services.lifecycle import Services
from workbench.services.requests import UpdateInvestigation, User

_ALL_TIMES = (datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))


@dataclass(frozen=True)
class Attempt:
    """One writer's attempt to change the version that it had read."""

    round: int
    writer: int
    read_version: int
    outcome: Literal["won", "conflict"]
    version_afterwards: int
    message: str


async def race(
    service: InvestigationStateService, tenant: str, investigation_id: str, *, user: User, writers: int, rounds: int
) -> tuple[Attempt, ...]:
    """Attempts of writers that all read the same version and then change it at the same time, round after round."""

    async def attempt(number: int, writer: int, version: int) -> Attempt:
        change = UpdateInvestigation(progress={"current_phase": f"round {number}", "last_writer": writer})
        try:
            changed = await service.update(tenant, investigation_id, change, user=user, expected_version=version)
        except VersionConflict as conflict:
            return Attempt(number, writer, version, "conflict", conflict.actual, str(conflict))
        return Attempt(number, writer, version, "won", changed.version, "")

    attempts: list[Attempt] = []
    for number in range(1, rounds + 1):
        present = await service.get(tenant, investigation_id, user=user)
        attempts += await asyncio.gather(*(attempt(number, w, present.version) for w in range(1, writers + 1)))
    return tuple(attempts)


async def clean(services: Services, tenant: str) -> int:
    """Remove the investigations of a tenant that only demonstrates, and their audit entries; how many documents."""
    await services.background.drain()
    investigations = [found.investigation_id async for found in services.repositories.investigations.find(tenant)]
    for investigation_id in investigations:
        await services.investigations.delete(tenant, investigation_id, user=User(user_id="cleaner", is_admin=True))
    await services.background.drain()
    await services.investigations.sweep(tenant)
    entries = await services.repositories.audit_log.delete_range(tenant, *_ALL_TIMES)
    return len(investigations) + entries


async def counts_by_status(services: Services, tenant: str) -> dict[str, str]:
    """How many investigations of a tenant are in each status, as texts that say where a count is not exact."""
    investigations = services.repositories.investigations
    return {
        status.value: str(await investigations.count_about(tenant, {"status": status}))
        for status in InvestigationStatus
    }
