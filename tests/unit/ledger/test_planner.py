"""What is due, and why: no day that Clever still has is neither covered nor due."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_clever.dates import DateRange, date_ranges, first_retained, forgotten_on, subtracted
from airflow_provider_clever.ledger.coverage import Coverage, SchoolCoverage
from airflow_provider_clever.ledger.day_covers import Cover, DayCovers
from airflow_provider_clever.ledger.due import Reason
from airflow_provider_clever.ledger.planner import DistrictPlan, PlanSettings, plan
from airflow_provider_clever.ledger.receipt_facts import PullFacts, SchoolPull
from airflow_provider_clever.ledger.watermark import CorrectionRules
from airflow_provider_clever.syncs import moment_text

TODAY = date(2026, 11, 23)  # a Monday
NO_SWEEP = PlanSettings(sweep_weekday=None)


def evening(day: date) -> str:
    return moment_text(datetime.combine(day, time(22, 45), UTC))


def night_after(day: date) -> str:
    return moment_text(datetime.combine(day + timedelta(days=1), time(4), UTC))


def pulled(coverage: Coverage, span: DateRange, *, sync: date, on: date | None = None, **school: object) -> None:
    """Fold in a pull of school ``a`` that ended on the evening of a day, by default the sync's."""
    facts = SchoolPull(school_id="a", covered=(span,), **school)  # type: ignore[arg-type]  # a builder
    finished_at = moment_text(datetime.combine(on or sync, time(23, 30), UTC))
    coverage.fold(
        PullFacts(
            finished_at=finished_at,
            sync_before=evening(sync),
            sync_after=evening(sync),
            is_settled=True,
            schools=(facts,),
        )
    )


def planned(coverage: Coverage, *, today: date = TODAY, sync: date | None = TODAY, **options: object) -> DistrictPlan:
    options.setdefault("settings", NO_SWEEP)
    return plan(coverage, {"a": "Alder"}, today=today, last_sync=sync and evening(sync), **options)  # type: ignore[arg-type]  # as above


def covered_until(day: date, *, without: Sequence[date] = ()) -> Coverage:
    """A district that was pulled in full each night until this day, except for some days."""
    coverage = Coverage("d")
    for days in subtracted([DateRange(first_retained(day), day)], date_ranges(without)):
        pulled(coverage, days, sync=day)
    return coverage


def test_a_school_that_was_never_pulled_is_due_with_everything_that_clever_still_has() -> None:
    (school,) = planned(Coverage("d")).schools
    assert school.due == (DateRange(date(2026, 5, 24), TODAY),)
    assert set(school.reasons) == {Reason.LAST_CHANCE, Reason.NEVER_PULLED}
    assert school.at_risk == (DateRange(date(2026, 5, 24), date(2026, 6, 7)),)


def test_a_night_after_a_sync_asks_for_the_day_and_the_days_of_the_lookback() -> None:
    found = planned(covered_until(TODAY - timedelta(days=1)))
    assert found.schools[0].due == (DateRange(TODAY - timedelta(days=14), TODAY),)
    assert found.reasons == {Reason.NEW: 1, Reason.CORRECTIONS: 14}


def test_without_a_new_sync_nothing_but_the_new_day_is_due() -> None:
    yesterday = TODAY - timedelta(days=1)
    assert planned(covered_until(yesterday), sync=yesterday).reasons == {Reason.NEW: 1}
    assert planned(covered_until(TODAY)).tasks == ()


def test_days_do_not_get_old_while_a_districts_uploads_fail() -> None:
    coverage = covered_until(date(2026, 10, 20))
    for offset in range(1, 21):  # every night the same old sync
        day = date(2026, 10, 20) + timedelta(days=offset)
        pulled(coverage, DateRange(day, day), sync=date(2026, 10, 20), on=day)
    backlog = planned(coverage, today=date(2026, 11, 10), sync=date(2026, 11, 10))
    assert backlog.schools[0].due[-1] == DateRange(date(2026, 10, 7), date(2026, 11, 10))


def test_pulling_a_day_again_late_does_not_make_it_done_if_the_pull_saw_an_old_sync() -> None:
    coverage = covered_until(date(2026, 10, 20))
    pulled(coverage, DateRange(date(2026, 10, 1), date(2026, 11, 9)), sync=date(2026, 10, 20), on=date(2026, 11, 9))
    backlog = planned(coverage, today=date(2026, 11, 10), sync=date(2026, 11, 10))
    assert backlog.schools[0].due[-1] == DateRange(date(2026, 10, 7), date(2026, 11, 10))


def test_a_sync_stamp_that_goes_back_makes_the_lookback_due() -> None:
    found = planned(covered_until(TODAY), sync=TODAY - timedelta(days=3))
    assert found.reasons == {Reason.CORRECTIONS: 14}


