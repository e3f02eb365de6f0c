"""Work that goes on behind an answer: it is tracked, its failures are logged, and a shutdown waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

logger = logging.getLogger(__name__)


class BackgroundTasks:
    """Tasks of one event loop."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, name: str, work: Coroutine[Any, Any, object]) -> None:
        """Run `work` behind the caller; what it raises is logged under `name` and goes no further."""
        task = asyncio.get_running_loop().create_task(self._guarded(name, work), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self, seconds: float | None = None) -> int:
        """Wait until all tasks have ended, those too that they start; after `seconds` cancel the rest.

        Returns:
            How many were cancelled.
        """
        try:
            async with asyncio.timeout(seconds):
                while self._tasks:
                    await asyncio.wait(self._tasks)
        except TimeoutError:
            rest = list(self._tasks)
            for task in rest:
                logger.warning("%s did not end within %s s and is cancelled", task.get_name(), seconds)
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)
            return len(rest)
        return 0

    @staticmethod
    async def _guarded(name: str, work: Coroutine[Any, Any, object]) -> None:
        try:
            await work
        except Exception:
            logger.exception("%s failed", name)
