"""When the next request may be sent, so that Clever never has to refuse one.

A bearer token has a budget of requests per fixed window, which its first request opens (clever-api.md 4). Everything
that the company runs on the token spends from that budget, so the headers of the answers are the truth:

* While nothing is known (at the start, and after each reset), one request is sent alone; its answer says what is left.
* Part of the budget stays unspent: what is outside the budget share, and always 1/75 of the limit (16 of 1,200) as a
  margin for processes that share the token. Once the rest is spent, nothing is sent until the window ends.
* Until then requests are sent immediately, at most a sixteenth of what is left (but at least one) at the same time, so
  that several processes that read the same figure do not overspend together.
* Without these headers there is no limit; then only the number of threads bounds the rate.

:class:`Budget` decides, without clock or threads; :class:`Throttle` adds both.
"""

import logging
import math
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from airflow_provider_clever.api.messages import unix_seconds
from airflow_provider_clever.exceptions import CleverStoppedError

log = logging.getLogger(__name__)

LONGEST_WAIT_SECONDS: Final = 120.0
UNKNOWN_WAIT_SECONDS: Final = 60.0
_ROUNDING_SECONDS: Final = 1.0
"""Reset is truncated to a whole second, so the window may end up to one second later."""
_SAME_WINDOW_SECONDS: Final = 1
_IN_FLIGHT_PART: Final = 16
_EDGE_PART: Final = 75


# --- headers --------------------------------------------------------------------------------------------------------


class Window(NamedTuple):
    """One rate limit as an answer states it.

    :param limit: requests per window.
    :param remaining: requests left in this window.
    :param reset: the window's end in Unix seconds, by the server's clock.
    """

    limit: int
    remaining: int
    reset: int


def read_windows(headers: Mapping[str, str]) -> list[Window]:
    """Give every rate limit that an answer states; the headers repeat for each of them (clever-api.md 4)."""
    columns = [
        [_whole_number(part) for part in headers.get(f"x-ratelimit-{name}", "").split(",")]
        for name in ("limit", "remaining", "reset")
    ]
    return [
        Window(limit, remaining, reset)
        for limit, remaining, reset in zip(*columns, strict=False)
        if limit is not None and remaining is not None and reset is not None
    ]


def _whole_number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isdecimal() and len(text) < 16 else None


def _clock_skew(headers: Mapping[str, str], wall_seconds: float) -> float | None:
    """Give by how many seconds the server's clock is at least ahead of ours; None if the answer has no ``Date``."""
    server_seconds = unix_seconds(headers.get("date", ""))
    return None if server_seconds is None else server_seconds - wall_seconds


def refusal_seconds(headers: Mapping[str, str], wall_seconds: float) -> float:
    """Give how long to wait after a 429: by ``Retry-After``, else until the spent limit's reset, else a whole window.

    ``Retry-After: 0`` and instants in the past are ignored: the refusal itself shows that the window has not ended.

    :param headers: the headers of the 429.
    :param wall_seconds: our clock, in Unix seconds.
    :return: more than 0 and at most 120 seconds.
    """
    skew = _clock_skew(headers, wall_seconds)
    retry_after = headers.get("retry-after", "").strip()
    moment = unix_seconds(retry_after)
    seconds = float(_whole_number(retry_after) or 0)
    if moment is not None:
        seconds = _seconds_to(moment, skew, wall_seconds)
    if seconds > 0:
        return _bounded(seconds)
    windows = read_windows(headers)
    spent = [window for window in windows if window.remaining <= 0] or windows
    latest = max((window.reset for window in spent), default=-math.inf)
    seconds = _seconds_to(latest + _ROUNDING_SECONDS, skew, wall_seconds)
    return _bounded(seconds) if seconds > 0 else UNKNOWN_WAIT_SECONDS


def _seconds_to(server_moment: float, skew_seconds: float | None, wall_seconds: float) -> float:
    """Give the seconds until an instant of the server's clock.

    Without a ``Date`` to compare the clocks, only an instant within the next window is credible. For any other, one of
    the two clocks must be wrong, and the answer is a whole window.
    """
    seconds = server_moment - wall_seconds - (skew_seconds or 0.0)
    if skew_seconds is None and not 0 < seconds <= UNKNOWN_WAIT_SECONDS + _ROUNDING_SECONDS:
        return UNKNOWN_WAIT_SECONDS
    return seconds


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)


# --- the decision ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Bucket:
    """One rate limit as far as we know it. ``ends_at`` is in monotonic seconds."""

    limit: int
    remaining: int
    reset: int
    skew_seconds: float | None
    ends_at: float


