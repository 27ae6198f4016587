"""What the threads of one client share."""

import threading
from collections.abc import Callable
from typing import Final

from airflow_provider_clever.api.credentials import credentials_of
from airflow_provider_clever.api.exchange import Credentials, RetryPolicy
from airflow_provider_clever.api.self_links import SelfLinkHistory
from airflow_provider_clever.api.throttle import Throttle
from airflow_provider_clever.api.walking import Sizes
from airflow_provider_clever.settings import CleverSettings

_LAST_WAIT_SHARE: Final = 0.125
"""How much the last wait counts in the moving average."""


class ClientState:
    """What the threads of one client share: credentials, throttle, page sizes, counters.

    :param settings: where Clever is, and as whom to ask.
    :param policy: how often and how long to try each request.
    :param stop: ends every wait and every request once it is set.
    :param on_token: called with each token that is looked up.
    :param sizes: rows of a page, and days of a question. Default: the largest.
    :param credentials: sent with each request. Default: those of the settings.
    """

    def __init__(
        self,
        settings: CleverSettings,
        policy: RetryPolicy,
        stop: threading.Event,
        on_token: Callable[[str], object],
        *,
        sizes: Sizes | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        self.settings = settings
        self.policy = policy
        self.stop = stop
        self.on_token = on_token
        self.sizes = sizes or Sizes()
        self.credentials = credentials or credentials_of(settings, policy, on_token)
        self.throttle = Throttle(settings.budget_share, stop)
        self.self_links = SelfLinkHistory()
        self._lock = threading.Lock()
        self.requests_sent = 0
        self.answer_seconds = 0.0

    def count_request(self) -> None:
        """Count a request that goes out."""
        with self._lock:
            self.requests_sent += 1

    def note_wait(self, seconds: float) -> None:
        """Add a wait for an answer to the moving average, where a single long one counts for little."""
        with self._lock:
            share = _LAST_WAIT_SHARE if self.answer_seconds else 1.0
            self.answer_seconds += share * (seconds - self.answer_seconds)
