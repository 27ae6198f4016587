"""Calendar days in a row, how long Clever keeps a day, and time zones by name. Pure."""

import calendar
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo
from itertools import pairwise
from typing import Final, Literal, TypeAlias, get_args
from zoneinfo import ZoneInfo

from airflow_provider_clever.exceptions import CleverSettingsError

RETAINED_MONTHS: Final = 6
"""Clever keeps a row for six months after its attendance date (clever-api.md 3.6)."""

EDGE_DAYS: Final = 14
"""How long before that a disappearance is no longer taken for a deletion: nobody says to the day when Clever purges."""

LAST_CHANCE_DAYS: Final = EDGE_DAYS
"""How long before Clever forgets a day it counts as about to be lost."""

Weekday: TypeAlias = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: Final[tuple[Weekday, ...]] = get_args(Weekday)
"""In the order in which Python numbers them."""

ONE_DAY: Final = timedelta(days=1)

_ISO_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def date_from_text(text: object) -> date:
    """Give the day that ``YYYY-MM-DD`` names.

    :raises ValueError: it is not text of this form, or no such day. The message does not quote it.
    """
    if not isinstance(text, str) or not _ISO_DATE.fullmatch(text):
        raise ValueError("not a date in the form YYYY-MM-DD")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError("not a day of the calendar") from None


@dataclass(frozen=True, slots=True, order=True)
class DateRange:
    """Calendar days in a row, both ends included; none if the last lies before the first."""

    first: date
    last: date

    @classmethod
    def from_json(cls, ends: object) -> "DateRange":
        """Read what :meth:`to_json` gave.

        :raises ValueError: it is no pair of dates.
        """
        if not isinstance(ends, list | tuple) or len(ends) != 2:
            raise ValueError("not a first and a last day")
        return cls(*map(date_from_text, ends))

    def to_json(self) -> list[str]:
        """Give the first and the last day, ``YYYY-MM-DD``."""
        return [self.first.isoformat(), self.last.isoformat()]

    @property
    def days(self) -> int:
        """How many days these are."""
        return max(0, (self.last - self.first).days + 1)

    @property
    def weekdays(self) -> int:
        """How many of them fall on Monday to Friday, the days that carry attendance."""
        weeks, rest = divmod(self.days, 7)
        start = self.first.weekday()
        return 5 * weeks + sum((start + offset) % 7 < 5 for offset in range(rest))

    def cut(self, pieces: int) -> "list[DateRange]":
        """Cut the days into at most so many pieces of about as many weekdays each, oldest first.

        Attendance falls on weekdays, so they are what the cut balances. A piece is never shorter than one weekday.
        """
        weekdays = max(1, self.weekdays)
        pieces = max(1, min(pieces, weekdays))
        starts: list[date] = []
        seen = 0
        for day in self:
            if not starts or (day.weekday() < 5 and seen >= len(starts) * weekdays / pieces):
                starts.append(day)
            seen += day.weekday() < 5
        return [
            DateRange(*ends) for ends in zip(starts, [day - ONE_DAY for day in starts[1:]] + [self.last], strict=True)
        ]

    def __iter__(self) -> Iterator[date]:
        return (self.first + timedelta(days=offset) for offset in range(self.days))

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last

    def __str__(self) -> str:
        return f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"


def date_ranges(days: Iterable[date]) -> tuple[DateRange, ...]:
    """Give the fewest ranges that hold exactly these days, oldest first."""
    return joined(DateRange(day, day) for day in days)


def joined(ranges: Iterable[DateRange]) -> tuple[DateRange, ...]:
    """Give the fewest ranges that hold exactly the days of these, oldest first."""
    result: list[DateRange] = []
    for one in sorted(one for one in ranges if one.first <= one.last):
        if result and one.first - ONE_DAY <= result[-1].last:
            result[-1] = DateRange(result[-1].first, max(result[-1].last, one.last))
        else:
            result.append(one)
    return tuple(result)


def subtracted(ranges: Iterable[DateRange], others: Iterable[DateRange]) -> tuple[DateRange, ...]:
    """Give the days of the first that lie in none of the others."""
    rest: list[DateRange] = []
    taken = joined(others)
    for one in joined(ranges):
        first = one.first
        for other in taken:
            if other.last < first or other.first > one.last:
                continue
            if other.first > first:
                rest.append(DateRange(first, other.first - ONE_DAY))
            if other.last >= one.last:
                break
            first = other.last + ONE_DAY
        else:
            rest.append(DateRange(first, one.last))
    return tuple(rest)


def covers(ranges: Iterable[DateRange], wanted: Iterable[DateRange]) -> bool:
    """Tell whether every wanted day lies in one of the ranges."""
    return not subtracted(wanted, ranges)


def gaps(ranges: Iterable[DateRange]) -> tuple[DateRange, ...]:
    """Give the days between the first and the last that lie in no range."""
    return tuple(DateRange(before.last + ONE_DAY, after.first - ONE_DAY) for before, after in pairwise(joined(ranges)))


def days_of(ranges: Iterable[DateRange]) -> Iterator[date]:
    """Give every day of the ranges once, in order."""
    return (day for one in joined(ranges) for day in one)


# --- retention ------------------------------------------------------------------------------------------------------


def forgotten_on(day: date) -> date:
    """The first date on which Clever no longer has attendance of this day (clever-api.md 3.6)."""
    return months_later(day, RETAINED_MONTHS)


def first_retained(today: date) -> date:
    """The oldest day that Clever still has on this date."""
    # Months differ in length by at most three days, so the answer lies within three days of the naive one.
    day = months_later(today, -RETAINED_MONTHS) - 3 * ONE_DAY
    while forgotten_on(day) <= today:
        day += ONE_DAY
    return day


def expiring(today: date, within_days: int) -> DateRange:
    """Give the days that Clever still has on this date and no longer has after so many days."""
    first = first_retained(today)
    # The months in between differ in length, so that up to three days may go on one date.
    last = max(
        (
            first + n * ONE_DAY
            for n in range(within_days + 4)
            if days_to_expiry(first + n * ONE_DAY, today) <= within_days
        ),
        default=first - ONE_DAY,
    )
    return DateRange(first, last)


def days_to_expiry(day: date, today: date) -> int:
    """Give in how many days Clever forgets a day."""
    return (forgotten_on(day) - today).days


def months_later(day: date, months: int) -> date:
    """The same day of a later month, or that month's last day where it is shorter."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


# --- zones ------------------------------------------------------------------------------------------------------


def zone_named(name: str) -> tzinfo:
    """Give the zone of an IANA name.

    :raises CleverSettingsError: there is none of this name.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise CleverSettingsError(f"{name!r} is no time zone; write it like America/Chicago.") from None


def zone_name(zone: tzinfo) -> str:
    """Give a zone's IANA name; ``UTC`` if it has none."""
    return str(getattr(zone, "key", None) or getattr(zone, "name", None) or "UTC")
