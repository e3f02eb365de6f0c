"""composio_connections: the connections to outside tools, with their encrypted tokens."""

from __future__ import annotations

from enum import StrEnum

from pydantic import SecretStr

from workbench.models.document import Document
from workbench.models.fields import Instant, Key
from workbench.models.spec import Collection, Index, ascending, newest


class ConnectionStatus(StrEnum):
    """Whether the connection can be used."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


class ComposioConnection(Document):
    """One connection. The tokens are secret: no repr, log or report shows them."""

    connection_id: Key
    composio_connection_id: Key
    tenant_id: Key
    toolkit_name: Key
    status: ConnectionStatus
    encrypted_access_token: SecretStr
    refresh_token: SecretStr | None = None
    expires_at: Instant | None = None
    created_at: Instant
    updated_at: Instant
    last_used_at: Instant | None = None


SECRET_FIELDS = ("encrypted_access_token", "refresh_token")

COLLECTION = ComposioConnection.COLLECTION = Collection(
    name="composio_connections",
    source_table="composio_connections",
    document=ComposioConnection,
    natural_key=("connection_id",),
    sort_path="updated_at",
    indexes=(
        Index(ascending("tenant_id", "connection_id"), "get one", unique=True),
        Index(
            ascending("tenant_id", "toolkit_name", "composio_connection_id"),
            "one connection a tenant and toolkit",
            unique=True,
            before_load=True,
        ),
        Index(newest("tenant_id", by="updated_at"), "page through a tenant"),
        Index(newest("tenant_id", "toolkit_name", by="updated_at"), "connections of a toolkit"),
        Index(newest("tenant_id", "status", by="updated_at"), "active connections"),
        Index(ascending("tenant_id", "status", "expires_at"), "connections that expire before a time"),
    ),
    shard_key=(("tenant_id", 1),),
)
