"""Reads from a destination what the coverage page shows: all districts at a glance, and one district day by day."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, tzinfo
from typing import Final

from airflow_provider_clever.dates import DateRange, date_from_text, zone_named
from airflow_provider_clever.exceptions import CleverError, CleverSettingsError
from airflow_provider_clever.lake import layout
from airflow_provider_clever.lake.answers import Answers, read_answers
from airflow_provider_clever.lake.forgotten import ForgottenDistrictError, refuse_forgotten
from airflow_provider_clever.lake.receipts import Receipt
from airflow_provider_clever.ledger.coverage import Coverage
from airflow_provider_clever.ledger.coverage_store import Listing, current_coverage, read_coverage
from airflow_provider_clever.ledger.reporting import district_report
from airflow_provider_clever.ledger.status_file import DistrictStatus, read_status
from airflow_provider_clever.pull.side_by_side import side_by_side
from airflow_provider_clever.storage.destination_url import shown_destination
from airflow_provider_clever.storage.objects import Objects
from airflow_provider_clever.ui.day_states import (
    Known,
    SchoolCalendar,
    calendar_days,
    school_calendar,
)
from airflow_provider_clever.ui.visits import SIDE_BY_SIDE, receipts_since

LATELY_DAYS: Final = 14
"""How long a correction is shown as one."""


class NothingPulledError(CleverSettingsError):
    """No pull of the district has left a receipt."""


NOTHING_TO_SHOW: Final = (NothingPulledError, ForgottenDistrictError)
"""Errors that mean that there is nothing to show, not that the destination cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class District:
    """A district to show.

    :param destination: where its attendance lands, as it was configured.
    :param name: its name. Default: its id.
    :param dags: the DAGs that pull it.
    """

    district_id: str
    destination: str
    name: str = ""
    dags: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The heading."""
        return self.name or self.district_id

    @property
    def subtitle(self) -> str:
        """What distinguishes it from another district of the same name."""
        place = shown_destination(self.destination)  # as a person typed it, so it may hold a key that is refused
        return f"{self.district_id} at {place}" if self.name else f"at {place}"

    def also_pulled_by(self, dag_id: str) -> "District":
        """Give the same district with one more DAG."""
        return replace(self, dags=(*self.dags, dag_id))


@dataclass(frozen=True, slots=True)
class DistrictRow:
    """A district at a glance.

    :param status: its state; None: not known, and ``problem`` says why.
    :param is_unreadable: whether its files cannot be read; False: nothing has been pulled yet, or it was forgotten.
    """

    district: District
    status: DistrictStatus | None
    problem: str = ""
    is_unreadable: bool = False

    @property
    def title(self) -> str:
        """The heading."""
        return self.district.title

    @property
    def subtitle(self) -> str:
        """What distinguishes it from another district of the same name."""
        return self.district.subtitle


@dataclass(frozen=True, slots=True)
class WithheldSchool:
    """A school whose landed rows did not come back.

    :param words: what is missing, and since when.
    :param answered: the answer that a person has given; empty: none yet.
    """

    school_id: str
    name: str
    words: str
    answered: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DistrictView:
    """A district, day by day.

    :param zone: IANA name of the zone of its days.
    :param shown: the days that the calendars cover.
    """

    district: District
    status: DistrictStatus
    zone: str
    today: date
    shown: DateRange
    calendars: tuple[SchoolCalendar, ...]
    withheld: tuple[WithheldSchool, ...]

    @property
    def district_id(self) -> str:
        """Clever's id of it."""
        return self.district.district_id

    @property
    def title(self) -> str:
        """The heading."""
        return self.district.title

    @property
    def destination(self) -> str:
        """Where it lands."""
        return self.district.destination

    @property
    def dags(self) -> tuple[str, ...]:
        """The DAGs that pull it."""
        return self.district.dags

    @property
    def failing(self) -> list[SchoolCalendar]:
        """The schools whose last pull failed."""
        return [calendar for calendar in self.calendars if calendar.problem]

    def calendar(self, school_id: str) -> SchoolCalendar | None:
        """Give one school's days. None: the district has no such school."""
        return next((one for one in self.calendars if one.school_id == school_id), None)


