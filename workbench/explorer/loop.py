"""One event loop in one thread of its own: an async client belongs to it, whatever loop the notebook runs on."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class OwnedLoop:
    """Runs coroutines in a daemon thread. Start it once, close it at the end."""

    def __init__(self, name: str = "explorer") -> None:
        self._loop = asyncio.new_event_loop()
        self._own: weakref.WeakSet[Coroutine[Any, Any, Any]] = weakref.WeakSet()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Start a coroutine; cancelling the future cancels it."""
        self._own.add(coroutine)
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def run(self, coroutine: Coroutine[Any, Any, T], timeout_seconds: float | None = None) -> T:
        """What a coroutine returns; the calling thread waits for it.

        Raises:
            TimeoutError: it took longer; it is cancelled.
        """
        future = self.submit(coroutine)
        try:
            return future.result(timeout_seconds)
        except BaseException:
            future.cancel()
            raise

    def close(self, last: Callable[[], Coroutine[Any, Any, None]] | None = None) -> None:
        """Cancel the coroutines that run, then run `last`, and end the thread. A second call does nothing."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._end(last), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self, last: Callable[[], Coroutine[Any, Any, None]] | None) -> None:
        """Only our own coroutines are cancelled: those of a client are its own to end, in `last`."""
        await _cancelled([task for task in asyncio.all_tasks() if task.get_coro() in self._own])
        if last is not None:
            await last()
        await _cancelled([task for task in asyncio.all_tasks() if task is not asyncio.current_task()])


async def _cancelled(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
