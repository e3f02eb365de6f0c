"""The one place where an operation is tried again: transient errors only, a bound, full jitter."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from secrets import SystemRandom
from typing import TypeVar

from pymongo.errors import PyMongoError

from workbench.connections import is_transient

T = TypeVar("T")

FIRST_DELAY_SECONDS = 0.05
MAX_DELAY_SECONDS = 2.0
_RANDOM = SystemRandom()


async def retry(operation: Callable[[], Awaitable[T]], *, attempts: int) -> T:
    """The result of an idempotent operation, tried again on transient errors.

    Only pass operations that may run twice without a second effect and whose second run gives the same answer. An
    insert or a guarded update is none: when only the reply was lost, its second run reports a conflict with itself.
    (The driver's own retryable writes cover that case on replica sets.)

    Args:
        operation: called for each attempt.
        attempts: how often at most; the delay before attempt n+1 is random between 0 and 50 ms * 2^(n-1), at most 2 s.

    Raises:
        PyMongoError: the last attempt's error, or the first that is not transient or ran out of time.
    """
    for attempt in range(1, attempts):
        try:
            return await operation()
        except PyMongoError as error:
            if error.timeout or not is_transient(error):
                raise
        await asyncio.sleep(_RANDOM.uniform(0, min(MAX_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** (attempt - 1))))
    return await operation()
