"""How students attend, by the seed alone: who is away how often and when, who is ill for how long, who is late."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from .identity import draw
from .school_calendar import is_school_day

PRESENT, AWAY, ILL, LATE = range(4)
"""What a student's day was like: there; absent for a day; absent in a streak of illness; late for the first class."""

# How many of every 256 students miss, or are late on, so many of every 256 days. Together with illness that makes 6.5 %
# of all days, and 20 to 25 % of the students miss a tenth or more: chronic absentees, as many as in the USA since 2022.
AWAY_KINDS = ((140, 2), (60, 6), (22, 30), (26, 44), (8, 90))
LATE_KINDS = ((200, 3), (44, 14), (12, 40))
# Mondays and Fridays are missed most.
WEEKDAYS = (1.45, 0.85, 0.8, 0.8, 1.1)
# Illness begins on 2 of 256 school days; how many of them it lasts.
ILLNESS_DAYS = {0: 2, 1: 3}
LONGEST_ILLNESS_DAYS = max(ILLNESS_DAYS.values())

_STILL_ILL = [bytes(ILLNESS_DAYS.get(byte, 0) > since for byte in range(256)) for since in range(LONGEST_ILLNESS_DAYS)]
"""From the byte drawn for the day on which an illness might begin, whether it lasts some school days later."""


@dataclass(frozen=True, slots=True)
class Habits:
    """Of each student of a school, in the roster's order.

    :param away: By weekday, below which byte a day is missed.
    :param late: From which byte on a student is late.
    """

    away: tuple[bytes, ...]
    late: bytes


def habits_of(seed: int, students: list[str]) -> Habits:
    """Give the habits of students; a student who moves keeps them."""
    drawn = [draw(seed, "habits", student, size=2) for student in students]
    often = [_kind(AWAY_KINDS, away) for away, _ in drawn]
    return Habits(
        away=tuple(bytes(min(255, round(days * factor)) for days in often) for factor in WEEKDAYS),
        late=bytes(255 - _kind(LATE_KINDS, late) for _, late in drawn),
    )


def days_of(seed: int, school_id: str, day: str, habits: Habits) -> list[int]:
    """Say what a school day was like for each student."""
    students = len(habits.late)
    ill = 0
    for since, earlier in enumerate(_last_school_days(day)):
        began = draw(seed, "illness", school_id, earlier, size=students)
        ill |= int.from_bytes(began.translate(_STILL_ILL[since]), "big")
    random = draw(seed, "day", school_id, day, size=students)
    away = habits.away[date.fromisoformat(day).weekday() % len(WEEKDAYS)]
    return [
        ILL if is_ill else AWAY if chance < misses else LATE if chance > comes_late else PRESENT
        for is_ill, chance, misses, comes_late in zip(
            ill.to_bytes(students, "big"), random, away, habits.late, strict=True
        )
    ]


def _kind(kinds: tuple[tuple[int, int], ...], byte: int) -> int:
    """Give the figure of the kind of student that a byte falls into."""
    for students, figure in kinds:
        if byte < students:
            return figure
        byte -= students
    return kinds[-1][1]


@lru_cache(maxsize=512)
def _last_school_days(day: str) -> tuple[str, ...]:
    """List a day and the school days before it, as far back as the longest illness reaches, newest first."""
    found, earlier = [day], date.fromisoformat(day)
    while len(found) < LONGEST_ILLNESS_DAYS:
        earlier -= timedelta(days=1)
        if is_school_day(earlier):
            found.append(earlier.isoformat())
    return tuple(found)
