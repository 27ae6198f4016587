"""One logical GET as a plan: when to send, wait, renew the token, or give up, and with which error.

Nothing here does I/O; :mod:`airflow_provider_clever.api.messages` says how plans are driven.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Protocol

from airflow_provider_clever.api.bodies import UnreadableBodyError
from airflow_provider_clever.api.error_answers import is_written_by_clever, phrase_of
from airflow_provider_clever.api.messages import Pause, Plan, Request, Response
from airflow_provider_clever.api.paging import CheckPage, PageCheck, PageMatch, Walk
from airflow_provider_clever.api.redaction import without_cursor
from airflow_provider_clever.api.self_links import SelfLinkHistory
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
    """How often and how long to try one logical GET. Airflow's own retries are the outer loop, so this one is short.

    :param attempts: most requests sent while no answer or a 5xx comes back. Default 5.
    :param unreadable_attempts: most requests sent while a 200 is not a page, or not the requested one. Default 3.
    :param confirming_attempts: most requests sent to see a refusal other than 429 twice in a row. Default 3.
    :param refused_attempts: most requests sent while Clever answers 429. Default 6.
    :param backoff_seconds: upper limit of the first wait; doubles with each retry. The wait is a random part of it.
        Default 1.
    :param longest_backoff_seconds: upper limit of any wait between retries. Default 16.
    :param patience_seconds: longest time to wait in total. Default 600.
    :param random: returns the part of the limit to wait, 0 to 1.
    :param wall_clock: returns the Unix time in seconds.
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
    """Who a request is sent as: a district, or the Clever app."""

    @property
    def advice(self) -> str:
        """Say what to do when they are refused."""

    @property
    def district_id(self) -> str | None:
        """Give the district whose data is asked for; None as long as it is not known."""

    def current(self) -> Plan[str]:
        """Give the value of the ``Authorization`` header."""

    def renewed(self, refused: str) -> Plan[str | None]:
        """Give a value that differs from the refused one; None if there is no other."""


class _Meaning(NamedTuple):
    error: type[CleverHTTPError]
    is_retried: bool
    next_step: str


_LATER: Final = "Clever has trouble; run again later, and see status.clever.com."
_ARGUMENTS: Final = "Check the ids, dates and filters that were asked for."
_MEANINGS: Final = {
    400: _Meaning(CleverRequestError, is_retried=False, next_step=_ARGUMENTS),
    401: _Meaning(CleverAuthError, is_retried=False, next_step=""),  # the credentials give the advice
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
    check_page: CheckPage | None = None,
    self_links: SelfLinkHistory | None = None,
) -> Plan[Response]:
    """Get one page that answers the question.

    A suspicious answer is requested again, after a pause and over a new connection, before anything follows from it:
    a proxy may have sent it, or it may belong to another request.

    :param request: what to ask.
    :param credentials: as whom to ask.
    :param policy: how often and how long to try.
    :param check_page: decides whether a page is accepted. Default: as for the first page of a walk.
    :param self_links: how the client's earlier pages compared with their requests. Default: none came before.
    :return: a 200 whose body is a page.
    :raises CleverTransportError: no complete answer came in any attempt.
    :raises CleverHTTPError: Clever answered with an error. It is permanent if the same error came twice in a row, in
        the form in which Clever writes its errors.
    :raises CleverProtocolError: Clever answered 200 with something other than a page.
    """
    check_page = check_page or Walk(request).check
    authorization = yield from credentials.current()
    attempts = _Attempts(request, policy, self_links or SelfLinkHistory())
    while True:
        signed = replace(request, authorization=authorization, on_new_connection=attempts.is_doubtful)
        try:
            response = yield signed
        except CleverTransportError as error:
            yield attempts.after_no_answer(error)
            continue
        if response is None:
            raise TypeError("a driver answers a Request with a Response")
        attempts.sent += 1
        if response.status == 200 or not response.is_alone:
            try:
                pause = attempts.after_page(check_page(_alone(response).body))
            except CleverProtocolError as error:
                pause = attempts.after_unusable(error)
            if pause is None:
                return replace(response, matches_request=False) if attempts.is_mismatched else response
            yield pause
            continue
        if response.status in {401, 403} and not attempts.has_renewed:
            attempts.has_renewed = True
            renewed = yield from credentials.renewed(authorization)
            if renewed is not None:
                authorization, attempts.is_doubtful = renewed, True
                continue
        yield attempts.after_error(response, credentials.advice)


def _alone(response: Response) -> Response:
    if response.is_alone:
        return response
    raise CleverProtocolError(
        "Clever's answer came together with bytes that nobody asked for, so nothing says which of them is the answer."
        " Run again, and check the proxies in between if it stays."
    )


