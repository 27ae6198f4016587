"""The blocking driver: carries out plans over a socket, one thread at a time."""

import logging
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from http.client import HTTPException
from types import TracebackType
from typing import Final, NamedTuple, Self, TypeVar, cast

from requests.exceptions import RequestException
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, Timeout
from urllib3.connection import HTTPConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProxyError, ReadTimeoutError
from urllib3.exceptions import HTTPError as Urllib3Error

from airflow_provider_clever import __version__
from airflow_provider_clever.api.bodies import BodyReader, BrokenBodyError
from airflow_provider_clever.api.client_state import ClientState
from airflow_provider_clever.api.connections import AnswerWait, open_pool, send_ahead
from airflow_provider_clever.api.districts import find_district
from airflow_provider_clever.api.endpoints import AttendanceQuery
from airflow_provider_clever.api.exchange import exchange
from airflow_provider_clever.api.messages import Pause, Plan, Request, Response
from airflow_provider_clever.api.network import Trouble, transport_error
from airflow_provider_clever.api.paging import CheckPage
from airflow_provider_clever.api.redaction import without_cursor
from airflow_provider_clever.api.walking import WalkedPage, walk_attendance
from airflow_provider_clever.exceptions import CleverStoppedError, CleverTransportError
from airflow_provider_clever.models import District

log = logging.getLogger(__name__)

Result = TypeVar("Result")

HEADERS: Final = {
    "User-Agent": f"airflow-provider-clever/{__version__}",
    "Accept": "application/json",
    "Accept-Encoding": "gzip",
}
_CHUNK_BYTES: Final = 2**18
_STOPPED: Final = "The client was told to stop."


class _Ahead(NamedTuple):
    """A request that was sent before its answer is needed.

    :param request: the request.
    :param connection: the connection on which the answer arrives.
    :param sent_at: when it was sent, in Unix seconds.
    """

    request: Request
    connection: HTTPConnection
    sent_at: float


