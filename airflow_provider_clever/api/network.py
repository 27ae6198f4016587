"""Proxies and certificates, read from the environment as requests reads them, and the errors of the network.

Both drivers use it, so that a sensor names the same reason for a failure as a pull.
"""

import os
import re
import ssl
from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Final

from requests.exceptions import RequestException
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies, prepend_scheme_if_needed, select_proxy
from urllib3.exceptions import HTTPError
from urllib3.util.ssl_ import create_urllib3_context

from airflow_provider_clever.exceptions import CleverTransportError

_BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def proxy_for(origin: str) -> str | None:
    """Give the address of the proxy for an origin; None if there is none. Plain http only goes to this machine.

    :raises CleverTransportError: the environment's proxy is not an address.
    """
    if not origin.startswith("https:"):
        return None
    proxy = select_proxy(origin, get_environ_proxies(origin))
    if not proxy:
        return None
    try:
        address = str(prepend_scheme_if_needed(proxy, "http"))  # type: ignore[no-untyped-call]  # requests' stubs leave it so
    except (RequestException, HTTPError, ValueError):
        address = ""
    if not re.match(r"(?:https?|socks[45][ah]?)://[^/]", address, re.IGNORECASE):
        raise CleverTransportError(
            f"No answer from Clever: the proxy to {origin} is no address. {_PROXY_STEP}", needs_person=True
        )
    return address


def certificates() -> str:
    """Give the file or folder with the trusted certificates.

    :raises CleverTransportError: the environment names one that does not exist.
    """
    for name in _BUNDLES:
        path = os.environ.get(name)
        if path and not Path(path).exists():
            raise CleverTransportError(
                f"No answer from Clever: TLS cannot start, for {name} names a file or folder that is not there. Correct"
                f" {name}, or remove it.",
                needs_person=True,
            )
        if path:
            _context(
                path, Path(path).stat().st_mtime_ns
            )  # loaded once here, so that unreadable certificates are reported early
            return path
    return DEFAULT_CA_BUNDLE_PATH


def tls_context() -> ssl.SSLContext:
    """Give the TLS context that requests would use. It reads files, so do not call it in an event loop.

    :raises CleverTransportError: the certificates cannot be read.
    """
    path = certificates()
    return _context(path, Path(path).stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _context(path: str, changed_ns: int) -> ssl.SSLContext:  # noqa: ARG001 - part of the cache's key: a replaced file is loaded again
    context = create_urllib3_context()
    try:
        context.load_verify_locations(**({"capath": path} if Path(path).is_dir() else {"cafile": path}))
    except OSError:
        raise CleverTransportError(
            f"No answer from Clever: TLS cannot start, for the certificates to trust cannot be read. Check the file"
            f" that {' or '.join(_BUNDLES)} names.",
            needs_person=True,
        ) from None
    return context


# --- errors ---------------------------------------------------------------------------------------------------------


class Trouble(StrEnum):
    """What went wrong, as a driver sees it."""

    PROXY = "proxy"
    NOT_ACCEPTED = "not accepted"
    SILENT = "silent"
    SLOW = "slow"
    CUT = "cut"
    BROKEN = "broken"


_PROXY_STEP: Final = "Check HTTPS_PROXY, ALL_PROXY and NO_PROXY."
_WORDS: Final = {
    Trouble.PROXY: f"the proxy to {{origin}} could not be used. {_PROXY_STEP}",
    Trouble.NOT_ACCEPTED: "{origin} did not accept a connection in time. Check the connection's host, and the"
    " firewall.",
    Trouble.SILENT: "{origin} fell silent. Run again later.",
    Trouble.SLOW: "the answer of {origin} took too long to arrive. Run again later.",
    Trouble.CUT: "the answer of {origin} broke off. Run again later.",
    Trouble.BROKEN: "no connection to {origin}, or it broke. Check the connection's host and the network, or run again"
    " later.",
}
_UNKNOWN_ISSUER: Final = (
    "its certificate is signed by an issuer that is not trusted here. If a proxy inspects TLS, put its certificate into"
    " the file that REQUESTS_CA_BUNDLE names, also where the triggerer runs."
)
_WRONG_NAME: Final = "its certificate is for another name. Check the connection's host, and proxies in between."
_EXPIRED: Final = "its certificate {when}. Check this machine's clock, and proxies in between; then tell whose it is."
_BY_CODE: Final = {
    9: _EXPIRED.format(when="is not valid yet"),
    10: _EXPIRED.format(when="has expired"),
    18: _UNKNOWN_ISSUER,
    19: _UNKNOWN_ISSUER,
    20: _UNKNOWN_ISSUER,
    21: _UNKNOWN_ISSUER,
    62: _WRONG_NAME,
    64: _WRONG_NAME,
}
"""By OpenSSL's ``X509_V_ERR`` codes."""
_TUNNEL: Final = re.compile(r"Tunnel connection failed: (\d{3})")


def transport_error(
    error: BaseException, origin: str, trouble: Trouble, status: int | None = None
) -> CleverTransportError:
    """Turn a library's error into ours. Its text may hold the address with the cursor, so none of it is used.

    :param error: what the library raised.
    :param origin: where the request went.
    :param trouble: how the driver classifies it; used unless the error itself says more.
    :param status: the HTTP status with which a proxy refused. Default: not known.
    """
    causes = list(_causes(error))
    for cause in causes:
        # aiohttp's own error has this class too; the one inside it carries the code.
        if isinstance(cause, ssl.SSLCertVerificationError) and hasattr(cause, "verify_code"):
            words = _BY_CODE.get(cause.verify_code, f"its certificate was refused ({cause.verify_message}).")
            return _error(f"TLS with {origin} failed, for {words}", needs_person=True)
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            reason = f" ({cause.reason})" if getattr(cause, "reason", None) else ""
            return _error(f"TLS with {origin} failed{reason}. Check the connection's host, and proxies in between.")
    refused = [found[1] for cause in causes if (found := _TUNNEL.search(str(cause)))]
    answered = status if status is not None else int(refused[0]) if refused else None
    if answered == 407:
        return _error(
            f"the proxy to {origin} asks for a user name and password (407). Put them into HTTPS_PROXY.",
            needs_person=True,
        )
    if answered is not None:
        return _error(f"the proxy to {origin} answered {answered}. {_PROXY_STEP}")
    return CleverTransportError(
        f"No answer from Clever: {_WORDS[trouble].format(origin=origin)}",
        needs_person=trouble is Trouble.PROXY,
        is_late=trouble in {Trouble.SILENT, Trouble.SLOW, Trouble.CUT},
    )


def _error(words: str, *, needs_person: bool = False) -> CleverTransportError:
    return CleverTransportError(f"No answer from Clever: {words}", needs_person=needs_person)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and everything that caused it, under whatever name its library keeps that."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        found = waiting.pop(0)
        if not isinstance(found, BaseException) or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        waiting += [*found.args, getattr(found, "reason", None), getattr(found, "original_error", None)]
        waiting += [getattr(found, "certificate_error", None), getattr(found, "os_error", None)]
        waiting += [found.__cause__, found.__context__]
