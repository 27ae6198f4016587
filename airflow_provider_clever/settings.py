"""The settings for talking to Clever, and the one place that reads an Airflow connection's fields."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, Self
from urllib.parse import urlsplit

from airflow_provider_clever.attendance.values import is_clever_id
from airflow_provider_clever.exceptions import CleverSettingsError

API_BASE: Final = "https://api.clever.com"
AUTH_BASE: Final = "https://clever.com"
BUDGET_SHARE: Final = 0.8
DEFAULT_PORTS: Final = {"https": 443, "http": 80}


class ConnectionFields(Protocol):
    """Anything that has the fields of an Airflow connection."""

    host: str | None
    schema: str | None
    port: int | None
    login: str | None
    password: str | None

    @property
    def extra_dejson(self) -> Mapping[str, Any]:
        """Give the extra fields."""


@dataclass(frozen=True, slots=True)
class CleverSettings:
    """Where Clever is, and as whom to ask: either with the app's client id and secret, or with one district's token.

    :param api_base: origin of the API, ``https://host[:port]``. Default ``https://api.clever.com``.
    :param auth_base: origin that serves ``/oauth/tokens``. Default ``https://clever.com``.
    :param client_id: client id of the Clever app.
    :param client_secret: its secret.
    :param token: one district's bearer token, instead of client id and secret.
    :param district_id: the district to read. Default: the only one that is connected.
    :param budget_share: part of the token's request budget that may be spent, above 0 and at most 1. Default 0.8.
    :param forget_secret: makes the hashes of students who are forgotten. Default: the environment's.
    :param connect_timeout_seconds: longest wait for a connection. Default 10.
    :param read_timeout_seconds: longest wait for the next bytes of an answer. Default 60.
    :param response_timeout_seconds: longest time for a complete answer, however slowly it arrives. Default 300.
    :raises CleverSettingsError: something is wrong; the message names all of it.
    """

    api_base: str = API_BASE
    auth_base: str = AUTH_BASE
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    district_id: str | None = None
    budget_share: float = BUDGET_SHARE
    forget_secret: str | None = field(default=None, repr=False)
    connect_timeout_seconds: float = 10.0
    read_timeout_seconds: float = 60.0
    response_timeout_seconds: float = 300.0

    def __post_init__(self) -> None:
        problems: list[str] = []
        for name, label in (("api_base", "host"), ("auth_base", "extra field auth_base")):
            try:
                object.__setattr__(self, name, _origin(getattr(self, name)))
            except ValueError as error:
                problems.append(f"{label}: {error}")
        problems += _credential_problems(self)
        if self.district_id is not None and not is_clever_id(self.district_id):
            problems.append(
                "district_id: not a Clever id; give the 24 characters that Clever's dashboard shows for the district"
            )
        if not 0 < self.budget_share <= 1:
            problems.append("extra field budget_share: must be above 0 and at most 1; write 80 percent as 0.8")
        if problems:
            raise CleverSettingsError("The Clever connection cannot be used. " + "; ".join(problems) + ".")

    @classmethod
    def from_connection(cls, connection: ConnectionFields, district_id: str | None = None) -> Self:
        """Read the settings from an Airflow connection.

        :param connection: an Airflow connection of type ``clever``, or an object with the same fields.
        :param district_id: the district to read. Default: the connection's, else the only one that is connected.
        :raises CleverSettingsError: a field is wrong; the message names all of them, and what to put there.
        """
        extra = connection.extra_dejson
        client_id, secret = _text(connection.login), _text(connection.password)
        return cls(
            api_base=_base_from_fields(connection),
            auth_base=_text(extra.get("auth_base")) or AUTH_BASE,
            client_id=client_id or None,
            client_secret=secret if client_id else None,
            token=None if client_id else secret,
            district_id=_text(district_id) or _text(extra.get("district_id")) or None,
            budget_share=_share(extra.get("budget_share")),
            forget_secret=_text(extra.get("forget_secret")) or None,
        )


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()


def _share(value: object) -> float:
    if value is None or value == "":
        return BUDGET_SHARE
    try:
        return float(str(value))
    except ValueError:
        return -1.0  # out of range, so that it is reported together with all other problems


def _base_from_fields(connection: ConnectionFields) -> str:
    """Join host, schema and port. The last two may be missing, or already part of the host."""
    host = _text(connection.host) or API_BASE
    if "://" not in host:
        host = f"{_text(connection.schema) or 'https'}://{host}"
    host = host.rstrip("/")
    port = _text(connection.port)
    if port in {"", "0"}:
        return host
    try:
        has_port = urlsplit(host).port is not None
    except ValueError:
        return host
    return host if has_port else f"{host}:{port}"


def _origin(text: str) -> str:
    """Normalize an origin to ``scheme://host[:port]``.

    :raises ValueError: it is not an origin. The message quotes nothing, because a token may be pasted into any field.
    """
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("not an address; write it like https://api.clever.com") from None
    if parts.scheme not in DEFAULT_PORTS or not host or any(not "!" <= letter <= "~" for letter in text.strip()):
        raise ValueError("not an address; write it like https://api.clever.com")
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds a user name or password; put those into login and password")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("holds more than an address; remove everything after the host name")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ValueError("plain http would show the token to the network; use https")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + ("" if port in {None, DEFAULT_PORTS[parts.scheme]} else f":{port}")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _credential_problems(settings: CleverSettings) -> list[str]:
    problems = []
    if settings.client_id and not settings.client_secret:
        problems.append("password: empty; put the client secret of your Clever app there")
    if not settings.client_id and not settings.token:
        problems.append(
            "password: empty; put your Clever app's client id into login and its client secret into password,"
            " or leave login empty and put one district's token into password"
        )
    if settings.client_id and ":" in settings.client_id:
        problems.append("login: not a client id; copy it again from Clever's dashboard")
    for label, secret in (
        ("login", settings.client_id),
        ("password", settings.client_secret),
        ("password", settings.token),
    ):
        if secret and any(not "!" <= letter <= "~" for letter in secret):
            problems.append(f"{label}: holds a blank, a line break or a letter outside ASCII; copy it again")
    if settings.token and is_user_token(settings.token):
        problems.append(f"password: {OF_A_USER}")
    return problems


OF_A_USER: Final = (
    "this is the token of a signed-in user (it starts with 'il'), which cannot read attendance;"
    " use the district's token, or the app's client id and secret"
)


def is_user_token(token: str) -> bool:
    """Tell whether a token belongs to a signed-in user, and so shows one person's data only (clever-api.md 1.2)."""
    return token.startswith("il")
