"""Computes which day of a district is expected by when, and whether a school's day is in. No I/O."""

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, tzinfo
from typing import TYPE_CHECKING, Final

from airflow_provider_clever.attendance.values import moment_from_text
from airflow_provider_clever.dates import ONE_DAY
from airflow_provider_clever.syncs import sync_moment

if TYPE_CHECKING:  # parsing a DAG reads the times of day, and needs no ledger
    from airflow_provider_clever.ledger.coverage import SchoolCoverage
    from airflow_provider_clever.ledger.day_covers import Cover

_OBSERVED_DAYS: Final = 40
"""How many of the newest days with rows show on which weekdays there is school: eight weeks of school."""
_ENOUGH_DAYS: Final = 10
_LEAST_SHARE: Final = 13
"""A weekday counts if at least one in 13 of those days falls on it: a single Saturday makes no school day."""
_TIME: Final = re.compile(r"([01]\d|2[0-3]):[0-5]\d", re.ASCII)
MONDAY_TO_FRIDAY: Final = frozenset(range(5))


def time_of_day(given: object) -> time:
    """Give the time of day that a text such as ``09:30`` names.

    :raises ValueError: it names none; the message follows the name of the value. YAML reads ``10:30`` without quotes as
        a number, and the message says so.
    """
    if isinstance(given, time) and given.tzinfo is None:
        return given
    if isinstance(given, str) and _TIME.fullmatch(given):
        return time.fromisoformat(given)
    if type(given) is int and 0 <= given < 24 * 60:  # YAML 1.1 reads 10:30 in base sixty
        raise ValueError(f'is the number {given}: write it in quotes, "{given // 60:02}:{given % 60:02}"')
    raise ValueError(f"is {str(given)[:20]!r}, no time of day: write it like 09:30, in the district's zone")


def school_weekdays(days_with_rows: Collection[date], today: date) -> frozenset[int]:
    """Give the weekdays, 0 for Monday, on which the district usually has rows; Monday to Friday while little is known.

    :param days_with_rows: the days of which any school has landed rows.
    :param today: later days do not count.
    """
    newest = sorted((day for day in days_with_rows if day < today), reverse=True)[:_OBSERVED_DAYS]
    if len(newest) < _ENOUGH_DAYS:
        return MONDAY_TO_FRIDAY
    counts = Counter(day.weekday() for day in newest)
    return frozenset(weekday for weekday, count in counts.items() if count * _LEAST_SHARE >= len(newest))


def previous_school_day(day: date, weekdays: Collection[int]) -> date:
    """Give the last day before this one that falls on one of these weekdays."""
    found = day - ONE_DAY
    while found.weekday() not in weekdays:
        found -= ONE_DAY
    return found


def pulled_on(cover: "Cover", zone: tzinfo) -> date:
    """Give the date of a pull in the district's zone. Only days before it were over when the pull ran."""
    return moment_from_text(cover.pulled_at).astimezone(zone).date() if cover.pulled_at else date.max


@dataclass(frozen=True, slots=True)
class Expected:
    """A school day, and the deadline by which it was expected.

    :param day: the school day before the day of the deadline.
    :param deadline: the last deadline that has passed, UTC.
    :param upload_since: an upload after this instant is the one that contains the day, whether it has rows or not.
    """

    day: date
    deadline: datetime
    upload_since: datetime

    def is_in(self, school: "SchoolCoverage", zone: tzinfo, *, has_rows: bool) -> bool:
        """Whether a whole pull has landed the day of a school after the district had uploaded it.

        An upload after ``upload_since`` proves that; if it has no rows of the day, there was no school. Rows that were
        pulled after the day was over prove it too.

        :param has_rows: whether rows of the day have landed for the school.
        """
        cover = school.days.get(self.day) or school.bare.get(self.day)
        if cover is None:
            return False
        sync = sync_moment(cover.sync or None)
        return (sync is not None and sync >= self.upload_since) or (has_rows and self.day < pulled_on(cover, zone))


def expected(now: datetime, by: time, zone: tzinfo, weekdays: Collection[int]) -> Expected:
    """Give what was expected by the last deadline. Only school days have a deadline.

    :param by: the time of day, in the zone; it holds on days on which clocks change, too.
    """

    def deadline_of(day: date) -> datetime:
        return datetime.combine(day, by, tzinfo=zone).astimezone(UTC)

    day = now.astimezone(zone).date()
    if deadline_of(day) > now or day.weekday() not in weekdays:
        day = previous_school_day(day, weekdays)
    awaited = previous_school_day(day, weekdays)
    return Expected(awaited, deadline_of(day), deadline_of(awaited))