class Glance:
    """Reads the overview of districts, several at a time.

    :param districts: the districts to show.
    :param open_objects: opens a destination; called once for each.
    :param now: the present moment.
    """

    def __init__(self, districts: Sequence[District], open_objects: Callable[[str], Objects], now: datetime) -> None:
        self._districts = districts
        self._open_objects = open_objects
        self._now = now
        self._places: dict[str, Objects | CleverError] = {}
        self._rows: dict[int, DistrictRow] = {}

    def read(self) -> list[DistrictRow]:
        """Give all districts, the most urgent first; one that cannot be read has the reason."""
        for destination in dict.fromkeys(district.destination for district in self._districts):
            try:
                self._places[destination] = self._open_objects(destination)
            except CleverError as error:
                self._places[destination] = error
        side_by_side(self._read, range(len(self._districts)), most=SIDE_BY_SIDE, stop=threading.Event())
        return self.so_far()

    def so_far(self) -> list[DistrictRow]:
        """Give the same while districts are still being read; one that has not been read yet says so."""
        late = "It was not read in time: its destination is slow, or another's that is read beside it."
        found = (
            self._rows.get(number) or DistrictRow(district, None, late, is_unreadable=True)
            for number, district in enumerate(self._districts)
        )
        return sorted(found, key=_most_urgent_first)

    def _read(self, number: int) -> None:
        district = self._districts[number]
        place = self._places[district.destination]
        try:
            if isinstance(place, CleverError):
                raise place
            self._rows[number] = DistrictRow(district, status_now(place, district.district_id, self._now))
        except CleverError as error:
            self._rows[number] = DistrictRow(district, None, str(error), not isinstance(error, NOTHING_TO_SHOW))


def _most_urgent_first(row: DistrictRow) -> tuple[bool, tuple[int, ...], str]:
    if row.status is None:
        return (False, (), row.title)
    return (True, tuple(-figure for figure in row.status.urgency), row.title)


def status_now(objects: Objects, district_id: str, now: datetime) -> DistrictStatus:
    """Give the state of a district: as a run of today wrote it, else computed from coverage.

    :raises ForgottenDistrictError: it was forgotten.
    :raises CleverError: it cannot be read, or nothing is known of it.
    """
    refuse_forgotten(objects, district_id)
    kept = read_status(objects, district_id)
    if kept is not None and kept.as_of == now.astimezone(zone_named(kept.timezone)).date().isoformat():
        return kept
    return _coverage(objects, district_id, now).status


@dataclass(frozen=True, slots=True)
class _Found:
    coverage: Coverage
    status: DistrictStatus
    zone: tzinfo
    today: date


def _coverage(objects: Objects, district_id: str, now: datetime) -> _Found:
    name = read_coverage(objects, district_id).coverage.timezone
    zone = zone_named(name)
    today = now.astimezone(zone).date()
    file = current_coverage(objects, district_id, Listing(today=today))
    if not file.coverage.schools:
        raise NothingPulledError(f"Nothing is known of district {district_id} yet: no pull has left a receipt.")
    status = DistrictStatus.of(district_report(file, today), as_of=today.isoformat(), timezone=name)
    return _Found(file.coverage, status, zone, today)


def district_view(objects: Objects, district: District, now: datetime) -> DistrictView:
    """Read a district, day by day.

    :raises ForgottenDistrictError: it was forgotten.
    :raises CleverError: it cannot be read, or nothing is known of it.
    """
    refuse_forgotten(objects, district.district_id)
    found = _coverage(objects, district.district_id, now)
    shown = calendar_days(found.coverage, found.today)
    known = Known(
        days_with_rows=_days_with_rows(objects, district.district_id),
        corrected=corrected_days(receipts_since(objects, district.district_id, now - timedelta(days=LATELY_DAYS))),
    )
    coverage = found.coverage
    shared = sorted(coverage.shared_schools(), key=lambda id_: (coverage.schools[id_].name.casefold(), id_))
    return DistrictView(
        district=district,
        status=found.status,
        zone=found.status.timezone,
        today=found.today,
        shown=shown,
        calendars=tuple(school_calendar(coverage, id_, found.today, shown, known) for id_ in shared),
        withheld=_withheld(read_answers(objects, district.district_id)),
    )


def _withheld(answers: Answers) -> tuple[WithheldSchool, ...]:
    latest = {one.school_id: one for one in answers.given if not one.ended}
    return tuple(
        WithheldSchool(
            school_id,
            question.name,
            str(question.withheld),
            f"{latest[school_id].word}, by {latest[school_id].by}" if school_id in latest else "",
        )
        for school_id, question in sorted(answers.questions.items())
    )


def _days_with_rows(objects: Objects, district_id: str) -> set[date]:
    found = set()
    for folder in objects.names(layout.landed_prefix(district_id)):
        name = folder.rstrip("/").rpartition("/")[2]
        try:
            found.add(date_from_text(name.removeprefix("date=")))
        except ValueError:
            continue
    return found


def corrected_days(receipts: Iterable[Receipt]) -> dict[str, set[date]]:
    """Give the days whose landed rows these pulls have changed, by school."""
    found: dict[str, set[date]] = {}
    for receipt in receipts:
        for school_id, school in receipt.schools.items():
            for day, written in school.written.items():
                if _is_correction(written.counts):
                    found.setdefault(school_id, set()).add(date_from_text(day))
    return found


def _is_correction(counts: Mapping[str, int]) -> bool:
    return any(counts.get(name) for name in ("changed", "missing", "returned"))
