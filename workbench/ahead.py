"""Work in two threads at once: one makes the next batch while the other uses the one before."""

from __future__ import annotations

from collections.abc import Iterator
from queue import SimpleQueue
from threading import Semaphore, Thread
from typing import TypeVar

BATCHES_AHEAD = 2
Batch = TypeVar("Batch")


def ahead(items: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches, made by a thread while the one before is used; at most `BATCHES_AHEAD` wait.

    It pays where either side waits for a server, which lets the other thread run. An error of the iterator is raised
    here; the thread has ended when this generator is closed or used up.
    """
    queue: SimpleQueue[tuple[Batch | None, BaseException | None]] = SimpleQueue()
    room, stopped = Semaphore(BATCHES_AHEAD), False

    def make() -> None:
        try:
            for item in items:
                room.acquire()
                if stopped:
                    return
                queue.put((item, None))
            queue.put((None, None))
        except BaseException as error:  # raised where the batches are used
            queue.put((None, error))

    thread = Thread(target=make, name="batches ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = queue.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item
            room.release()
    finally:
        stopped = True
        room.release()
        thread.join()
