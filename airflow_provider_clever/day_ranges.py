"""Calendar days as ranges: compact in receipts, exact in coverage."""

from collections.abc import Collection, Iterable, Iterator
from datetime import date, timedelta
from itertools import pairwise
from typing import NamedTuple


class DayRange(NamedTuple):
    """Consecutive calendar days, both ends inclusive, ``YYYY-MM-DD``."""

    start: str
    end: str


def joined(ranges: Iterable[DayRange]) -> tuple[DayRange, ...]:
    """The same days in the fewest ranges, in order."""
    result: list[DayRange] = []
    for current in sorted(DayRange(*days) for days in ranges):
        if result and current.start <= _next_day(result[-1].end):
            result[-1] = DayRange(result[-1].start, max(result[-1].end, current.end))
        else:
            result.append(current)
    return tuple(result)


def covers(ranges: Iterable[DayRange], wanted: Iterable[DayRange]) -> bool:
    """Whether every wanted day lies in one of the ranges."""
    have = joined(ranges)
    return all(any(one.start <= days.start and days.end <= one.end for one in have) for days in joined(wanted))


def gaps(ranges: Iterable[DayRange]) -> tuple[DayRange, ...]:
    """The days between the first and the last that lie in no range."""
    return tuple(
        DayRange(_next_day(before.end), _previous_day(after.start)) for before, after in pairwise(joined(ranges))
    )


def days(ranges: Iterable[DayRange]) -> Iterator[str]:
    """Every day of the ranges, in order."""
    for one in joined(ranges):
        day = one.start
        while day <= one.end:
            yield day
            day = _next_day(day)


def without(ranges: Iterable[DayRange], left_out: Collection[str]) -> tuple[DayRange, ...]:
    """The ranges without these days."""
    return day_ranges(day for day in days(ranges) if day not in left_out) if left_out else joined(ranges)


def day_ranges(found: Iterable[str]) -> tuple[DayRange, ...]:
    """Single days as ranges."""
    return joined(DayRange(day, day) for day in found)


def _next_day(day: str) -> str:
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat()


def _previous_day(day: str) -> str:
    return (date.fromisoformat(day) - timedelta(days=1)).isoformat()
