"""The same plans over aiohttp, for the triggerer. Import it only there: aiohttp is slow to import."""

import asyncio
import logging
import time
from types import TracebackType
from typing import Final, Self, TypeVar, cast
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from airflow_provider_clever.api.credentials import AppCredentials, token_credentials
from airflow_provider_clever.api.districts import check_district, find_district
from airflow_provider_clever.api.exchange import Credentials, RetryPolicy
from airflow_provider_clever.api.fetcher import HEADERS, MOST_BODY_BYTES
from airflow_provider_clever.api.messages import Pause, Plan, Request, Response
from airflow_provider_clever.api.redaction import keep_cursors_out_of_logs
from airflow_provider_clever.exceptions import CleverProtocolError, CleverTransportError
from airflow_provider_clever.models import District
from airflow_provider_clever.settings import CleverSettings

log = logging.getLogger(__name__)

Result = TypeVar("Result")

_CHUNK_BYTES: Final = 2**16


class AsyncCleverClient:
    """What a trigger asks of Clever, without ever blocking its event loop. An async context manager.

    :param settings: where Clever is, and as whom to ask.
    :param policy: how patient each request is. Default: 5 attempts, at most 10 minutes of waiting.
    """

    def __init__(self, settings: CleverSettings, *, policy: RetryPolicy | None = None) -> None:
        keep_cursors_out_of_logs()
        self.settings = settings
        self._policy = policy or RetryPolicy()
        self._credentials: Credentials = (
            token_credentials(settings.token) if settings.token else AppCredentials(settings, self._policy)
        )
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
        district = await self.run(find_district(self.settings.api_base, self._credentials, self._policy))
        found = self._credentials.district_id if isinstance(self._credentials, AppCredentials) else None
        return check_district(district, found or self.settings.district_id)

    async def run(self, plan: Plan[Result]) -> Result:
        """Carry out a plan."""
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
        if self._session is None:
            self._session = _open_session(self.settings)
        sent_at = time.time()
        try:
            async with self._session.get(
                URL(request.url, encoded=True),
                headers={"Authorization": request.authorization},
                allow_redirects=False,
                proxy=_proxy_for(request),
            ) as raw:
                headers: dict[str, str] = {}
                for name, value in raw.headers.items():
                    key = name.lower()
                    headers[key] = f"{headers[key]}, {value}" if key in headers else value
                return Response(raw.status, headers, await _read(raw), sent_at)
        except TimeoutError:
            raise CleverTransportError(
                f"No answer from Clever: {request.origin} did not answer in time. Check the connection's host, or run"
                " again later."
            ) from None
        except (aiohttp.ClientError, OSError):
            # Their texts may hold the address, so neither they nor their chain may get out.
            raise CleverTransportError(
                f"No answer from Clever: no connection to {request.origin}, or it broke. Check the connection's host"
                " and the network, or run again later."
            ) from None


async def _read(raw: aiohttp.ClientResponse) -> bytes:
    chunks, size = [], 0
    async for chunk in raw.content.iter_chunked(_CHUNK_BYTES):
        chunks.append(chunk)
        size += len(chunk)
        if size > MOST_BODY_BYTES:
            raise CleverProtocolError(f"Clever's answer is larger than {MOST_BODY_BYTES // 2**20} MB. Report it.")
    return b"".join(chunks)


def _open_session(settings: CleverSettings) -> aiohttp.ClientSession:
    # trust_env would let ~/.netrc add credentials of its own; the proxies of the environment are passed by hand.
    return aiohttp.ClientSession(
        headers=HEADERS,
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(
            total=settings.response_timeout_seconds,
            sock_connect=settings.connect_timeout_seconds,
            sock_read=settings.read_timeout_seconds,
        ),
    )


def _proxy_for(request: Request) -> str | None:
    url = URL(request.origin)
    if url.scheme != "https" or proxy_bypass(url.host or ""):  # plain http goes to loopback only
        return None
    return getproxies().get("https")
