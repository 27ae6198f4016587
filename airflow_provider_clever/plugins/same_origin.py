"""Checks that a form was sent from a page of the same origin, also behind a proxy that changes the host."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, urlsplit

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}


def is_same_origin(headers: Mapping[str, str], public_origin: str) -> bool:
    """Tell whether a request comes from one of our pages. A form on another site would carry the user's cookie, too.

    ``Sec-Fetch-Site`` decides if the browser sends it, as it does to https and to loopback. Without it, the origin has
    to be Airflow's ``base_url``, or the host of the request as the server or a proxy in front of it saw it. A form on
    another site cannot set any of these: it cannot add headers.

    :param headers: the request's, by names in lower case.
    :param public_origin: the origin at which users reach Airflow; empty: it is not known.
    """
    if (site := headers.get("sec-fetch-site")) is not None:
        return site == "same-origin"
    origin = _parsed(headers.get("origin", ""))
    if origin is None:
        return False
    asked = (headers.get("host", ""), headers.get("x-forwarded-host", "").partition(",")[0].strip())
    here = (public_origin, *(f"{origin.scheme}://{host}" for host in asked if host))
    return any((known := _parsed(one)) is not None and _place(known) == _place(origin) for one in here)


def _parsed(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        return parts if parts.scheme in _DEFAULT_PORTS and parts.hostname and _place(parts) else None
    except ValueError:
        return None


def _place(parts: SplitResult) -> tuple[str, str | None, int]:
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS[parts.scheme]
