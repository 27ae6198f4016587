"""Asks a question in a thread of its own, while the caller does other work."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

from airflow_provider_clever.pull.stopping import LOOK_SECONDS, stopped

T = TypeVar("T")


class LateAnswer(Generic[T]):
    """One answer, requested on demand, and awaited for a limited time.

    :param question: gives the answer, or raises what :meth:`wait` shall raise.
    :param stop: set it to end the waiting.
    """

    def __init__(self, question: Callable[[], T], stop: threading.Event) -> None:
        self._question = question
        self._stop = stop
        self._answer: Future[T] = Future()

    def ask(self) -> None:
        """Ask once, in a daemon thread, so that a hanging read keeps no process alive."""
        threading.Thread(target=self._ask, name="clever-ask", daemon=True).start()

    def _ask(self) -> None:
        try:
            self._answer.set_result(self._question())
        except BaseException as error:  # noqa: BLE001 - it comes out where the answer is waited for
            self._answer.set_exception(error)

    def wait(self) -> T:
        """Give the answer as soon as it is there.

        :raises CleverStoppedError: the stop flag was set first.
        """
        while not wait([self._answer], timeout=LOOK_SECONDS).done:
            if self._stop.is_set():
                raise stopped()
        return self._answer.result()
