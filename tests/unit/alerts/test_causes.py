"""Which causes stand, judged from coverage and from the days that have rows."""

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

from airflow_provider_clever.alerts.causes import cause_states
from airflow_provider_clever.alerts.decision import Cause
from airflow_provider_clever.alerts.district_facts import DistrictFacts
from airflow_provider_clever.dates import ONE_DAY, DateRange
from airflow_provider_clever.ledger.coverage import Coverage, SchoolCoverage
from airflow_provider_clever.ledger.day_covers import Cover, DayCovers
from airflow_provider_clever.ledger.receipt_facts import WithheldDays
from airflow_provider_clever.syncs import moment_text

TODAY = date(2026, 3, 12)  # a Thursday
NOW = datetime(2026, 3, 12, 10, tzinfo=UTC)
SCHOOLS = ("ash", "birch", "cedar", "elm")
DAYS = [day for back in range(1, 60) if (day := TODAY - timedelta(days=back)).weekday() < 5]


def covered(until: date = TODAY) -> SchoolCoverage:
    at = moment_text(datetime.combine(until, time(3), UTC))
    sync = moment_text(datetime.combine(until - ONE_DAY, time(20), UTC))
    days = DayCovers().covered(DateRange(date(2025, 9, 1), until), Cover(is_settled=True, pulled_at=at, sync=sync))
    return SchoolCoverage(first_seen=date(2025, 9, 1), proven=days)


def watched(
    schools: dict[str, SchoolCoverage] | None = None,
    *,
    silent_on: dict[str, Collection[date]] | None = None,
    **more: object,
) -> DistrictFacts:
    last_sync = moment_text(datetime.combine(TODAY - ONE_DAY, time(20), UTC))
    coverage = Coverage("65e0", schools=schools or {name: covered() for name in SCHOOLS}, last_sync=("", last_sync))
    landed = {day: {name for name in SCHOOLS if day not in (silent_on or {}).get(name, ())} for day in DAYS[:11]}
    given = {"days_with_rows": DAYS, "landed": landed, "expected_by": time(9, 30), **more}
    return DistrictFacts(coverage=coverage, now=NOW, zone=UTC, **given)  # type: ignore[arg-type]


def standing(of: DistrictFacts) -> dict[Cause, frozenset[str]]:
    return {cause: state.members for cause, state in cause_states(of, Cause).items() if state.members}


def test_a_whole_district_stands_with_no_cause_and_every_cause_is_judged() -> None:
    assert standing(watched(newly_quarantined=0)) == {}
    assert cause_states(watched(newly_quarantined=0), Cause).keys() == set(Cause)


def test_a_school_is_silent_if_it_usually_speaks_on_such_a_day_and_others_do() -> None:
    last = DAYS[0]
    assert standing(watched(silent_on={"elm": [last]})) == {Cause.SILENT: {"elm"}}
    assert standing(watched(silent_on={"elm": DAYS[:3]})) == {}, "it never was expected to, as far as is known"
    assert standing(watched(silent_on={"elm": DAYS[:3]}, already_sent={Cause.SILENT: {"elm"}})) == {
        Cause.SILENT: {"elm"}
    }
    assert standing(watched(silent_on={"elm": [last, last - timedelta(days=7)]})) == {}, "not on this weekday"
    everybody = {name: [last] for name in SCHOOLS}
    assert standing(watched(silent_on=everybody)) == {}, "a holiday"
    assert standing(watched(silent_on={name: [last] for name in SCHOOLS[1:]})) == {}, "one school out of four met"


def test_a_district_is_late_as_a_whole_or_some_of_its_schools_are() -> None:
    old = {name: covered(TODAY - timedelta(days=1)) for name in SCHOOLS}
    late = watched(old)
    assert Cause.NOT_IN in standing(late)
    assert Cause.SCHOOLS_NOT_IN not in cause_states(late, Cause), "what of schools is not known then"
    some = watched({**{name: covered() for name in SCHOOLS}, "elm": old["elm"]})
    assert standing(some)[Cause.SCHOOLS_NOT_IN] == {"elm"}
    assert Cause.NOT_IN not in cause_states(watched(old, expected_by=None), Cause)


def test_a_district_of_which_nothing_has_landed_is_late_from_the_second_day_on() -> None:
    assert Cause.NOT_IN not in standing(watched({}, days_with_rows=(), landed={}, known_before_today=False))
    nothing = DistrictFacts(coverage=Coverage("65e0"), now=NOW, zone=UTC, expected_by=time(9, 30), landed={})
    assert standing(nothing) == {Cause.NOT_IN: {"district"}}


def test_a_school_that_is_shared_since_the_deadline_was_not_to_be_in_by_then() -> None:
    others = {name: covered() for name in SCHOOLS}
    assert Cause.SCHOOLS_NOT_IN not in standing(watched({**others, "new": SchoolCoverage(first_seen=TODAY + ONE_DAY)}))
    assert Cause.SCHOOLS_NOT_IN in standing(watched({**others, "new": SchoolCoverage(first_seen=TODAY)}))


def test_a_cause_is_not_over_while_rows_of_a_school_that_it_was_told_of_are_withheld() -> None:
    days = (DateRange(TODAY - timedelta(days=2), TODAY),)
    elm = replace(covered(), withheld=WithheldDays("2026-03-12T04:00:00.000000Z", 5, 9, "2026-03-12", days))
    told = {Cause.FALLING: {"elm"}, Cause.SILENT: {"ash"}}
    states = cause_states(watched({**{name: covered() for name in SCHOOLS}, "elm": elm}, already_sent=told), Cause)
    assert Cause.FALLING not in states
    assert states[Cause.SILENT].members == frozenset()
    assert states[Cause.WITHHELD].members == {"elm"}
    assert Cause.NOT_IN not in cause_states(watched({"elm": elm}), Cause)
