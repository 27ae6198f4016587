"""What a plan and its driver exchange.

A plan is a generator that decides; a driver does the I/O. The plan yields a :class:`Request`, and receives the
:class:`Response` or a ``CleverTransportError`` raised inside it; or it yields a :class:`Pause`, and receives None. What
the plan returns is its result.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import NamedTuple, TypeAlias, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Request:
    """One GET. Its ``repr`` shows neither the query, which may hold a cursor, nor the credentials.

    :param origin: ``https://host[:port]``; one of the two configured ones.
    :param path: the path, from ``/``.
    :param query: the encoded query, without ``?``; sent byte for byte.
    :param authorization: value of the ``Authorization`` header.
    :param metered: True if it counts against a bearer token's budget (clever-api.md 4).
    :param on_new_connection: True if it needs a new connection, because an answer over the last one was suspicious.
        Default False.
    """

    origin: str
    path: str
    query: str = field(default="", repr=False)
    authorization: str = field(default="", repr=False)
    metered: bool = True
    on_new_connection: bool = False

    @property
    def url(self) -> str:
        """Give the full address, cursor included. It may be sent, never logged."""
        return f"{self.origin}{self.path}?{self.query}" if self.query else f"{self.origin}{self.path}"


@dataclass(frozen=True, slots=True)
class Response:
    """One complete answer. Its ``repr`` shows the status and the size only.

    :param status: the HTTP status.
    :param headers: by name in lower case; the values of a repeated header are joined by a comma.
    :param body: the body, decompressed.
    :param sent_at: Unix seconds, by our clock, when its request was sent. Default: not known.
    :param matches_request: False if it was accepted although its ``self`` link names another question: then nothing
        may be concluded from what it lacks. Default True.
    :param is_alone: False if unsolicited bytes followed it on the connection. Default True.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    sent_at: float | None = None
    matches_request: bool = True
    is_alone: bool = True

    @property
    def instant(self) -> datetime | None:
        """Give the latest instant, UTC, at which Clever surely had not answered yet; None if it is not known.

        It is the earlier of our clock when the request was sent and the answer's ``Date``. What Clever learned after it
        may be missing from the answer.
        """
        known = [self.sent_at, unix_seconds(self.headers.get("date", ""))]
        return min((datetime.fromtimestamp(seconds, UTC) for seconds in known if seconds is not None), default=None)

    def __repr__(self) -> str:
        return f"Response(status={self.status}, {len(self.body)} bytes)"


@lru_cache(maxsize=64)
def unix_seconds(http_date: str) -> float | None:
    """Give an HTTP date as Unix seconds; None if it is not one."""
    try:
        return parsedate_to_datetime(http_date).timestamp()
    except (ValueError, OverflowError):
        return None


class Pause(NamedTuple):
    """A wait.

    :param seconds: how long.
    :param reason: why, for the log; empty if it need not be logged.
    """

    seconds: float
    reason: str = ""


Plan: TypeAlias = Generator[Request | Pause, Response | None, Result]
