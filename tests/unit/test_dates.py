"""Ranges of days hold, join, subtract and cut exactly the days that they say."""

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clever.dates import DateRange, covers, date_ranges, days_of, gaps, joined, subtracted

FIRST = date(2026, 3, 2)
DAYS = st.lists(st.integers(0, 60).map(lambda n: FIRST + timedelta(days=n)))
RANGES = st.lists(
    st.builds(
        lambda days, length: DateRange(days, days + timedelta(days=length)),
        DAYS.map(lambda days: min(days, default=FIRST)),
        st.integers(-2, 20),
    )
)


@given(DAYS)
def test_days_come_back_from_their_ranges(found: list[date]) -> None:
    ranges = date_ranges(found)
    assert list(days_of(ranges)) == sorted(set(found))
    assert joined(ranges) == ranges
    assert all(before.last + timedelta(days=1) < after.first for before, after in pairwise(ranges))


@given(RANGES, RANGES)
def test_what_is_subtracted_is_gone_and_nothing_else(ranges: list[DateRange], others: list[DateRange]) -> None:
    rest = subtracted(ranges, others)
    assert set(days_of(rest)) == {*days_of(ranges)} - {*days_of(others)}
    assert joined(rest) == rest
    assert covers(others, ranges) == (not rest)


@given(DAYS)
def test_gaps_are_what_is_left_between_the_first_and_the_last(found: list[date]) -> None:
    between = {*DateRange(min(found), max(found))} if found else set()
    assert set(days_of(gaps(date_ranges(found)))) == between - set(found)


@given(st.dates(date(2024, 1, 1), date(2027, 12, 31)), st.integers(0, 400))
def test_weekdays_are_counted_as_the_calendar_has_them(first: date, length: int) -> None:
    days = DateRange(first, first + timedelta(days=length))
    assert days.weekdays == sum(day.weekday() < 5 for day in days)
    assert days.days == len(list(days))


@given(st.dates(date(2024, 1, 1), date(2027, 12, 31)), st.integers(1, 190), st.integers(1, 40))
def test_pieces_differ_by_at_most_one_weekday(first: date, length: int, pieces: int) -> None:
    days = DateRange(first, first + timedelta(days=length - 1))
    cut = days.cut(pieces)
    assert max(piece.weekdays for piece in cut) - min(piece.weekdays for piece in cut) <= 1
    assert len(cut) <= pieces
    assert [day for piece in cut for day in piece] == list(days)


@given(st.dates(), st.dates())
def test_a_range_comes_back_from_its_json(first: date, last: date) -> None:
    days = DateRange(first, last)
    assert DateRange.from_json(days.to_json()) == days


@pytest.mark.parametrize(
    "ends", ["2026-01-05", ["2026-01-05"], ["2026-01-05", "20260106"], ["2026-02-30"] * 2, None, 7]
)
def test_what_is_no_pair_of_dates_is_refused(ends: object) -> None:
    with pytest.raises(ValueError, match=r"^not "):
        DateRange.from_json(ends)


def test_every_day_of_the_calendar_can_be_subtracted() -> None:
    always = DateRange(date.min, date.max)
    assert subtracted([always], [always]) == ()
    assert subtracted([always], [DateRange(date(1, 1, 2), date.max)]) == (DateRange(date.min, date.min),)
