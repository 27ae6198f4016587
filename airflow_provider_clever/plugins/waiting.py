"""Reading stores for a page, no longer than a person waits: the threads that wait are those of Airflow's own API."""

import threading
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, TypeVar

from airflow_provider_clever.exceptions import CleverLandingError
from airflow_provider_clever.storage.daemons import DaemonPool

Found = TypeVar("Found")

MOST_SECONDS: Final = 20.0
"""For how long a page waits for a store."""
AT_ONCE: Final = 4
"""How many reads of one place go on at once; one that never ends keeps its room, so that hung reads do not pile up."""
_ROOM_SECONDS: Final = 2.0

_rooms: defaultdict[str, threading.BoundedSemaphore] = defaultdict(lambda: threading.BoundedSemaphore(AT_ONCE))


def within(
    read: Callable[[], Found],
    place: str,
    *,
    otherwise: Callable[[], Found] | None = None,
    most_seconds: float = MOST_SECONDS,
) -> Found:
    """Read in a thread of its own, and leave it behind if it takes too long.

    :param read: does it.
    :param place: what is read, as the error names it.
    :param otherwise: gives what there is when the time is up. Default: the error is raised.
    :param most_seconds: how long to wait. Default 20.
    :raises CleverLandingError: the place does not answer in time.
    :raises BaseException: what ``read`` raises.
    """
    room = _rooms[place]
    reading: Future[Found] | None = None
    if room.acquire(timeout=_ROOM_SECONDS):
        pool = DaemonPool(1)
        reading = pool.submit(read)
        reading.add_done_callback(lambda _: room.release())
        pool.close()
    try:
        if reading is not None:
            return reading.result(timeout=most_seconds)
    except TimeoutError:
        if reading is not None and reading.done():
            raise  # the read's own
    if otherwise is not None:
        return otherwise()
    raise CleverLandingError(
        f"{place} did not answer within {most_seconds:g} seconds. Load the page again; if that does not help, look at "
        "the store or the file system"
    )
