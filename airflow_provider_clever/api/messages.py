"""The four things that a plan and its driver say to each other.

A plan is a generator that decides; a driver does what it asks. The plan yields a :class:`Request` ("send this") and
is sent the :class:`Response`, or has a ``CleverTransportError`` thrown into it; or it yields a :class:`Pause`
("wait") and is sent None. What the plan returns is its result.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Request:
    """One GET. Its ``repr`` shows neither the query, which may hold a cursor, nor the credentials.

    :param origin: ``https://host[:port]``; one of the two configured ones.
    :param path: the path, from ``/``.
    :param query: the encoded query, without ``?``; sent byte for byte.
    :param authorization: value of the ``Authorization`` header.
    :param metered: True if it costs budget of a bearer token (clever-api.md 4).
    """

    origin: str
    path: str
    query: str = field(default="", repr=False)
    authorization: str = field(default="", repr=False)
    metered: bool = True

    @property
    def url(self) -> str:
        """Give the whole address, cursor included: for sending, never for a log."""
        return f"{self.origin}{self.path}?{self.query}" if self.query else f"{self.origin}{self.path}"


@dataclass(frozen=True, slots=True)
class Response:
    """One complete answer. Its ``repr`` shows the status and the size only.

    :param status: the HTTP status.
    :param headers: names in lower case; repeated headers joined by a comma.
    :param body: the body, decompressed.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def __repr__(self) -> str:
        return f"Response(status={self.status}, {len(self.body)} bytes)"


class Pause(NamedTuple):
    """A wait.

    :param seconds: how long.
    :param reason: why, for the log; empty: not worth a line.
    """

    seconds: float
    reason: str = ""


Plan: TypeAlias = Generator[Request | Pause, Response | None, Result]
