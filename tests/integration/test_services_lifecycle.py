"""Start, health and end of the services; what ENABLE_MONGODB and FAIL_ON_MONGODB_ERROR decide."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from workbench import connections, schema
from workbench.errors import TargetUnavailable, UnavailableError
from workbench.services import CreateInvestigation, Services, State, User
from workbench.services.background import BackgroundTasks
from workbench.services.demonstration import clean, counts_by_status, race
from workbench.settings import Settings

OWNER = User(user_id="owner")
NOWHERE = SecretStr("mongodb://planted-user:planted-password@127.0.0.1:9/?directConnection=true")


@pytest.fixture
def settings(servers: Settings) -> Iterator[Settings]:
    """An empty target database."""
    settings = servers.model_copy(update={"mongodb_database": f"workbench_test_{uuid.uuid4().hex[:12]}"})
    yield settings
    with connections.open_target(settings) as client:
        client.drop_database(settings.mongodb_database)


def _unreachable(settings: Settings, **update: object) -> Settings:
    return settings.model_copy(update={"mongodb_uri": NOWHERE, "server_selection_timeout_seconds": 0.2, **update})


async def test_start_prepares_the_schema_and_health_tells_facts(settings: Settings) -> None:
    async with Services(settings) as services:
        assert services.state is State.UP
        with connections.open_target(settings) as client:
            planned = schema.plan(client[settings.mongodb_database], settings)
        assert planned.steps == ()
        created = await services.investigations.create("acme", CreateInvestigation(), user=OWNER)
        assert (await services.repositories.investigations.get("acme", created.investigation_id)).version == 1
        await services.background.drain()
        health = await services.health()
        assert health.healthy
        assert health.latency_ms is not None
        assert 0 < health.latency_ms < 10_000
        assert health.capabilities is not None
        assert health.pool["open"] >= 1
        assert health.pool["in_use"] == 0
        assert health.pool["max"] == settings.max_pool_size
        assert health.topology["writable"] is True
        secrets = [secret for secret in settings.secrets() if secret in repr(health.as_dict())]
        assert secrets == []
    with pytest.raises(UnavailableError):
        services.repositories.investigations  # noqa: B018 the attribute itself refuses


async def test_disabled_services_open_nothing(settings: Settings) -> None:
    disabled = _unreachable(settings, enable_mongodb=False)
    async with Services(disabled) as services:
        assert services.state is State.DISABLED
        health = await services.health()
        assert (health.healthy, health.state) == (True, State.DISABLED)
        with pytest.raises(UnavailableError, match="switched off"):
            services.investigations.get("acme", "x", user=OWNER)


async def test_an_unreachable_server_fails_the_start_without_showing_the_uri(settings: Settings) -> None:
    with pytest.raises(TargetUnavailable) as refused:
        async with Services(_unreachable(settings)):
            pass
    assert "planted" not in str(refused.value)
    assert refused.value.__cause__ is None


async def test_degraded_services_recover_when_the_server_is_back(settings: Settings) -> None:
    services = Services(_unreachable(settings, fail_on_mongodb_error=False))
    await services.start()
    assert services.state is State.DEGRADED
    health = await services.health()
    assert not health.healthy
    assert health.problem is not None
    assert "planted" not in repr(health)
    with pytest.raises(UnavailableError):
        services.investigations.get("acme", "x", user=OWNER)
    services._settings = settings
    assert (await services.health()).state is State.UP
    await services.investigations.create("acme", CreateInvestigation(), user=OWNER)
    await services.close()


async def test_close_waits_for_background_tasks_and_cancels_after_its_time(settings: Settings) -> None:
    services = Services(settings)
    await services.start()
    ended = asyncio.Event()

    async def slow(_: object) -> None:
        await asyncio.sleep(0.2)
        ended.set()

    await services.investigations.create("acme", CreateInvestigation(), user=OWNER, executor=slow)
    await services.close()
    assert ended.is_set()


async def test_closed_services_stay_closed(settings: Settings) -> None:
    services = Services(settings)
    await services.start()
    await services.close()
    health = await services.health()
    assert (health.healthy, health.problem) == (False, "The services are closed.")
    with pytest.raises(UnavailableError, match="closed"):
        await services.investigations.get("acme", "x", user=OWNER)
    with pytest.raises(UnavailableError, match="closed"):
        await services.start()


async def test_drain_cancels_what_does_not_end() -> None:
    background = BackgroundTasks()
    background.start("forever", asyncio.Event().wait())
    assert len(background) == 1
    assert await background.drain(0.05) == 1
    assert len(background) == 0


async def test_the_demonstration_has_one_winner_a_round_and_leaves_nothing(settings: Settings) -> None:
    async with Services(settings) as services:
        kept = await services.investigations.create("another", CreateInvestigation(), user=OWNER)
        case = (await services.investigations.create("shown", CreateInvestigation(), user=OWNER)).investigation_id
        attempts = await race(services.investigations, "shown", case, user=OWNER, writers=5, rounds=2)
        assert len(attempts) == 10
        assert [(a.round, a.version_afterwards) for a in attempts if a.outcome == "won"] == [(1, 2), (2, 3)]
        assert all("expected" in a.message for a in attempts if a.outcome == "conflict")
        assert (await counts_by_status(services, "shown"))["CREATED"] == "1"
        assert await clean(services, "shown") == 1 + 4
        assert await clean(services, "shown") == 0
        assert (await services.repositories.audit_log.count_about("shown")).at_least == 0
        assert (await services.investigations.history("another", kept.investigation_id, user=OWNER)).items
