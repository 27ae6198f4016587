"""Runs small jobs side by side, and ends at once when the stop flag is set."""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from airflow_provider_clever.pull.stopping import LOOK_SECONDS, stopped

T = TypeVar("T")


def side_by_side(act: Callable[[T], object], jobs: Iterable[T], *, most: int, stop: threading.Event) -> None:
    """Run all jobs in several daemon threads, so that a hanging store keeps no process alive.

    :param act: runs one job; called from several threads at once.
    :param jobs: the jobs, in order.
    :param most: how many run at once.
    :param stop: set it to end everything.
    :raises CleverStoppedError: the stop flag was set first.
    :raises BaseException: the first error of a job.
    """
    threads = _Threads(act, deque(jobs), stop)
    started = threads.start(most)
    for _ in range(started):
        while not threads.ended.acquire(timeout=LOOK_SECONDS):
            if stop.is_set():
                raise stopped()
    if threads.errors:
        raise threads.errors[0]
    if stop.is_set():
        raise stopped()


class _Threads(Generic[T]):
    def __init__(self, act: Callable[[T], object], waiting: deque[T], stop: threading.Event) -> None:
        self._act = act
        self._waiting = waiting
        self._stop = stop
        self.errors: list[BaseException] = []
        self.ended = threading.Semaphore(0)

    def start(self, most: int) -> int:
        count = min(most, len(self._waiting))
        for number in range(count):
            threading.Thread(target=self._work, name=f"clever-mark-{number}", daemon=True).start()
        return count

    def _work(self) -> None:
        try:
            while not self.errors and not self._stop.is_set():
                try:
                    job = self._waiting.popleft()
                except IndexError:
                    return
                self._act(job)
        except BaseException as error:  # noqa: BLE001 - it comes out of side_by_side() instead
            self.errors.append(error)
        finally:
            self.ended.release()
