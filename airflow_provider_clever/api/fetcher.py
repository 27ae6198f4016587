"""One thread's way to Clever: carries plans out over a socket, under the client's token and throttle."""

import logging
import os
import threading
import time
from contextlib import closing
from types import TracebackType
from typing import Final, Self, TypeVar, cast

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, Timeout
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProxyError, ReadTimeoutError, SSLError
from urllib3.exceptions import HTTPError as Urllib3Error

from airflow_provider_clever import __version__
from airflow_provider_clever.api.credentials import AppCredentials, token_credentials
from airflow_provider_clever.api.exchange import Credentials, RetryPolicy, exchange
from airflow_provider_clever.api.messages import Pause, Plan, Request, Response
from airflow_provider_clever.api.throttle import Throttle
from airflow_provider_clever.exceptions import CleverProtocolError, CleverStoppedError, CleverTransportError
from airflow_provider_clever.settings import CleverSettings

log = logging.getLogger(__name__)

Result = TypeVar("Result")

HEADERS: Final = {
    "User-Agent": f"airflow-provider-clever/{__version__}",
    "Accept": "application/json",
    "Accept-Encoding": "gzip",
}
MOST_BODY_BYTES: Final = 64 * 2**20
_CHUNK_BYTES: Final = 2**18
_STOPPED: Final = "The client was told to stop."


class Shared:
    """What all sessions of one client share."""

    def __init__(self, settings: CleverSettings, policy: RetryPolicy, stop: threading.Event) -> None:
        self.settings = settings
        self.policy = policy
        self.stop = stop
        self.throttle = Throttle(settings.budget_share, stop)
        self.credentials: Credentials = (
            token_credentials(settings.token) if settings.token else AppCredentials(settings, policy)
        )
        self._lock = threading.Lock()
        self.requests_sent = 0

    @property
    def district_id(self) -> str | None:
        """Give the district that is meant, as far as it is known."""
        found = self.credentials.district_id if isinstance(self.credentials, AppCredentials) else None
        return found or self.settings.district_id

    def count_request(self) -> None:
        with self._lock:
            self.requests_sent += 1