def test_days_that_a_sync_landed_on_top_of_are_due_again() -> None:
    coverage = covered_until(date(2026, 10, 1))
    facts = SchoolPull(school_id="a", covered=(DateRange(date(2026, 10, 2), TODAY),))
    coverage.fold(
        PullFacts(
            finished_at=night_after(TODAY),
            sync_before=evening(date(2026, 11, 20)),
            sync_after=evening(TODAY),
            is_settled=False,
            schools=(facts,),
        )
    )
    reasons = planned(coverage).reasons
    assert reasons[Reason.UNSETTLED] == DateRange(date(2026, 10, 2), TODAY).days


def test_a_day_between_covered_ones_is_a_gap() -> None:
    coverage = covered_until(TODAY, without=[date(2026, 9, 9)])
    assert planned(coverage).schools[0].due == (DateRange(date(2026, 9, 9), date(2026, 9, 9)),)
    assert planned(coverage).reasons == {Reason.GAP: 1}


def test_two_spans_are_asked_as_one_where_that_costs_less_than_asking_twice() -> None:
    coverage = covered_until(TODAY, without=[date(2026, 9, 9), date(2026, 9, 14)])
    coverage.schools["a"].rows_per_weekday = 100.0
    assert planned(coverage).schools[0].asked == (DateRange(date(2026, 9, 9), date(2026, 9, 14)),)
    coverage.schools["a"].rows_per_weekday = 1000.0
    assert len(planned(coverage).schools[0].asked) == 2


def test_once_a_week_everything_is_due_and_the_night_after_if_that_night_was_missed() -> None:
    saturday = date(2026, 11, 21)
    weekly = PlanSettings(sweep_weekday=6)
    assert Reason.SWEEP not in planned(covered_until(saturday), today=saturday, settings=weekly).reasons
    for today in (date(2026, 11, 22), date(2026, 11, 24)):
        reasons = planned(covered_until(saturday), today=today, sync=saturday, settings=weekly).reasons
        assert reasons[Reason.SWEEP] > 150
    assert planned(covered_until(TODAY), settings=weekly).tasks == ()


def test_days_about_to_be_forgotten_are_pulled_once_more_and_then_left_for_a_week() -> None:
    coverage = covered_until(date(2026, 10, 1))
    pulled(coverage, DateRange(date(2026, 10, 1), TODAY), sync=TODAY)
    found = planned(coverage)
    assert found.reasons == {Reason.LAST_CHANCE: 15, Reason.CORRECTIONS: 13}
    pulled(coverage, found.schools[0].asked[0], sync=TODAY)
    for offset in range(7):
        later = TODAY + timedelta(days=offset)
        assert Reason.LAST_CHANCE not in planned(coverage, today=later).reasons


def test_lost_days_are_named_from_when_the_school_was_first_known() -> None:
    coverage = Coverage("d")
    coverage.list_schools({"a": "Alder"}, date(2026, 11, 1))
    coverage.list_schools({"a": "Alder"}, TODAY)
    (school,) = planned(coverage).schools
    assert school.lost == (DateRange(date(2026, 5, 2), date(2026, 5, 23)),)


def test_asking_for_a_lost_day_does_not_make_it_covered() -> None:
    coverage = Coverage("d")
    coverage.list_schools({"a": "Alder"}, date(2026, 11, 1))
    coverage.list_schools({"a": "Alder"}, TODAY)
    pulled(coverage, DateRange(date(2026, 5, 1), TODAY), sync=TODAY)
    assert planned(coverage).schools[0].lost == (DateRange(date(2026, 5, 2), date(2026, 5, 23)),)


def test_a_day_that_somebody_asked_for_is_due_although_it_is_covered_and_no_other_is() -> None:
    day = DateRange(date(2026, 11, 18), date(2026, 11, 18))
    found = planned(covered_until(TODAY), asked=day)
    assert [task.arguments() for task in found.tasks] == [
        {
            "school_ids": ["a"],
            "date_range_start": "2026-11-18",
            "date_range_end": "2026-11-18",
            "expected_requests": 1,
        }
    ]
    long_gone = DateRange(date(2026, 1, 7), date(2026, 1, 7))
    assert planned(covered_until(TODAY), asked=long_gone).tasks == ()


def test_a_district_that_does_not_say_when_it_syncs_is_pulled_every_night() -> None:
    yesterday = TODAY - timedelta(days=1)
    coverage = Coverage("d")
    facts = SchoolPull(school_id="a", covered=(DateRange(first_retained(yesterday), yesterday),))
    finished_at = moment_text(datetime.combine(yesterday, time(23), UTC))
    coverage.fold(
        PullFacts(finished_at=finished_at, sync_before=None, sync_after=None, is_settled=True, schools=(facts,))
    )
    assert planned(coverage, sync=None).schools[0].due == (DateRange(TODAY - timedelta(days=14), TODAY),)
    assert planned(coverage, sync=TODAY).schools[0].due == (DateRange(first_retained(TODAY), TODAY),)


