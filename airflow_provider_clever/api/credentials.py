"""Who a request is sent as: the app, a district by its own token, or a district whose token the app can look up."""

import logging
import threading
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from pydantic import ValidationError

from airflow_provider_clever.api.districts import items
from airflow_provider_clever.api.endpoints import tokens_request
from airflow_provider_clever.api.exchange import RetryPolicy
from airflow_provider_clever.api.messages import Pause, Plan
from airflow_provider_clever.exceptions import CleverProtocolError, CleverSettingsError
from airflow_provider_clever.models import DistrictToken
from airflow_provider_clever.settings import OF_A_USER, CleverSettings, is_user_token

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.02
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Secret(str):
    """A text that its ``repr`` does not show, because error trackers record local variables."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret([...])"


class FixedCredentials:
    """An ``Authorization`` header that never changes.

    :param authorization: its value.
    :param advice: what to do when Clever refuses it.
    :param district_id: the district whose data is asked for. Default: whichever the token belongs to.
    """

    __slots__ = ("_authorization", "advice", "district_id")

    def __init__(self, authorization: str, advice: str, district_id: str | None = None) -> None:
        self._authorization = authorization
        self.advice = advice
        self.district_id = district_id

    def current(self) -> Plan[str]:
        """Give the header's value."""
        yield from ()
        return self._authorization

    def renewed(self, refused: str) -> Plan[str | None]:  # noqa: ARG002 - the protocol's signature
        """Give None: there is no other."""
        yield from ()
        return None


def credentials_of(
    settings: CleverSettings, policy: RetryPolicy, on_token: Callable[[str], object] = lambda _: None
) -> "FixedCredentials | AppCredentials":
    """Give the credentials that a connection's settings describe.

    :param settings: with one district's token, or with client id and secret.
    :param policy: how often and how long to try looking a token up.
    :param on_token: called with each token that is looked up. Default: nothing is called.
    """
    if settings.token:
        return token_credentials(settings.token, settings.district_id)
    return AppCredentials(settings, policy, on_token)


def token_credentials(
    token: str, district_id: str | None = None, *, source: str = "the connection's password"
) -> FixedCredentials:
    """Ask as one district, with a token that cannot be renewed.

    :param token: the token.
    :param district_id: the district whose data is asked for. Default: whichever the token belongs to.
    :param source: where the token came from, for the advice.
    """
    return FixedCredentials(
        Secret(f"Bearer {token}"),
        f"Clever refuses the token from {source}. It may have been replaced, or the district may have disconnected the"
        " app: copy the district's current token from Clever's dashboard, or use the app's client id and secret, with"
        " which a replaced token is found again. If other requests succeed with it, ask your contact at Clever whether"
        " attendance is enabled for this app and district.",
        district_id,
    )


def app_credentials(settings: CleverSettings) -> FixedCredentials:
    """Ask as the Clever app, with its client id and secret (clever-api.md 1.3)."""
    pair = f"{settings.client_id}:{settings.client_secret}".encode()
    return FixedCredentials(
        Secret(f"Basic {b64encode(pair).decode()}"),
        "Clever refuses the client id and secret. Copy both again from Clever's dashboard into the connection's login"
        " and password.",
    )


def find_tokens(
    settings: CleverSettings, policy: RetryPolicy, district_id: str | None, *, on_new_connection: bool = False
) -> Plan[dict[str, str]]:
    """Find the tokens of the connected districts, the newest of each.

    :param settings: with client id and secret.
    :param policy: how often and how long to try.
    :param district_id: only this district's. None: all.
    :param on_new_connection: ask over a new connection. Default False.
    :return: district id -> token.
    """
    request = replace(tokens_request(settings.auth_base, district_id), on_new_connection=on_new_connection)
    found = yield from items(request, app_credentials(settings), policy)
    tokens, unreadable = _district_tokens(found)
    if unreadable:
        log.warning("%d items of Clever's list of tokens hold no token that can be sent", unreadable)
        if not tokens or (district_id is not None and district_id not in {token.district_id for token in tokens}):
            raise CleverProtocolError(
                f"Clever sent {unreadable} tokens that cannot be used, and none besides"
                f"{' for district ' + district_id if district_id else ''}. Run again, and report it if it stays."
            )
    counts = Counter(token.district_id for token in tokens)
    if len(tokens) > len(counts):
        log.info("%d districts have several tokens; using the newest of each", sum(n > 1 for n in counts.values()))
    tokens.sort(key=lambda token: token.created or _LONG_AGO)  # the newest wins (clever-api.md O27)
    return {token.district_id: token.access_token for token in tokens}


