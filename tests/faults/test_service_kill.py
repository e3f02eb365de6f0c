"""kill -9 at each step of each change: no state without its entry, no entry twice, whatever comes next."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from tests.faults.service_worker import LEASE_SECONDS, USER
from tests.target import prepared_target
from workbench import connections, faults
from workbench.errors import InvalidInput, NotFound
from workbench.repositories import Repositories
from workbench.services import CreateInvestigation, InvestigationStateService, UpdateInvestigation
from workbench.services.workspace import folder_name
from workbench.settings import Settings

TENANT = "acme"
BEFORE = "before_write"
STEPS = [BEFORE, "written", "outbox.leased", "outbox.inserted", "outbox.removed"]
ACTIONS = {"create": "CREATED", "update": "UPDATED", "delete": "DELETED"}
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def settings(servers: Settings) -> Iterator[Settings]:
    with prepared_target(servers) as settings:
        yield settings


@pytest.fixture(scope="module")
async def database(settings: Settings) -> AsyncIterator[AsyncDatabase[dict[str, Any]]]:
    client = connections.open_target_async(settings)
    yield client[settings.mongodb_database]
    await client.close()


@pytest.fixture
def service(settings: Settings, database: AsyncDatabase[dict[str, Any]]) -> InvestigationStateService:
    return InvestigationStateService(Repositories(database, settings), settings, lease_seconds=LEASE_SECONDS)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("operation", list(ACTIONS))
async def test_killed_at_each_step(
    settings: Settings,
    database: AsyncDatabase[dict[str, Any]],
    service: InvestigationStateService,
    operation: str,
    step: str,
) -> None:
    case = f"{operation}-{step}"
    if operation != "create":
        await service.create(TENANT, CreateInvestigation(investigation_id=case), user=USER)
    point = step if step.startswith("outbox.") else f"{operation}.{step}"
    assert await _run_worker(settings, operation, case, point) == -signal.SIGKILL

    # What stands now: the change took place together with its entry, or neither did.
    happened = step != BEFORE
    wanted = ["CREATED"] if operation != "create" else []
    wanted += [ACTIONS[operation]] if happened else []
    assert await _actions(service, case) == wanted
    present = await database.investigations.find_one({"tenant_id": TENANT, "investigation_id": case})
    assert await _is_there(service, case) == (wanted[-1:] not in ([], ["DELETED"]))
    if present is not None and wanted[-1] != "DELETED":
        entries = await _stored_entries(database, case)
        assert present["version"] in {entry["to_version"] for entry in entries}

    # The next operation works, and afterwards each entry is in the log exactly once and nowhere else.
    await asyncio.sleep(LEASE_SECONDS)
    create = CreateInvestigation(investigation_id=case)
    if not wanted:
        await service.create(TENANT, create, user=USER)
        wanted.append("CREATED")
    elif wanted[-1] == "DELETED":  # also a deletion that was interrupted is one
        with pytest.raises(InvalidInput, match="was deleted"):
            await service.create(TENANT, create, user=USER)
    else:
        request = UpdateInvestigation(tags=("next",))
        version = (await service.get(TENANT, case, user=USER)).version
        await service.update(TENANT, case, request, user=USER, expected_version=version)
        wanted.append("UPDATED")
    await service.background.drain()
    assert await _actions(service, case) == wanted
    logged = await database.audit_log.find({"metadata.investigation_id": case}).to_list()
    assert Counter(entry["metadata"]["action_type"] for entry in logged) == Counter(wanted)
    present = await database.investigations.find_one({"tenant_id": TENANT, "investigation_id": case})
    assert (present is None) == (wanted[-1] == "DELETED")
    assert present is None or present["outbox"] == []


async def test_a_sweep_ends_what_a_killed_process_began(
    settings: Settings, database: AsyncDatabase[dict[str, Any]], service: InvestigationStateService
) -> None:
    await service.create(TENANT, CreateInvestigation(investigation_id="swept"), user=USER)
    assert await _run_worker(settings, "delete", "swept", "outbox.inserted") == -signal.SIGKILL
    await asyncio.sleep(LEASE_SECONDS)
    assert await service.sweep(TENANT) >= 1
    assert await database.investigations.find_one({"investigation_id": "swept"}) is None
    assert await _actions(service, "swept") == ["CREATED", "DELETED"]


async def test_a_sweep_runs_the_completion_tasks_that_a_killed_process_did_not_end(
    settings: Settings, database: AsyncDatabase[dict[str, Any]], tmp_path: Path
) -> None:
    settings = settings.model_copy(update={"workspace_dir": tmp_path})
    service = InvestigationStateService(Repositories(database, settings), settings, lease_seconds=LEASE_SECONDS)
    created = await service.create(TENANT, CreateInvestigation(), user=USER)
    case = created.investigation_id
    assert await _run_worker(settings, "complete", case, "completion.lint") == -signal.SIGKILL
    record = tmp_path / folder_name(TENANT) / folder_name(case) / "completion.json"
    assert not record.exists()
    present = await database.investigations.find_one({"investigation_id": case})
    assert present is not None
    assert (present["status"], present["completion_due"]) == ("COMPLETED", 2)
    assert (await service.get(TENANT, case, user=USER)).completion_due is None  # the service's own affair
    await service.background.drain()
    await asyncio.sleep(LEASE_SECONDS)
    assert await service.sweep(TENANT) == 1
    assert json.loads(record.read_text())["version"] == 2
    present = await database.investigations.find_one({"investigation_id": case})
    assert present is not None
    assert present["completion_due"] is None
    assert await service.sweep(TENANT) == 0


async def test_without_the_variable_the_points_do_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(faults.VARIABLE, raising=False)
    faults.reach("update.written")
    monkeypatch.setenv(faults.VARIABLE, "another.point")
    faults.reach("update.written")


async def _run_worker(settings: Settings, operation: str, case: str, point: str) -> int:
    assert settings.mongodb_uri is not None
    environment = {
        **os.environ,
        "WORKBENCH_MONGODB_URI": settings.mongodb_uri.get_secret_value(),
        "WORKBENCH_MONGODB_DATABASE": settings.mongodb_database,
        "WORKBENCH_WORKSPACE_DIR": str(settings.workspace_dir),
        faults.VARIABLE: point,
    }
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.service_worker", operation, TENANT, case, cwd=ROOT, env=environment
    )
    return await worker.wait()


async def _actions(service: InvestigationStateService, case: str) -> list[str]:
    """The actions that the history shows, oldest first."""
    try:
        page = await service.history(TENANT, case, user=USER, limit=100)
    except NotFound:
        return []
    assert len({entry.entry_id for entry in page.items}) == len(page.items)
    return [entry.metadata.action_type for entry in reversed(page.items)]


async def _is_there(service: InvestigationStateService, case: str) -> bool:
    try:
        await service.get(TENANT, case, user=USER)
    except NotFound:
        return False
    return True


async def _stored_entries(database: AsyncDatabase[dict[str, Any]], case: str) -> list[dict[str, Any]]:
    waiting = [
        entry
        async for document in database.investigations.find({"investigation_id": case})
        for entry in document["outbox"]
    ]
    return waiting + await database.audit_log.find({"metadata.investigation_id": case}).to_list()