def test_the_districts_zone_decides_which_day_a_sync_was_on() -> None:
    # 03:00 in UTC is still the evening before in Denver: the day is 13 days older than its sync, not 14.
    sync = moment_text(datetime(2026, 11, 16, 3, tzinfo=UTC))
    cover = Cover(True, sync, sync)
    assert CorrectionRules(timezone=UTC).done_until(cover) == date(2026, 11, 2)
    assert CorrectionRules(timezone=ZoneInfo("America/Denver")).done_until(cover) == date(2026, 11, 1)


# --- nothing falls through --------------------------------------------------------------------------------------------

dates = st.dates(date(2026, 1, 1), date(2028, 12, 31))
covers = st.builds(
    lambda is_settled, pulled_ago, sync_ago: (is_settled, pulled_ago, sync_ago),
    st.booleans(),
    st.integers(0, 200),
    st.one_of(st.none(), st.integers(0, 200)),
)
plan_settings = st.builds(
    PlanSettings,
    corrections=st.builds(
        CorrectionRules,
        timezone=st.sampled_from([UTC, ZoneInfo("America/Denver"), ZoneInfo("Pacific/Guam")]),
        lookback_days=st.integers(0, 60),
    ),
    sweep_weekday=st.one_of(st.none(), st.integers(0, 6)),
    most_tasks=st.sampled_from([1, 3, 1000]),
)


@st.composite
def coverages(draw: st.DrawFn, today: date) -> Coverage:
    coverage = Coverage("d")
    for school_id in draw(st.lists(st.sampled_from("abcdef"), unique=True)):
        days = DayCovers()
        for (is_settled, pulled_ago, sync_ago), start, length in draw(
            st.lists(st.tuples(covers, st.integers(0, 200), st.integers(0, 120)), max_size=4)
        ):
            first = today - timedelta(days=start)
            sync = "" if sync_ago is None else evening(today - timedelta(days=sync_ago))
            cover = Cover(is_settled, evening(today - timedelta(days=pulled_ago)), sync)
            days = days.covered(DateRange(first, min(today, first + timedelta(days=length))), cover)
        rows = draw(st.one_of(st.none(), st.floats(0, 20_000)))
        coverage.schools[school_id] = SchoolCoverage(proven=days, rows_per_weekday=rows, first_seen=today)
    return coverage


@given(st.data(), dates, st.one_of(st.none(), st.integers(0, 30)), plan_settings)
@settings(max_examples=60, deadline=None)
def test_no_day_that_clever_still_has_is_neither_covered_nor_in_a_task(
    data: st.DataObject, today: date, sync_ago: int | None, chosen: PlanSettings
) -> None:
    coverage = data.draw(coverages(today))
    last_sync = None if sync_ago is None else evening(today - timedelta(days=sync_ago))
    schools = dict.fromkeys("abcdef", "")
    found = plan(coverage, schools, today=today, last_sync=last_sync, settings=chosen)
    asked = {(school_id, day) for task in found.tasks for school_id in task.school_ids for day in task.span}
    for school_id in schools:
        school = coverage.schools.get(school_id, SchoolCoverage())
        for day in DateRange(first_retained(today), today):
            assert school.is_settled(day) or (school_id, day) in asked
    again = plan(coverage, schools, today=today, last_sync=last_sync, settings=chosen)
    assert again == found
    assert len(found.tasks) <= chosen.most_tasks


@given(st.lists(st.booleans(), min_size=30, max_size=220), st.sampled_from([None, 2]))
@settings(max_examples=20, deadline=None)
def test_every_day_since_a_school_was_known_is_covered_or_due_or_named_as_lost(
    nights: list[bool], sweep: int | None
) -> None:
    """Whatever nights are missed; and nothing is lost without having been called about to be lost for two weeks."""
    coverage, start = Coverage("d"), date(2026, 8, 1)
    warned: Counter[date] = Counter()
    chosen = PlanSettings(sweep_weekday=sweep)
    for number, works in enumerate(nights):
        today = start + timedelta(days=number)
        coverage.list_schools({"a": "Alder"}, today)
        found = planned(coverage, today=today, sync=today, settings=chosen)
        for task in found.tasks if works else ():
            pulled(coverage, task.span, sync=today)
        (after,) = planned(coverage, today=today, sync=today, settings=chosen).schools
        warned.update(day for span in after.at_risk for day in span)
        known = DateRange(first_retained(start), today)
        lost = {day for span in after.lost for day in span}
        due = {day for span in after.due for day in span}
        school = coverage.schools["a"]
        for day in known:
            assert school.is_settled(day) or day in due or day in lost
        assert all(warned[day] >= min(14, (forgotten_on(day) - start).days) for day in lost)


@pytest.mark.parametrize("today", [date(2026, 1, 1) + timedelta(days=n) for n in range(0, 1096, 31)])
def test_the_first_retained_day_is_the_oldest_that_clever_has_not_forgotten(today: date) -> None:
    first = first_retained(today)
    assert forgotten_on(first) > today
    assert forgotten_on(first - timedelta(days=1)) <= today
