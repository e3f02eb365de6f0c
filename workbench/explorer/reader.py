"""Answers questions: the only part of the explorer that talks to MongoDB."""

from __future__ import annotations

from typing import Any

from pymongo.errors import ExecutionTimeout, NetworkTimeout, PyMongoError

from workbench.connections import open_target_async, translate_target_error
from workbench.explorer.guard import read_only
from workbench.explorer.question import Json, Question
from workbench.models import COLLECTIONS
from workbench.settings import Settings
from workbench.similarity.search import SimilaritySearch

COUNT_CAP = 10_000
"""Counting stops here: "about 10,000 or more" is all that a reader of pages needs."""
QUESTION_MS = 10_000


class Reader:
    """Reads the target through a guarded client of its own. It belongs to the event loop that first uses it.

    Args:
        settings: which target.
    """

    def __init__(self, settings: Settings) -> None:
        self._client = open_target_async(settings)
        self._database = read_only(self._client[settings.mongodb_database])
        self._settings = settings
        self._similarity: SimilaritySearch | None = None

    @property
    def similarity(self) -> SimilaritySearch:
        """Search by vector over the same guarded database."""
        if self._similarity is None:
            self._similarity = SimilaritySearch(self._database, self._settings)
        return self._similarity

    async def rows(self, question: Question) -> list[Json]:
        """The documents that a question finds, with their `_id`.

        Raises:
            TargetUnavailable: the target cannot be reached, refuses, or needs more than `QUESTION_MS`.
        """
        collection = self._database[question.collection.name]
        try:
            if question.stages:
                cursor: Any = await collection.aggregate(question.pipeline, maxTimeMS=QUESTION_MS)
            else:
                cursor = collection.find(
                    question.condition,
                    question.projection,
                    sort=list(question.sort.items()) or None,
                    limit=question.limit,
                    max_time_ms=QUESTION_MS,
                )
            return [row async for row in cursor]
        except PyMongoError as error:
            raise translate_target_error(error) from error

    async def count(self, question: Question) -> int | None:
        """How many documents the question's filter leaves, at most `COUNT_CAP`; None where counting took too long."""
        collection = self._database[question.collection.name]
        try:
            return await collection.count_documents(question.condition, limit=COUNT_CAP, maxTimeMS=QUESTION_MS // 4)
        except (ExecutionTimeout, NetworkTimeout):
            return None
        except PyMongoError as error:
            raise translate_target_error(error) from error

    async def tenants(self) -> dict[str, list[str]]:
        """Which tenants there are: of investigations, and of the tables of tools and playbooks."""
        try:
            return {
                name: sorted(map(str, await self._database[name].distinct(COLLECTIONS[name].tenant_path)))
                for name in ("investigations", "composio_connections")
            }
        except PyMongoError as error:
            raise translate_target_error(error) from error

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()
