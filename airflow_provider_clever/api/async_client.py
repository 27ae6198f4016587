"""The asynchronous driver: carries out the same plans over aiohttp. Import it late, for aiohttp is slow to import."""

import asyncio
import logging
import time
from types import TracebackType
from typing import Final, Self, TypeVar, cast

import aiohttp
from yarl import URL

from airflow_provider_clever.api.bodies import BodyReader, BrokenBodyError
from airflow_provider_clever.api.credentials import credentials_of
from airflow_provider_clever.api.districts import find_district
from airflow_provider_clever.api.exchange import RetryPolicy
from airflow_provider_clever.api.fetcher import HEADERS
from airflow_provider_clever.api.messages import Pause, Plan, Request, Response
from airflow_provider_clever.api.network import Trouble, proxy_for, tls_context, transport_error
from airflow_provider_clever.api.redaction import keep_cursors_out_of_logs
from airflow_provider_clever.exceptions import CleverTransportError
from airflow_provider_clever.models import District
from airflow_provider_clever.settings import CleverSettings

log = logging.getLogger(__name__)

Result = TypeVar("Result")

_CHUNK_BYTES: Final = 2**16


class AsyncCleverClient:
    """Asks Clever from a trigger, without blocking its event loop. An async context manager.

    :param settings: where Clever is, and as whom to ask.
    :param policy: how often and how long to try each request. Default: 5 attempts, at most 10 minutes of waiting.
    """

    def __init__(self, settings: CleverSettings, *, policy: RetryPolicy | None = None) -> None:
        keep_cursors_out_of_logs()
        self.settings = settings
        self._policy = policy or RetryPolicy()
        self._credentials = credentials_of(settings, self._policy)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get_district(self) -> District:
        """Get the district as it is now, and make sure that it is the one that was asked for.

        :raises CleverSettingsError: the token belongs to another district, or none was named and there are several.
        """
        return await self.run(find_district(self.settings.api_base, self._credentials, self._policy))

    async def run(self, plan: Plan[Result]) -> Result:
        """Carry out a plan and give its result."""
        answer: Response | None = None
        error: CleverTransportError | None = None
        try:
            while True:
                step = plan.send(answer) if error is None else plan.throw(error)
                answer, error = None, None
                if isinstance(step, Pause):
                    if step.reason:
                        log.warning("Waiting %.1f seconds: %s", step.seconds, step.reason)
                    await asyncio.sleep(step.seconds)
                    continue
                try:
                    answer = await self._send(step)
                except CleverTransportError as silence:
                    error = silence
        except StopIteration as done:
            return cast("Result", done.value)
        finally:
            plan.close()

    async def _send(self, request: Request) -> Response:
        sent_at = time.time()
        status: int | None = None
        try:
            return await self._exchanged(request, sent_at)
        except BrokenBodyError:
            error, trouble = Exception(), Trouble.CUT
        except aiohttp.ClientHttpProxyError as refusal:
            error, trouble, status = refusal, Trouble.PROXY, refusal.status
        except (aiohttp.ClientError, OSError, ValueError) as failure:
            error, trouble = failure, next(words for kind, words in _TROUBLES if isinstance(failure, kind))
        # Raised outside the except blocks: the library's error may hold the address, and must not become our cause.
        found = transport_error(error, request.origin, trouble, status)
        del error
        raise found

    async def _exchanged(self, request: Request, sent_at: float) -> Response:
        if self._session is None:
            self._session = await _open_session(self.settings)
        proxy = proxy_for(request.origin)
        if proxy and not proxy.lower().startswith("http"):
            raise CleverTransportError(
                f"No answer from Clever: the triggerer cannot use a SOCKS proxy to {request.origin}. Name an HTTP proxy"
                " in its HTTPS_PROXY, or wait in a worker with deferrable=False.",
                needs_person=True,
            )
        async with self._session.get(
            URL(request.url, encoded=True),
            headers={"Authorization": request.authorization},
            allow_redirects=False,
            proxy=proxy,
        ) as raw:
            headers: dict[str, str] = {}
            for name, value in raw.headers.items():
                key = name.lower()
                headers[key] = f"{headers[key]}, {value}" if key in headers else value
            body = BodyReader(headers.get("content-encoding", ""))
            async for chunk in raw.content.iter_chunked(_CHUNK_BYTES):
                body.add(chunk)
            return Response(raw.status, headers, body.finish(), sent_at)


_TROUBLES: Final[tuple[tuple[type[Exception] | tuple[type[Exception], ...], Trouble], ...]] = (
    ((aiohttp.ClientProxyConnectionError, aiohttp.InvalidURL), Trouble.PROXY),
    (aiohttp.ConnectionTimeoutError, Trouble.NOT_ACCEPTED),
    (TimeoutError, Trouble.SILENT),
    (aiohttp.ClientPayloadError, Trouble.CUT),
    (Exception, Trouble.BROKEN),
)


async def _open_session(settings: CleverSettings) -> aiohttp.ClientSession:
    # Polls are minutes apart, too far to keep a connection open; and a new one cannot carry an earlier poll's answer.
    # With trust_env, ~/.netrc could add credentials of its own.
    uses_tls = any(origin.startswith("https:") for origin in (settings.api_base, settings.auth_base))
    secure = await asyncio.to_thread(tls_context) if uses_tls else True
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True, ssl=secure),
        auto_decompress=False,
        headers=HEADERS,
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(
            total=settings.response_timeout_seconds,
            sock_connect=settings.connect_timeout_seconds,
            sock_read=settings.read_timeout_seconds,
        ),
    )
