"""Reads stores for a page within a time limit, because the threads that wait are those of Airflow's API."""

import threading
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, TypeVar

from airflow_provider_clever.exceptions import CleverLandingError
from airflow_provider_clever.storage.daemons import DaemonPool

Found = TypeVar("Found")

MOST_SECONDS: Final = 20.0
"""How long a page waits for a store."""
AT_ONCE: Final = 4
"""How many reads of one place run at once. A read that never ends keeps its slot, so hung reads do not pile up."""
_SLOT_SECONDS: Final = 2.0

_slots: defaultdict[str, threading.BoundedSemaphore] = defaultdict(lambda: threading.BoundedSemaphore(AT_ONCE))


def within(
    read: Callable[[], Found],
    place: str,
    *,
    otherwise: Callable[[], Found] | None = None,
    most_seconds: float = MOST_SECONDS,
) -> Found:
    """Read in a thread of its own, and abandon it if it takes too long.

    :param read: reads.
    :param place: what is read, as the error names it.
    :param otherwise: gives the result when the time is up. Default: the error is raised.
    :param most_seconds: how long to wait. Default 20.
    :raises CleverLandingError: the place does not answer in time.
    :raises BaseException: any error of ``read``.
    """
    slot = _slots[place]
    reading: Future[Found] | None = None
    if slot.acquire(timeout=_SLOT_SECONDS):
        pool = DaemonPool(1)
        reading = pool.submit(read)
        reading.add_done_callback(lambda _: slot.release())
        pool.close()
    try:
        if reading is not None:
            return reading.result(timeout=most_seconds)
    except TimeoutError:
        if reading is not None and reading.done():
            raise  # the error of the read itself
    if otherwise is not None:
        return otherwise()
    raise CleverLandingError(
        f"{place} did not answer within {most_seconds:g} seconds. Load the page again; if that does not help, look at "
        "the store or the file system"
    )
