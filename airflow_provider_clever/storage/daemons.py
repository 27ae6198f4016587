"""Runs calls that wait for a store in daemon threads, so that a hanging store keeps no process alive."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any, Final, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

SIDE_BY_SIDE: Final = 8
"""How many calls wait at once. Each has at most one object in memory."""


class DaemonPool:
    """A bounded pool of daemon threads, started as they are needed.

    The interpreter waits for the pools of ``concurrent.futures`` when it exits, however long a store takes.

    :param most: the most threads.
    """

    def __init__(self, most: int = SIDE_BY_SIDE) -> None:
        self._most = most
        self._started = 0
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()

    def submit(self, call: Callable[[], Result]) -> "Future[Result]":
        """Submit a call. Calls begin in the order of submission."""
        future: Future[Result] = Future()
        self._calls.put((future, call))
        if self._started < self._most:
            self._started += 1
            threading.Thread(target=self._work, name=f"clever-store-{self._started}", daemon=True).start()
        return future

    def close(self) -> None:
        """End the threads once all submitted calls are done. No further call can be submitted."""
        for _ in range(self._started):
            self._calls.put(None)

    def _work(self) -> None:
        while (found := self._calls.get()) is not None:
            future, call = found
            try:
                future.set_result(call())
            except BaseException as error:  # noqa: BLE001 - it comes out of the future instead
                future.set_exception(error)
            del found, future, call  # the result would otherwise be kept until the next call


def in_order(act: Callable[[Job], Result], jobs: Iterable[Job], *, most: int = SIDE_BY_SIDE) -> Iterator[Result]:
    """Run jobs side by side, and give their results in the order of the jobs.

    :param act: runs one job; called from several threads at once.
    :param jobs: taken one by one, as threads become free.
    :param most: how many run at once, and how many results are held at most. Default 8.
    :raises BaseException: the error of a job, in its place in the order.
    """
    pool, waiting = DaemonPool(most), deque[Future[Result]]()
    try:
        for job in jobs:
            waiting.append(pool.submit(partial(act, job)))
            if len(waiting) == most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.close()
