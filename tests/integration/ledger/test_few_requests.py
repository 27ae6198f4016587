"""A plan asks for little more than it must: counted by the sandbox, not by us."""

import math
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from airflow_provider_clever.dates import DateRange, first_retained
from airflow_provider_clever.ledger.coverage import Coverage
from airflow_provider_clever.ledger.coverage_json import CoverageFile, to_json
from airflow_provider_clever.ledger.coverage_store import coverage_path
from airflow_provider_clever.ledger.due import Reason
from airflow_provider_clever.ledger.receipt_facts import PullFacts, SchoolPull
from airflow_provider_clever.ledger.reporting import estimate_note
from airflow_provider_clever.sandbox.testing import Sandbox
from airflow_provider_clever.storage.versions import ABSENT
from airflow_provider_clever.syncs import moment_text
from tests.integration.ledger.nights import Nights

TODAY = date(2026, 11, 23)


def cover(nights: Nights, until: date) -> None:
    """Write down that everything has been pulled until a day."""
    coverage = Coverage(nights.district_id)
    sync = moment_text(datetime.combine(until, time(22, 45), UTC))
    span = DateRange(first_retained(until), until)
    schools = tuple(
        SchoolPull(school_id=school_id, covered=(span,), rows_per_weekday=240.0)
        for school_id in nights.sandbox.district(nights.district).school_ids
    )
    coverage.fold(PullFacts(finished_at=sync, sync_before=sync, sync_after=sync, is_settled=True, schools=schools))
    nights.objects.write(coverage_path(nights.district_id), to_json(CoverageFile(coverage)), ABSENT)


def least(nights: Nights, first: date, last: date) -> int:
    """The requests that a perfect client would make: each school's days in one walk of full pages."""
    counted = nights.sandbox.expected_count(
        nights.district, date_range_start=first.isoformat(), date_range_end=last.isoformat()
    )
    rows = Counter(
        {school: sum(sum(day.values()) for day in days.values()) for school, days in counted["schools"].items()}
    )
    return sum(max(1, math.ceil(count / 1000)) for count in rows.values())


def test_a_night_of_a_covered_district_of_fifty_schools(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.reset(
        today=TODAY.isoformat(), districts=["large"], large_schools=50, large_students=30, large_school_days=20
    )
    nights = Nights(sandbox, tmp_path, "large")
    cover(nights, TODAY - timedelta(days=1))
    sandbox.clear_requests()
    found = nights.night()
    asked = sandbox.counters()["by_family"]["attendance"]
    must = least(nights, TODAY - timedelta(days=14), TODAY)
    assert set(found.plan.reasons) == {Reason.NEW, Reason.CORRECTIONS}
    assert must >= 100
    assert must <= asked <= 1.05 * must
    assert len(found.plan.tasks) <= max(1, asked / 300)
    assert abs(found.plan.requests - asked) <= 0.05 * asked


def test_a_school_whose_window_fits_one_page_is_asked_once(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.reset(today=TODAY.isoformat(), districts=["large"], large_schools=1, large_students=4, large_school_days=20)
    nights = Nights(sandbox, tmp_path, "large")
    nights.night()
    sandbox.clear_requests()
    nights.night(asked=DateRange(TODAY - timedelta(days=14), TODAY))
    assert sandbox.counters()["by_family"]["attendance"] == 1


def test_of_many_schools_without_any_pull_a_hundred_are_sampled_and_the_plan_says_that_it_estimates(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.reset(
        today=TODAY.isoformat(), districts=["large"], large_schools=130, large_students=4, large_school_days=20
    )
    nights = Nights(sandbox, tmp_path, "large")
    sandbox.clear_requests()
    plan = nights.survey().plan
    assert sandbox.counters()["by_family"]["attendance"] == 100
    assert (plan.sampled_schools, plan.estimated_schools) == (100, 30)
    assert estimate_note(plan).startswith("The number of requests is an estimate: 100 schools were asked for one day")
    assert None not in {school.requests for school in plan.schools}


def test_a_first_pull_is_estimated_from_one_sampled_day_of_each_school(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.reset(
        today=TODAY.isoformat(), districts=["large"], large_schools=8, large_students=40, large_school_days=120
    )
    sandbox.knobs(latency_ms=50)
    nights = Nights(sandbox, tmp_path, "large")
    sandbox.clear_requests()
    plan = nights.survey().plan
    assert sandbox.counters()["by_family"]["attendance"] == 8
    assert sandbox.counters()["max_in_flight"] >= 4  # no school waits for another one
    must = least(nights, first_retained(TODAY), TODAY)
    # Holidays are in the plan's weekdays and not in the sandbox's school days.
    assert must <= plan.requests <= 1.15 * must
