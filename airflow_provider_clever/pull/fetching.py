"""Threads that walk chains and only move bytes.

They make no call to Airflow, share one token and one throttle, keep one connection each, and find nothing in a page
but its ``next`` link. They are daemons: nobody ever waits for one that sits in a read.

Each thread has at most one page waiting for the caller while it fetches the next one: so memory is bounded by the
number of threads, without a bounded queue, whose locks cost a tenth of a pull's processor time.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self, cast

from airflow_provider_clever.api.client import CleverClient
from airflow_provider_clever.api.endpoints import attendance_request
from airflow_provider_clever.api.fetcher import PageFetcher
from airflow_provider_clever.api.messages import Request
from airflow_provider_clever.api.paging import Walk
from airflow_provider_clever.exceptions import CleverStoppedError
from airflow_provider_clever.pull.chains import Chain
from airflow_provider_clever.pull.stopping import LOOK_SECONDS, stopped

_FIRST_THREADS: Final = 4
"""As many as keep the caller busy when answers come at once."""
_DRY_SECONDS: Final = 0.01
"""How long the caller waits for a page before all threads are started."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a walk did next: it brought a page, or it broke.

    :param chain: the walk.
    :param body: the page as it came; None if the walk broke.
    :param is_last: True if nothing more comes of this walk.
    :param error: what broke the walk.
    """

    chain: Chain
    body: bytes | None = field(default=None, repr=False)
    is_last: bool = True
    error: BaseException | None = None


class Fetching:
    """Walks chains side by side; iterate it for their steps, those of one walk in order.

    :param client: the API client; its token and throttle are shared by all threads.
    :param chains: the walks, taken in this order.
    :param max_concurrency: walks side by side.
    :param stop: set it to end everything; iterating then raises.
    :param when_fetched: called from any thread when nothing is left to fetch; steps may still be waiting. It must
        return at once, and not raise.
    """

    def __init__(
        self,
        client: CleverClient,
        chains: Sequence[Chain],
        *,
        max_concurrency: int,
        stop: threading.Event,
        when_fetched: Callable[[], object] = lambda: None,
    ) -> None:
        self._client = client
        self._waiting = deque(chains)
        self._chains = len(chains)
        self._threads = min(max_concurrency, len(chains))
        self._stop = stop
        self._ended = threading.Event()
        self._abandoned: set[int] = set()
        self._when_fetched = when_fetched
        self._lock = threading.Lock()
        self._unfetched = len(chains)
        self._started = 0
        self._steps: queue.SimpleQueue[tuple[Step, threading.Lock]] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        if not self._chains:
            self._when_fetched()
        self._start(_FIRST_THREADS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        if error is not None:
            self._client.stop()

    def __iter__(self) -> Iterator[Step | None]:
        """The steps; None now and then while there is none, so that the caller can look at something else.

        :raises CleverStoppedError: the stop flag was set.
        """
        open_chains = self._chains
        while open_chains:
            if self._stop.is_set():
                raise stopped()
            is_growing = self._started < self._threads
            try:
                step, place = self._steps.get(timeout=_DRY_SECONDS if is_growing else LOOK_SECONDS)
            except queue.Empty:
                self._start(self._threads)
                yield None
                continue
            place.release()
            open_chains -= step.is_last
            yield step

    def abandon(self, chain: Chain) -> None:
        """Ask for no more pages of this walk; its last step still comes."""
        self._abandoned.add(id(chain))

    def _start(self, threads: int) -> None:
        """Have so many threads, but no more than may be."""
        while self._started < min(threads, self._threads):
            threading.Thread(target=self._walk_chains, name=f"clever-fetch-{self._started}", daemon=True).start()
            self._started += 1

    def _walk_chains(self) -> None:
        place = threading.Lock()
        with suppress(IndexError, CleverStoppedError), self._client.fetcher() as fetcher:
            while not self._ended.is_set():
                self._walk(self._waiting.popleft(), fetcher, place)

    def _walk(self, chain: Chain, fetcher: PageFetcher, place: threading.Lock) -> None:
        first = attendance_request(self._client.settings.api_base, chain.query)
        walk, request = Walk(first), cast("Request | None", first)
        try:
            while request is not None:
                body = fetcher.fetch(request).body
                request = None if id(chain) in self._abandoned else walk.advance(body)
                self._put(Step(chain, body, request is None), place)
        except CleverStoppedError:
            raise
        except BaseException as error:  # noqa: BLE001 - a thread that died in silence would leave the caller waiting
            self._put(Step(chain, error=error), place)

    def _put(self, step: Step, place: threading.Lock) -> None:
        if step.is_last:
            self._count_fetched()
        while not self._ended.is_set():
            if place.acquire(timeout=LOOK_SECONDS):  # the caller gives it back when it takes the step
                self._steps.put((step, place))
                return

    def _count_fetched(self) -> None:
        with self._lock:
            self._unfetched -= 1
            is_all = not self._unfetched
        if is_all:
            self._when_fetched()
