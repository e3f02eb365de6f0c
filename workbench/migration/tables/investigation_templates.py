"""investigation_templates -> templates."""

from workbench.migration.tables.columns import Instant, Integer, JsonText, Tags, Text
from workbench.migration.tables.table import Check, Table
from workbench.models.templates import COLLECTION

_SPACE = r"E' \t\n\r\f\v\u00a0'"
TABLE = Table(
    collection=COLLECTION,
    key=("template_id",),
    columns=(
        Text("template_id"),
        Text("user_id"),
        Text("name"),
        Text("description"),
        Tags("tags"),
        JsonText("template_json", "template"),
        Integer("usage_count"),
        Instant("last_used"),
        Instant("created_at"),
        Instant("updated_at"),
    ),
    user="t.user_id",
    checks=(
        Check(
            "duplicate_after_normalisation",
            "name",
            "EXISTS (SELECT FROM investigation_templates o WHERE o.user_id = t.user_id"
            f" AND normalize(btrim(o.name, {_SPACE})) = normalize(btrim(t.name, {_SPACE}))"
            " AND (o.created_at, o.template_id) < (t.created_at, t.template_id))",
        ),
    ),
)
