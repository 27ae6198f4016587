"""School days, calendar months, and the sandbox's own clock."""

from __future__ import annotations

import time
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

UPLOAD_TIME = "22:45:50.000Z"
"""When a district's nightly upload is loaded: before 7 PM Eastern, as Clever advises (clever-api.md 6)."""

START_OF_CLOCK = "23:00:00.000Z"
"""The clock's time of day in a new world: just after the upload, and still the same day all over America."""

FIXED_HOLIDAYS = {(1, 1), (7, 4), (11, 11), (12, 24), (12, 25), (12, 31)}


def timestamp_text(moment: datetime) -> str:
    """Write a moment as Clever does: UTC, milliseconds, ``Z`` (clever-api.md 2.1)."""
    moment = moment.astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def parse_timestamp(text: str) -> datetime:
    """Read an ISO-8601 moment; one without an offset is taken as UTC.

    :raises ValueError: the text is not a moment.
    """
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def add_months(day: date, months: int) -> date:
    """Move a date by calendar months; a day that the target month lacks becomes its last one."""
    count = day.year * 12 + day.month - 1 + months
    year, month = divmod(count, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _nth_weekday(year: int, month: int, weekday: int, nth: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (nth - 1))


def is_school_day(day: date) -> bool:
    """Tell whether schools meet: no weekends, no public holidays. There is no summer break, to keep days plenty."""
    if day.weekday() >= 5 or (day.month, day.day) in FIXED_HOLIDAYS:
        return False
    thanksgiving = _nth_weekday(day.year, 11, 3, 4)
    moving = {_nth_weekday(day.year, 9, 0, 1), thanksgiving, thanksgiving + timedelta(days=1)}
    return day not in moving


def school_days(first: date, last: date) -> list[str]:
    """List the school days between two dates, both included, as ``YYYY-MM-DD``."""
    days = (first + timedelta(days=offset) for offset in range((last - first).days + 1))
    return [day.isoformat() for day in days if is_school_day(day)]


def last_school_days(count: int, last: date) -> list[str]:
    """List the ``count`` school days that end with ``last``, oldest first."""
    found: list[str] = []
    day = last
    while len(found) < count:
        if is_school_day(day):
            found.append(day.isoformat())
        day -= timedelta(days=1)
    return found[::-1]


@dataclass
class Clock:
    """The sandbox's idea of now. It stands still until it is moved, or until it is told to follow the wall clock."""

    base: datetime
    follows_wall: bool = False
    _started: float = 0.0

    @classmethod
    def at(cls, today: date) -> Clock:
        """Give a clock that stands at the evening of ``today``."""
        return cls(parse_timestamp(f"{today.isoformat()}T{START_OF_CLOCK}"))

    @property
    def now(self) -> datetime:
        """The present moment in UTC."""
        if not self.follows_wall:
            return self.base
        return self.base + timedelta(seconds=time.monotonic() - self._started)

    @property
    def today(self) -> date:
        """The present date in UTC."""
        return self.now.date()

    def set(self, moment: datetime, *, follows_wall: bool | None = None) -> None:
        """Put the clock to a moment, forwards or backwards."""
        if follows_wall is not None:
            self.follows_wall = follows_wall
        self.base, self._started = moment, time.monotonic()
