"""Reads and writes ``alerts.json``: which alerts about a district have been sent, and which are being sent."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from airflow_provider_clever.alerts.decision import Cause, SentCause
from airflow_provider_clever.exceptions import CleverLandingError
from airflow_provider_clever.lake import layout
from airflow_provider_clever.storage.objects import Objects

log = logging.getLogger(__name__)

SCHEMA_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SentAlerts:
    """The alerts that have been sent about one district.

    :param name: the district's name, as last seen.
    :param watched_since: the first date on which alerts were asked for; empty: there was none yet.
    :param quarantined: how many rows the last alert about quarantine counted; None: no run has counted them yet.
    :param notifiers: what each notifier has sent, by its name.
    """

    district_id: str
    name: str = ""
    watched_since: str = ""
    quarantined: int | None = None
    notifiers: Mapping[str, Mapping[Cause, SentCause]] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    def members_sent(self, cause: Cause) -> set[str]:
        """Give the members of a cause that any notifier's messages have named."""
        return {member for sent in self.notifiers.values() if cause in sent for member in sent[cause].members}


def alerts_path(district_id: str) -> str:
    """Give the file's path, relative to the destination."""
    return layout.our_path(district_id, "alerts.json")


def read_sent_alerts(objects: Objects, district_id: str) -> SentAlerts:
    """Read the file. If there is none, or it is damaged, no alert counts as sent.

    :raises CleverLandingError: it cannot be fetched, or a newer version wrote it.
    """
    found = objects.read(alerts_path(district_id))
    return _parsed(found and found[0], district_id)


def update_sent_alerts(objects: Objects, district_id: str, change: Callable[[SentAlerts], SentAlerts]) -> None:
    """Read the file, and write what ``change`` makes of it; again if another process wrote it in between.

    :raises CleverLandingError: it cannot be read or written.
    """

    def next_data(data: bytes | None) -> bytes | None:
        after = _encoded(change(_parsed(data, district_id)))
        return None if after == data else after

    objects.update(alerts_path(district_id), next_data)


def _encoded(alerts: SentAlerts) -> bytes:
    return json.dumps(asdict(alerts), ensure_ascii=False, sort_keys=True, indent=1).encode()


def _parsed(data: bytes | None, district_id: str) -> SentAlerts:
    if data is None:
        return SentAlerts(district_id=district_id)
    try:
        document: dict[str, Any] = json.loads(data)
        if document["schema_version"] > SCHEMA_VERSION:
            raise CleverLandingError(
                f"{alerts_path(district_id)} cannot be used: a newer version of airflow-provider-clever wrote it. "
                "Upgrade this one"
            )
        alerts = _adapter().validate_python(document)
        if alerts.district_id != district_id:
            raise _ForeignError
    except (ValidationError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        log.warning(
            "%s is damaged or another district's, so whatever stands is told once more, and it is written again",
            alerts_path(district_id),
        )
        return SentAlerts(district_id=district_id)
    return alerts


class _ForeignError(ValueError):
    """The file is about another district."""


@cache
def _adapter() -> TypeAdapter[SentAlerts]:
    return TypeAdapter(SentAlerts)
