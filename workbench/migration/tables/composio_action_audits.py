"""composio_action_audits -> composio_action_audits."""

from workbench.migration.tables.columns import Instant, Integer, JsonText, Text
from workbench.migration.tables.table import Table
from workbench.models.composio_action_audits import COLLECTION

TABLE = Table(
    collection=COLLECTION,
    key=("id",),
    columns=(
        Text("id", "audit_id"),
        Text("action_id"),
        Text("execution_id"),
        Text("toolkit_name"),
        Text("action_name"),
        Text("tenant_id"),
        Text("connection_id"),
        JsonText("parameters"),
        JsonText("result"),
        Text("status"),
        Instant("executed_at"),
        Integer("retry_count"),
        Text("error_message"),
    ),
    has_tenant=True,
)
