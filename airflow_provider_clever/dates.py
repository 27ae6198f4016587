"""Calendar days in a row, how long Clever keeps a day, and time zones by name. Pure."""

import calendar
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from airflow_provider_clever.exceptions import CleverSettingsError

RETAINED_MONTHS: Final = 6
"""Clever keeps a row for six months after its attendance date (clever-api.md 3.6)."""

EDGE_DAYS: Final = 14
"""How long before that a disappearance is no longer taken for a deletion: nobody says to the day when Clever purges."""

LAST_CHANCE_DAYS: Final = EDGE_DAYS
"""How long before Clever forgets a day it counts as about to be lost."""


ONE_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Calendar days in a row, both ends included; none if the last lies before the first."""

    first: date
    last: date

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

    def __iter__(self) -> Iterator[date]:
        return (self.first + timedelta(days=offset) for offset in range(self.days))

    def __str__(self) -> str:
        return f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"


def spans_of(days: Iterable[date]) -> list[Span]:
    """The fewest spans that hold exactly these days, oldest first."""
    spans: list[Span] = []
    for day in sorted(set(days)):
        if spans and day - spans[-1].last == ONE_DAY:
            spans[-1] = Span(spans[-1].first, day)
        else:
            spans.append(Span(day, day))
    return spans


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