class PageFetcher:
    """One thread's way to Clever: its own keep-alive connections, under the client's token and throttle.

    Made by :meth:`CleverClient.fetcher`; a context manager. Not for two threads at once.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._pools: dict[str, HTTPConnectionPool] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        while self._pools:
            self._pools.popitem()[1].close()

    def fetch(self, request: Request) -> Response:
        """Get one page, with all retries and waits.

        :param request: what to ask; its credentials are filled in.
        :return: a 200 whose body is JSON as far as its tail shows; its rows are not looked at.
        :raises CleverError: it could not be had; see :mod:`airflow_provider_clever.exceptions`.
        :raises CleverStoppedError: the client was told to stop.
        """
        return self.run(exchange(request, self._shared.credentials, self._shared.policy))

    def run(self, plan: Plan[Result]) -> Result:
        """Carry out a plan."""
        answer: Response | None = None
        error: CleverTransportError | None = None
        try:
            while True:
                step = plan.send(answer) if error is None else plan.throw(error)
                answer, error = None, None
                if isinstance(step, Pause):
                    self._wait(step)
                    continue
                try:
                    answer = self._send(step)
                except CleverTransportError as silence:
                    error = silence
        except StopIteration as done:
            return cast("Result", done.value)
        finally:
            plan.close()

    def _wait(self, pause: Pause) -> None:
        if pause.reason:
            log.warning("Waiting %.1f seconds: %s", pause.seconds, pause.reason)
        if self._shared.stop.wait(pause.seconds):
            raise CleverStoppedError(_STOPPED)

    def _send(self, request: Request) -> Response:
        if not request.metered:
            return self._transfer(request)
        throttle = self._shared.throttle
        is_probe = throttle.acquire()
        response = None
        try:
            response = self._transfer(request)
        finally:
            if response is None:
                throttle.release(is_probe=is_probe)
            else:
                throttle.release(is_probe=is_probe, status=response.status, headers=response.headers)
        return response

    def _transfer(self, request: Request) -> Response:
        if self._shared.stop.is_set():
            raise CleverStoppedError(_STOPPED)
        settings = self._shared.settings
        deadline = time.monotonic() + settings.response_timeout_seconds
        self._shared.count_request()
        # The errors' texts hold the address with the cursor, so neither they nor their chain may get out.
        try:
            raw = self._pool(request.origin).urlopen(
                "GET",
                request.url.removeprefix(request.origin),
                headers={**HEADERS, "Connection": "keep-alive", "Authorization": request.authorization},
                retries=False,
                redirect=False,
                timeout=Timeout(connect=settings.connect_timeout_seconds, read=settings.read_timeout_seconds),
                preload_content=False,
            )
        except (Urllib3Error, OSError) as error:
            raise CleverTransportError(_what_failed(error, request.origin)) from None
        try:
            with closing(raw):
                headers = {name.lower(): value for name, value in raw.headers.itermerged()}
                return Response(raw.status, headers, self._read(raw, deadline))
        except (Urllib3Error, OSError):
            raise CleverTransportError(
                f"No answer from Clever: the answer of {request.origin} broke off. Run again later."
            ) from None

    def _pool(self, origin: str) -> HTTPConnectionPool:
        if origin not in self._pools:
            self._pools[origin] = _open_pool(origin)
        return self._pools[origin]

    def _read(self, raw: BaseHTTPResponse, deadline: float) -> bytes:
        chunks, size = [], 0
        while chunk := raw.read1(_CHUNK_BYTES):
            chunks.append(chunk)
            size += len(chunk)
            if size > MOST_BODY_BYTES:
                raise CleverProtocolError(f"Clever's answer is larger than {MOST_BODY_BYTES // 2**20} MB. Report it.")
            if time.monotonic() > deadline:
                raise CleverTransportError("No answer from Clever: it took too long to arrive. Run again later.")
            if self._shared.stop.is_set():
                raise CleverStoppedError(_STOPPED)
        return b"".join(chunks)


def _open_pool(origin: str) -> HTTPConnectionPool:
    """Open a pool of one connection, as requests does by the environment's proxies and certificates.

    A session of requests would do it again for every page, which takes more than a third of the page's CPU.
    """
    proxies = get_environ_proxies(origin) if origin.startswith("https:") else {}  # plain http goes to loopback only
    certificates = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or DEFAULT_CA_BUNDLE_PATH
    adapter = HTTPAdapter(pool_maxsize=1)
    asked = requests.Request("GET", origin).prepare()
    return cast("HTTPConnectionPool", adapter.get_connection_with_tls_context(asked, certificates, proxies))


_NO_CONNECTION: Final = (
    "no connection to {origin}, or it broke. Check the connection's host and the network, or run again later."
)
_FAILURES: Final[tuple[tuple[type[Exception], str], ...]] = (
    (
        SSLError,
        "TLS with {origin} failed. Check its certificate, and REQUESTS_CA_BUNDLE if a proxy stands between.",
    ),
    (
        ProxyError,
        "the proxy to {origin} could not be used. Check HTTPS_PROXY and NO_PROXY.",
    ),
    (
        NewConnectionError,  # urllib3 counts it among the timeouts
        _NO_CONNECTION,
    ),
    (
        ConnectTimeoutError,
        "{origin} did not accept a connection in time. Check the connection's host, and the firewall.",
    ),
    (
        ReadTimeoutError,
        "{origin} fell silent. Run again later.",
    ),
    (
        Exception,
        _NO_CONNECTION,
    ),
)


def _what_failed(error: Exception, origin: str) -> str:
    words = next(words for kind, words in _FAILURES if isinstance(error, kind))
    return f"No answer from Clever: {words.format(origin=origin)}"
