"""By when which school day is to be in: weekends, holidays, changes of the clock, uploads at odd hours."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from airflow_provider_clever.alerts.expectation import MONDAY_TO_FRIDAY, expected, school_weekdays, time_of_day
from airflow_provider_clever.dates import DateRange
from airflow_provider_clever.ledger.coverage import SchoolCoverage
from airflow_provider_clever.ledger.day_covers import Cover, DayCovers
from airflow_provider_clever.syncs import moment_text

CHICAGO = ZoneInfo("America/Chicago")
HALF_PAST_NINE = time(9, 30)
FRIDAY, SATURDAY, MONDAY = date(2026, 3, 6), date(2026, 3, 7), date(2026, 3, 9)  # clocks change on the Sunday between


def at(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute), CHICAGO)


def school(*, pulled: datetime, sync: datetime) -> SchoolCoverage:
    cover = Cover(is_settled=True, pulled_at=moment_text(pulled), sync=moment_text(sync))
    return SchoolCoverage(proven=DayCovers().covered(DateRange(date(2026, 1, 1), pulled.date()), cover))


@pytest.mark.parametrize(
    ("now", "day", "deadline"),
    [
        (at(FRIDAY, 9, 29), date(2026, 3, 4), at(date(2026, 3, 5), 9, 30)),
        (at(FRIDAY, 9, 30), date(2026, 3, 5), at(FRIDAY, 9, 30)),
        (at(SATURDAY, 12), date(2026, 3, 5), at(FRIDAY, 9, 30)),
        (at(MONDAY, 9, 29), date(2026, 3, 5), at(FRIDAY, 9, 30)),
        (at(MONDAY, 9, 30), FRIDAY, at(MONDAY, 9, 30)),
    ],
)
def test_the_deadline_is_a_time_on_the_wall_and_passes_on_school_days_alone(
    now: datetime, day: date, deadline: datetime
) -> None:
    found = expected(now.astimezone(UTC), HALF_PAST_NINE, CHICAGO, MONDAY_TO_FRIDAY)
    assert (found.day, found.deadline) == (day, deadline)


def test_a_time_that_the_change_of_the_clock_skips_or_doubles_has_a_deadline_too() -> None:
    every_day = frozenset(range(7))
    for changes in (date(2026, 3, 8), date(2026, 11, 1)):
        for by in (time(1, 30), time(2, 30)):
            found = expected(at(changes, 12), by, CHICAGO, every_day)
            assert found.deadline.astimezone(CHICAGO).date() == changes


@pytest.mark.parametrize(
    ("pulled", "sync", "has_rows", "is_in"),
    [
        (at(MONDAY, 3), at(FRIDAY, 17), True, True),  # uploaded on the evening of the day
        (at(MONDAY, 3), at(MONDAY, 1), False, True),  # uploaded, without rows: there was no school
        (at(MONDAY, 3), at(FRIDAY, 1), False, False),  # that upload brought the day before
        (at(FRIDAY, 3), at(FRIDAY, 1), False, False),  # pulled before the day was over
        (at(MONDAY, 3), at(FRIDAY, 9), True, True),  # its rows are there
        (at(FRIDAY, 11), at(FRIDAY, 9), True, False),  # its rows of the morning are there
    ],
)
def test_a_school_is_in_once_a_pull_has_landed_what_was_uploaded_of_the_day(
    pulled: datetime, sync: datetime, has_rows: bool, is_in: bool
) -> None:
    found = expected(at(MONDAY, 9, 30), HALF_PAST_NINE, CHICAGO, MONDAY_TO_FRIDAY)
    assert found.is_in(school(pulled=pulled, sync=sync), CHICAGO, has_rows=has_rows) == is_in
    assert not found.is_in(SchoolCoverage(), CHICAGO, has_rows=has_rows)


def test_school_days_are_the_weekdays_that_usually_have_rows() -> None:
    days = [MONDAY - timedelta(days=back) for back in range(1, 120)]
    four = [day for day in days if day.weekday() < 4]
    assert school_weekdays(four, MONDAY) == {0, 1, 2, 3}
    assert school_weekdays([*four, FRIDAY, SATURDAY], MONDAY) == {0, 1, 2, 3}, "one Saturday makes no school day"
    assert school_weekdays(four[:5], MONDAY) == MONDAY_TO_FRIDAY, "of a new district little is known"
    assert school_weekdays([*days, MONDAY + timedelta(days=400)], MONDAY) == set(range(7))


def test_a_time_of_day_is_read_as_people_write_it_and_refused_with_the_way_to_write_it() -> None:
    assert time_of_day("09:30") == time_of_day(time(9, 30)) == time(9, 30)
    for given, words in (
        (630, '"10:30"'),
        ("9:30", "write it like 09:30"),
        ("24:00", "no time of day"),
        (True, "True"),
    ):
        with pytest.raises(ValueError, match=words):
            time_of_day(given)
