"""Pools of one connection, and sending a request over it before anybody waits for the answer."""

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
class Line:
    """What one thread's connections know of the answer that is waited for.

    :param until: monotonic seconds at which waiting for it ends.
    :param silence_seconds: longest wait for the next bytes of it.
    :param is_followed: whether bytes stood behind the last answer that nobody had asked for.
    """

    until: float = math.inf
    silence_seconds: float = 60.0
    is_followed: bool = False

    @property
    def is_late(self) -> bool:
        """Whether waiting has ended."""
        return time.monotonic() >= self.until


class _Reads(io.RawIOBase):
    """Reads of a socket, none of which waits longer than its line says: not in a head, a chunk's size or a trailer."""

    def __init__(self, reads: io.RawIOBase, sock: socket.socket, line: Line) -> None:
        self._reads = reads
        self._sock = sock
        self._line = line
        self.waits = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        seconds = min(self._line.silence_seconds, self._line.until - time.monotonic()) if self.waits else 0.0
        if seconds <= 0 and self.waits:
            raise TimeoutError("the answer took too long")
        self._sock.settimeout(seconds)
        return self._reads.readinto(buffer)

    def close(self) -> None:
        self._reads.close()
        super().close()


class _Answer(HTTPResponse):
    """An answer that skips all interim ones before it, and sees whether anything stands behind it.

    The standard library skips 100 alone; any other 1xx would be taken for the answer, and the answer then for that of
    the next question.
    """

    def __init__(self, sock: socket.socket, *arguments: Any, line: Line, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        line.is_followed = False
        self._line = line
        self._reads = _Reads(self.fp.detach(), sock, line)
        self.fp = io.BufferedReader(self._reads)

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(_MOST_INTERIM_ANSWERS):
            found: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]  # typeshed leaves it out
            if not 100 <= found[1] < 200 or found[1] == 101:
                return found
            parse_headers(self.fp)
        raise HTTPException("one interim answer after another")

    def _close_conn(self) -> None:
        if self._is_complete and not self._line.is_late:
            self._line.is_followed = self._has_more()
        super()._close_conn()  # type: ignore[misc]  # typeshed leaves it out

    @property
    def _is_complete(self) -> bool:
        left = self.chunk_left if self.chunked else self.length
        return self.headers is not None and left in {0, None}

    def _has_more(self) -> bool:
        """Whether bytes have come already; blank lines, which some servers add, apart."""
        self._reads.waits = False
        try:
            return bool(self.fp.peek(1).strip(b"\r\n"))
        except (OSError, ValueError):
            return False


def open_pool(origin: str, line: Line) -> HTTPConnectionPool:
    """Open a pool of one connection, as requests does by the environment's proxies and certificates.

    A session of requests would do it again for every page, which takes more than a third of the page's CPU.

    :param origin: where to.
    :param line: what the thread's connections know.
    :raises CleverTransportError: the environment's proxy or certificates cannot be used.
    """
    proxy = proxy_for(origin)
    adapter = HTTPAdapter(pool_maxsize=1)
    pool: Any = adapter.get_connection_with_tls_context(
        _asked(origin), certificates() if origin.startswith("https:") else True, {"all": proxy} if proxy else {}
    )

    class Connection(pool.ConnectionCls):  # type: ignore[misc]  # by what it goes: TLS, a proxy, SOCKS
        @staticmethod
        def response_class(*arguments: Any, **options: Any) -> HTTPResponse:
            return _Answer(*arguments, line=line, **options)

    pool.ConnectionCls = Connection
    return cast("HTTPConnectionPool", pool)


@lru_cache(maxsize=8)
def _asked(origin: str) -> requests.PreparedRequest:
    """What requests looks at to choose a pool: the same for all of a pull's threads."""
    return requests.Request("GET", origin).prepare()


def send_ahead(pool: HTTPConnectionPool, target: str, headers: Mapping[str, str]) -> HTTPConnection | None:
    """Send a GET over the pool's connection, if that is open and idle, and nothing came over it that nobody asked for.

    :param target: path and query.
    :returns: the connection, whose ``getresponse()`` gives the answer. It stays in the pool, which must not be used
        until the answer is read, or the connection is closed. None: nothing was sent, or sending failed.
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
