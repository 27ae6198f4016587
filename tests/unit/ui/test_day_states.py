"""What a day of a school is to a person who looks at a calendar."""

from datetime import date

import pytest

from airflow_provider_clever.dates import DateRange, first_retained
from airflow_provider_clever.ledger.coverage import Coverage, PullFacts, SchoolPull, WithheldDays
from airflow_provider_clever.ui.day_states import (
    MEANINGS,
    DayState,
    Known,
    calendar_days,
    months,
    school_calendar,
)

TODAY = date(2026, 11, 26)
SCHOOL = "62f0000000000000000000a1"
FLOOR = first_retained(TODAY)


def coverage(*pulls: tuple[DateRange, str, bool], first_seen: date = date(2026, 1, 5)) -> Coverage:
    """A district of one school, with what these pulls covered, when, and whether a sync came in between."""
    found = Coverage("65e000000000000000000001")
    found.list_schools({SCHOOL: "Alder"}, first_seen)
    for days, at, settled in pulls:
        sync = f"{at[:10]}T02:00:00.000000Z"
        school = SchoolPull(school_id=SCHOOL, covered=(days,), name="Alder", has_rows=True)
        found.fold(PullFacts(finished_at=at, sync_before=sync, sync_after=sync, is_settled=settled, schools=(school,)))
    return found


def state_of(found: Coverage, day: date, known: Known | None = None) -> DayState:
    shown = calendar_days(found, TODAY)
    calendar = school_calendar(found, SCHOOL, TODAY, shown, known or Known(corrected={}))
    return next(stretch.state for stretch in calendar.stretches if day in stretch.days)


WHOLE = (DateRange(FLOOR, TODAY), "2026-11-26T09:00:00.000000Z", True)


@pytest.mark.parametrize(
    ("pulls", "day", "expected"),
    [
        ([WHOLE], date(2026, 11, 25), DayState.COVERED),
        ([], date(2026, 11, 25), DayState.GAP),
        ([], FLOOR, DayState.EXPIRING),
        ([(DateRange(FLOOR, TODAY), "2026-11-26T09:00:00.000000Z", False)], date(2026, 11, 25), DayState.UNSETTLED),
        ([], date(2026, 4, 1), DayState.LOST),
        ([], TODAY, DayState.NOT_YET),
        ([WHOLE], TODAY, DayState.COVERED),
    ],
    ids=["covered", "gap", "expiring", "unsettled", "lost", "today is no gap yet", "today is in already"],
)
def test_a_day_is(pulls: list[tuple[DateRange, str, bool]], day: date, expected: DayState) -> None:
    assert state_of(coverage(*pulls), day) is expected


def test_days_before_we_knew_the_school_are_no_gap_of_ours() -> None:
    assert state_of(coverage(first_seen=TODAY), FLOOR) is DayState.EXPIRING
    shown = calendar_days(coverage(first_seen=TODAY), TODAY)
    assert shown == DateRange(FLOOR, TODAY)


def test_a_covered_day_without_rows_of_any_school_is_no_school_and_today_is_not_over() -> None:
    known = Known(days_with_rows={date(2026, 11, 25)}, corrected={})
    assert state_of(coverage(WHOLE), date(2026, 11, 25), known) is DayState.COVERED
    assert state_of(coverage(WHOLE), date(2026, 11, 22), known) is DayState.NO_SCHOOL
    assert state_of(coverage(WHOLE), TODAY, known) is DayState.NOT_YET


def test_a_day_whose_rows_changed_lately_is_corrected() -> None:
    known = Known(corrected={SCHOOL: {date(2026, 11, 20)}})
    assert state_of(coverage(WHOLE), date(2026, 11, 20), known) is DayState.CORRECTED
    assert state_of(coverage(WHOLE), date(2026, 11, 19), known) is DayState.COVERED


def test_withheld_days_are_shown_as_such_although_an_earlier_pull_covered_them() -> None:
    found = coverage(WHOLE)
    withheld = WithheldDays(
        at="2026-11-26T12:00:00.000000Z",
        rows=30,
        of=60,
        since="2026-11-26T12:00:00.000000Z",
        days=(DateRange(date(2026, 11, 16), date(2026, 11, 17)),),
    )
    school = SchoolPull(school_id=SCHOOL, is_open=True, withheld=withheld)
    at = "2026-11-26T12:00:00.000000Z"
    found.fold(PullFacts(finished_at=at, sync_before=at, sync_after=at, is_settled=True, schools=(school,)))
    assert state_of(found, date(2026, 11, 16)) is DayState.WITHHELD
    assert state_of(found, date(2026, 11, 18)) is DayState.COVERED


def test_stretches_cover_every_shown_day_once_and_are_said_in_words() -> None:
    found = coverage((DateRange(date(2026, 11, 2), date(2026, 11, 6)), "2026-11-07T09:00:00.000000Z", True))
    shown = calendar_days(found, TODAY)
    calendar = school_calendar(found, SCHOOL, TODAY, shown, Known(corrected={}))
    assert [day for stretch in calendar.stretches for day in stretch.days] == [*shown]
    assert "5 days covered" in calendar.summary
    assert next(stretch.state for stretch in calendar.urgent()) is DayState.EXPIRING


def test_every_state_has_its_words() -> None:
    assert MEANINGS.keys() == set(DayState)


def test_months_are_whole_and_the_newest_comes_first() -> None:
    assert months(DateRange(date(2026, 10, 30), date(2026, 12, 2))) == [
        DateRange(date(2026, 12, 1), date(2026, 12, 2)),
        DateRange(date(2026, 11, 1), date(2026, 11, 30)),
        DateRange(date(2026, 10, 30), date(2026, 10, 31)),
    ]
