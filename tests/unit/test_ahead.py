"""Batches made by a thread while the ones before are used."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from workbench.ahead import BATCHES_AHEAD, ahead


def running() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "batches ahead"]


def test_the_batches_come_in_order_and_the_thread_ends() -> None:
    assert list(ahead(iter(range(100)))) == list(range(100))
    assert not running()


def test_an_error_of_the_iterator_is_raised_after_the_batches_before_it() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    batches = ahead(broken())
    assert next(batches) == 1
    with pytest.raises(ValueError, match="no more"):
        next(batches)


def test_no_more_is_made_than_may_wait_and_a_user_that_stops_ends_the_thread() -> None:
    made = []

    def counted() -> Iterator[int]:
        for number in range(1_000_000):
            made.append(number)
            yield number

    batches = ahead(counted())
    assert next(batches) == 0
    batches.close()  # type: ignore[attr-defined]
    assert len(made) <= BATCHES_AHEAD + 3
    assert not running()
