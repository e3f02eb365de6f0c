"""The explorer without widgets: one object that a notebook, a widget or a test asks."""

from __future__ import annotations

from collections.abc import Coroutine
from concurrent.futures import Future
from datetime import datetime
from typing import Any, Self, TypeVar
from uuid import UUID

from workbench.errors import InvalidInput, NotFound
from workbench.explorer import anomalies, operations, similar
from workbench.explorer.dossier import Dossier, read_dossier
from workbench.explorer.investigations import InvestigationFilter, InvestigationPage, read_page, riskiest
from workbench.explorer.loop import OwnedLoop
from workbench.explorer.part import Part
from workbench.explorer.question import within
from workbench.explorer.reader import Reader
from workbench.settings import Settings, TenancyRule

T = TypeVar("T")
MAX_NEIGHBOURS = 100


class ExplorerModel:
    """Answers the explorer's questions. Reads only; its client lives on an event loop of its own.

    The coroutine methods run on that loop: `run` waits for one, `submit` does not. Use it as a context manager, or
    close it.

    Args:
        settings: which target.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loop = OwnedLoop()
        self._reader: Reader | None = None

    @property
    def default_tenant(self) -> str:
        """The tenant of rows that name none, and so of most data after a migration with the constant rule."""
        return self._settings.default_tenant

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """What a coroutine method answers; waits for it."""
        return self._loop.run(coroutine)

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Start a coroutine method; cancelling the future cancels it."""
        return self._loop.submit(coroutine)

    def close(self) -> None:
        """Cancel what is asked, close the client, and end the loop."""
        self._loop.close(self._close_reader)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def tenants(self) -> list[str]:
        """The tenants that have investigations."""
        return await self._ask().tenants("investigations")

    async def integration_tenants(self, tenant: str) -> list[str]:
        """The tenants under which the playbooks and tools of a tenant's investigations are stored.

        Only their tables name a tenant in the source. Where all other rows got one constant tenant, this constant
        stands for the whole platform and so for all of their tenants; else it is the tenant itself.
        """
        constant = self._settings.tenancy_rule is TenancyRule.CONSTANT and tenant == self._settings.default_tenant
        return await self._integration_tenants() if constant else [tenant]

    async def page(
        self,
        wanted: InvestigationFilter,
        *,
        after: tuple[datetime, Any] | None = None,
        first: int = 1,
        about: int | None = None,
    ) -> InvestigationPage:
        """One page of investigations, newest first; see `read_page`."""
        return await read_page(self._ask(), wanted, after=after, first=first, about=about)

    async def riskiest(self, tenant: str) -> str | None:
        """The id of the completed investigation with the highest risk score, or None."""
        return await riskiest(self._ask(), tenant)

    async def dossier(self, tenant: str, investigation_id: str) -> Dossier:
        """One investigation with everything but what is similar.

        Raises:
            NotFound: the tenant has no such investigation.
        """
        anomalies_of: tuple[str, ...] = (tenant,)
        integrations = await self.integration_tenants(tenant)
        if self._settings.tenancy_rule is TenancyRule.USER:
            # Anomalies have no user, and so the constant tenant; what names the investigation belongs to its tenant.
            anomalies_of = tuple(dict.fromkeys((tenant, self._settings.default_tenant)))
            integrations = sorted({*await self._integration_tenants(), tenant})
        return await read_dossier(self._ask(), tenant, investigation_id, anomalies_of, integrations)

    async def find_dossier(self, tenant: str, investigation_id: str) -> Dossier | None:
        """As `dossier`; None where the tenant has no such investigation."""
        try:
            return await self.dossier(tenant, investigation_id)
        except NotFound:
            return None

    async def similar(self, tenant: str, dossier: Dossier) -> tuple[Part, Part]:
        """Anomalies like those of an investigation, and the investigations that had them."""
        return await similar.similar_parts(self._ask(), tenant, dossier.investigation, dossier.anomalies)

    async def neighbours(self, tenant: str, anomaly_id: str, *, limit: int = 10, severity: str | None = None) -> Part:
        """The anomalies most like one.

        Raises:
            InvalidInput: the id is no UUID, or the limit is out of range.
            NotFound: the tenant has no such anomaly.
        """
        within("neighbours", limit, 1, MAX_NEIGHBOURS)
        try:
            key = UUID(anomaly_id)
        except ValueError:
            raise InvalidInput("anomaly_id", "must be a UUID") from None
        return await similar.neighbours(self._ask(), tenant, key, limit=limit, severity=severity)

    async def anomalies(self, tenant: str) -> anomalies.AnomalyOverview:
        """Detectors, and anomalies by severity, metric, cohort and time."""
        return await anomalies.read_overview(self._ask(), tenant)

    async def anomaly_map(self, tenant: str) -> tuple[Part, Part]:
        """The tenant's anomalies on a map of two dimensions, and the groups that lie together."""
        return await anomalies.read_map(self._ask(), tenant)

    async def operations(self, tenant: str, *, now: datetime, days: int) -> operations.OperationsOverview:
        """Audit activity, failed tool actions, playbook durations, connections that expire within `days` of `now`.

        Raises:
            InvalidInput: `days` is out of range.
        """
        within("days", days, 1, operations.MAX_DAYS)
        return await operations.read_overview(
            self._ask(), tenant, await self.integration_tenants(tenant), now=now, days=days
        )

    async def warm_up(self, tenant: str) -> None:
        """Read the tenant's vectors, so that the first search does not wait for them."""
        reader = self._ask()
        await reader.to_end(reader.similarity.warm_up(tenant))

    async def _close_reader(self) -> None:
        if self._reader is not None:
            await self._reader.close()

    def _ask(self) -> Reader:
        """The reader, made on the loop that will use it."""
        if self._reader is None:
            self._reader = Reader(self._settings)
        return self._reader

    async def _integration_tenants(self) -> list[str]:
        """Asked anew each time: a tenant that gets its first connection or playbook is not missed."""
        return await self._ask().tenants("composio_connections", "composio_action_audits", "soar_playbook_executions")