class _Attempts:
    """The attempts so far, and whether to make another one."""

    def __init__(self, request: Request, policy: RetryPolicy, self_links: SelfLinkHistory) -> None:
        self.sent = 0
        self.is_doubtful = request.on_new_connection
        self.is_mismatched = False
        self.has_renewed = False
        self._path = request.path
        self._question = without_cursor(request.url)
        self._policy = policy
        self._self_links = self_links
        self._failures = 0
        self._unusable = 0
        self._limited = 0
        self._refused = 0
        self._last_refusal: tuple[int, bool] | None = None
        self._last: PageCheck | None = None
        self._waited_seconds = 0.0

    def after_no_answer(self, error: CleverTransportError) -> Pause:
        self.sent += 1
        self._failures += 1
        self._last_refusal = None
        what, _, next_step = str(error).partition(". ")
        if self._failures >= self._policy.attempts or not self._has_patience():
            text = f"{what} (asked {_times(self.sent)} for {self._path}). {next_step}"
            raise CleverTransportError(text, needs_person=error.needs_person, is_late=error.is_late) from None
        return self._pause(self._backoff(self._failures), f"{what}; asking again")

    def after_page(self, found: PageCheck) -> Pause | None:
        """Decide about a page that can be read: None accepts it, a pause asks again.

        :raises CleverProtocolError: no attempt brought an acceptable page.
        """
        last, self._last = self._last, found
        if found.match is PageMatch.MISMATCHED:
            return self._after_mismatch(last, found)
        if found.match is PageMatch.UNCONFIRMED and (last is None or last.match is not PageMatch.UNCONFIRMED):
            return self._ask_again("the answer is empty, and does not say to what question, or says that more follows")
        self._self_links.record(found.self_link, self._question)
        return None

    def _after_mismatch(self, last: PageCheck | None, found: PageCheck) -> Pause | None:
        named = ", ".join(sorted(found.self_link.conflicting))
        is_systematic = self._self_links.are_systematic(found.self_link.conflicting)
        if is_systematic or self._unusable + 1 >= self._policy.unreadable_attempts:
            if not is_systematic and found != last:
                raise CleverProtocolError(
                    f"Clever's answers for {self._path} name another {named} than was asked for, each another one"
                    f" (asked {_times(self.sent)}). Nothing of them was used; run again, and check the proxies in"
                    " between if it stays."
                )
            self._self_links.record(found.self_link, self._question)
            self.is_mismatched = True
            return None
        return self._ask_again(f"the answer names another {named} than was asked for")

    def after_unusable(self, error: CleverProtocolError) -> Pause:
        what, _, next_step = str(error).partition(". ")
        if self._unusable + 1 >= self._policy.unreadable_attempts or not self._has_patience():
            if isinstance(error, UnreadableBodyError):
                what = f"Clever answered 200 for {self._path}, but {what}"
                next_step = "Check that the connection's host is Clever's API and that no proxy answers in its place."
            raise CleverProtocolError(f"{what} (asked {_times(self.sent)}). {next_step}") from None
        return self._ask_again(what)

    def _ask_again(self, why: str) -> Pause:
        self.is_doubtful = True
        self._last_refusal = None
        self._unusable += 1
        return self._pause(self._wait_for_change(self._unusable), f"{why}; asking again over a new connection")

    def after_error(self, response: Response, advice: str) -> Pause:
        status, meaning = response.status, _meaning(response.status)
        if status < 300:
            return self.after_unusable(
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
            self._last_refusal = (status, is_written_by_clever(response.body))
            is_confirmed = self._last_refusal == (status, True) == last_refusal
            self._refused += 1
            if not is_confirmed and self._refused < self._policy.confirming_attempts and self._has_patience():
                why = f"Clever answered {status}; asking again over a new connection"
                return self._pause(self._wait_for_change(self._refused), why)
        message = f"{phrase_of(response)}. {meaning.next_step or advice}"
        raise meaning.error(status, self._path, message, self.sent, is_confirmed=is_confirmed)

    def _has_patience(self) -> bool:
        return self._waited_seconds < self._policy.patience_seconds

    def _backoff(self, failures: int) -> float:
        longest = min(self._policy.backoff_seconds * 2.0 ** (failures - 1), self._policy.longest_backoff_seconds)
        return longest * self._policy.random()

    def _wait_for_change(self, failures: int) -> float:
        """Give a backoff that is never close to zero: a proxy needs time to recover."""
        return self._backoff(failures) + 0.5 * self._policy.backoff_seconds

    def _pause(self, seconds: float, reason: str) -> Pause:
        seconds = min(seconds, self._policy.patience_seconds - self._waited_seconds)
        self._waited_seconds += seconds
        return Pause(seconds, f"{reason} ({self._path})")


def _times(sent: int) -> str:
    return "once" if sent == 1 else f"{sent} times"
