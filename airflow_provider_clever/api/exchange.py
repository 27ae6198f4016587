"""One logical GET as a plan: what to send, how long to wait, when to renew the token, when to give up, and with what.

Nothing here does I/O; see :mod:`airflow_provider_clever.api.messages` for how plans are driven.
"""

import json
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final, NamedTuple, Protocol

from airflow_provider_clever.api.belief import Doubts
from airflow_provider_clever.api.bodies import UnreadableBodyError
from airflow_provider_clever.api.messages import Pause, Plan, Request, Response
from airflow_provider_clever.api.paging import Belief, Judge, Judgement, Walk
from airflow_provider_clever.api.redaction import without_cursor
from airflow_provider_clever.api.throttle import refusal_seconds
from airflow_provider_clever.exceptions import (
    CleverAuthError,
    CleverHTTPError,
    CleverNotFoundError,
    CleverProtocolError,
    CleverRateLimitError,
    CleverRequestError,
    CleverTransportError,
)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How patient one logical GET is. Airflow's own retries are the outer loop, so this one is short.

    :param attempts: how often to send when no answer or a 5xx comes. Default 5.
    :param unreadable_attempts: how often to send when a 200 is no page, or not the one that was asked for. Default 3.
    :param confirming_attempts: how often to send when Clever refuses otherwise than by 429: it counts when the same
        refusal comes twice in a row. Default 3.
    :param refused_attempts: how often to send when the answer is 429. Default 6.
    :param backoff_seconds: longest first wait; it doubles each time; the wait itself is random below it. Default 1.
    :param longest_backoff_seconds: where doubling ends. Default 16.
    :param patience_seconds: longest time waited in all. Default 600.
    :param random: gives the part of a wait that is taken, 0 to 1.
    :param wall_clock: gives Unix seconds.
    """

    attempts: int = 5
    unreadable_attempts: int = 3
    confirming_attempts: int = 3
    refused_attempts: int = 6
    backoff_seconds: float = 1.0
    longest_backoff_seconds: float = 16.0
    patience_seconds: float = 600.0
    random: Callable[[], float] = random.random
    wall_clock: Callable[[], float] = time.time


class Credentials(Protocol):
    """Whose name a request is sent in."""

    @property
    def advice(self) -> str:
        """Say what to do when they are refused."""

    def current(self) -> Plan[str]:
        """Give the value of the ``Authorization`` header."""

    def renewed(self, refused: str) -> Plan[str | None]:
        """Give another value than the refused one, or None: there is no other."""


class _Meaning(NamedTuple):
    error: type[CleverHTTPError]
    is_retried: bool
    next_step: str


_LATER: Final = "Clever has trouble; run again later, and see status.clever.com."
_ARGUMENTS: Final = "Check the ids, dates and filters that were asked for."
_MEANINGS: Final = {
    400: _Meaning(CleverRequestError, is_retried=False, next_step=_ARGUMENTS),
    401: _Meaning(CleverAuthError, is_retried=False, next_step=""),  # the credentials know
    403: _Meaning(CleverAuthError, is_retried=False, next_step=""),
    404: _Meaning(
        CleverNotFoundError,
        is_retried=False,
        next_step="The id is unknown, or the district does not share it with this app. If every attendance request"
        " ends like this, ask your contact at Clever whether attendance is enabled for this app and district.",
    ),
    408: _Meaning(CleverHTTPError, is_retried=True, next_step=_LATER),
    429: _Meaning(
        CleverRateLimitError,
        is_retried=True,
        next_step="Something else spends this token's budget. Run less at once on it, or lower budget_share there.",
    ),
    501: _Meaning(CleverRequestError, is_retried=False, next_step=_ARGUMENTS),
}
_REDIRECT: Final = _Meaning(
    CleverRequestError,
    is_retried=False,
    next_step="Redirects are not followed, for the token would go along. Set the connection's host to the API's own"
    " address, https://api.clever.com.",
)


def _meaning(status: int) -> _Meaning:
    if status in _MEANINGS:
        return _MEANINGS[status]
    if 300 <= status < 400:
        return _REDIRECT
    if 400 <= status < 500:
        return _Meaning(CleverRequestError, is_retried=False, next_step=_ARGUMENTS)
    return _Meaning(CleverHTTPError, is_retried=True, next_step=_LATER)


def exchange(
    request: Request,
    credentials: Credentials,
    policy: RetryPolicy,
    judge: Judge | None = None,
    doubts: Doubts | None = None,
) -> Plan[Response]:
    """Get one page that answers the question.

    Whatever is odd about an answer is asked again over a new connection, after a pause, before anything is made of it:
    one answer may come from something in between, or be another question's.

    :param request: what to ask.
    :param credentials: in whose name.
    :param policy: how patiently.
    :param judge: says whether a page may be taken. Default: as for the first page of a walk.
    :param doubts: what the client's other answers were like. Default: there are none.
    :return: a 200 whose body is a page.
    :raises CleverTransportError: no complete answer came, however often it was asked for.
    :raises CleverHTTPError: Clever answered with an error. It is permanent if it came twice in a row, and in the form
        in which Clever writes its errors.
    :raises CleverProtocolError: Clever answered 200 with something that is no page.
    """
    judge = judge or Walk(request).judge
    authorization = yield from credentials.current()
    patience = _Patience(request, policy, doubts or Doubts())
    while True:
        signed = replace(request, authorization=authorization, on_new_connection=patience.is_doubtful)
        try:
            response = yield signed
        except CleverTransportError as error:
            yield patience.after_silence(error)
            continue
        if response is None:
            raise TypeError("a driver answers a Request with a Response")
        patience.sent += 1
        if response.status == 200 or not response.is_alone:
            try:
                pause = patience.after_page(judge(_alone(response).body))
            except CleverProtocolError as error:
                pause = patience.after_oddity(error)
            if pause is None:
                return replace(response, is_believed=not patience.is_stray)
            yield pause
            continue
        if response.status in {401, 403} and not patience.has_renewed:
            patience.has_renewed = True
            renewed = yield from credentials.renewed(authorization)
            if renewed is not None:
                authorization, patience.is_doubtful = renewed, True
                continue
        yield patience.after_error(response, credentials.advice)


def _alone(response: Response) -> Response:
    if response.is_alone:
        return response
    raise CleverProtocolError(
        "Clever's answer came together with bytes that nobody asked for, so nothing says which of them is the answer."
        " Run again, and check the proxies in between if it stays."
    )


class _Patience:
    """What was tried already, and whether to try again."""

    def __init__(self, request: Request, policy: RetryPolicy, doubts: Doubts) -> None:
        self.sent = 0
        self.is_doubtful = request.on_new_connection
        self.is_stray = False
        self.has_renewed = False
        self._path = request.path
        self._question = without_cursor(request.url)
        self._policy = policy
        self._doubts = doubts
        self._failures = 0
        self._oddities = 0
        self._limited = 0
        self._refused = 0
        self._last_refusal: tuple[int, bool] | None = None
        self._last: Judgement | None = None
        self._waited_seconds = 0.0

    def after_silence(self, error: CleverTransportError) -> Pause:
        self.sent += 1
        self._failures += 1
        self._last_refusal = None
        what, _, next_step = str(error).partition(". ")
        if self._failures >= self._policy.attempts or not self._has_patience():
            text = f"{what} (asked {_times(self.sent)} for {self._path}). {next_step}"
            raise CleverTransportError(text, needs_person=error.needs_person, is_late=error.is_late) from None
        return self._pause(self._backoff(self._failures), f"{what}; asking again")

    def after_page(self, found: Judgement) -> Pause | None:
        """Say whether to ask again for a page that can be read; None: it is taken.

        :raises CleverProtocolError: it cannot be taken, however often it was asked for.
        """
        last, self._last = self._last, found
        if found.belief is Belief.STRAY:
            return self._after_stray(last, found)
        if found.belief is Belief.UNSURE and (last is None or last.belief is not Belief.UNSURE):
            return self._ask_again("the answer is empty, and does not say to what question, or says that more follows")
        self._doubts.note(found.agreement, self._question)
        return None

    def _after_stray(self, last: Judgement | None, found: Judgement) -> Pause | None:
        named = ", ".join(sorted(found.agreement.contradicted))
        is_general = self._doubts.are_general(found.agreement.contradicted)
        if is_general or self._oddities + 1 >= self._policy.unreadable_attempts:
            if not is_general and found != last:
                raise CleverProtocolError(
                    f"Clever's answers for {self._path} name another {named} than was asked for, each another one"
                    f" (asked {_times(self.sent)}). Nothing of them was used; run again, and check the proxies in"
                    " between if it stays."
                )
            self._doubts.note(found.agreement, self._question)
            self.is_stray = True
            return None
        return self._ask_again(f"the answer names another {named} than was asked for")

    def after_oddity(self, error: CleverProtocolError) -> Pause:
        what, _, next_step = str(error).partition(". ")
        if self._oddities + 1 >= self._policy.unreadable_attempts or not self._has_patience():
            if isinstance(error, UnreadableBodyError):
                what = f"Clever answered 200 for {self._path}, but {what}"
                next_step = "Check that the connection's host is Clever's API and that no proxy answers in its place."
            raise CleverProtocolError(f"{what} (asked {_times(self.sent)}). {next_step}") from None
        return self._ask_again(what)

    def _ask_again(self, why: str) -> Pause:
        self.is_doubtful = True
        self._last_refusal = None
        self._oddities += 1
        return self._pause(self._sure_wait(self._oddities), f"{why}; asking again over a new connection")

    def after_error(self, response: Response, advice: str) -> Pause:
        status, meaning = response.status, _meaning(response.status)
        if status < 300:
            return self.after_oddity(
                CleverProtocolError(f"Clever answered {status} for {self._path}, which no page comes with. Report it.")
            )
        is_confirmed = False
        last_refusal, self._last_refusal = self._last_refusal, None
        if status == 429:
            self._limited += 1
            if self._limited < self._policy.refused_attempts and self._has_patience():
                seconds = refusal_seconds(response.headers, self._policy.wall_clock())
                jitter_seconds = 0.05 + self._policy.random() * 0.45
                return self._pause(seconds + jitter_seconds, "Clever answered 429, the token's budget is spent")
        elif meaning.is_retried:
            self._failures += 1
            if self._failures < self._policy.attempts and self._has_patience():
                return self._pause(self._backoff(self._failures), f"Clever answered {status}; asking again")
        else:
            self.is_doubtful = True
            self._last_refusal = (status, is_error_of_clever(response.body))
            is_confirmed = self._last_refusal == (status, True) == last_refusal
            self._refused += 1
            if not is_confirmed and self._refused < self._policy.confirming_attempts and self._has_patience():
                why = f"Clever answered {status}; asking again over a new connection"
                return self._pause(self._sure_wait(self._refused), why)
        message = f"{said(response)}. {meaning.next_step or advice}"
        raise meaning.error(status, self._path, message, self.sent, is_confirmed=is_confirmed)

    def _has_patience(self) -> bool:
        return self._waited_seconds < self._policy.patience_seconds

    def _backoff(self, failures: int) -> float:
        longest = min(self._policy.backoff_seconds * 2.0 ** (failures - 1), self._policy.longest_backoff_seconds)
        return longest * self._policy.random()

    def _sure_wait(self, failures: int) -> float:
        """A wait that is never next to nothing: what is in between must have time to change."""
        return self._backoff(failures) + 0.5 * self._policy.backoff_seconds

    def _pause(self, seconds: float, reason: str) -> Pause:
        seconds = min(seconds, self._policy.patience_seconds - self._waited_seconds)
        self._waited_seconds += seconds
        return Pause(seconds, f"{reason} ({self._path})")


def _times(sent: int) -> str:
    return "once" if sent == 1 else f"{sent} times"


# --- what an error says ---------------------------------------------------------------------------------------------

_ERROR_FIELDS: Final = ("message", "error_description", "error")
"""Where an error of Clever's stands, in this order (clever-api.md 5)."""
_PARAMETER: Final = (
    "(?:limit|date_range_start|date_range_end|attendance_status|starting_after|ending_before|district|owner_type)"
)
_PHRASES: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), shown)
    for pattern, shown in (
        (rf"{_PARAMETER} in query should be (?:less|greater) than or equal to \d{{1,5}}", r"\g<0>"),
        (rf"{_PARAMETER} in query should be one of \[(?:present|absent|tardy| )+\]", r"\g<0>"),
        (rf"{_PARAMETER} in query is (?:required|not a valid cursor)", r"\g<0>"),
        (rf"{_PARAMETER} and {_PARAMETER} (?:must|cannot) be used together", r"\g<0>"),
        (rf"{_PARAMETER} must (?:not )?be (?:on or )?(?:before|after) {_PARAMETER}", r"\g<0>"),
        (r"(?:the )?date range (?:may|must|cannot) (?:not )?span (?:at most|more than) \d{1,4} days", r"\g<0>"),
        (r"parsing time .*: ((?:month|day|hour|minute|second) out of range)", r"a date cannot be read: \1"),
        (r"parsing time .*", "a date cannot be read"),
        (r"strconv\.Parse\w+: parsing .*", "a number cannot be read"),
        (r"(school|section|district|user|resource|page) (?:[0-9a-z_-]{1,64} )?not found", r"\1 not found"),
        (r"no authorization provided|could not authorize token|resource not in token's scopes", r"\g<0>"),
        (r"unauthorized|invalid[ _](?:grant|client|token|request)(?:: invalid code)?", r"\g<0>"),
    )
)
"""What an error of Clever's may say to be passed on, and in which words: clever-api.md 5, and what its kind of server
writes. An error may echo anything, a student's name among it, so nothing else is."""


def said(response: Response) -> str:
    """Give what an error answer says, if it is a known phrase of Clever's; else the status' own words."""
    text = " ".join(_message_in(response.body).split()).rstrip(" .")
    for pattern, shown in _PHRASES:
        if found := pattern.fullmatch(text):
            return found.expand(shown)
    try:
        return HTTPStatus(response.status).phrase
    except ValueError:
        return "no reason given"


def is_error_of_clever(body: bytes) -> bool:
    """Tell whether an error answer has the form in which Clever writes its errors; what is in between writes HTML."""
    return bool(_message_in(body))


def _message_in(body: bytes) -> str:
    try:
        answer = json.loads(body[:10_000].decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return ""
    found = [answer.get(name) for name in _ERROR_FIELDS] if isinstance(answer, dict) else []
    return next((text for text in found if isinstance(text, str) and text), "")
