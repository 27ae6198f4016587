"""One thread's way to Clever: carries plans out over requests, under the client's token and throttle."""

import logging
import os
import threading
import time
from types import TracebackType
from typing import Final, Self, TypeVar, cast

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from requests.utils import get_environ_proxies
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
    """One thread's way to Clever: its own keep-alive session, under the client's token and throttle.

    Made by :meth:`CleverClient.fetcher`; a context manager. Not for two threads at once.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._session: requests.Session | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            self._session.close()
            self._session = None

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
        if self._session is None:
            self._session = _open_session(self._shared.settings)
        settings = self._shared.settings
        deadline = time.monotonic() + settings.response_timeout_seconds
        self._shared.count_request()
        try:
            prepared = self._session.prepare_request(
                requests.Request("GET", request.origin + request.path, auth=_Header(request.authorization))
            )
            prepared.url = request.url  # as it is: requests would write the cursor in another way
            with self._session.send(
                prepared,
                stream=True,
                allow_redirects=False,
                timeout=(settings.connect_timeout_seconds, settings.read_timeout_seconds),
                verify=self._session.verify,
                proxies=self._session.proxies,
            ) as raw:
                headers = {name.lower(): value for name, value in raw.headers.items()}
                return Response(raw.status_code, headers, self._read(raw, deadline))
        except (requests.RequestException, Urllib3Error, OSError) as error:
            # Their texts hold the address with the cursor, so neither they nor their chain may get out.
            raise CleverTransportError(_what_failed(error, request.origin)) from None

    def _read(self, raw: requests.Response, deadline: float) -> bytes:
        chunks, size = [], 0
        while chunk := raw.raw.read1(_CHUNK_BYTES, decode_content=True):
            chunks.append(chunk)
            size += len(chunk)
            if size > MOST_BODY_BYTES:
                raise CleverProtocolError(f"Clever's answer is larger than {MOST_BODY_BYTES // 2**20} MB. Report it.")
            if time.monotonic() > deadline:
                raise CleverTransportError("No answer from Clever: it took too long to arrive. Run again later.")
            if self._shared.stop.is_set():
                raise CleverStoppedError(_STOPPED)
        return b"".join(chunks)


class _Header(AuthBase):
    """Sets the ``Authorization`` header in the one way that a ~/.netrc cannot replace."""

    def __init__(self, value: str) -> None:
        self._value = value

    def __call__(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        prepared.headers["Authorization"] = self._value
        return prepared


def _open_session(settings: CleverSettings) -> requests.Session:
    """Open a session that reads the environment once: its proxies and certificates, never its ~/.netrc."""
    session = requests.Session()
    session.trust_env = False
    if settings.api_base.startswith("https:"):  # plain http goes to loopback only
        session.proxies.update(get_environ_proxies(settings.api_base))
    session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    session.headers.update(HEADERS)
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(pool_connections=2, pool_maxsize=1, max_retries=0))
    return session


_FAILURES: Final[tuple[tuple[type[Exception], str], ...]] = (
    (
        requests.exceptions.SSLError,
        "TLS with {origin} failed. Check its certificate, and REQUESTS_CA_BUNDLE if a proxy stands between.",
    ),
    (
        requests.exceptions.ProxyError,
        "the proxy to {origin} could not be used. Check HTTPS_PROXY and NO_PROXY.",
    ),
    (
        requests.exceptions.ConnectTimeout,
        "{origin} did not accept a connection in time. Check the connection's host, and the firewall.",
    ),
    (
        requests.exceptions.Timeout,
        "{origin} fell silent. Run again later.",
    ),
    (
        requests.exceptions.ConnectionError,
        "no connection to {origin}, or it broke. Check the connection's host and the network, or run again later.",
    ),
)


def _what_failed(error: Exception, origin: str) -> str:
    for kind, words in _FAILURES:
        if isinstance(error, kind):
            return f"No answer from Clever: {words.format(origin=origin)}"
    return f"No answer from Clever: the answer of {origin} broke off. Run again later."
