"""The rules of InvestigationStateService on a real server, and what 32 writers do to one investigation."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from tests.documents import START, transaction_score
from tests.documents import audit_entry as audit_entry_document
from tests.documents import investigation as investigation_document
from tests.target import prepared_target
from workbench import connections
from workbench.errors import AccessDenied, AlreadyExists, InvalidInput, NotFound, VersionConflict
from workbench.models.document import Provenance, bson_value
from workbench.models.fields import MAX_JSON_DEPTH
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
    # The history stays under the id, and is not the next owner's.
    with pytest.raises(InvalidInput, match="was deleted"):
        await service.create(TENANT, CreateInvestigation(investigation_id=case), user=STRANGER)


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


async def test_numbers_and_depths_that_a_migration_brought_stand_in_no_ones_way(
    service: InvestigationStateService, database: AsyncDatabase[dict[str, Any]]
) -> None:
    deep: Any = 1
    for _ in range(MAX_JSON_DEPTH - 2):
        deep = {"n": deep}
    settings = {"wide": Decimal(2**70), "beyond": Decimal("1e400"), "deep": deep}
    migrated = investigation_document("wide", 1, user_id="owner", settings=settings)
    await database.investigations.insert_one(migrated.to_bson())
    case = migrated.investigation_id
    read = await service.get("wide", case, user=OWNER)
    assert read.settings == settings
    change = UpdateInvestigation(settings={**settings, "wide": Decimal(2**71), "deep": {"n": 2}})
    await service.update("wide", case, change, user=OWNER, expected_version=1)
    entry = (await service.history("wide", case, user=OWNER)).items[0]
    assert entry.changes["settings"]["wide"] == {"old": Decimal(2**70), "new": Decimal(2**71)}
    assert entry.state_snapshot["settings"]["beyond"] == Decimal("1e400")
    await service.delete("wide", case, user=OWNER)
    assert (await service.history("wide", case, user=OWNER)).items[0].metadata.action_type == "DELETED"


async def test_a_decimal_that_would_be_rounded_is_refused(service: InvestigationStateService) -> None:
    wide = {"limits": [{"amount": Decimal("1." + "3" * 40)}]}
    with pytest.raises(InvalidInput, match=r"settings\.limits\.0\.amount: has more digits"):
        await service.create(TENANT, CreateInvestigation(settings=wide), user=OWNER)
    case = (await service.create(TENANT, CreateInvestigation(), user=OWNER)).investigation_id
    with pytest.raises(InvalidInput, match=r"custom_fields\.limits"):
        await service.update(TENANT, case, UpdateInvestigation(custom_fields=wide), user=OWNER, expected_version=1)


async def test_a_long_outbox_is_moved_in_portions_and_a_broken_one_stops_no_sweep(
    service: InvestigationStateService, database: AsyncDatabase[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    tenant, many = "busy", 620
    entries = [
        audit_entry_document(
            tenant,
            number,
            metadata={
                **audit_entry_document(tenant, 0).metadata.model_dump(),
                "investigation_id": f"{tenant}-investigation-2",
                "action_type": "UPDATED" if number else "DELETED",
            },
        )
        for number in range(many)
    ]
    broken = investigation_document(tenant, 1).to_bson() | {"outbox": [{"timestamp": START}]}
    waiting = investigation_document(tenant, 2).to_bson() | {"outbox": [bson_value(entry) for entry in entries]}
    await database.command("insert", "investigations", documents=[broken, waiting], bypassDocumentValidation=True)
    assert await service.sweep(tenant) == many
    assert "investigation-1 stay in its outbox" in caplog.text
    assert await database.audit_log.count_documents({"metadata.tenant_id": tenant}) == many
    assert (
        await database.investigations.find_one({"tenant_id": tenant, "investigation_id": f"{tenant}-investigation-2"})
        is None
    )


async def test_a_state_of_any_size_can_be_changed_and_its_entry_says_what_it_leaves_out(
    service: InvestigationStateService, database: AsyncDatabase[dict[str, Any]]
) -> None:
    settings = {"notes": ["x" * 1_000_000 for _ in range(5)]}
    migrated = investigation_document("large", 1, user_id="owner", settings=settings)
    await database.investigations.insert_one(migrated.to_bson())
    case = migrated.investigation_id
    await service.update("large", case, UpdateInvestigation(settings={}), user=OWNER, expected_version=1)
    entry = (await service.history("large", case, user=OWNER)).items[0]
    assert entry.state_snapshot["settings"] == {}
    omitted = entry.changes["settings"]
    assert omitted["omitted_bytes"] > 5_000_000
    assert len(omitted["sha256"]) == 64


async def test_an_update_forgets_what_provenance_said_about_old_values(
    service: InvestigationStateService, database: AsyncDatabase[dict[str, Any]]
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
    await database.investigations.insert_one(migrated.to_bson())
    case = migrated.investigation_id
    await service.update("migrated", case, UpdateInvestigation(tags=("x",)), user=OWNER, expected_version=1)
    read = await service.get("migrated", case, user=OWNER)
    assert read.provenance is not None
    assert (read.provenance["micros"], read.provenance["exact"]) == ({"created_at": 123}, {})
