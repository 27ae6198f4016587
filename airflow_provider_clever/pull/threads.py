"""Walks chains in threads, in as few as keep Clever and the processor busy."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Final

from airflow_provider_clever.api.client import CleverClient
from airflow_provider_clever.api.fetcher import PageFetcher
from airflow_provider_clever.pull.chains import Chain
from airflow_provider_clever.pull.stopping import LOOK_SECONDS, stopped

_FIRST_THREADS: Final = 2
"""As many as keep two cores busy when answers come at once; each more makes the others wait for the interpreter."""
_LONG_WAIT_SECONDS: Final = 0.01
"""How long answers may be waited for before all threads are started."""
_SOON_SECONDS: Final = 0.01
"""How often it is checked whether answers are waited for."""
_NO_TURN: Final = nullcontext()


class WalkingThreads:
    """Threads that walk chains, each over a connection of its own, under the client's one token and throttle.

    They make no call to Airflow. They are daemon threads, so that a hanging read or store keeps no process alive.

    :param client: the API client.
    :param chains: the chains, in order.
    :param most: the most threads.
    :param stop: set it to end everything.
    """

    def __init__(self, client: CleverClient, chains: Sequence[Chain], *, most: int, stop: threading.Event) -> None:
        self._client = client
        self._waiting = deque(chains)
        self._cap = most
        self._most = min(most, len(chains))
        self._stop = stop
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._unfinished = len(chains)
        self._started = 0
        self._ended = threading.Event()
        self._error: BaseException | None = None

    def run(self, walk: Callable[[Chain, PageFetcher], object], look: Callable[[], object]) -> None:
        """Walk all chains to their end.

        :param walk: walks one chain to its end, from any of the threads, several at once. An error of it
            ends everything.
        :param look: called from time to time from this thread.
        :raises CleverStoppedError: the stop flag was set.
        :raises BaseException: the first error of a walk.
        """
        look()
        try:
            self._start(walk)
            while self._unfinished and not self._ended.wait(self._look_seconds):
                self._check_stop()
                look()
                self._start(walk)
        except BaseException:
            self._client.stop()
            raise
        finally:
            self._ended.set()
        if self._error is not None:
            self._client.stop()
            raise self._error

    def add(self, chains: Sequence[Chain]) -> None:
        """Walk these too. To be called by a walk that has not ended."""
        with self._lock:
            self._unfinished += len(chains)
            self._most = min(self._cap, self._most + len(chains))
        self._waiting.extend(chains)

    def in_turn(self) -> AbstractContextManager[object]:
        """A context for what is mostly the interpreter's work: once all threads are started, one is in it at a time.

        Where many answers come together, several would only wait for each other's interpreter lock.
        """
        return self._turn if self._started > _FIRST_THREADS else _NO_TURN

    def check(self) -> None:
        """Make sure that the pull has not been stopped.

        :raises CleverStoppedError: the stop flag was set, or another walk has ended everything.
        """
        if self._stop.is_set() or self._ended.is_set():
            raise stopped()

    @property
    def _look_seconds(self) -> float:
        return _SOON_SECONDS if self._started < self._most else LOOK_SECONDS

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise stopped()

    def _start(self, walk: Callable[[Chain, PageFetcher], object]) -> None:
        """Start all threads if Clever is waited for, otherwise a few."""
        is_far = self._client.answer_seconds > _LONG_WAIT_SECONDS
        while self._started < (self._most if is_far else min(_FIRST_THREADS, self._most)):
            name = f"clever-walk-{self._started}"
            threading.Thread(target=self._walk_chains, args=(walk,), name=name, daemon=True).start()
            self._started += 1

    def _walk_chains(self, walk: Callable[[Chain, PageFetcher], object]) -> None:
        with suppress(IndexError), self._client.fetcher() as fetcher:
            while not self._ended.is_set():
                chain = self._waiting.popleft()
                try:
                    walk(chain, fetcher)
                except BaseException as error:  # noqa: BLE001 - it comes out of run() instead
                    self._count_ended(error)
                else:
                    self._count_ended()

    def _count_ended(self, error: BaseException | None = None) -> None:
        with self._lock:
            self._error = self._error or error
            self._unfinished -= 1
            if error is not None or not self._unfinished:
                self._ended.set()
