"""Writes a district's state in a few hundred bytes, so that a page can show hundreds of districts."""

import json
from dataclasses import asdict, dataclass
from typing import Final

from pydantic import TypeAdapter, ValidationError

from airflow_provider_clever.dates import zone_named
from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.lake import layout
from airflow_provider_clever.ledger.reporting import DistrictReport
from airflow_provider_clever.storage.objects import Objects

SCHEMA_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DistrictStatus:
    """The figures of a :class:`~airflow_provider_clever.ledger.reporting.DistrictReport`, without its schools.

    :param as_of: the date in the district that they are for, ``YYYY-MM-DD``.
    :param timezone: IANA name of the district's zone.
    :param schools: how many the district shares.
    :param expiring: schools with days that Clever forgets within 14 days and nobody has pulled.
    :param lost: schools with days that Clever has forgotten and nobody has pulled.
    :param gaps: days of schools that nobody has pulled and Clever still has.
    :param days_to_expiry: until Clever forgets the oldest of them; None: there are none.
    """

    district_id: str
    as_of: str
    timezone: str
    schools: int
    last_sync: str | None
    newest_day: str | None
    watermark: str | None
    gaps: int
    days_to_expiry: int | None
    expiring: int
    lost: int
    withheld: int
    failing: int
    gone: int
    missing: int
    quarantined: int
    schema_version: int = SCHEMA_VERSION

    @classmethod
    def of(cls, report: DistrictReport, *, as_of: str, timezone: str) -> "DistrictStatus":
        """Count what a report lists."""
        return cls(
            district_id=report.district_id,
            as_of=as_of,
            timezone=timezone,
            schools=report.schools,
            last_sync=report.last_sync,
            newest_day=report.newest_day.isoformat() if report.newest_day else None,
            watermark=report.watermark,
            gaps=report.gaps,
            days_to_expiry=report.days_to_expiry,
            expiring=len(report.about_to_be_lost),
            lost=len(report.lost),
            withheld=len(report.withheld),
            failing=len(report.failing),
            gone=len(report.gone),
            missing=report.missing,
            quarantined=report.quarantined,
        )

    @property
    def urgency(self) -> tuple[int, ...]:
        """The sort key of districts: the greater, the more urgent."""
        left = -self.days_to_expiry if self.days_to_expiry is not None else -10_000
        return (self.expiring, self.withheld, self.failing, self.gaps, left, self.lost, self.quarantined)

    @property
    def is_urgent(self) -> bool:
        """Whether a person has something to do."""
        return bool(self.expiring or self.withheld or self.failing)

    @property
    def verdict(self) -> str:
        """The state of the district in a few words, the worst first."""
        for count, words in (
            (self.expiring, "days are about to be lost"),
            (self.withheld, "waits for an answer"),
            (self.failing, "schools fail"),
            (self.gaps, "has gaps; the next run asks for them"),
            (self.lost, "complete, but for days lost earlier"),
        ):
            if count:
                return words[0].upper() + words[1:]
        return "Complete" if self.watermark else "Not pulled to the end yet"


_JSON: Final = TypeAdapter(DistrictStatus)


def status_path(district_id: str) -> str:
    """Give the file's path, relative to the destination."""
    return layout.our_path(district_id, "status.json")


def write_status(objects: Objects, status: DistrictStatus) -> None:
    """Write the file; the present one is older.

    :raises CleverLandingError: it cannot be written.
    """
    data = json.dumps(asdict(status), sort_keys=True).encode()
    objects.update(status_path(status.district_id), lambda found: None if found == data else data)


def read_status(objects: Objects, district_id: str) -> DistrictStatus | None:
    """Read the file.

    :returns: None if there is none that this version can read; then coverage has the same facts.
    :raises CleverLandingError: the destination cannot be read.
    """
    found = objects.read(status_path(district_id))
    if found is None:
        return None
    try:
        status = _JSON.validate_json(found[0])
        zone_named(status.timezone)
    except (ValidationError, CleverSettingsError):
        return None
    if status.district_id != district_id or status.schema_version != SCHEMA_VERSION:
        return None
    return status
