"""A question that is asked in a thread of its own, while whoever wants the answer has other work to end."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, Generic, TypeVar

from airflow_provider_clever.exceptions import CleverStoppedError

T = TypeVar("T")

_LOOK_SECONDS: Final = 0.2
"""How soon a waiting thread sees that it should stop."""


class LateAnswer(Generic[T]):
    """One answer, asked for when somebody says so, and waited for no longer than it may be.

    :param question: gives the answer, or raises what :meth:`wait` shall raise.
    :param stop: set it to end the waiting.
    """

    def __init__(self, question: Callable[[], T], stop: threading.Event) -> None:
        self._question = question
        self._stop = stop
        self._answer: Future[T] = Future()

    def ask(self) -> None:
        """Ask, once, in a daemon thread: nobody ever waits for one that sits in a read."""
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
        while True:
            try:
                return self._answer.result(timeout=_LOOK_SECONDS)
            except TimeoutError:
                if self._answer.done():
                    raise
                if self._stop.is_set():
                    raise CleverStoppedError("The pull was told to stop. What had landed is intact.") from None
