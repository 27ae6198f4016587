"""The rate limit: a fixed window for each Authorization value, opened by its first request (clever-api.md 4)."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import asdict, dataclass

from .identity import digest
from .knobs import Knobs

WINDOWS_KEPT = 5_000


@dataclass(slots=True)
class Window:
    """One window of one Authorization value."""

    token: str
    opened: float
    ends: float
    resets_unix: float
    limit: int
    used: int = 0
    rejected: int = 0

    @property
    def remaining(self) -> int:
        """How many requests are left in the window."""
        return max(0, self.limit - self.used)


class RateLimiter:
    """Counts requests by Authorization value; a rejected request costs nothing."""

    def __init__(self) -> None:
        self._open: dict[str, Window] = {}
        self._past: deque[Window] = deque(maxlen=WINDOWS_KEPT)

    def admit(self, authorization: str, knobs: Knobs) -> tuple[bool, Window]:
        """Count a request and say whether it may pass."""
        now = time.monotonic()
        window = self._open.get(authorization)
        if window is None or now >= window.ends:
            seconds = knobs.window_seconds
            window = Window(digest(authorization), now, now + seconds, time.time() + seconds, knobs.rate_limit)
            self._open[authorization] = window
            self._past.append(window)
        window.limit = knobs.rate_limit
        if window.used >= window.limit:
            window.rejected += 1
            return False, window
        window.used += 1
        return True, window

    def end_windows(self) -> int:
        """End every open window now; gives how many there were."""
        ended = len(self._open)
        self._open.clear()
        return ended

    def windows(self) -> list[dict[str, object]]:
        """List the newest windows, oldest first, with what was used of each."""
        return [asdict(window) for window in self._past]


def rate_headers(window: Window, knobs: Knobs, *, skew_seconds: int = 0) -> list[tuple[str, str]]:
    """Write the four headers, once for each matching limit (clever-api.md 4, O16).

    :param skew_seconds: How far Clever's clock is ahead of this machine's.
    """
    if knobs.rate_headers == "none":
        return []
    stem = "X-Ratelimit-" if knobs.rate_header_case == "canonical" else "X-RateLimit-"
    resets = window.resets_unix + skew_seconds
    sets = [("bearer", window.limit, window.remaining, resets)]
    if knobs.rate_headers == "two_buckets":
        wide = (window.limit * 10, window.limit * 10 - window.used, resets + 3600)
        sets.insert(0, ("application", *wide))
    return [
        (stem + name, str(value))
        for bucket, limit, remaining, reset in sets
        for name, value in (
            ("Bucket", bucket),
            ("Limit", limit),
            ("Remaining", remaining),
            # Whole seconds, cut off: the window ends up to a second after the moment that the header names.
            ("Reset", int(reset)),
        )
    ]
