"""composio_connections -> composio_connections."""

from workbench.migration.tables.columns import Instant, Text
from workbench.migration.tables.table import Table
from workbench.models.composio_connections import COLLECTION

TABLE = Table(
    collection=COLLECTION,
    key=("id",),
    columns=(
        Text("id", "connection_id"),
        Text("tenant_id"),
        Text("toolkit_name"),
        Text("connection_id", "composio_connection_id"),
        Text("status"),
        Text("encrypted_access_token", secret=True),
        Text("refresh_token", secret=True),
        Instant("expires_at"),
        Instant("created_at"),
        Instant("updated_at"),
        Instant("last_used_at"),
    ),
    has_tenant=True,
)
