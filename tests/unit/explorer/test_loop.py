"""The owned loop: answers, cancels, ends."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import CancelledError

import pytest

from workbench.explorer.loop import OwnedLoop


@pytest.fixture
def loop() -> OwnedLoop:
    return OwnedLoop("test-loop")


async def where() -> str:
    return threading.current_thread().name


async def forever() -> None:
    await asyncio.sleep(3_600)


def test_a_coroutine_runs_on_the_thread_of_the_loop(loop: OwnedLoop) -> None:
    assert loop.run(where()) == "test-loop"
    loop.close()


async def test_it_can_be_asked_while_another_loop_runs(loop: OwnedLoop) -> None:
    assert await asyncio.wrap_future(loop.submit(where())) == "test-loop"
    loop.close()


def test_a_timeout_cancels_the_coroutine(loop: OwnedLoop) -> None:
    with pytest.raises(TimeoutError):
        loop.run(forever(), timeout_seconds=0.05)
    loop.close()


def test_closing_cancels_what_runs_and_ends_the_thread(loop: OwnedLoop) -> None:
    future = loop.submit(forever())
    time.sleep(0.05)
    loop.close()
    with pytest.raises(CancelledError):
        future.result(1)
    assert "test-loop" not in {thread.name for thread in threading.enumerate()}
    loop.close()


def test_what_is_cancelled_before_it_began_leaves_no_warning(loop: OwnedLoop) -> None:
    for _ in range(50):
        loop.submit(where()).cancel()
    loop.close()


def test_closing_cancels_our_own_first_and_then_runs_what_comes_last(loop: OwnedLoop) -> None:
    order: list[str] = []

    async def ours() -> None:
        try:
            await forever()
        finally:
            order.append("ours")

    async def last() -> None:
        order.append("last")

    loop.submit(ours())
    time.sleep(0.05)
    loop.close(last)
    assert order == ["ours", "last"]
