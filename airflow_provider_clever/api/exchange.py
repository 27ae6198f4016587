"""One logical GET as a plan: what to send, how long to wait, when to renew the token, when to give up, and with what.

Nothing here does I/O; see :mod:`airflow_provider_clever.api.messages` for how plans are driven.
"""

import json
import random
import re
import time
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final, NamedTuple, Protocol

from airflow_provider_clever.api.bodies import UnreadableBodyError
from airflow_provider_clever.api.messages import Pause, Plan, Request, Response
from airflow_provider_clever.api.paging import next_link
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
    :param unreadable_attempts: how often to send when a 200 is not JSON. Default 3.
    :param refused_attempts: how often to send when the answer is 429. Default 6.
    :param backoff_seconds: longest first wait; it doubles each time; the wait itself is random below it. Default 1.
    :param longest_backoff_seconds: where doubling ends. Default 16.
    :param patience_seconds: longest time waited in all. Default 600.
    :param random: gives the part of a wait that is taken, 0 to 1.
    :param wall_clock: gives Unix seconds.
    """

    attempts: int = 5
    unreadable_attempts: int = 3
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


def exchange(request: Request, credentials: Credentials, policy: RetryPolicy) -> Plan[Response]:
    """Get one readable page.

    :param request: what to ask.
    :param credentials: in whose name.
    :param policy: how patiently.
    :return: a 200 whose body is a page.
    :raises CleverTransportError: no complete answer came, however often it was asked for.
    :raises CleverHTTPError: Clever answered with an error.
    :raises CleverProtocolError: Clever answered 200 with something that is no page.
    """
    authorization = yield from credentials.current()
    was_renewed = False
    patience = _Patience(request.path, policy)
    while True:
        signed = replace(request, authorization=authorization)
        try:
            response = yield signed
        except CleverTransportError as error:
            yield patience.after_silence(error)
            continue
        if response is None:
            raise TypeError("a driver answers a Request with a Response")
        patience.sent += 1
        if response.status == 200:
            try:
                next_link(response.body)
            except UnreadableBodyError as error:
                yield patience.after_unreadable(error)
                continue
            return response
        if response.status in {401, 403} and not was_renewed:
            renewed = yield from credentials.renewed(authorization)
            if renewed is not None:
                authorization, was_renewed = renewed, True
                continue
        yield patience.after_error(response, signed, credentials.advice)


class _Patience:
    """What was tried already, and whether to try again."""

    def __init__(self, path: str, policy: RetryPolicy) -> None:
        self.sent = 0
        self._path = path
        self._policy = policy
        self._failures = 0
        self._unreadable = 0
        self._refusals = 0
        self._waited_seconds = 0.0

    def after_silence(self, error: CleverTransportError) -> Pause:
        self.sent += 1
        self._failures += 1
        what, _, next_step = str(error).partition(". ")
        if self._failures >= self._policy.attempts or not self._has_patience():
            times = "once" if self.sent == 1 else f"{self.sent} times"
            raise CleverTransportError(f"{what} (asked {times} for {self._path}). {next_step}") from None
        return self._pause(self._backoff(self._failures), f"{what}; asking again")

    def after_unreadable(self, error: UnreadableBodyError) -> Pause:
        self._unreadable += 1
        if self._unreadable >= self._policy.unreadable_attempts or not self._has_patience():
            raise CleverProtocolError(
                f"Clever answered 200 for {self._path}, but {error} (asked {self.sent} times)."
                " Check that the connection's host is Clever's API and that no proxy answers in its place."
            ) from None
        return self._pause(self._backoff(self._unreadable), f"{error}; asking again")

    def after_error(self, response: Response, request: Request, advice: str) -> Pause:
        meaning = _meaning(response.status)
        if response.status < 300:
            raise CleverProtocolError(
                f"Clever answered {response.status} for {self._path}, which no page comes with. Report it."
            )
        if response.status == 429:
            self._refusals += 1
            if self._refusals < self._policy.refused_attempts and self._has_patience():
                seconds = refusal_seconds(response.headers, self._policy.wall_clock())
                jitter_seconds = 0.05 + self._policy.random() * 0.45
                return self._pause(seconds + jitter_seconds, "Clever answered 429, the token's budget is spent")
        elif meaning.is_retried:
            self._failures += 1
            if self._failures < self._policy.attempts and self._has_patience():
                return self._pause(self._backoff(self._failures), f"Clever answered {response.status}; asking again")
        message = f"{said(response, request)}. {meaning.next_step or advice}"
        raise meaning.error(response.status, self._path, message, self.sent)

    def _has_patience(self) -> bool:
        return self._waited_seconds < self._policy.patience_seconds

    def _backoff(self, failures: int) -> float:
        longest = min(self._policy.backoff_seconds * 2.0 ** (failures - 1), self._policy.longest_backoff_seconds)
        return longest * self._policy.random()

    def _pause(self, seconds: float, reason: str) -> Pause:
        seconds = min(seconds, self._policy.patience_seconds - self._waited_seconds)
        self._waited_seconds += seconds
        return Pause(seconds, f"{reason} ({self._path})")


# --- what an error says ---------------------------------------------------------------------------------------------

_ID_LIKE: Final = re.compile(r"(?=[^\s]*[0-9])[0-9A-Za-z+/=_%-]{12,}")


def said(response: Response, request: Request) -> str:
    """Give what an error answer says, shortened, without anything that could be an id, a cursor or a credential."""
    text = _message_in(response.body)
    for secret in _secrets(request.authorization):
        text = text.replace(secret, "[...]")
    text = " ".join(_ID_LIKE.sub("[...]", text).split())[:200].rstrip(" .")
    if text:
        return text
    try:
        return HTTPStatus(response.status).phrase
    except ValueError:
        return "no reason given"


def _message_in(body: bytes) -> str:
    """Find the message (order of clever-api.md 5); HTML says nothing worth repeating."""
    text = body[:10_000].decode("utf-8", "replace").strip()
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return "" if text.startswith("<") else text
    found = [answer.get(name) for name in ("message", "error_description", "error")] if isinstance(answer, dict) else []
    return next((text for text in found if isinstance(text, str) and text), "")


def _secrets(authorization: str) -> list[str]:
    scheme, _, credential = authorization.partition(" ")
    if scheme != "Basic":
        return [credential] if credential else []
    return [credential, *(part for part in b64decode(credential).decode().split(":", 1) if part)]