def _district_tokens(found: Iterable[object]) -> tuple[list[DistrictToken], int]:
    """Pick the districts' tokens out of the list. Give them, and how many of them cannot be used.

    Users and schools can own tokens too; those are skipped.
    """
    tokens, unreadable = [], 0
    for item in found:
        owner = item.get("owner") if isinstance(item, dict) else None
        owner = owner if isinstance(owner, dict) else {}
        if owner.get("type", "district") != "district":
            continue
        try:
            flat = {**item, "district_id": owner.get("id")} if isinstance(item, dict) else {}
            tokens.append(DistrictToken.model_validate(flat))
        except ValidationError:
            unreadable += 1
    return tokens, unreadable


class AppCredentials:
    """One district's token, found through client id and secret when it is first needed, and again after a rotation.

    Threads may share it: however many of them see a token refused, it is looked up once.

    :param settings: with client id and secret.
    :param policy: how often and how long to try.
    :param on_token: called with each token that is found.
    """

    advice = (
        "Clever refuses even the token that it hands out for this district. Check in Clever's dashboard that the"
        " district is connected and has approved the app, and ask your contact at Clever whether attendance is enabled"
        " for this app and district."
    )

    def __init__(
        self, settings: CleverSettings, policy: RetryPolicy, on_token: Callable[[str], object] = lambda _: None
    ) -> None:
        self._settings = settings
        self._policy = policy
        self._on_token = on_token
        self._lock = threading.Lock()
        self._is_looking = False
        self._authorization: str | None = None
        self.district_id = settings.district_id

    def current(self) -> Plan[str]:
        """Give the token in use. The first time, look it up."""
        authorization = self._authorization
        return authorization if authorization is not None else (yield from self._look_up(None))

    def renewed(self, refused: str) -> Plan[str | None]:
        """Give the token that replaced the refused one; None if Clever still lists the same."""
        authorization = yield from self._look_up(refused)
        return None if authorization == refused else authorization

    def _look_up(self, replaced: str | None) -> Plan[str]:
        # A lock held over a yield would block an event loop, so a thread that finds another one looking waits its turn.
        while not self._may_look(replaced):
            if self._authorization is not None and self._authorization != replaced:
                return self._authorization
            yield Pause(_POLL_SECONDS)
        try:
            if replaced is not None:
                log.info("Clever refused the token; looking up the district's current one")
            tokens = yield from find_tokens(self._settings, self._policy, self.district_id)
            if not tokens or (self.district_id is not None and self.district_id not in tokens):
                # One answer without the district does not prove that it is not connected.
                yield Pause(self._policy.backoff_seconds, "Clever's list of tokens does not name it; asking again")
                tokens = yield from find_tokens(self._settings, self._policy, self.district_id, on_new_connection=True)
            self.district_id, token = _choose(tokens, self.district_id)
            self._on_token(token)
            self._authorization = Secret(f"Bearer {token}")
            return self._authorization
        finally:
            self._is_looking = False

    def _may_look(self, replaced: str | None) -> bool:
        with self._lock:
            if self._is_looking or self._authorization != replaced:
                return False
            self._is_looking = True
            return True


def _choose(tokens: dict[str, str], district_id: str | None) -> tuple[str, str]:
    if district_id is None:
        if len(tokens) > 1:
            raise CleverSettingsError(
                f"{len(tokens)} districts are connected to this Clever app, and none was named. Give the task a"
                " district_id, or set district_id in the connection's extra fields."
            )
        if not tokens:
            raise CleverSettingsError(
                "No district is connected to this Clever app yet. Connect one in Clever's dashboard, then run again."
            )
        (district_id,) = tokens
    if district_id not in tokens:
        raise CleverSettingsError(
            f"District {district_id} is not connected to this Clever app. Check district_id, and in Clever's dashboard"
            " that the district has authorised the app."
        )
    if is_user_token(tokens[district_id]):
        raise CleverSettingsError(f"Clever's token for district {district_id} is of the wrong kind: {OF_A_USER}.")
    return district_id, tokens[district_id]
