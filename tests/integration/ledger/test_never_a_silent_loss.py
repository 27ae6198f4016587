"""Whatever keeps days from being pulled: in the end they have landed while Clever still had them, or are named."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import fsspec
import pytest

from airflow_provider_clever.dates import DateRange
from airflow_provider_clever.lake.layout import objects_at
from airflow_provider_clever.ledger.coverage_store import Listing, receipts_at, record_coverage
from airflow_provider_clever.ledger.due import Reason
from airflow_provider_clever.ledger.planner import PlanSettings
from airflow_provider_clever.ledger.reporting import PlannedPull, not_pulled
from airflow_provider_clever.ledger.watermark import CorrectionRules
from airflow_provider_clever.sandbox.testing import Sandbox
from tests.integration.ledger.nights import Due, Nights, days_on, evening

START = date(2026, 9, 14)  # a Monday


@pytest.fixture
def nights(sandbox: Sandbox, tmp_path: Path) -> Iterator[Nights]:
    """Nights of the small district. Its lake is in memory: what disks do to one is tried in ``tests/lake``."""
    sandbox.reset(today=START.isoformat(), districts=["small"])
    nights = Nights(sandbox, tmp_path)
    nights.objects = objects_at(fsspec.filesystem("memory"), str(tmp_path))
    yield nights
    nights.objects.fs.rm(str(tmp_path), recursive=True)


@pytest.fixture
def due(nights: Nights) -> Due:
    return Due(nights)


def to(nights: Nights, day: date, *, sync: bool = True) -> None:
    """Go to the evening of a day; with ``sync`` the district uploads on it."""
    nights.sandbox.set_now(evening(day))
    if sync:
        nights.sandbox.sync(nights.district)


def test_a_new_district_with_six_months_waiting_is_landed_in_the_first_night(nights: Nights, due: Due) -> None:
    due.look()
    found = nights.night()
    assert due.rows
    assert due.missing() == {}
    assert nights.watermark == found.last_sync
    assert nights.survey().plan.tasks == ()


def test_three_weeks_of_failing_uploads_and_then_the_backlog(nights: Nights, due: Due) -> None:
    nights.night()
    nights.sandbox.knobs(sftp_outage_districts=[nights.district_id])
    for offset in range(1, 22, 4):
        to(nights, days_on(START, offset))
        nights.night()
    nights.sandbox.knobs(sftp_outage_districts=[])
    to(nights, days_on(START, 22))
    due.look()
    assert due.missing()
    nights.night()
    assert due.missing() == {}


def test_a_backlog_far_older_than_the_lookback_needs_no_weekly_sweep(nights: Nights, due: Due) -> None:
    nights.settings = PlanSettings(corrections=CorrectionRules(lookback_days=2), sweep_weekday=None)
    nights.sandbox.knobs(late_corrections=False)  # those are what lookback and sweep are for
    nights.night()
    nights.sandbox.knobs(sftp_outage_districts=[nights.district_id])
    for offset in range(1, 40, 6):
        to(nights, days_on(START, offset))
        nights.night()
    nights.sandbox.knobs(sftp_outage_districts=[])
    to(nights, days_on(START, 40))
    nights.night()
    due.look()
    assert due.missing() == {}


def test_a_school_that_is_shared_in_the_third_month(nights: Nights, due: Due) -> None:
    birch = nights.sandbox.district("small").schools["Birch Middle"]
    nights.sandbox.share(birch, shared=False)
    nights.night()
    for offset in (30, 61):
        to(nights, days_on(START, offset))
        nights.night()
    nights.sandbox.share(birch)
    to(nights, days_on(START, 62))
    due.look(school_id=birch)
    found = nights.night()
    assert due.rows
    assert due.missing() == {}
    assert found.plan.reasons[Reason.NEVER_PULLED] > 100


def test_a_school_that_is_unshared_and_shared_again(nights: Nights, due: Due) -> None:
    birch = nights.sandbox.district("small").schools["Birch Middle"]
    nights.night()
    nights.sandbox.share(birch, shared=False)
    for offset in range(1, 31, 15):
        to(nights, days_on(START, offset))
        nights.night()
    assert nights.survey().coverage.is_gone(birch)
    assert nights.watermark == nights.survey().last_sync
    nights.sandbox.share(birch)
    to(nights, days_on(START, 31))
    due.look(school_id=birch)
    assert due.missing()
    nights.night()
    assert due.missing() == {}
    assert not nights.survey().coverage.is_gone(birch)


def test_airflow_off_for_three_weeks_while_days_come_and_go(nights: Nights, due: Due) -> None:
    nights.night()
    nights.sandbox.advance(days=21, sync=[nights.district], edits=3, late_rows=2, weeks=3)
    due.look()
    assert due.missing()
    nights.night()
    assert due.missing() == {}


def test_airflow_off_for_so_long_that_days_are_gone_names_them(nights: Nights, due: Due) -> None:
    nights.night()
    to(nights, days_on(START, 1), sync=True)
    nights.sandbox.advance(days=210, sync=[nights.district])
    due.look()
    found = nights.night()
    assert due.missing() == {}
    lost = {span for school in found.plan.schools for span in school.lost}
    first_gone = days_on(START, 1)
    assert lost == {DateRange(first_gone, found.plan.first_retained - timedelta(days=1))}


def test_the_sync_was_seen_but_the_pull_failed_just_before_a_pause_of_two_months(nights: Nights, due: Due) -> None:
    nights.night()
    before = nights.watermark
    to(nights, days_on(START, 1))
    due.look()
    nights.sandbox.fault("500", family="attendance", times=0)
    nights.night()
    nights.sandbox.clear_faults()
    nights.sandbox.pause(nights.district)
    # The sensor waits for a sync later than this: it does not wait for two months.
    assert nights.watermark == before
    assert before is not None
    assert before < (nights.survey().last_sync or "")
    to(nights, days_on(START, 2), sync=False)
    nights.night()
    assert due.missing() == {}
    to(nights, days_on(START, 62), sync=False)
    assert set(nights.survey().plan.reasons) <= {Reason.NEW, Reason.SWEEP, Reason.LAST_CHANCE}


def test_a_correction_on_day_forty_lands_with_the_next_weekly_sweep(nights: Nights, due: Due) -> None:
    nights.night()
    to(nights, days_on(START, 40))
    nights.night()
    row = next(iter(nights.sandbox.iter_expected("small", date_range_start="2026-09-10", date_range_end="2026-09-11")))
    key = {name: row[name] for name in ("school_id", "attendance_date", "student_id")}
    nights.sandbox.put_rows({**key, "section_id": row.get("section_id"), "excuse_code": "CORRECTED"})
    to(nights, days_on(START, 41))
    due.look(date_range_start="2026-09-10", date_range_end="2026-09-11")
    for offset in range(41, 48):
        to(nights, days_on(START, offset))
        nights.night()
    assert due.missing() == {}


def test_a_sync_that_lands_in_mid_pull_makes_the_days_due_again(nights: Nights, due: Due) -> None:
    nights.night()
    before = nights.watermark
    to(nights, days_on(START, 1))
    plain_lands = nights.lands

    def lands_on_a_sync(district_id: str) -> object:
        nights.sandbox.sync("small", late_rows=5, weeks=1)  # after the pull read the stamp, before its first page
        return plain_lands(district_id)

    nights.lands = lands_on_a_sync  # type: ignore[method-assign,assignment]  # the moment between stamp and first page
    nights.night()
    nights.lands = plain_lands  # type: ignore[method-assign]  # as above
    assert nights.watermark == before
    again = nights.survey().plan
    assert set(again.reasons) & {Reason.UNSETTLED, Reason.CORRECTIONS}
    nights.night()
    due.look()
    assert due.missing() == {}
    assert nights.watermark == nights.survey().last_sync


def test_a_sync_stamp_that_goes_back(nights: Nights, due: Due) -> None:
    to(nights, days_on(START, 3))
    nights.night()
    nights.sandbox.knobs(sync_stamp_on_no_change=False)
    to(nights, days_on(START, 4))
    nights.sandbox.set_stamp("small", f"{START}T10:00:00.000Z")
    due.look()
    assert due.missing()
    nights.night()
    assert due.missing() == {}
    assert nights.watermark == f"{START}T10:00:00.000000Z"


def test_a_school_that_always_fails_leaves_the_others_alone_and_heals(nights: Nights, due: Due) -> None:
    alder = nights.sandbox.district("small").schools["Alder Elementary"]
    nights.sandbox.fault("500", family="attendance", school_id=alder, times=0)
    due.look()
    nights.night()
    assert {school for school, _ in due.missing_days()} == {alder}
    (school,) = (school for school in nights.survey().plan.schools if school.due)
    assert school.school_id == alder
    assert nights.survey().coverage.schools[alder].is_failing
    nights.sandbox.clear_faults()
    to(nights, days_on(START, 1))
    nights.night()
    assert due.missing() == {}
    assert not nights.survey().coverage.schools[alder].is_failing


def test_a_bad_night_names_what_it_left_and_the_next_one_heals_it(nights: Nights, due: Due) -> None:
    """The token is revoked half-way, two schools were unshared, and one always fails."""
    nights.settings = PlanSettings(task_requests=1)
    schools = nights.sandbox.district("small").schools
    nights.night()
    to(nights, days_on(START, 1))
    for name in ("Birch Middle", "Dogwood Academy"):
        nights.sandbox.share(schools[name], shared=False)
    nights.sandbox.fault("500", family="attendance", school_id=schools["Cedar High"], times=0)
    pulls: list[int] = []

    def revoke_half_way() -> None:
        pulls.append(1)
        if len(pulls) == 3:
            nights.sandbox.revoke_token("small")

    found = nights.night(before_each_pull=revoke_half_way)
    assert len(pulls) >= 3
    planned = [PlannedPull(task.school_ids, task.span) for task in found.plan.tasks]
    coverage = record_coverage(nights.objects, nights.district_id, Listing(today=nights.today)).coverage
    receipts = receipts_at(nights.objects, nights.district_id, nights.receipts)
    left = {days.name: days for days in not_pulled(coverage, planned, receipts, today=nights.today)}
    assert 1 < len(left) < 4
    assert "500" in left["Cedar High"].words
    assert all(days.spans for days in left.values())
    # One list that leaves a school out is no proof; a second one, of another day, would be.
    assert not any(coverage.is_gone(school_id) for school_id in coverage.schools)
    nights.sandbox.clear_faults()
    nights.sandbox.rotate_token("small")
    for name in ("Birch Middle", "Dogwood Academy"):
        nights.sandbox.share(schools[name])
    to(nights, days_on(START, 2))
    due.look()
    nights.night()
    assert due.missing() == {}


def test_seven_months_of_nights_land_everything_that_clever_ever_had(nights: Nights, due: Due) -> None:
    """Two nights of each month work; uploads bring late rows and corrections as old as six weeks."""
    for month in range(8):
        for day in (0, 1, 10, 20):
            to(nights, days_on(START, 30 * month + day), sync=False)
            nights.sandbox.sync("small", edits=4, late_rows=2, weeks=6)
            if day < 2:
                nights.night()
        # Every 30 days: once more after a day is 42 days old, when no upload touches it any more, and before it is 80.
        due.look(date_range_start=days_on(START, 30 * month - 60).isoformat())
    nights.night()
    assert len(due.rows) > 10_000
    assert due.missing_days() == set()
