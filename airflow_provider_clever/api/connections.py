"""Pools of one connection, and sending a request over it before anybody waits for the answer."""

import os
from collections.abc import Mapping
from functools import lru_cache
from typing import cast

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError


def open_pool(origin: str) -> HTTPConnectionPool:
    """Open a pool of one connection, as requests does by the environment's proxies and certificates.

    A session of requests would do it again for every page, which takes more than a third of the page's CPU.
    """
    proxies = get_environ_proxies(origin) if origin.startswith("https:") else {}  # plain http goes to loopback only
    certificates = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or DEFAULT_CA_BUNDLE_PATH
    adapter = HTTPAdapter(pool_maxsize=1)
    return cast("HTTPConnectionPool", adapter.get_connection_with_tls_context(_asked(origin), certificates, proxies))


@lru_cache(maxsize=8)
def _asked(origin: str) -> requests.PreparedRequest:
    """What requests looks at to choose a pool: the same for all of a pull's threads."""
    return requests.Request("GET", origin).prepare()


def send_ahead(pool: HTTPConnectionPool, target: str, headers: Mapping[str, str]) -> HTTPConnection | None:
    """Send a GET over the pool's connection, if that is open and idle.

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