class PageFetcher:
    """Gets pages from Clever over keep-alive connections of its own, with the client's token and throttle.

    :meth:`CleverClient.fetcher` makes one. A context manager; only one thread may use it.
    """

    def __init__(self, state: ClientState) -> None:
        self._state = state
        self._pools: dict[str, HTTPConnectionPool] = {}
        self._ahead: _Ahead | None = None
        self._is_in_body = False
        self._wait = AnswerWait(silence_seconds=state.settings.read_timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._take_ahead()
        while self._pools:
            self._pools.popitem()[1].close()

    def fetch(self, request: Request, check_page: CheckPage | None = None, *, attempts: int | None = None) -> Response:
        """Get one page, with all retries and waits.

        :param request: what to ask, without credentials.
        :param check_page: decides whether a page is accepted. Default: as for the first page of a walk.
        :param attempts: most requests sent while no answer or a 5xx comes back. Default: the policy's.
        :return: a 200 with a page. Only its links were read; its rows were not parsed.
        :raises CleverError: see :mod:`airflow_provider_clever.exceptions`.
        :raises CleverStoppedError: the client was told to stop.
        """
        state = self._state
        policy = state.policy
        if attempts is not None:
            policy = replace(policy, attempts=min(attempts, policy.attempts))
        return self.run(exchange(request, state.credentials, policy, check_page, state.self_links))

    def find_district(self) -> District:
        """Get the district as it is now, and make sure that it is the one that was asked for."""
        return self.run(find_district(self._state.settings.api_base, self._state.credentials, self._state.policy))

    def attendance(self, query: AttendanceQuery, *, first_alone: bool = False) -> Iterator[WalkedPage]:
        """Get all pages that answer a question, in order, as :func:`walk_attendance` does."""
        return walk_attendance(self, self._state.settings.api_base, query, self._state.sizes, first_alone=first_alone)

    def send_ahead(self, request: Request) -> None:
        """Send the request that will be fetched next, so that Clever answers it while the caller works.

        Nothing is sent if that would mean waiting for the throttle, the credentials or the connection, or if other
        requests depend on its answer. An error shows when the request is fetched, and is retried then. If another
        request is fetched instead, the answer is discarded unread.

        :param request: what :meth:`fetch` will be called with next.
        """
        self._take_ahead()
        signed, pool = self._signed_at_once(request), self._pools.get(request.origin)
        if signed is None or pool is None or not self._state.throttle.acquire_at_once():
            return
        sent_at = time.time()
        connection = send_ahead(pool, _target(signed), _headers(signed))
        if connection is None:
            self._state.throttle.release(is_probe=False)
        else:
            self._state.count_request()
            self._ahead = _Ahead(signed, connection, sent_at)
            if log.isEnabledFor(logging.DEBUG):  # urllib3 logs all others
                log.debug('%s "GET %s" sent ahead', request.origin, without_cursor(_target(request)))

    def _signed_at_once(self, request: Request) -> Request | None:
        """Add the credentials to a request; None if they would have to be looked up first."""
        plan = self._state.credentials.current()
        try:
            next(plan)
        except StopIteration as known:
            return replace(request, authorization=known.value)
        finally:
            plan.close()
        return None

    def _take_ahead(self, request: Request | None = None) -> _Ahead | None:
        """Take back what was sent ahead, if it was this request. Discard any other."""
        ahead, self._ahead = self._ahead, None
        if ahead is None or ahead.request == request:
            return ahead
        ahead.connection.close()
        self._state.throttle.release(is_probe=False)
        return None

    def run(self, plan: Plan[Result]) -> Result:
        """Carry out a plan and give its result."""
        answer: Response | None = None
        error: CleverTransportError | None = None
        try:
            while True:
                step = plan.send(answer) if error is None else plan.throw(error)
                answer, error = None, None
                if isinstance(step, Pause):
                    self._pause(step)
                    continue
                try:
                    answer = self._send(step)
                except CleverTransportError as silence:
                    error = silence
        except StopIteration as done:
            return cast("Result", done.value)
        finally:
            plan.close()

    def _pause(self, pause: Pause) -> None:
        if pause.reason:
            log.warning("Waiting %.1f seconds: %s", pause.seconds, pause.reason)
        if self._state.stop.wait(pause.seconds):
            raise CleverStoppedError(_STOPPED)

    def _send(self, request: Request) -> Response:
        ahead = self._take_ahead(request)
        if not request.metered:
            return self._transfer(request)
        throttle = self._state.throttle
        is_probe = False if ahead else throttle.acquire()
        try:
            response = self._transfer(request, ahead)
        except BaseException:
            throttle.release(is_probe=is_probe)
            if ahead:
                ahead.connection.close()
            raise
        throttle.release(is_probe=is_probe, status=response.status, headers=response.headers)
        return response

    def _transfer(self, request: Request, ahead: _Ahead | None = None) -> Response:
        """Send a request, unless it was sent ahead, and read the answer.

        Errors are raised outside the ``except`` blocks: a library's error and its frames hold the address with the
        cursor, and must not become the cause of ours.
        """
        if self._state.stop.is_set():
            raise CleverStoppedError(_STOPPED)
        if request.on_new_connection:
            self._drop(request.origin)
        asked_at, sent_at = time.monotonic(), ahead.sent_at if ahead else time.time()
        self._is_in_body = False
        self._wait.deadline = asked_at + self._state.settings.response_timeout_seconds
        try:
            return self._exchanged(request, ahead, asked_at, sent_at)
        except BrokenBodyError:
            failure = transport_error(Exception(), request.origin, Trouble.CUT)
        except (
            Urllib3Error,
            HTTPException,
            OSError,
            RequestException,
            ValueError,
        ) as error:  # the last from a parser
            failure = transport_error(error, request.origin, self._trouble(error))
        self._drop(request.origin)
        raise failure

    def _exchanged(self, request: Request, ahead: _Ahead | None, asked_at: float, sent_at: float) -> Response:
        raw = ahead.connection.getresponse() if ahead else self._open(request)
        self._state.note_wait(time.monotonic() - asked_at)
        with closing(raw):
            headers = {name.lower(): value for name, value in raw.headers.itermerged()}
            self._is_in_body = True
            body = self._read(raw, BodyReader(headers.get("content-encoding", "")))
        if self._wait.has_surplus:
            self._drop(request.origin)
        return Response(raw.status, headers, body, sent_at, is_alone=not self._wait.has_surplus)

    def _open(self, request: Request) -> BaseHTTPResponse:
        settings = self._state.settings
        self._state.count_request()
        return self._pool(request.origin).urlopen(
            "GET",
            _target(request),
            headers=_headers(request),
            retries=False,
            redirect=False,
            timeout=Timeout(connect=settings.connect_timeout_seconds, read=settings.read_timeout_seconds),
            preload_content=False,
        )

    def _pool(self, origin: str) -> HTTPConnectionPool:
        if origin not in self._pools:
            self._pools[origin] = open_pool(origin, self._wait)
        return self._pools[origin]

    def _drop(self, origin: str) -> None:
        """Close the connection to an origin, so that the next request goes over a new one."""
        pool = self._pools.pop(origin, None)
        if pool is not None:
            pool.close()

    def _read(self, raw: BaseHTTPResponse, body: BodyReader) -> bytes:
        while chunk := raw.read1(_CHUNK_BYTES, decode_content=False):
            body.add(chunk)
            if self._state.stop.is_set():
                raise CleverStoppedError(_STOPPED)
        return body.finish()

    def _trouble(self, error: Exception) -> Trouble:
        if self._wait.is_late:
            return Trouble.SLOW
        if self._is_in_body:
            return Trouble.CUT
        return next(trouble for kind, trouble in _TROUBLES if isinstance(error, kind))


def _target(request: Request) -> str:
    """Give the path and query for the request line."""
    return request.url.removeprefix(request.origin)


def _headers(request: Request) -> dict[str, str]:
    return {**HEADERS, "Connection": "keep-alive", "Authorization": request.authorization}


_TROUBLES: Final[tuple[tuple[type[Exception] | tuple[type[Exception], ...], Trouble], ...]] = (
    (ProxyError, Trouble.PROXY),
    (NewConnectionError, Trouble.BROKEN),  # urllib3 counts it among the timeouts
    (ConnectTimeoutError, Trouble.NOT_ACCEPTED),
    ((ReadTimeoutError, TimeoutError), Trouble.SILENT),
    (Exception, Trouble.BROKEN),
)
