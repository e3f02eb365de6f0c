"""composio_connections: the connections to outside tools. No method shows a token."""

from __future__ import annotations

from datetime import datetime

from pydantic import SecretStr

from workbench.errors import InvalidInput
from workbench.models.composio_connections import ComposioConnection, ConnectionStatus
from workbench.models.fields import utc_now
from workbench.repositories.base import OpenRepository
from workbench.repositories.literals import between, instant
from workbench.repositories.paging import DEFAULT_LIMIT, Order, Page, Ties

_SOONEST_EXPIRY = Order("expires_at", 1, Ties.APART)


class ComposioConnectionRepository(OpenRepository[ComposioConnection]):
    """Connections and their tokens, which are encrypted by their owner and `SecretStr` here."""

    document = ComposioConnection

    async def by_toolkit(
        self, tenant: str, toolkit_name: str, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[ComposioConnection]:
        """Connections of a toolkit, newest first."""
        return await self._page(tenant, {"toolkit_name": toolkit_name}, limit=limit, cursor=cursor)

    async def active(
        self, tenant: str, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[ComposioConnection]:
        """Active connections, newest first."""
        return await self._page(tenant, {"status": ConnectionStatus.ACTIVE}, limit=limit, cursor=cursor)

    async def expiring_before(
        self, tenant: str, time: datetime, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[ComposioConnection]:
        """Active connections that expire before a time, the soonest first."""
        where = {"status": ConnectionStatus.ACTIVE}
        ranges = between(self.document, "expires_at", None, instant("time", time))
        return await self._page(tenant, where, ranges=ranges, order=_SOONEST_EXPIRY, limit=limit, cursor=cursor)

    async def store_tokens(
        self,
        tenant: str,
        connection_id: str,
        *,
        encrypted_access_token: SecretStr,
        refresh_token: SecretStr | None,
        expires_at: datetime | None,
    ) -> ComposioConnection:
        """The connection with refreshed tokens, active again.

        Raises:
            NotFound: there is no such connection, or it is another tenant's.
            InvalidInput: it was revoked; its tokens stay as they were.
        """
        if not isinstance(encrypted_access_token, SecretStr):
            raise InvalidInput("encrypted_access_token", "must be a SecretStr")
        if refresh_token is not None and not isinstance(refresh_token, SecretStr):
            raise InvalidInput("refresh_token", "must be a SecretStr")
        values = {
            "encrypted_access_token": encrypted_access_token.get_secret_value(),
            "refresh_token": refresh_token.get_secret_value() if refresh_token else None,
            "expires_at": None if expires_at is None else instant("expires_at", expires_at),
            "status": ConnectionStatus.ACTIVE.value,
            "updated_at": utc_now(),
        }
        guard = {"status": {"$ne": ConnectionStatus.REVOKED.value}}
        changed = await self._change(tenant, (connection_id,), {"$set": values}, guard=guard, idempotent=True)
        if changed is None:
            await self.get(tenant, connection_id)
            raise InvalidInput("status", "the connection is revoked; a revoked connection takes no tokens")
        return changed

    async def mark_expired(self, tenant: str, connection_id: str) -> ComposioConnection:
        """The connection, expired; a revoked one stays revoked.

        Raises:
            NotFound: there is no such connection, or it is another tenant's.
        """
        return await self._set_status(tenant, connection_id, ConnectionStatus.EXPIRED)

    async def mark_revoked(self, tenant: str, connection_id: str) -> ComposioConnection:
        """The connection, revoked for good.

        Raises:
            NotFound: there is no such connection, or it is another tenant's.
        """
        return await self._set_status(tenant, connection_id, ConnectionStatus.REVOKED)

    async def _set_status(self, tenant: str, connection_id: str, status: ConnectionStatus) -> ComposioConnection:
        update = {"$set": {"status": status.value, "updated_at": utc_now()}}
        guard = {"status": {"$ne": ConnectionStatus.REVOKED.value}}
        changed = await self._change(tenant, (connection_id,), update, guard=guard, idempotent=True)
        return changed or await self.get(tenant, connection_id)
