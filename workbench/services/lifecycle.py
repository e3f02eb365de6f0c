"""Services: one client with its repositories and services, from start to an orderly end."""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import NoReturn, Self

from pymongo.errors import PyMongoError

from workbench import connections
from workbench.errors import UnavailableError
from workbench.repositories import Repositories
from workbench.services import health
from workbench.services.background import BackgroundTasks
from workbench.services.health import Capabilities, Client, Health, PoolListener, State
from workbench.services.investigation_state import InvestigationStateService
from workbench.settings import Settings

logger = logging.getLogger(__name__)

DRAIN_SECONDS = 30.0
_CLOSED = "The services are closed."


class Services:
    """An async context manager that owns the client, the repositories and the services of one event loop.

        async with Services(settings) as services:
            await services.investigations.get(tenant, investigation_id, user=user)

    With ENABLE_MONGODB=false nothing is opened. With FAIL_ON_MONGODB_ERROR=false a MongoDB that cannot be used at
    the start leaves the services degraded; each `health()` tries again. In both cases their use raises.

    Args:
        settings: of this process.
        prepare_schema: create missing collections and indexes at the start.
    """

    def __init__(self, settings: Settings, *, prepare_schema: bool = True) -> None:
        self._settings = settings
        self._prepare_schema = prepare_schema
        self._pool = PoolListener()
        self._client: Client | None = None
        self._repositories: Repositories | None = None
        self._investigations: InvestigationStateService | None = None
        self._capabilities: Capabilities | None = None
        self._problem: str | None = None
        self._connecting = asyncio.Lock()
        self._closed = False
        self.background = BackgroundTasks()

    @property
    def state(self) -> State:
        """Whether the services can be used, as far as is known."""
        if not self._settings.enable_mongodb:
            return State.DISABLED
        return State.UP if self._investigations else State.DEGRADED

    @property
    def repositories(self) -> Repositories:
        """The ten repositories.

        Raises:
            UnavailableError: the services are disabled, degraded or closed.
        """
        return self._repositories if self._repositories else self._refuse()

    @property
    def investigations(self) -> InvestigationStateService:
        """The service of investigations.

        Raises:
            UnavailableError: the services are disabled, degraded or closed.
        """
        return self._investigations if self._investigations else self._refuse()

    async def start(self) -> None:
        """Connect, prepare the schema, ask for capabilities.

        Raises:
            UnavailableError: MongoDB cannot be used, and FAIL_ON_MONGODB_ERROR is true; or the services were closed.
            ConfigurationError: a setting is wrong, or the target contradicts its specs.
        """
        if self._closed:
            self._refuse()
        if not self._settings.enable_mongodb or self._investigations:
            return
        try:
            await self._connect()
        except UnavailableError as error:
            if self._settings.fail_on_mongodb_error:
                raise
            self._problem = str(error)
            logger.warning("Started without MongoDB: %s", error)

    async def health(self) -> Health:
        """What a check sees now; a degraded start is tried again first."""
        if self._closed:
            return Health(self.state, problem=_CLOSED)
        if self.state is State.DEGRADED:
            try:
                await self._connect()
            except UnavailableError as error:
                self._problem = str(error)
        if self._client is None or self._capabilities is None:
            return Health(self.state, problem=self._problem)
        return await health.check(self._client, self._settings, self._pool, self._capabilities)

    async def close(self, *, drain_seconds: float = DRAIN_SECONDS) -> None:
        """Close for good: wait for background tasks (at most `drain_seconds`, then they are cancelled)."""
        self._closed = True
        await self.background.drain(drain_seconds)
        client, self._client = self._client, None
        self._repositories = self._investigations = None
        if client:
            await client.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _connect(self) -> None:
        async with self._connecting:
            if self._investigations is None:
                await self._open()
            if self._closed:  # meanwhile
                await self.close()

    async def _open(self) -> None:
        if self._prepare_schema:
            for step in await health.prepare(self._settings):
                logger.info("Prepared: %s", step)
        client = connections.open_target_async(self._settings, event_listeners=[self._pool])
        try:
            self._capabilities = await health.probe(client, self._settings)
        except PyMongoError as error:
            await client.close()
            raise connections.translate_target_error(error) from None
        self._client, self._problem = client, None
        self._repositories = Repositories(client[self._settings.mongodb_database], self._settings)
        self._investigations = InvestigationStateService(self._repositories, self._settings, background=self.background)

    def _refuse(self) -> NoReturn:
        if self.state is State.DISABLED:
            raise UnavailableError("MongoDB is switched off.", todo="Set ENABLE_MONGODB=true.")
        if self._closed:
            raise UnavailableError(_CLOSED, todo="Make new ones.")
        raise UnavailableError(self._problem or "The services are not started.", todo="See health().")
