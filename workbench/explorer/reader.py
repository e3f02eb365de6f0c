"""Answers questions: the only part of the explorer that talks to MongoDB."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pymongo
from pymongo.errors import PyMongoError

from workbench.connections import open_target_async, translate_target_error
from workbench.explorer.guard import read_only
from workbench.explorer.question import Json, Question
from workbench.models import COLLECTIONS
from workbench.settings import Settings
from workbench.similarity.search import SimilaritySearch

COUNT_CAP = 10_000
"""Counting stops here: "about 10,000 or more" is all that a reader of pages needs."""
QUESTION_SECONDS = 10.0
COUNT_SECONDS = 2.5
CLOSE_SECONDS = 2.0

T = TypeVar("T")


class Reader:
    """Reads the target through a guarded client of its own. It belongs to the event loop that first uses it.

    Args:
        settings: which target.
    """

    def __init__(self, settings: Settings) -> None:
        self._client = open_target_async(settings, readPreference=settings.read_preference)
        self._database = read_only(self._client[settings.mongodb_database])
        self._settings = settings
        self._similarity: SimilaritySearch | None = None
        self._answers = False
        self._running: set[asyncio.Future[Any]] = set()

    @property
    def similarity(self) -> SimilaritySearch:
        """Search by vector over the same guarded database."""
        if self._similarity is None:
            self._similarity = SimilaritySearch(self._database, self._settings)
        return self._similarity

    async def rows(self, question: Question) -> list[Json]:
        """The documents that a question finds, with their `_id`.

        Raises:
            TargetUnavailable: the target cannot be reached, refuses, or needs more than `QUESTION_SECONDS`.
        """
        return await self.to_end(self._rows(question))

    async def to_end(self, operation: Coroutine[Any, Any, T]) -> T:
        """What an operation returns. Who is cancelled while waiting leaves at once; the operation goes on to its end.

        A driver operation that is cancelled gives up its connection, and leaks it where it was just being opened.
        """
        task = asyncio.ensure_future(operation)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Future[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # seen here where nobody waits for it any more

    async def _rows(self, question: Question) -> list[Json]:
        collection = self._database[question.collection.name]
        await self._connect()
        try:
            with pymongo.timeout(QUESTION_SECONDS):
                if question.stages:
                    cursor: Any = await collection.aggregate(question.pipeline)
                else:
                    sort = list(question.sort.items()) or None
                    cursor = collection.find(question.condition, question.projection, sort=sort, limit=question.limit)
                return [row async for row in cursor]
        except PyMongoError as error:
            raise translate_target_error(error) from error

    async def count(self, question: Question) -> int | None:
        """How many documents the question's filter leaves, at most `COUNT_CAP`; None where counting took too long."""
        return await self.to_end(self._count(question))

    async def _count(self, question: Question) -> int | None:
        collection = self._database[question.collection.name]
        await self._connect()
        try:
            with pymongo.timeout(COUNT_SECONDS):
                return await collection.count_documents(question.condition, limit=COUNT_CAP)
        except PyMongoError as error:
            if error.timeout:
                return None
            raise translate_target_error(error) from error

    async def tenants(self, *collections: str) -> list[str]:
        """The tenants that have documents in any of these collections."""
        return await self.to_end(self._tenants(collections))

    async def _tenants(self, collections: tuple[str, ...]) -> list[str]:
        await self._connect()
        try:
            with pymongo.timeout(QUESTION_SECONDS):
                found = [await self._database[name].distinct(COLLECTIONS[name].tenant_path) for name in collections]
            return sorted({str(tenant) for tenants in found for tenant in tenants})
        except PyMongoError as error:
            raise translate_target_error(error) from error

    async def _connect(self) -> None:
        """Ask for an answer before the first question: a server that is not there is told soon, not after retries."""
        if self._answers:
            return
        try:
            with pymongo.timeout(self._settings.server_selection_timeout_seconds):
                await self._client.admin.command("ping")
        except PyMongoError as error:
            raise translate_target_error(error) from error
        self._answers = True

    async def close(self) -> None:
        """Close the client, when what still runs has ended or `CLOSE_SECONDS` have passed."""
        if self._running:
            await asyncio.wait(self._running, timeout=CLOSE_SECONDS)
        await self._client.close()
