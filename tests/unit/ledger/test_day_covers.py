"""Stretches of days say of every day what a record of each single day would."""

import itertools
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clever.dates import DateRange, date_ranges
from airflow_provider_clever.ledger.day_covers import FORGOTTEN, Cover, DayCovers

FIRST = date(2026, 3, 2)
WHOLE = DateRange(FIRST - timedelta(days=5), FIRST + timedelta(days=60))

ranges = st.builds(
    lambda start, length: DateRange(FIRST + timedelta(days=start), FIRST + timedelta(days=start + length)),
    st.integers(0, 40),
    st.integers(-1, 15),
)
covers = st.builds(Cover, st.booleans(), st.sampled_from(["2026-03-01", "2026-03-02", "2026-03-03"]), st.just(""))
pulls = st.lists(st.tuples(ranges, covers), max_size=12)


def by_day(found: list[tuple[DateRange, Cover]]) -> dict[date, Cover]:
    days: dict[date, Cover] = {}
    for span, cover in found:
        for day in span:
            days[day] = max(cover, days.get(day, cover))
    return days


def stretches(found: list[tuple[DateRange, Cover]]) -> DayCovers:
    covers = DayCovers()
    for days, cover in found:
        covers = covers.covered(days, cover)
    return covers


@given(pulls, ranges)
def test_each_day_has_its_best_pull(found: list[tuple[DateRange, Cover]], asked: DateRange) -> None:
    expected, covers = by_day(found), stretches(found)
    assert {day: covers.get(day) for day in WHOLE if covers.get(day)} == expected
    assert {day: cover for days, cover in covers.pieces(WHOLE) for day in days if cover} == expected
    assert [day for days, _ in covers.pieces(asked) for day in days] == list(asked)
    assert covers.not_settled(asked) == date_ranges(
        day for day in asked if day not in expected or not expected[day].is_settled
    )
    assert covers.last_day == max(expected, default=None)


@given(pulls, st.randoms(use_true_random=False))
def test_the_order_of_pulls_does_not_matter_and_no_stretch_could_be_longer(
    found: list[tuple[DateRange, Cover]], rng: object
) -> None:
    shuffled = found + found[::2]
    rng.shuffle(shuffled)  # type: ignore[attr-defined]  # a Random
    covers = stretches(found)
    assert stretches(shuffled) == covers
    assert DayCovers(covers) == covers
    known = list(covers)
    for before, after in itertools.pairwise(known):
        assert before.last < after.first
        assert before.cover != after.cover or before.last + timedelta(days=1) < after.first


@given(pulls, st.integers(-3, 60), ranges)
def test_of_forgotten_days_it_stays_known_whether_they_were_covered(
    found: list[tuple[DateRange, Cover]], day: int, kept: DateRange
) -> None:
    before = FIRST + timedelta(days=day)
    expected: dict[date, Cover] = {}
    for one, cover in by_day(found).items():
        if one >= before or one in kept:
            expected[one] = cover
        elif cover.is_settled:
            expected[one] = FORGOTTEN
    forgetting = stretches(found).forgetting(before, kept=[kept])
    assert {one: cover for days, cover in forgetting.pieces(WHOLE) for one in days if cover} == expected
    assert forgetting.forgetting(before, kept=[kept]) == forgetting
