"""Connection pools of one connection each, and requests that are sent before their answer is needed."""

import io
import math
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from http.client import HTTPException, HTTPResponse, parse_headers
from typing import Any, Final, cast

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError

from airflow_provider_clever.api.network import certificates, proxy_for

_MOST_INTERIM_ANSWERS: Final = 20


@dataclass(slots=True)
class AnswerWait:
    """How long a thread waits for an answer, and whether more than the answer came.

    :param deadline: monotonic seconds until which the whole answer must have arrived. Default: no limit.
    :param silence_seconds: longest wait for its next bytes. Default 60.
    :param has_surplus: whether unsolicited bytes followed the last answer. Default False.
    """

    deadline: float = math.inf
    silence_seconds: float = 60.0
    has_surplus: bool = False

    @property
    def is_late(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic() >= self.deadline


class _Reads(io.RawIOBase):
    """Reads from a socket within the limits of an :class:`AnswerWait`: body, headers, chunk sizes and trailers."""

    def __init__(self, reads: io.RawIOBase, sock: socket.socket, wait: AnswerWait) -> None:
        self._reads = reads
        self._sock = sock
        self._wait = wait
        self.may_block = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        seconds = min(self._wait.silence_seconds, self._wait.deadline - time.monotonic()) if self.may_block else 0.0
        if seconds <= 0 and self.may_block:
            raise TimeoutError("the answer took too long")
        self._sock.settimeout(seconds)
        return self._reads.readinto(buffer)

    def close(self) -> None:
        self._reads.close()
        super().close()


class _Answer(HTTPResponse):
    """An answer that skips the interim ones before it, and notices bytes that follow it.

    The standard library skips only 100. It would return any other 1xx as the answer, and the answer itself as that of
    the next request.
    """

    def __init__(self, sock: socket.socket, *arguments: Any, wait: AnswerWait, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        wait.has_surplus = False
        self._wait = wait
        self._reads = _Reads(self.fp.detach(), sock, wait)
        self.fp = io.BufferedReader(self._reads)

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(_MOST_INTERIM_ANSWERS):
            found: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]  # typeshed leaves it out
            if not 100 <= found[1] < 200 or found[1] == 101:
                return found
            parse_headers(self.fp)
        raise HTTPException("one interim answer after another")

    def _close_conn(self) -> None:
        if self._is_complete and not self._wait.is_late:
            self._wait.has_surplus = self._has_more()
        super()._close_conn()  # type: ignore[misc]  # typeshed leaves it out

    @property
    def _is_complete(self) -> bool:
        left = self.chunk_left if self.chunked else self.length
        return self.headers is not None and left in {0, None}

    def _has_more(self) -> bool:
        """Tell whether more bytes have arrived. Blank lines do not count: some servers add them."""
        self._reads.may_block = False
        try:
            return bool(self.fp.peek(1).strip(b"\r\n"))
        except (OSError, ValueError):
            return False


def open_pool(origin: str, wait: AnswerWait) -> HTTPConnectionPool:
    """Open a pool of one connection, with the proxy and certificates that requests would use.

    A ``requests.Session`` would work them out again for every page, which takes more than a third of the page's CPU.

    :param origin: the origin to connect to.
    :param wait: the limits of each answer's wait.
    :raises CleverTransportError: the environment's proxy or certificates cannot be used.
    """
    proxy = proxy_for(origin)
    adapter = HTTPAdapter(pool_maxsize=1)
    pool: Any = adapter.get_connection_with_tls_context(
        _asked(origin), certificates() if origin.startswith("https:") else True, {"all": proxy} if proxy else {}
    )

    class Connection(pool.ConnectionCls):  # type: ignore[misc]  # the base differs for TLS, proxies and SOCKS
        @staticmethod
        def response_class(*arguments: Any, **options: Any) -> HTTPResponse:
            return _Answer(*arguments, wait=wait, **options)

    pool.ConnectionCls = Connection
    return cast("HTTPConnectionPool", pool)


@lru_cache(maxsize=8)
def _asked(origin: str) -> requests.PreparedRequest:
    """Prepare the request by which requests chooses a pool. It is the same for all threads of a pull."""
    return requests.Request("GET", origin).prepare()


def send_ahead(pool: HTTPConnectionPool, target: str, headers: Mapping[str, str]) -> HTTPConnection | None:
    """Send a GET over the pool's connection, if it is open, idle and free of unsolicited bytes.

    :param pool: a pool of one connection.
    :param target: path and query.
    :param headers: the request's headers.
    :returns: the connection, whose ``getresponse()`` gives the answer; None if nothing was sent. The connection stays
        in the pool, which must not be used until the answer is read or the connection is closed.
    """
    connection = _idle_connection(pool)
    if connection is None:
        return None
    try:
        connection.request("GET", target, headers=headers, preload_content=False)
    except (HTTPError, OSError):
        connection.close()
        return None
    return connection


def _idle_connection(pool: HTTPConnectionPool) -> HTTPConnection | None:
    waiting = list(pool.pool.queue) if pool.pool else []
    return next((each for each in waiting if isinstance(each, HTTPConnection) and each.is_connected), None)
