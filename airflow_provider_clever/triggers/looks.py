"""One look at a district from a trigger: the connection, the client, and nothing that blocks the event loop."""

import asyncio
import hashlib
import importlib
from typing import TYPE_CHECKING, Final

from airflow_provider_clever.api.exchange import RetryPolicy
from airflow_provider_clever.compat import get_async_connection
from airflow_provider_clever.settings import CleverSettings

if TYPE_CHECKING:
    from airflow_provider_clever.api.async_client import AsyncCleverClient

LOOK_POLICY: Final = RetryPolicy(attempts=1, unreadable_attempts=2)
"""A look that fails is not sent again: the next look is its retry. A 429 is waited for, as the headers say."""


async def async_client(clever_conn_id: str, district_id: str | None) -> "AsyncCleverClient":
    """Give a client for looks at one district; its token is looked up with its first request and kept.

    :param clever_conn_id: the connection.
    :param district_id: the district; None: the connection's, or the only one.
    :raises CleverSettingsError: the connection cannot be used.
    """
    connection = await get_async_connection(clever_conn_id)
    # No token that is found is given to Airflow's masker here: it compiles all its patterns with each, which takes half
    # a minute of the triggerer for 500 districts. Nothing that runs here writes a token anywhere.
    # In a thread: the extra fields are masked through a blocking call; importing aiohttp takes 100 to 250 ms.
    settings = await asyncio.to_thread(CleverSettings.from_connection, connection, district_id)
    driver = await asyncio.to_thread(importlib.import_module, "airflow_provider_clever.api.async_client")
    client: AsyncCleverClient = driver.AsyncCleverClient(settings, policy=LOOK_POLICY)
    return client


def share_of(district_id: str) -> float:
    """Give the part of an interval, 0 to 1, at which a district is looked at by a trigger that polls for itself.

    Triggers that know nothing of one another would otherwise all look when the triggerer has started. The district
    decides, so that restarts and further triggerers change nothing.
    """
    return int.from_bytes(hashlib.sha256(district_id.encode()).digest()[:8]) / 2**64


def phase(number: int) -> float:
    """Give a part of an interval, 0 to 1, such that any run of consecutive numbers is spread evenly over it.

    Multiples of the golden ratio do so without knowing how many there are. Looks that all came at once would hold the
    event loop for as long as it takes to handle all their answers.
    """
    return number * 0.6180339887498949 % 1.0
