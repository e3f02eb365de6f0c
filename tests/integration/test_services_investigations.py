"""The rules of InvestigationStateService on a real server, and what 32 writers do to one investigation."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from tests.documents import investigation as investigation_document
from tests.documents import transaction_score
from tests.target import prepared_target
from workbench import connections
from workbench.errors import AccessDenied, AlreadyExists, InvalidInput, NotFound, VersionConflict
from workbench.models.document import Provenance
from workbench.models.investigations import Investigation, OutboxLease
from workbench.repositories import Repositories
from workbench.services import CreateInvestigation, InvestigationStateService, UpdateInvestigation, User
from workbench.settings import Settings

TENANT = "acme"
OWNER = User(user_id="owner")
ADMIN = User(user_id="admin", is_admin=True)
STRANGER = User(user_id="stranger")
WRITERS = 32


@pytest.fixture(scope="module")
def settings(servers: Settings) -> Iterator[Settings]:
    with prepared_target(servers) as settings:
        yield settings


@pytest.fixture(scope="module")
async def database(settings: Settings) -> AsyncIterator[AsyncDatabase[dict[str, Any]]]:
    client = connections.open_target_async(settings)
    yield client[settings.mongodb_database]
    await client.close()


@pytest.fixture(scope="module")
def repositories(database: AsyncDatabase[dict[str, Any]], settings: Settings) -> Repositories:
    return Repositories(database, settings)


@pytest.fixture
async def service(repositories: Repositories, settings: Settings) -> AsyncIterator[InvestigationStateService]:
    service = InvestigationStateService(repositories, settings)
    yield service
    await service.background.drain()


async def test_32_writers_one_winner_for_each_version(
    service: InvestigationStateService, repositories: Repositories, settings: Settings
) -> None:
    case = (await service.create(TENANT, CreateInvestigation(), user=OWNER)).investigation_id
    others = [InvestigationStateService(repositories, settings) for _ in range(WRITERS)]
    conflicts = 0

    async def write(writer: InvestigationStateService, number: int) -> int:
        nonlocal conflicts
        while True:
            present = await writer.get(TENANT, case, user=OWNER)
            change = UpdateInvestigation(custom_fields={"writer": number})
            try:
                changed = await writer.update(TENANT, case, change, user=OWNER, expected_version=present.version)
            except VersionConflict:
                conflicts += 1
            else:
                return changed.version

    won = await asyncio.gather(*(write(writer, number) for number, writer in enumerate(others)))
    assert sorted(won) == list(range(2, WRITERS + 2))
    assert conflicts > 0
    final = await service.get(TENANT, case, user=OWNER)
    assert final.version == WRITERS + 1
    assert final.metadata.custom_fields == {"writer": won.index(WRITERS + 1)}
    history = await service.history(TENANT, case, user=OWNER, limit=100)
    assert [entry.to_version for entry in history.items] == list(range(WRITERS + 1, 0, -1))
    await service.sweep(TENANT)
    logged = [e async for e in repositories.audit_log.find(TENANT) if e.metadata.investigation_id == case]
    assert Counter(entry.to_version for entry in logged) == Counter(range(1, WRITERS + 2))
    stored = await repositories.investigations.find_with_deleted(TENANT, case)
    assert stored is not None
    assert stored.outbox == []
    for writer in others:
        await writer.background.drain()


async def test_history_is_whole_while_entries_move(
    service: InvestigationStateService, repositories: Repositories, settings: Settings
) -> None:
    """Entries in the outbox, in the log, and in both at once are each shown once, over pages of any size."""
    case = (await service.create(TENANT, CreateInvestigation(), user=OWNER)).investigation_id
    lease = OutboxLease(owner="slow", until=datetime.now(UTC) + timedelta(minutes=5))
    version = 1
    for number in range(6):
        if number == 3:  # from here on the outbox belongs to a mover that never finishes
            await service.update(TENANT, case, UpdateInvestigation(tags=("a",)), user=OWNER, expected_version=version)
            version += 1
            key = {"tenant_id": TENANT, "investigation_id": case}
            await repositories.investigations._collection.update_one(
                key, {"$set": {"outbox_lease": lease.model_dump()}}
            )
        tags = (str(number),)
        await service.update(TENANT, case, UpdateInvestigation(tags=tags), user=OWNER, expected_version=version)
        version += 1
    stuck = await repositories.investigations.find_with_deleted(TENANT, case)
    assert stuck is not None
    assert len(stuck.outbox) == 3
    await repositories.audit_log.insert(TENANT, stuck.outbox[0])  # the mover got this far
    for limit in (1, 2, 5, 100):
        found = []
        cursor = None
        while True:
            page = await service.history(TENANT, case, user=OWNER, limit=limit, cursor=cursor)
            found += [entry.to_version for entry in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert found == list(range(version, 0, -1))


async def test_two_movers_at_once_do_not_double_an_entry(
    service: InvestigationStateService, repositories: Repositories, settings: Settings
) -> None:
    case = (await service.create(TENANT, CreateInvestigation(), user=OWNER)).investigation_id
    entry = (await service.history(TENANT, case, user=OWNER)).items[0].model_copy(update={"entry_id": f"{case}-late"})
    present = await repositories.investigations.get(TENANT, case)
    await repositories.investigations.update(TENANT, present, entry, expected_version=1)
    movers = [InvestigationStateService(repositories, settings) for _ in range(8)]
    moved = await asyncio.gather(*(mover.sweep(TENANT) for mover in movers))
    assert sum(moved) == 1
    logged = [e async for e in repositories.audit_log.find(TENANT) if e.entry_id == f"{case}-late"]
    assert len(logged) == 1


async def test_create_refuses_a_duplicate_and_hands_over_to_the_executor(service: InvestigationStateService) -> None:
    seen: list[Investigation] = []

    async def executor(investigation: Investigation) -> None:
        seen.append(investigation)
        raise RuntimeError("the executor's own trouble")

    request = CreateInvestigation(investigation_id="duplicate", settings={"name": "x"}, tags=("vip",), source="UI")
    created = await service.create(TENANT, request, user=OWNER, executor=executor)
    await service.background.drain()
    assert seen == [created]
    assert (created.version, created.user_id, created.metadata.tags) == (1, "owner", ["vip"])
    with pytest.raises(AlreadyExists):
        await service.create(TENANT, request, user=OWNER)
    history = await service.history(TENANT, "duplicate", user=OWNER)
    assert [(e.metadata.action_type, e.from_version, e.to_version) for e in history.items] == [("CREATED", 0, 1)]


async def test_entities_are_chosen_where_settings_ask(
    service: InvestigationStateService, repositories: Repositories
) -> None:
    tenant = "entities"
    scores = [transaction_score(tenant, number, risk_score=number / 10) for number in range(6)]
    await repositories.transaction_scores.write(tenant, scores)
    asked = await service.create(
        tenant, CreateInvestigation(settings={"auto_select_entities": True, "max_entities": 2}), user=OWNER
    )
    assert asked.settings is not None
    assert asked.settings["entities"] == [
        "transaction:entities-transaction-0005",
        "transaction:entities-transaction-0004",
    ]
    named = await service.create(
        tenant, CreateInvestigation(settings={"auto_select_entities": True, "entity": "ip:1.2.3.4"}), user=OWNER
    )
    assert named.settings == {"auto_select_entities": True, "entity": "ip:1.2.3.4"}


async def test_get_is_the_owners_the_admins_and_for_the_system_users_everyones(
    service: InvestigationStateService, settings: Settings
) -> None:
    created = await service.create(TENANT, CreateInvestigation(), user=OWNER)
    case = created.investigation_id
    read = await service.get(TENANT, case, user=OWNER)
    assert (await service.get(TENANT, case, user=ADMIN)).version == 1
    assert read.last_accessed is not None
    assert created.last_accessed is not None
    assert read.last_accessed >= created.last_accessed
    assert (read.version, read.updated_at) == (1, created.updated_at)
    with pytest.raises(AccessDenied):
        await service.get(TENANT, case, user=STRANGER)
    system = User(user_id=settings.system_user)
    shared = await service.create(TENANT, CreateInvestigation(), user=system)
    assert (await service.get(TENANT, shared.investigation_id, user=STRANGER)).user_id == settings.system_user
    with pytest.raises(AccessDenied):
        await service.update(
            TENANT, shared.investigation_id, UpdateInvestigation(tags=("x",)), user=STRANGER, expected_version=1
        )


async def test_update_names_expected_and_actual_version_and_changes_nothing(
    service: InvestigationStateService,
) -> None:
    created = await service.create(TENANT, CreateInvestigation(settings={"name": "old"}), user=OWNER)
    case = created.investigation_id
    changed = await service.update(
        TENANT, case, UpdateInvestigation(settings={"name": "new"}), user=OWNER, expected_version=1
    )
    assert created.settings == {"name": "old"}  # what the caller holds is its own
    with pytest.raises(VersionConflict) as conflict:
        await service.update(TENANT, case, UpdateInvestigation(settings={}), user=OWNER, expected_version=1)
    assert (conflict.value.expected, conflict.value.actual) == (1, 2)
    entry = (await service.history(TENANT, case, user=OWNER)).items[0]
    assert entry.metadata.action_type == "SETTINGS_CHANGE"
    assert entry.changes == {"settings": {"name": {"old": "old", "new": "new"}}}
    assert entry.state_snapshot["settings"] == {"name": "new"}
    assert (entry.from_version, entry.to_version, entry.timestamp) == (1, 2, changed.updated_at)
    with pytest.raises(NotFound):
        await service.update(TENANT, "never", UpdateInvestigation(), user=OWNER, expected_version=1)


async def test_scores_are_checked_and_the_risk_follows_from_the_findings(service: InvestigationStateService) -> None:
    case = (await service.create(TENANT, CreateInvestigation(), user=OWNER)).investigation_id
    findings = {"device": {"risk_score": 0.2, "confidence": 0.5}, "network": {"risk_score": 0.8}, "logs": {}}
    changed = await service.update(
        TENANT, case, UpdateInvestigation(results={"domain_findings": findings}), user=OWNER, expected_version=1
    )
    assert changed.results is not None
    assert changed.results.risk_score == pytest.approx((0.2 * 0.5 + 0.8) / 1.5)
    bad = {"t-1": 1.5, "t-2": math.nan, "": 0.5, "t-3": "0.5", "t-4": True, "fine": 0.5}
    with pytest.raises(InvalidInput) as refused:
        await service.update(
            TENANT, case, UpdateInvestigation(results={"transaction_scores": bad}), user=OWNER, expected_version=2
        )
    assert all(name in str(refused.value) for name in ("t-1", "t-2", "''", "t-3", "t-4"))
    assert "fine" not in str(refused.value)
    for risk in (-0.1, 1.1, math.inf, math.nan, "0.5", True):
        with pytest.raises(InvalidInput, match=r"results\.risk_score"):
            await service.update(
                TENANT, case, UpdateInvestigation(results={"risk_score": risk}), user=OWNER, expected_version=2
            )
    with pytest.raises(InvalidInput, match=r"progress\.progress_percentage"):
        await service.update(
            TENANT, case, UpdateInvestigation(progress={"progress_percentage": 101.0}), user=OWNER, expected_version=2
        )
    assert (await service.get(TENANT, case, user=OWNER)).version == 2


async def test_delete_is_the_owners_or_an_admins_and_the_history_survives(service: InvestigationStateService) -> None:
    case = (await service.create(TENANT, CreateInvestigation(), user=OWNER)).investigation_id
    with pytest.raises(AccessDenied):
        await service.delete(TENANT, case, user=STRANGER)
    with pytest.raises(VersionConflict):
        await service.delete(TENANT, case, user=OWNER, expected_version=7)
    await service.delete(TENANT, case, user=ADMIN)
    for gone in (service.get(TENANT, case, user=OWNER), service.delete(TENANT, case, user=OWNER)):
        with pytest.raises(NotFound):
            await gone
    history = await service.history(TENANT, case, user=OWNER)
    assert [entry.metadata.action_type for entry in history.items] == ["DELETED", "CREATED"]
    assert history.items[0].metadata.user_id == "admin"
    with pytest.raises(AccessDenied):
        await service.history(TENANT, case, user=STRANGER)
    with pytest.raises(NotFound):
        await service.history(TENANT, "never", user=ADMIN)
    again = await service.create(TENANT, CreateInvestigation(investigation_id=case), user=STRANGER)
    assert again.version == 1


async def test_a_large_state_keeps_its_audit_entry_within_a_measurement(service: InvestigationStateService) -> None:
    case = (await service.create(TENANT, CreateInvestigation(), user=OWNER)).investigation_id
    scores = {f"transaction-{number:0200}": 0.5 for number in range(19_000)}
    await service.update(
        TENANT, case, UpdateInvestigation(results={"transaction_scores": scores}), user=OWNER, expected_version=1
    )
    read = await service.get(TENANT, case, user=OWNER)
    assert read.results is not None
    assert read.results.transaction_scores == scores
    entry = (await service.history(TENANT, case, user=OWNER)).items[0]
    assert entry.state_snapshot["results"] == {"risk_score": None, "omitted_transaction_scores": 19_000}
    assert entry.changes["omitted_changes"] == 18_000


async def test_an_update_forgets_what_provenance_said_about_old_values(
    service: InvestigationStateService, repositories: Repositories
) -> None:
    migrated = investigation_document(
        "migrated",
        1,
        user_id="owner",
        provenance=Provenance(
            table="investigation_states",
            micros={"created_at": 123, "updated_at": 456, "last_accessed": 789},
            exact={"settings.limit": "1e99"},
        ),
    )
    await repositories.investigations.insert("migrated", migrated)
    case = migrated.investigation_id
    await service.update("migrated", case, UpdateInvestigation(tags=("x",)), user=OWNER, expected_version=1)
    read = await service.get("migrated", case, user=OWNER)
    assert read.provenance is not None
    assert (read.provenance["micros"], read.provenance["exact"]) == ({"created_at": 123}, {})
