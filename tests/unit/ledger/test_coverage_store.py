"""coverage.json: what receipts add up to, in whatever order they come, and how often."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_clever.dates import DateRange, first_retained
from airflow_provider_clever.exceptions import CleverLandingError
from airflow_provider_clever.lake.idempotency_key import IdempotencyKey
from airflow_provider_clever.lake.layout import objects_at
from airflow_provider_clever.lake.receipts import Asked, Receipt, SchoolReceipt, WrittenPartition
from airflow_provider_clever.ledger import coverage_store as ledger
from airflow_provider_clever.ledger import receipt_facts
from airflow_provider_clever.ledger.coverage import Coverage
from airflow_provider_clever.ledger.coverage_json import CoverageFile, from_json, to_json
from airflow_provider_clever.ledger.reporting import at_risk
from airflow_provider_clever.storage.compressed import gzipped_json
from airflow_provider_clever.storage.objects import Objects
from airflow_provider_clever.syncs import moment_text

TODAY = date(2026, 11, 23)
DISTRICT = "65e000000000000000000001"


def at(day: date, hour: int = 23) -> str:
    return moment_text(datetime.combine(day, time(hour), UTC))


def receipt(
    day: date, first: date, last: date, *, number: int = 0, after: date | None = None, **schools: SchoolReceipt
) -> Receipt:
    """A receipt of a run on the evening of a day; without schools, of one school that was covered."""
    days = DateRange(first, last)
    return Receipt(
        district_id=DISTRICT,
        idempotency_key=IdempotencyKey(f"{number:032x}", day.strftime("%Y-%m")),
        asked=Asked(date_range_start=str(days.first), date_range_end=str(days.last)),
        file_format="parquet",
        finished_at=at(day),
        sync_before=at(day, 22),
        sync_after=at(after or day, 22),
        settled=after is None,
        schools=schools or {"a": SchoolReceipt(state="landed", covered=(days,))},
        totals={"missing": 3, "returned": 1, "quarantined": 2},
    )


def destination(receipts: Sequence[Receipt] = ()) -> Objects:
    objects = objects_at(fsspec.filesystem("memory"), f"/{uuid.uuid4()}")
    keep(objects, *receipts)
    return objects


def keep(objects: Objects, *receipts: Receipt) -> None:
    for one in receipts:
        objects.update(one.path, lambda _, one=one: gzipped_json(one.to_json()))  # type: ignore[misc]  # bound at once


def record(objects: Objects, today: date = TODAY, **options: object) -> CoverageFile:
    names = {"a": "Alder"}
    return ledger.record_coverage(objects, DISTRICT, ledger.Listing(today=today, schools=names), **options)  # type: ignore[arg-type]  # a builder


def text(objects: Objects) -> bytes:
    found = objects.read(ledger.coverage_path(DISTRICT))
    assert found is not None
    return found[0]


receipts_lists = st.lists(
    st.builds(
        lambda ago, start, length, unsettled, state: (ago, start, length, unsettled, state),
        st.integers(0, 100),
        st.integers(0, 250),
        st.integers(0, 60),
        st.booleans(),
        st.sampled_from(["landed", "empty", "failed", "gone"]),
    ),
    max_size=8,
)


@given(receipts_lists, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_receipts_add_up_to_the_same_in_any_order_and_however_often(
    drawn: list[tuple[object, ...]], rng: object
) -> None:
    receipts = []
    for number, (ago, start, length, unsettled, state) in enumerate(drawn):
        first = TODAY - timedelta(days=start)  # type: ignore[arg-type]  # drawn as integers
        last = min(TODAY, first + timedelta(days=length))  # type: ignore[arg-type]  # as above
        school = SchoolReceipt(state=state, covered=(DateRange(first, last),), error="no")  # type: ignore[arg-type]  # as above
        day = TODAY - timedelta(days=ago)  # type: ignore[arg-type]  # as above
        receipts.append(receipt(day, first, last, number=number, after=TODAY if unsettled else None, a=school))
    whole, halves = Coverage(DISTRICT), Coverage(DISTRICT)
    for one in receipts:
        whole.fold(receipt_facts.pull_facts(one, TODAY))
    shuffled = receipts + receipts[::2]
    rng.shuffle(shuffled)  # type: ignore[attr-defined]  # a Random
    for one in shuffled:
        halves.fold(receipt_facts.pull_facts(one, TODAY))
    assert to_json(CoverageFile(whole)) == to_json(CoverageFile(halves))
    assert from_json(to_json(CoverageFile(whole))).coverage == whole


def test_what_was_recorded_night_by_night_is_what_a_rebuild_makes_of_all_receipts() -> None:
    objects = destination()
    for number in range(120):
        day = date(2026, 7, 27) + timedelta(days=number)
        keep(objects, receipt(day, day - timedelta(days=14), day, number=number))
        record(objects, day)
    nightly = from_json(text(objects))
    rebuilt = ledger.rebuild_coverage(objects, DISTRICT, ledger.Listing(today=TODAY, schools={"a": "Alder"}))
    assert rebuilt.coverage == nightly.coverage
    assert rebuilt.receipts == nightly.receipts
    assert nightly.counts.missing == 360


def test_removing_old_receipts_loses_nothing_that_coverage_knew_not_even_when_it_is_rebuilt() -> None:
    objects = destination()
    nights = [date(2025, 7, 28) + timedelta(days=number) for number in range(0, 484, 4)]
    for number, day in enumerate(nights):
        keep(objects, receipt(day, day - timedelta(days=14), day, number=number))
    listing = ledger.Listing(today=TODAY, schools={"a": "Alder"})
    before = ledger.rebuild_coverage(objects, DISTRICT, listing)
    for number, day in enumerate(nights):
        if day < date(2025, 11, 10):  # as a store's lifecycle rule does, in the middle of a month
            objects.fs.rm(f"{objects.root}/{receipt(day, day, day, number=number).path}")
    for after in (record(objects), ledger.rebuild_coverage(objects, DISTRICT, listing), record(objects)):
        assert after.coverage == before.coverage
        assert after.counts == before.counts
    assert before.coverage.schools["a"].gaps(DateRange(nights[0], TODAY - timedelta(days=3))) == ()


def test_after_a_rebuild_without_the_first_receipts_of_this_month_new_ones_count() -> None:
    objects = destination()
    nights = [TODAY - timedelta(days=ago) for ago in range(30, 0, -1)]
    for number, day in enumerate(nights):
        keep(objects, receipt(day, day, day, number=number))
    record(objects, nights[-1])
    for number, day in enumerate(nights[:-3]):
        objects.fs.rm(f"{objects.root}/{receipt(day, day, day, number=number).path}")
    ledger.rebuild_coverage(objects, DISTRICT, ledger.Listing(today=nights[-1], schools={"a": "Alder"}))
    keep(objects, receipt(TODAY, TODAY, TODAY, number=99))
    after = record(objects)
    assert after.coverage.schools["a"].gaps(DateRange(nights[0], TODAY)) == ()
    assert after.counts.missing == 3 * 31


def test_coverage_holds_ranges_and_stays_small() -> None:
    objects = destination([receipt(TODAY, first_retained(TODAY), TODAY)])
    record(objects)
    document = json.loads(text(objects))
    assert document["histories"][document["schools"]["a"]["covered"]] == [["2026-05-24", "2026-11-23", 0]]
    assert len(text(objects)) < 1000


@given(
    zone=st.sampled_from(
        ["UTC", "Pacific/Honolulu", "America/Chicago", "Asia/Kolkata", "Pacific/Kiritimati", "+05:30"]
    ),
    moment=st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001 - in UTC
)
def test_whatever_hour_and_zone_a_first_pull_of_all_that_is_kept_leaves_no_day_at_risk(
    zone: str, moment: datetime
) -> None:
    known = UTC if zone == "+05:30" else ZoneInfo(zone)
    today = moment.astimezone(known).date()
    ended, sync = moment_text(moment), moment_text(moment - timedelta(hours=1))
    pulled = replace(receipt(today, first_retained(today), today), finished_at=ended, sync_before=sync, sync_after=sync)
    objects = destination([pulled])
    listing = ledger.Listing(today=today, timezone=zone, schools={"a": "Alder"})

    coverage = ledger.record_coverage(objects, DISTRICT, listing).coverage

    assert at_risk(coverage, today) == ()
    assert coverage.schools["a"].gaps(DateRange(first_retained(today), today)) == ()
    assert coverage.schools["a"].lost(today + timedelta(days=40)) == ()
    assert ledger.rebuild_coverage(objects, DISTRICT, listing).coverage == coverage


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_pull_of_days_without_rows_does_not_make_a_school_look_small(order: tuple[int, int]) -> None:
    last = DateRange(date(2026, 10, 1), TODAY)
    summer = DateRange(first_retained(TODAY), date(2026, 9, 30))
    written = {str(TODAY): WrittenPartition(path="p", rows=8000, content_hash="ab" * 32, counts={"added": 8000})}
    pulls = [
        receipt(TODAY, last.first, last.last, a=SchoolReceipt(state="landed", covered=(last,), written=written)),
        receipt(TODAY, summer.first, summer.last, number=1, a=SchoolReceipt(state="empty", covered=(summer,))),
    ]
    later = [replace(pulls[number], finished_at=at(TODAY, 20 + place)) for place, number in enumerate(order)]
    coverage = record(destination(later)).coverage
    assert coverage.schools["a"].rows_per_weekday == 8000 / last.weekdays


def test_a_pull_of_a_day_that_clever_had_forgotten_in_the_district_covers_nothing() -> None:
    forgotten = first_retained(TODAY) - timedelta(days=1)
    objects = destination([receipt(TODAY, forgotten, TODAY)])
    listing = ledger.Listing(today=TODAY, timezone="America/Chicago", schools={"a": "Alder"})
    coverage = ledger.record_coverage(objects, DISTRICT, listing).coverage
    assert coverage.schools["a"].gaps(DateRange(forgotten, TODAY)) == (DateRange(forgotten, forgotten),)


def test_recording_again_reads_no_receipt_again_and_writes_nothing() -> None:
    objects = destination([receipt(TODAY, first_retained(TODAY), TODAY, number=n) for n in range(3)])
    record(objects)
    before, reads = text(objects), []
    objects.read = lambda path, read=objects.read: reads.append(path) or read(path)  # type: ignore[method-assign]  # watches the store, not our code
    objects.write = lambda *_: pytest.fail("nothing is new")  # type: ignore[method-assign]  # as above
    record(objects)
    assert set(reads) == {ledger.coverage_path(DISTRICT)}
    assert text(objects) == before


def test_a_receipt_that_a_later_try_wrote_again_counts_when_it_is_named() -> None:
    failed = receipt(TODAY, TODAY, TODAY, a=SchoolReceipt(state="failed", error="timed out"))
    objects = destination([failed])
    assert record(objects).coverage.schools["a"].is_failing
    mended = SchoolReceipt(state="landed", covered=(DateRange.from_json(("2026-11-23", "2026-11-23")),))
    keep(objects, replace(failed, finished_at=at(TODAY + timedelta(days=1)), schools={"a": mended}))
    after = record(objects, receipts=[failed.path]).coverage.schools["a"]
    assert not after.is_failing
    assert after.is_settled(TODAY)


def test_a_receipt_that_turns_up_in_an_old_month_is_found() -> None:
    nights = [receipt(date(2026, month, 20), date(2026, month, 20), date(2026, month, 20)) for month in (8, 9, 10, 11)]
    objects = destination(nights)
    record(objects)
    late = receipt(date(2026, 8, 3), date(2026, 8, 1), date(2026, 8, 3), number=7)
    keep(objects, late)
    file = record(objects)
    assert file.coverage.schools["a"].is_settled(date(2026, 8, 2))
    assert file.receipts["2026-08"].names is None
    assert file.receipts["2026-08"].count == 2
    assert file.counts.missing == 15


def test_a_receipt_that_cannot_be_read_does_not_stop_the_others() -> None:
    good, bad = receipt(TODAY, TODAY, TODAY), receipt(TODAY, TODAY, TODAY, number=1)
    objects = destination([good])
    objects.update(bad.path, lambda _: b"cut short")
    assert record(objects).coverage.schools["a"].is_settled(TODAY)


@pytest.mark.parametrize("damage", [b"", b"{", b"null", b"[]", b"{}", b'{"schema_version": 1}', b"\xff" * 99])
def test_instead_of_a_damaged_coverage_the_receipts_count_and_the_next_record_writes_it_again(
    damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    objects = destination([receipt(TODAY, first_retained(TODAY), TODAY)])
    good = to_json(record(objects))
    objects.update(ledger.coverage_path(DISTRICT), lambda _: damage)

    assert ledger.read_coverage(objects, DISTRICT).coverage.schools["a"].is_settled(TODAY)
    assert "coverage.json is damaged, so what the receipts say counts instead" in caplog.text
    assert text(objects) == damage
    assert to_json(record(objects)) == good
    assert text(objects) == good


def test_a_coverage_of_a_newer_version_is_not_touched() -> None:
    objects = destination()
    objects.update(ledger.coverage_path(DISTRICT), lambda _: b'{"schema_version": 99}')
    with pytest.raises(CleverLandingError, match="Upgrade"):
        record(objects)


def test_a_rebuild_does_not_touch_a_coverage_of_a_newer_version_either() -> None:
    objects = destination([receipt(TODAY, TODAY, TODAY)])
    newer = b'{"schema_version": 99}'
    objects.update(ledger.coverage_path(DISTRICT), lambda _: newer)
    with pytest.raises(CleverLandingError, match="Upgrade"):
        ledger.rebuild_coverage(objects, DISTRICT, ledger.Listing(today=TODAY))
    assert text(objects) == newer


def test_two_reducers_at_once_lose_nothing_of_each_other() -> None:
    first, second = receipt(TODAY, TODAY, TODAY), receipt(TODAY, TODAY - timedelta(days=1), TODAY, number=1)
    objects = destination([first])
    other = objects_at(objects.fs, objects.root)
    plain_write = objects.write

    def overtaken(path: str, data: bytes, version: object) -> None:
        objects.write = plain_write  # type: ignore[method-assign]  # the other reducer comes in between once
        keep(other, second)
        record(other)
        plain_write(path, data, version)  # type: ignore[arg-type]  # as it came

    objects.write = overtaken  # type: ignore[method-assign]  # as above
    assert record(objects).coverage.schools["a"].is_settled(TODAY - timedelta(days=1))


def test_schools_that_were_pulled_together_share_one_history() -> None:
    covered = SchoolReceipt(state="landed", covered=(DateRange(first_retained(TODAY), TODAY),))
    document = json.loads(text_of(dict.fromkeys("abcdef", covered)))
    assert len(document["histories"]) == 2  # of schools that found rows, and that none found nothing


def text_of(schools: dict[str, SchoolReceipt]) -> bytes:
    objects = destination([receipt(TODAY, TODAY, TODAY, **schools)])
    record(objects)
    return text(objects)


def test_a_coverage_of_version_1_is_read_and_says_the_same() -> None:
    objects = destination([receipt(TODAY, first_retained(TODAY), TODAY)])
    record(objects)
    document = json.loads(text(objects))
    histories = document.pop("histories")
    for school in document["schools"].values():
        school["covered"] = histories[school["covered"]]
    old = json.dumps(document | {"schema_version": 1}).encode()
    assert from_json(old) == from_json(text(objects))


# --- the watermark ----------------------------------------------------------------------------------------------------


def watermark(*receipts: Receipt, schools: Sequence[str] = ("a",), today: date = TODAY) -> str | None:
    objects = destination(receipts)
    listing = ledger.Listing(today=today, schools=dict.fromkeys(schools, ""))
    ledger.record_coverage(objects, DISTRICT, listing)
    return ledger.read_coverage(objects, DISTRICT).coverage.watermark


ALL = receipt(date(2026, 11, 20), date(2026, 5, 1), date(2026, 11, 20))


def test_the_watermark_is_the_sync_that_everything_is_covered_up_to() -> None:
    assert watermark(ALL) == at(date(2026, 11, 20), 22)
    assert watermark(ALL, receipt(TODAY, date(2026, 11, 6), TODAY, number=1)) == at(TODAY, 22)


def test_there_is_no_watermark_before_everything_was_covered_once() -> None:
    assert watermark() is None
    assert watermark(receipt(TODAY, date(2026, 11, 6), TODAY)) is None
    assert watermark(ALL, schools=("a", "new")) is None


def test_a_pull_of_old_days_alone_does_not_move_the_watermark() -> None:
    old = receipt(TODAY, date(2026, 6, 1), date(2026, 6, 30), number=1)
    assert watermark(ALL, old) in (None, at(date(2026, 11, 20), 22))


def test_a_pull_of_the_newest_days_alone_does_not_move_the_watermark() -> None:
    """The days before may have been corrected by the newer sync, and nobody has looked."""
    young = receipt(TODAY, date(2026, 11, 21), TODAY, number=1)
    assert watermark(ALL, young) == at(date(2026, 11, 20), 22)


def test_a_pull_that_a_sync_landed_on_does_not_move_the_watermark() -> None:
    shaken = receipt(TODAY, date(2026, 5, 1), TODAY, number=1, after=TODAY + timedelta(days=1))
    assert watermark(ALL, shaken) == at(date(2026, 11, 20), 22)


def test_a_school_that_failed_holds_the_watermark_also_if_a_404_was_once_called_gone() -> None:
    covered = SchoolReceipt(state="landed", covered=(DateRange.from_json(("2026-05-01", "2026-11-20")),))
    young = SchoolReceipt(state="landed", covered=(DateRange.from_json(("2026-11-06", "2026-11-23")),))
    both = receipt(date(2026, 11, 20), TODAY, TODAY, a=covered, b=covered)
    for state, expected in (("failed", date(2026, 11, 20)), ("gone", date(2026, 11, 20)), ("landed", TODAY)):
        refused = SchoolReceipt(state=state, error="no")  # type: ignore[arg-type]  # one of its words
        night = receipt(TODAY, TODAY, TODAY, number=1, a=young, b=young if state == "landed" else refused)
        assert watermark(both, night, schools=("a", "b")) == at(expected, 22)


def test_a_school_that_two_lists_of_different_days_left_out_does_not_hold_the_watermark() -> None:
    covered = SchoolReceipt(state="landed", covered=(DateRange.from_json(("2026-05-01", "2026-11-20")),))
    objects = destination([receipt(date(2026, 11, 20), TODAY, TODAY, a=covered, b=covered)])
    names = {"a": "", "b": ""}
    ledger.record_coverage(objects, DISTRICT, ledger.Listing(today=date(2026, 11, 20), schools=names))
    keep(objects, receipt(TODAY, date(2026, 11, 6), TODAY, number=1))
    assert record(objects, TODAY - timedelta(days=1)).coverage.watermark == at(date(2026, 11, 20), 22)
    file = record(objects)
    assert file.coverage.is_gone("b")
    assert file.coverage.watermark == at(TODAY, 22)


# --- what a receipt says ----------------------------------------------------------------------------------------------


def test_rows_per_weekday_are_measured_where_a_pull_was_long_enough() -> None:
    def partition(rows: int) -> WrittenPartition:
        return WrittenPartition(path="p", rows=rows, content_hash="h", counts={})

    written = {f"2026-11-{day:02d}": partition(100) for day in (16, 17, 18)}
    week = (DateRange.from_json(("2026-11-16", "2026-11-22")),)
    school = SchoolReceipt(
        state="landed", covered=week, written=written, unchanged={"2026-11-19": "x", "2026-11-20": "x"}
    )
    (pull,) = receipt_facts.pull_facts(receipt(TODAY, TODAY, TODAY, a=school), TODAY).schools
    assert pull.rows_per_weekday == 100.0
    short = replace(school, covered=(DateRange.from_json(("2026-11-16", "2026-11-17")),))
    (pull,) = receipt_facts.pull_facts(receipt(TODAY, TODAY, TODAY, a=short), TODAY).schools
    assert pull.rows_per_weekday is None


def test_a_section_pull_covers_nothing() -> None:
    one = receipt(TODAY, TODAY, TODAY)
    for asked in (replace(one.asked, whole=False), replace(one.asked, section_ids=("s",))):
        facts = receipt_facts.pull_facts(replace(one, asked=asked), TODAY)
        assert all(not school.covered for school in facts.schools)
    assert receipt_facts.pull_facts(one, TODAY).schools[0].covered == (DateRange(TODAY, TODAY),)
