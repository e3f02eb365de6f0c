"""transaction_scores -> transaction_scores."""

from workbench.migration.tables.columns import Double, Instant, Text
from workbench.migration.tables.table import Check, Table
from workbench.models.transaction_scores import COLLECTION

TABLE = Table(
    collection=COLLECTION,
    key=("investigation_id", "transaction_id"),
    columns=(
        Text("investigation_id"),
        Text("transaction_id"),
        Double("risk_score"),
        Instant("created_at"),
    ),
    user="SELECT s.user_id FROM investigation_states s WHERE s.investigation_id = t.investigation_id",
    checks=(
        Check(
            "orphan",
            "investigation_id",
            "NOT EXISTS (SELECT FROM investigation_states s WHERE s.investigation_id = t.investigation_id)",
        ),
    ),
)
