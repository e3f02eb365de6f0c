"""Runs one operation of the service in a process of its own, so that a test can kill it at a point.

python -m tests.faults.service_worker create|update|complete|delete TENANT INVESTIGATION
"""

from __future__ import annotations

import asyncio
import sys

from workbench import connections
from workbench.models.investigations import InvestigationStatus
from workbench.repositories import Repositories
from workbench.services import CreateInvestigation, InvestigationStateService, UpdateInvestigation, User
from workbench.settings import load_settings

USER = User(user_id="owner")
LEASE_SECONDS = 0.5


async def main(operation: str, tenant: str, investigation_id: str) -> None:
    settings = load_settings()
    client = connections.open_target_async(settings)
    service = InvestigationStateService(
        Repositories(client[settings.mongodb_database], settings), settings, lease_seconds=LEASE_SECONDS
    )
    if operation == "create":
        await service.create(tenant, CreateInvestigation(investigation_id=investigation_id), user=USER)
    elif operation in ("update", "complete"):
        version = (await service.get(tenant, investigation_id, user=USER)).version
        complete = UpdateInvestigation(status=InvestigationStatus.COMPLETED)
        request = complete if operation == "complete" else UpdateInvestigation(tags=("changed",))
        await service.update(tenant, investigation_id, request, user=USER, expected_version=version)
    else:
        await service.delete(tenant, investigation_id, user=USER)
    await service.background.drain()
    await client.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
