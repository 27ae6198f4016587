"""``alerts.json``: what a district's people have been told, and what is just being sent to them."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from airflow_provider_clever.alerts.decision import Cause, Told
from airflow_provider_clever.exceptions import CleverLandingError
from airflow_provider_clever.lake import layout
from airflow_provider_clever.storage.objects import Objects

log = logging.getLogger(__name__)

SCHEMA_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldDistrict:
    """What has been told of one district.

    :param name: the district's, as last seen.
    :param watched_since: the first date on which people were to be told; empty: none was yet.
    :param quarantined: how many rows were in quarantine when growth was told last; None: no run has counted them yet.
    :param notifiers: what each notifier has been told, by its name.
    """

    district_id: str
    name: str = ""
    watched_since: str = ""
    quarantined: int | None = None
    notifiers: Mapping[str, Mapping[Cause, Told]] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    def told_of(self, cause: Cause) -> set[str]:
        """What any notifier has been told of with regard to a cause."""
        return {member for told in self.notifiers.values() if cause in told for member in told[cause].members}


def alerts_path(district_id: str) -> str:
    """Where it is kept, relative to the destination."""
    return layout.our_path(district_id, "alerts.json")


def read_told(objects: Objects, district_id: str) -> ToldDistrict:
    """What has been told of a district; nothing, where nothing stands, or nothing that can be read.

    :raises CleverLandingError: it cannot be fetched, or a newer version wrote it.
    """
    found = objects.read(alerts_path(district_id))
    return _parsed(found and found[0], district_id)


def update_told(objects: Objects, district_id: str, change: Callable[[ToldDistrict], ToldDistrict]) -> None:
    """Read it, and write what ``change`` makes of it; again, if another process came in between.

    :raises CleverLandingError: it cannot be read or written.
    """

    def next_data(data: bytes | None) -> bytes | None:
        after = _encoded(change(_parsed(data, district_id)))
        return None if after == data else after

    objects.update(alerts_path(district_id), next_data)


def _encoded(told: ToldDistrict) -> bytes:
    return json.dumps(asdict(told), ensure_ascii=False, sort_keys=True, indent=1).encode()


def _parsed(data: bytes | None, district_id: str) -> ToldDistrict:
    if data is None:
        return ToldDistrict(district_id=district_id)
    try:
        document: dict[str, Any] = json.loads(data)
        if document["schema_version"] > SCHEMA_VERSION:
            raise CleverLandingError(
                f"{alerts_path(district_id)} cannot be used: a newer version of airflow-provider-clever wrote it. "
                "Upgrade this one"
            )
        told = _adapter().validate_python(document)
        if told.district_id != district_id:
            raise _ForeignError
    except (ValidationError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        log.warning(
            "%s is damaged or another district's, so whatever stands is told once more, and it is written again",
            alerts_path(district_id),
        )
        return ToldDistrict(district_id=district_id)
    return told


class _ForeignError(ValueError):
    """The file is that of another district."""


@cache
def _adapter() -> TypeAdapter[ToldDistrict]:
    return TypeAdapter(ToldDistrict)
