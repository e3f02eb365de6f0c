"""Two tenants with the same kinds of documents in one database, and a record of every command that is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import pytest
from pymongo import monitoring

from tests.documents import BUILDERS
from tests.target import prepared_target
from workbench import connections
from workbench.repositories import Repositories
from workbench.settings import Settings

TENANTS = ("acme", "globex")
DOCUMENTS = 30


class Recorder(monitoring.CommandListener):
    """The commands of one client, in order."""

    def __init__(self) -> None:
        self.commands: list[Mapping[str, Any]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.commands.append(dict(event.command))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Nothing to record."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Nothing to record."""


@pytest.fixture(scope="session")
def contract_settings(servers: Settings) -> Iterator[Settings]:
    """A database with all collections and indexes, for the session."""
    with prepared_target(servers) as settings:
        yield settings


@pytest.fixture(scope="session")
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture(scope="session")
async def repositories(contract_settings: Settings, recorder: Recorder) -> AsyncIterator[Repositories]:
    """Repositories over the documents of both tenants."""
    client = connections.open_target_async(contract_settings, event_listeners=[recorder])
    database = client[contract_settings.mongodb_database]
    for name, build in BUILDERS.items():
        documents = [build(tenant, number).to_bson() for tenant in TENANTS for number in range(DOCUMENTS)]
        await database[name].insert_many(documents)
    yield Repositories(database, contract_settings)
    await client.close()
