"""templates: reusable settings of investigations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from workbench.errors import InvalidInput
from workbench.models.fields import utc_now
from workbench.models.templates import Template
from workbench.repositories.base import OpenRepository
from workbench.repositories.literals import literals
from workbench.repositories.paging import DEFAULT_LIMIT, Order, Page

_MOST_USED = Order("usage_count")
_OPERATORS = {"any": "$in", "all": "$all"}


class TemplateRepository(OpenRepository[Template]):
    """Templates and how often they are used."""

    document = Template

    async def of_user(
        self, tenant: str, user_id: str, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[Template]:
        """Templates of a user, newest first."""
        return await self._page(tenant, {"user_id": user_id}, limit=limit, cursor=cursor)

    async def by_tags(
        self,
        tenant: str,
        tags: Sequence[str],
        *,
        match: Literal["any", "all"] = "any",
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> Page[Template]:
        """Templates with any, or with all, of the tags, newest first."""
        if match not in ("any", "all"):
            raise InvalidInput("match", "must be 'any' or 'all'")
        ranges = {"tags": {_OPERATORS[match]: literals(self.document, "tags", tags)}}
        return await self._page(tenant, {}, ranges=ranges, limit=limit, cursor=cursor)

    async def most_used(self, tenant: str, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None) -> Page[Template]:
        """Templates, the most used first."""
        return await self._page(tenant, {}, order=_MOST_USED, limit=limit, cursor=cursor)

    async def record_use(self, tenant: str, template_id: str) -> Template:
        """The template, used once more, now.

        Raises:
            NotFound: there is no such template, or it is another tenant's.
        """
        update = {"$inc": {"usage_count": 1}, "$max": {"last_used": utc_now()}}
        return await self._must_change(tenant, (template_id,), update)
