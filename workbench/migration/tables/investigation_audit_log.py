"""investigation_audit_log -> audit_log."""

from workbench.migration.tables.columns import Instant, Integer, JsonText, Text
from workbench.migration.tables.table import Check, Table
from workbench.models.audit_log import COLLECTION

TABLE = Table(
    collection=COLLECTION,
    key=("entry_id",),
    columns=(
        Text("entry_id"),
        Text("investigation_id", "metadata.investigation_id"),
        Text("user_id", "metadata.user_id"),
        Text("action_type", "metadata.action_type"),
        JsonText("changes_json", "changes"),
        JsonText("state_snapshot_json", "state_snapshot"),
        Text("source", "metadata.source"),
        Integer("from_version"),
        Integer("to_version"),
        Instant("timestamp"),
    ),
    # whoever acted: a history belongs to the tenant of its investigation
    user="coalesce((SELECT s.user_id FROM investigation_states s WHERE s.investigation_id = t.investigation_id),"
    " t.user_id)",
    time_column="timestamp",
    checks=(
        Check(  # entries outlive a deleted investigation, and then one of them says so
            "orphan",
            "investigation_id",
            "NOT EXISTS (SELECT FROM investigation_states s WHERE s.investigation_id = t.investigation_id)"
            " AND NOT EXISTS (SELECT FROM investigation_audit_log d"
            " WHERE d.investigation_id = t.investigation_id AND d.action_type = 'DELETED')",
        ),
    ),
)
