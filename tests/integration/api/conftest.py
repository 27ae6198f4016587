"""Clients that are quick to retry, and one question that both drivers can be asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, TypeAlias

import pytest

from airflow_provider_clever.api.async_client import AsyncCleverClient
from airflow_provider_clever.api.client import CleverClient
from airflow_provider_clever.api.exchange import RetryPolicy
from airflow_provider_clever.models import District
from airflow_provider_clever.sandbox.testing import Sandbox
from airflow_provider_clever.settings import CleverSettings

QUICK = RetryPolicy(backoff_seconds=0.01)

Asker: TypeAlias = Callable[[CleverSettings], District]


def ask_with_requests(settings: CleverSettings) -> District:
    """Ask the blocking client."""
    with CleverClient(settings, policy=QUICK) as client:
        return client.get_district()


def ask_with_aiohttp(settings: CleverSettings) -> District:
    """Ask the asynchronous client."""

    async def ask() -> District:
        async with AsyncCleverClient(settings, policy=QUICK) as client:
            return await client.get_district()

    return asyncio.run(asyncio.wait_for(ask(), 30))


@pytest.fixture(params=[ask_with_requests, ask_with_aiohttp], ids=["requests", "aiohttp"])
def ask_for_the_district(request: pytest.FixtureRequest) -> Asker:
    """Both drivers, one after the other."""
    asker: Asker = request.param
    return asker


@pytest.fixture
def settings(sandbox: Sandbox) -> CleverSettings:
    """The app's client id and secret, for the sandbox's small district."""
    return settings_for(sandbox, sandbox.district("small").id)


def settings_for(sandbox: Sandbox, district_id: str | None, **changes: Any) -> CleverSettings:
    """Make settings in the name of the app."""
    app = {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
    return CleverSettings(api_base=sandbox.url, auth_base=sandbox.url, district_id=district_id, **{**app, **changes})


def token_settings(sandbox: Sandbox, token: str, **changes: Any) -> CleverSettings:
    """Make settings in the name of one district."""
    return CleverSettings(api_base=sandbox.url, auth_base=sandbox.url, token=token, **changes)


@pytest.fixture
def client(settings: CleverSettings) -> Iterator[CleverClient]:
    """A client of the small district."""
    with closing(CleverClient(settings, policy=QUICK)) as made:
        yield made
