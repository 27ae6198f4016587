"""Gives each day of a school the state that the calendar shows. No I/O."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from itertools import groupby

from airflow_provider_clever.dates import LAST_CHANCE_DAYS, ONE_DAY, DateRange, days_of, first_retained, forgotten_on
from airflow_provider_clever.ledger.coverage import Coverage, SchoolCoverage


class DayState(StrEnum):
    """The state of a school's day, the most urgent one first."""

    EXPIRING = "expiring"
    WITHHELD = "withheld"
    GAP = "gap"
    LOST = "lost"
    UNSETTLED = "unsettled"
    CORRECTED = "corrected"
    COVERED = "covered"
    NO_SCHOOL = "no-school"
    NOT_YET = "not-yet"

    @property
    def label(self) -> str:
        """The state in words."""
        return self.value.replace("-", " ")


MEANINGS = {
    DayState.EXPIRING: "a gap that Clever forgets within 14 days",
    DayState.WITHHELD: "landed rows did not come back, and a person has to say why",
    DayState.GAP: "not pulled yet, and Clever still has it",
    DayState.LOST: "never pulled, and Clever has forgotten it",
    DayState.UNSETTLED: "a sync arrived during the pull, so the day is due again",
    DayState.CORRECTED: "covered, and rows of it changed in the last 14 days",
    DayState.COVERED: "covered by a complete pull",
    DayState.NO_SCHOOL: "covered, and no school of the district has rows: a weekend or a holiday",
    DayState.NOT_YET: "before we knew the school, or not over yet",
}
"""Each state in the words of the legend."""

URGENT = (DayState.EXPIRING, DayState.WITHHELD, DayState.GAP, DayState.LOST, DayState.UNSETTLED)
"""The states that a person may have to do something about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a district's days besides its coverage.

    :param days_with_rows: the days of which any school has a landed partition; None: not known.
    :param corrected: per school, the days of which rows changed lately.
    """

    days_with_rows: Collection[date] | None = None
    corrected: Mapping[str, Collection[date]]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive days of one state."""

    state: DayState
    days: DateRange


@dataclass(frozen=True, slots=True)
class SchoolCalendar:
    """One school's days, from the oldest that Clever keeps (or the oldest lost one) to today.

    :param problem: why its last pull failed; empty: it did not.
    """

    school_id: str
    name: str
    stretches: tuple[Stretch, ...]
    problem: str = ""

    def count(self, state: DayState) -> int:
        """Count the days in this state."""
        return sum(stretch.days.days for stretch in self.stretches if stretch.state is state)

    def urgent(self) -> Iterator[Stretch]:
        """The stretches that a person may have to do something about, the most urgent first."""
        for state in URGENT:
            yield from (stretch for stretch in self.stretches if stretch.state is state)

    @property
    def summary(self) -> str:
        """The whole calendar in words, for screen readers."""
        counts = ((state, self.count(state)) for state in DayState)
        return ", ".join(f"{count} {'day' if count == 1 else 'days'} {state.label}" for state, count in counts if count)


def calendar_days(coverage: Coverage, today: date) -> DateRange:
    """Give the days that a district's calendar shows: those that Clever keeps, and the recently lost ones before."""
    floor = first_retained(today)
    lost = [span.first for id_, school in coverage.schools.items() for span in _lost(coverage, id_, school, today)]
    earliest = first_retained(floor)  # another six months; what is older is history
    return DateRange(max(earliest, min([floor, *lost])), today)


def school_calendar(coverage: Coverage, school_id: str, today: date, shown: DateRange, known: Known) -> SchoolCalendar:
    """Give one school's days with their states.

    :param today: the date in the district.
    :param shown: the days to show.
    """
    school = coverage.schools[school_id]
    withheld = {*days_of(school.open_withheld.days)} if school.open_withheld else set()
    lost = {*days_of(_lost(coverage, school_id, school, today))}
    corrected = known.corrected.get(school_id, ())

    def state(day: date) -> DayState:
        cover = school.days.get(day)
        if day in withheld or day in lost:
            return DayState.WITHHELD if day in withheld else DayState.LOST
        is_bare = known.days_with_rows is not None and day not in known.days_with_rows
        if day >= today and (cover is None or not cover.is_settled or is_bare):
            return DayState.NOT_YET
        if cover is None:
            return _not_pulled(day, today, first_retained(school.first_seen or today))
        if not cover.is_settled:
            return DayState.UNSETTLED
        if is_bare:
            return DayState.NO_SCHOOL
        return DayState.CORRECTED if day in corrected else DayState.COVERED

    stretches = []
    for found, group in groupby(shown, key=state):
        days = [*group]
        stretches.append(Stretch(found, DateRange(days[0], days[-1])))
    return SchoolCalendar(
        school_id, school.name or school_id, tuple(stretches), school.failure if school.is_failing else ""
    )


def _not_pulled(day: date, today: date, first_asked: date) -> DayState:
    if day < max(first_retained(today), first_asked):
        return DayState.NOT_YET
    return DayState.EXPIRING if (forgotten_on(day) - today).days <= LAST_CHANCE_DAYS else DayState.GAP


def _lost(coverage: Coverage, school_id: str, school: SchoolCoverage, today: date) -> tuple[DateRange, ...]:
    return school.lost(today, shared_until=school.listed_on if coverage.is_gone(school_id) else None)


def months(shown: DateRange) -> list[DateRange]:
    """Group days by month, the newest month first."""
    found: list[DateRange] = []
    first = shown.first
    while first <= shown.last:
        following = date(first.year + first.month // 12, first.month % 12 + 1, 1)
        found.append(DateRange(first, min(shown.last, following - ONE_DAY)))
        first = following
    return found[::-1]
