"""templates: reusable settings of investigations."""

from __future__ import annotations

from workbench.models.document import Document
from workbench.models.fields import Count, Instant, JsonObject, Key, Name
from workbench.models.spec import Collection, Index, ascending, newest


class Template(Document):
    """One template; its name is unique for its user."""

    template_id: Key
    tenant_id: Key
    user_id: Key
    name: Name
    description: str | None = None
    tags: list[str] | None = None
    template: JsonObject
    usage_count: Count = 0
    last_used: Instant | None = None
    created_at: Instant
    updated_at: Instant


COLLECTION = Template.COLLECTION = Collection(
    name="templates",
    source_table="investigation_templates",
    document=Template,
    natural_key=("template_id",),
    sort_path="updated_at",
    indexes=(
        Index(ascending("tenant_id", "template_id"), "get one", unique=True),
        Index(ascending("tenant_id", "user_id", "name"), "one name a user", unique=True, before_load=True),
        Index(newest("tenant_id", by="updated_at"), "page through a tenant"),
        Index(newest("tenant_id", "user_id", by="updated_at"), "templates of a user"),
        Index(newest("tenant_id", "tags", by="updated_at"), "templates by tags"),
        Index((("tenant_id", 1), ("usage_count", -1), ("_id", -1)), "the most used"),
    ),
    shard_key=(("tenant_id", 1),),
)
