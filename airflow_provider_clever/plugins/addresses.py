"""Gives the addresses of the coverage page, below Airflow's own address."""

import re
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from airflow_provider_clever.compat import conf

URL_PREFIX: Final = "/clever-attendance"
"""The path of the page, below Airflow's own address."""

_PLACE_DIGITS: Final = 10
_RECEIPT: Final = re.compile(r"_clever/district=[^/]+/receipts/(\d{4}-\d\d)/([^/]+)\.json\.gz")


def page_path() -> str:
    """Give the page's path, below whatever path Airflow itself is served at."""
    return f"{urlsplit(conf.get('api', 'base_url', fallback='') or '').path.rstrip('/')}{URL_PREFIX}"


def place_of(destination: str) -> str:
    """Give the part of an address that identifies a destination without showing it."""
    return sha256(destination.encode()).hexdigest()[:_PLACE_DIGITS]


def receipt_part(path: str) -> str:
    """Give the part of an address that names a pull's receipt, below its district. Empty: the path is no receipt's.

    :param path: of the receipt, relative to the destination.
    """
    found = _RECEIPT.fullmatch(path)
    return f"receipts/{found[1]}/{found[2]}" if found else ""


def origin() -> str:
    """Give the origin at which users reach Airflow, such as ``https://airflow.example``; empty: base_url is not set."""
    base = urlsplit(conf.get("api", "base_url", fallback="") or "")
    return f"{base.scheme}://{base.netloc}" if base.scheme in ("http", "https") and base.netloc else ""
