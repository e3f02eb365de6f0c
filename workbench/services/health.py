"""Whether MongoDB is there, how fast it answers, and what it can do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from pymongo import AsyncMongoClient, monitoring
from pymongo.errors import OperationFailure, PyMongoError

from workbench import connections, schema
from workbench.models import anomaly_events
from workbench.settings import Settings

Client = AsyncMongoClient[dict[str, Any]]


class State(StrEnum):
    """Whether the services can be used. DISABLED: ENABLE_MONGODB is false. DEGRADED: MongoDB cannot be used now."""

    UP = "up"
    DEGRADED = "degraded"
    DISABLED = "disabled"


@dataclass(frozen=True)
class Capabilities:
    """What the deployment can do."""

    transactions: bool
    vector_search: bool


@dataclass(frozen=True)
class Health:
    """The result of one check. `pool` and `topology` hold numbers and kinds, no addresses and no credentials."""

    state: State
    latency_ms: float | None = None
    server_version: str | None = None
    capabilities: Capabilities | None = None
    pool: Mapping[str, int] = field(default_factory=dict)
    topology: Mapping[str, str | int | bool] = field(default_factory=dict)
    problem: str | None = None

    @property
    def healthy(self) -> bool:
        """Whether the services can be used, or are switched off on purpose."""
        return self.state is not State.DEGRADED

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON types."""
        return asdict(self)


class PoolListener(monitoring.ConnectionPoolListener):
    """Counts the connections of a client."""

    def __init__(self) -> None:
        self.open = self.in_use = self.failed_checkouts = 0

    def connection_created(self, event: monitoring.ConnectionCreatedEvent) -> None:
        """One more."""
        self.open += 1

    def connection_closed(self, event: monitoring.ConnectionClosedEvent) -> None:
        """One less."""
        self.open -= 1

    def connection_checked_out(self, event: monitoring.ConnectionCheckedOutEvent) -> None:
        """In use."""
        self.in_use += 1

    def connection_checked_in(self, event: monitoring.ConnectionCheckedInEvent) -> None:
        """Free again."""
        self.in_use -= 1

    def connection_check_out_failed(self, event: monitoring.ConnectionCheckOutFailedEvent) -> None:
        """Somebody waited in vain."""
        self.failed_checkouts += 1

    def connection_ready(self, event: monitoring.ConnectionReadyEvent) -> None:
        """Nothing to count."""

    def connection_check_out_started(self, event: monitoring.ConnectionCheckOutStartedEvent) -> None:
        """Nothing to count."""

    def pool_created(self, event: monitoring.PoolCreatedEvent) -> None:
        """Nothing to count."""

    def pool_ready(self, event: monitoring.PoolReadyEvent) -> None:
        """Nothing to count."""

    def pool_cleared(self, event: monitoring.PoolClearedEvent) -> None:
        """Nothing to count."""

    def pool_closed(self, event: monitoring.PoolClosedEvent) -> None:
        """Nothing to count."""


async def check(client: Client, settings: Settings, pool: PoolListener, capabilities: Capabilities) -> Health:
    """Ping the server and report what was seen; an unreachable server is a result, not an error."""
    started = time.perf_counter()
    try:
        await client.admin.command("ping")
        latency_ms = (time.perf_counter() - started) * 1000
        hello = await client.admin.command("hello")
        version = (await client.server_info())["version"]
    except PyMongoError as error:
        return Health(State.DEGRADED, problem=str(connections.translate_target_error(error)))
    description = client.topology_description
    return Health(
        State.UP,
        latency_ms=latency_ms,
        server_version=version,
        capabilities=capabilities,
        pool={
            "open": pool.open,
            "in_use": pool.in_use,
            "failed_checkouts": pool.failed_checkouts,
            "max": settings.max_pool_size,
        },
        topology={
            "kind": description.topology_type_name,
            "servers": len(description.server_descriptions()),
            "replica_set": str(hello.get("setName", "")),
            "writable": bool(hello.get("isWritablePrimary", hello.get("ismaster", False))),
        },
    )


async def probe(client: Client, settings: Settings) -> Capabilities:
    """Ask the deployment what it can do.

    Raises:
        PyMongoError: it cannot be asked.
    """
    hello = await client.admin.command("hello")
    clustered = "setName" in hello or hello.get("msg") == "isdbgrid"
    collection = client[settings.mongodb_database][anomaly_events.COLLECTION.name]
    try:
        await (await collection.aggregate([{"$listSearchIndexes": {}}])).to_list()
    except OperationFailure as error:
        if error.code not in schema.SEARCH_UNAVAILABLE:
            raise
        return Capabilities(transactions=clustered, vector_search=False)
    return Capabilities(transactions=clustered, vector_search=True)


async def prepare(settings: Settings) -> tuple[schema.Step, ...]:
    """Create what is missing of collections, indexes and validators; the steps that were run.

    Raises:
        TargetUnavailable: MongoDB cannot be reached.
        ConfigurationError: the target contradicts its specs.
    """
    return await asyncio.to_thread(_prepare, settings)


def _prepare(settings: Settings) -> tuple[schema.Step, ...]:
    done: tuple[schema.Step, ...] = ()
    with connections.open_target(settings, bulk=True) as client:
        database = client[settings.mongodb_database]
        try:
            for _ in range(2):  # a search index can only be planned on a collection that exists
                done += schema.apply(database, schema.plan(database, settings))
        except PyMongoError as error:
            raise connections.translate_target_error(error) from None
    return done
