"""Logs one line every ten seconds, so that a long pull can be watched."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from airflow_provider_clever.api.throttle import BudgetLeft

log = logging.getLogger(__name__)

EVERY_SECONDS: Final = 10.0


@dataclass(slots=True)
class Progress:
    """Counts what has arrived, and logs it from time to time.

    :param walks: how many there are in all.
    :param scopes: how many schools or sections they make up.
    :param budget_left: says what is left of the token's budget; None while unknown.
    :param clock: seconds; injectable.
    """

    walks: int
    scopes: int
    budget_left: Callable[[], BudgetLeft | None] = lambda: None
    clock: Callable[[], float] = time.monotonic
    rows: int = 0
    pages: int = 0
    walks_done: int = 0
    scopes_done: int = 0
    _started: float = -1.0
    _said: float = -1.0

    def tell(self) -> None:
        """Log the progress, if the last line is ten seconds old."""
        now = self.clock()
        if self._started < 0:
            self._started = self._said = now
        elif now - self._said >= EVERY_SECONDS:
            self._said = now
            log.info("%s", self.line())

    def line(self) -> str:
        """The progress in one line."""
        seconds = max(self.clock() - self._started, 1e-9)
        budget = self.budget_left()
        parts = [
            f"{self.rows:,} rows in {self.pages:,} pages",
            f"{self.scopes_done} of {self.scopes} schools or sections done",
            f"{self.rows / seconds:,.0f} rows/s",
            f"{budget.remaining} of {budget.limit} requests left in this window" if budget else "no rate limit seen",
        ]
        if self.walks_done:
            parts.append(f"about {seconds / self.walks_done * (self.walks - self.walks_done):,.0f} s to go")
        return ", ".join(parts)
