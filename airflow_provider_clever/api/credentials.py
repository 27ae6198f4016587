"""In whose name a request is sent: the app's, one district's fixed token, or a district's token that can be renewed."""

import logging
import threading
from base64 import b64encode
from collections import Counter
from datetime import UTC, datetime

from airflow_provider_clever.api.districts import items, read_models
from airflow_provider_clever.api.endpoints import tokens_request
from airflow_provider_clever.api.exchange import RetryPolicy
from airflow_provider_clever.api.messages import Pause, Plan
from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.models import DistrictToken
from airflow_provider_clever.settings import OF_A_USER, CleverSettings, is_user_token

log = logging.getLogger(__name__)

_TURN_SECONDS = 0.02
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class FixedCredentials:
    """An ``Authorization`` header that never changes.

    :param authorization: its value.
    :param advice: what to do when Clever refuses it.
    """

    __slots__ = ("_authorization", "advice")

    def __init__(self, authorization: str, advice: str) -> None:
        self._authorization = authorization
        self.advice = advice

    def current(self) -> Plan[str]:
        """Give it."""
        yield from ()
        return self._authorization

    def renewed(self, refused: str) -> Plan[str | None]:  # noqa: ARG002 - as the protocol says; there is no other one
        """Give None: there is no other."""
        yield from ()
        return None


def token_credentials(token: str, *, whose: str = "the connection's password") -> FixedCredentials:
    """Ask in the name of one district, by a token that cannot be renewed.

    :param token: the token.
    :param whose: where it came from, for the advice.
    """
    return FixedCredentials(
        f"Bearer {token}",
        f"Clever refuses the token from {whose}. It may have been replaced, or the district may have disconnected the"
        " app: copy the district's current token from Clever's dashboard, or use the app's client id and secret, with"
        " which a replaced token is found again. If other requests succeed with it, ask your contact at Clever whether"
        " attendance is enabled for this app and district.",
    )


def app_credentials(settings: CleverSettings) -> FixedCredentials:
    """Ask in the name of the app, by client id and secret (clever-api.md 1.3)."""
    pair = f"{settings.client_id}:{settings.client_secret}".encode()
    return FixedCredentials(
        f"Basic {b64encode(pair).decode()}",
        "Clever refuses the client id and secret. Copy both again from Clever's dashboard into the connection's login"
        " and password.",
    )


def find_tokens(settings: CleverSettings, policy: RetryPolicy, district_id: str | None) -> Plan[dict[str, str]]:
    """Find the tokens of the connected districts, the newest of each.

    :param settings: with client id and secret.
    :param policy: how patiently.
    :param district_id: only this district's. None: all.
    :return: district id -> token.
    """
    found = yield from items(tokens_request(settings.auth_base, district_id), app_credentials(settings), policy)
    flat = [{**item, "district_id": _owner_id(item)} for item in found if isinstance(item, dict)]
    tokens = read_models(DistrictToken, flat, "token")
    counts = Counter(token.district_id for token in tokens)
    if len(tokens) > len(counts):
        log.info("%d districts have several tokens; using the newest of each", sum(n > 1 for n in counts.values()))
    tokens.sort(key=lambda token: token.created or _LONG_AGO)  # the newest wins (clever-api.md O27)
    return {token.district_id: token.access_token for token in tokens}


def _owner_id(item: dict[str, object]) -> object:
    owner = item.get("owner")
    return owner.get("id") if isinstance(owner, dict) else None


class AppCredentials:
    """One district's token, found through client id and secret when it is first needed, and again after a rotation.

    Many threads may share it: whatever the number that see a token refused, it is looked up once.

    :param settings: with client id and secret.
    :param policy: how patiently to look tokens up.
    """

    advice = (
        "Clever refuses even the token that it hands out for this district. Check in Clever's dashboard that the"
        " district is connected and has approved the app, and ask your contact at Clever whether attendance is enabled"
        " for this app and district."
    )

    def __init__(self, settings: CleverSettings, policy: RetryPolicy) -> None:
        self._settings = settings
        self._policy = policy
        self._lock = threading.Lock()
        self._is_looking = False
        self._authorization: str | None = None
        self.district_id = settings.district_id

    def current(self) -> Plan[str]:
        """Give the token in use, looking it up the first time."""
        authorization = self._authorization
        return authorization if authorization is not None else (yield from self._look_up(None))

    def renewed(self, refused: str) -> Plan[str | None]:
        """Give the token that has replaced the refused one; None if Clever still hands out the same."""
        authorization = yield from self._look_up(refused)
        return None if authorization == refused else authorization

    def _look_up(self, replaced: str | None) -> Plan[str]:
        # A lock held over a yield would block an event loop; so whoever finds another one looking waits its turn.
        while not self._may_look(replaced):
            if self._authorization is not None and self._authorization != replaced:
                return self._authorization
            yield Pause(_TURN_SECONDS)
        try:
            if replaced is not None:
                log.info("Clever refused the token; looking up the district's current one")
            tokens = yield from find_tokens(self._settings, self._policy, self.district_id)
            self.district_id, token = _choose(tokens, self.district_id)
            self._authorization = f"Bearer {token}"
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