class Verdict(NamedTuple):
    """Whether a request may be sent.

    :param seconds: 0 if it may be sent now; infinity if it must wait for another request's answer; else how long to
        wait.
    :param reason: why, for the log; empty if it need not be logged.
    """

    seconds: float
    reason: str = ""


_GO: Final = Verdict(0.0)
_AFTER_ANOTHER: Final = Verdict(math.inf)


class Budget:
    """Decides when a request may be sent, given the time and the answers so far. It does no I/O.

    :param share: part of each limit that may be spent, counting everything that uses the token. Default 1.
    :param jitter: returns 0 to 1; it spreads processes that wait for the same reset.
    """

    def __init__(self, share: float = 1.0, jitter: Callable[[], float] = random.random) -> None:
        self._share = share
        self._jitter = jitter
        self._buckets: list[_Bucket] = []
        self._is_unlimited = False
        self._is_probing = False
        self._closed_until = -math.inf
        self._in_flight = 0

    def decide(self, now: float) -> Verdict:
        """Decide whether a request may be sent.

        :param now: monotonic seconds.
        """
        if now < self._closed_until:
            return Verdict(self._closed_until - now, "Clever refused a request, the token's budget is spent")
        if self.must_learn(now):
            return _AFTER_ANOTHER if self._is_probing else _GO
        if self._is_unlimited:
            return _GO
        tightest = min(self._buckets, key=self._spendable)
        spendable = self._spendable(tightest)
        if spendable <= self._in_flight:
            spent = [bucket for bucket in self._buckets if self._spendable(bucket) <= self._in_flight]
            seconds = max(bucket.ends_at for bucket in spent) - now
            return Verdict(
                seconds,
                f"our share of the token's budget is spent ({tightest.remaining} of {tightest.limit} left)",
            )
        return _GO if self._in_flight < max(1, spendable // _IN_FLIGHT_PART) else _AFTER_ANOTHER

    def must_learn(self, now: float) -> bool:
        """Tell whether nothing is known, so that one request must be sent alone and its answer awaited."""
        if self._is_unlimited:
            return False
        return not self._buckets or any(now >= bucket.ends_at for bucket in self._buckets)

    def _spendable(self, bucket: _Bucket) -> int:
        kept = max(math.ceil(bucket.limit * (1 - self._share) - 1e-9), bucket.limit // _EDGE_PART)
        return bucket.remaining - kept

    def sent(self, now: float) -> bool:
        """Note that a request is sent. Give True if it is sent alone; pass that on to :meth:`came_back`."""
        is_probe = self.must_learn(now)
        self._is_probing = self._is_probing or is_probe
        self._in_flight += 1
        return is_probe

    def came_back(self, *, is_probe: bool) -> None:
        """Note that a request has ended, with or without an answer."""
        self._in_flight -= 1
        if is_probe:
            self._is_probing = False

    def answered(self, status: int, headers: Mapping[str, str], now: float, wall: float, *, is_probe: bool) -> None:
        """Learn from an answer.

        :param status: the HTTP status.
        :param headers: names in lower case.
        :param now: monotonic seconds.
        :param wall: Unix seconds, by our clock.
        :param is_probe: what :meth:`sent` returned.
        """
        if status == 429:
            seconds = refusal_seconds(headers, wall) + self._spread_seconds()
            self._closed_until = max(self._closed_until, now + seconds)
            self._buckets, self._is_unlimited = [], False
            return
        windows = read_windows(headers)
        if not windows:
            # Only a 200 shows that there is no limit; an error may come from a gateway.
            self._is_unlimited = self._is_unlimited or (status == 200 and not self._buckets)
            return
        self._is_unlimited = False
        skew = _clock_skew(headers, wall)
        if is_probe or len(windows) != len(self._buckets):
            self._buckets = [self._bucket(window, skew, now, wall) for window in windows]
            return
        for place, (bucket, window) in enumerate(zip(self._buckets, windows, strict=True)):
            if window.reset > bucket.reset + _SAME_WINDOW_SECONDS:
                self._buckets[place] = self._bucket(window, skew, now, wall)
            elif window.reset >= bucket.reset - _SAME_WINDOW_SECONDS:
                self._tighten(bucket, window, skew, now, wall)

    def _bucket(self, window: Window, skew: float | None, now: float, wall: float) -> _Bucket:
        return _Bucket(window.limit, window.remaining, window.reset, skew, self._end(window.reset, skew, now, wall))

    def _tighten(self, bucket: _Bucket, window: Window, skew: float | None, now: float, wall: float) -> None:
        bucket.remaining = min(bucket.remaining, window.remaining)
        if skew is not None and (bucket.skew_seconds is None or skew > bucket.skew_seconds):
            # Date has whole seconds, so the answer sent right after a second began shows the server's clock best.
            bucket.skew_seconds = skew
            bucket.ends_at = min(bucket.ends_at, self._end(bucket.reset, skew, now, wall))

    def _end(self, reset: int, skew: float | None, now: float, wall: float) -> float:
        return now + _bounded(_seconds_to(reset + _ROUNDING_SECONDS, skew, wall)) + self._spread_seconds()

    def _spread_seconds(self) -> float:
        return 0.05 + 0.45 * self._jitter()

    def left(self, now: float) -> "BudgetLeft | None":
        """Give what is left of the tightest limit; None if nothing is known."""
        current = [bucket for bucket in self._buckets if now < bucket.ends_at]
        if not current:
            return None
        bucket = min(current, key=lambda bucket: bucket.remaining)
        return BudgetLeft(bucket.limit, bucket.remaining, bucket.ends_at - now)


class BudgetLeft(NamedTuple):
    """What is left of a token's budget.

    :param limit: requests per window.
    :param remaining: requests left in this window.
    :param reset_seconds: seconds until it ends.
    """

    limit: int
    remaining: int
    reset_seconds: float


class HeldBack(NamedTuple):
    """How often and how long the budget held requests back.

    :param refused: answers with status 429.
    :param seconds: in which requests waited for the budget; several that wait at the same time count once.
    """

    refused: int
    seconds: float


# --- clock and threads ----------------------------------------------------------------------------------------------


class Throttle:
    """Holds back the requests of all threads until a token's budget allows them. One for each token.

    :param share: part of the budget that may be spent, above 0 and at most 1. Default 1.
    :param stop: ends every wait once it is set. Default: nothing does.
    """

    _POLL_SECONDS = 0.2

    def __init__(self, share: float = 1.0, stop: threading.Event | None = None) -> None:
        self._budget = Budget(share)
        self._stop = stop or threading.Event()
        self._turn = threading.Condition()
        self._logged_until = -math.inf
        self._refused = 0
        self._held_seconds = 0.0
        self._held_until = -math.inf

    def acquire(self) -> bool:
        """Wait until a request may be sent. Give what to pass to :meth:`release`.

        :raises CleverStoppedError: the client was told to stop.
        """
        with self._turn:
            while True:
                if self._stop.is_set():
                    raise CleverStoppedError("The client was told to stop.")
                now = time.monotonic()
                verdict = self._budget.decide(now)
                if verdict.seconds <= 0:
                    return self._budget.sent(now)
                self._log_once(verdict, now)
                self._turn.wait(min(verdict.seconds, self._POLL_SECONDS))
                if verdict.reason:
                    until = time.monotonic()
                    self._held_seconds += until - max(now, self._held_until)
                    self._held_until = until

    def acquire_at_once(self) -> bool:
        """Claim a place for a request only if it need not wait, and no other request waits for its answer.

        :return: whether the request may be sent. Then pass ``is_probe=False`` to :meth:`release`.
        """
        with self._turn:
            now = time.monotonic()
            if self._stop.is_set() or self._budget.must_learn(now) or self._budget.decide(now).seconds > 0:
                return False
            self._budget.sent(now)
            return True

    def release(self, *, is_probe: bool, status: int | None = None, headers: Mapping[str, str] | None = None) -> None:
        """Give the place back once the request has ended.

        :param is_probe: what :meth:`acquire` returned.
        :param status: the answer's status. Default: no answer came.
        :param headers: the answer's headers.
        """
        with self._turn:
            self._refused += status == 429
            if status is not None:
                self._budget.answered(status, headers or {}, time.monotonic(), time.time(), is_probe=is_probe)
            self._budget.came_back(is_probe=is_probe)
            self._turn.notify_all()

    def snapshot(self) -> BudgetLeft | None:
        """Give what is left of the budget; None if it is not known."""
        with self._turn:
            return self._budget.left(time.monotonic())

    def held_back(self) -> HeldBack:
        """Give how often and how long the budget has held requests back so far."""
        with self._turn:
            return HeldBack(self._refused, self._held_seconds)

    def _log_once(self, verdict: Verdict, now: float) -> None:
        if verdict.reason and now >= self._logged_until:
            self._logged_until = now + verdict.seconds
            log.info("Waiting %.0f seconds: %s", verdict.seconds, verdict.reason)
