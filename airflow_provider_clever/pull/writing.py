"""A few threads that land complete days, so that waiting for a store does not stop the decoding."""

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from airflow_provider_clever.models import PulledDay
from airflow_provider_clever.pull.stopping import LOOK_SECONDS, stopped

_QUEUED_DAYS: Final = 8


class Writing:
    """Lands days in threads of its own; the first error of any of them comes out of the next call.

    The threads are daemons: after an error nobody waits for one that hangs in a store.

    :param land: called with each day, from any of the threads.
    :param threads: most of them; one more is started whenever more days are under way than there are threads.
    :param stop: set it to end everything; waiting then raises.
    """

    def __init__(self, land: Callable[[PulledDay], object], *, threads: int, stop: threading.Event) -> None:
        self._land = land
        self._threads = threads
        self._stop = stop
        self._ended = threading.Event()
        self._error: BaseException | None = None
        self._days: queue.Queue[PulledDay] = queue.Queue(_QUEUED_DAYS)
        self._started = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()

    def submit(self, day: PulledDay) -> None:
        """Hand over a day; waits while all threads are busy and the queue is full.

        :raises CleverStoppedError: the stop flag was set.
        :raises CleverLandingError: an earlier day could not be landed.
        """
        while True:
            self._check()
            with suppress(queue.Full):
                self._days.put(day, timeout=LOOK_SECONDS)
                break
        if self._started < self._threads and self._days.unfinished_tasks > self._started:
            threading.Thread(target=self._land_days, name=f"clever-land-{self._started}", daemon=True).start()
            self._started += 1

    def finish(self) -> None:
        """Wait until every day that was handed over has landed.

        :raises CleverStoppedError: the stop flag was set.
        :raises CleverLandingError: a day could not be landed.
        """
        with self._days.all_tasks_done:
            while self._days.unfinished_tasks and self._error is None and not self._stop.is_set():
                self._days.all_tasks_done.wait(LOOK_SECONDS)
        self._check()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
        if self._stop.is_set():
            raise stopped()

    def _land_days(self) -> None:
        while not self._ended.is_set():
            try:
                day = self._days.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                continue
            try:
                if self._error is None:
                    self._land(day)
            except BaseException as error:  # noqa: BLE001 - it comes out of the caller's next call instead
                self._error = self._error or error
            finally:
                self._days.task_done()
