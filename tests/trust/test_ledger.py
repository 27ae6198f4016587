"""The ledger tells the truth: `clever-attendance status` over receipts that clocks, tries and people have been at."""

import contextlib
import copy
import functools
import json
import operator
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import fsspec
import pytest

from airflow_provider_clever.cli.main import main
from airflow_provider_clever.dates import DateRange
from airflow_provider_clever.exceptions import CleverLandingError
from airflow_provider_clever.lake.answers import Withheld
from airflow_provider_clever.lake.idempotency_key import IdempotencyKey
from airflow_provider_clever.lake.layout import objects_at
from airflow_provider_clever.lake.receipt_files import write_receipt
from airflow_provider_clever.lake.receipts import Asked, Receipt, SchoolReceipt, WrittenPartition
from airflow_provider_clever.lake.verify import verify
from airflow_provider_clever.ledger.coverage_store import (
    Listing,
    coverage_path,
    current_coverage,
    read_coverage,
    record_coverage,
)
from airflow_provider_clever.ledger.planner import PlanSettings, plan
from airflow_provider_clever.ledger.reporting import district_report
from airflow_provider_clever.storage.compressed import gzipped_json, read_gzipped_json
from airflow_provider_clever.storage.objects import Objects
from airflow_provider_clever.syncs import moment_text

DISTRICT, OTHER = "65e000000000000000000001", "65e000000000000000000002"
TODAY = date(2026, 11, 23)
FIRST = date(2026, 5, 24)
"""The oldest day that Clever still has on TODAY."""


def at(day: date, hour: int = 23) -> str:
    return moment_text(datetime.combine(day, time(hour), UTC))


def receipt(day: date, first: date, last: date, *, number: int = 0, month: date | None = None, **more: Any) -> Receipt:
    """A receipt of a whole pull of the school Alder, on the evening of a day."""
    days = DateRange(first, last)
    return Receipt(
        **{
            "district_id": DISTRICT,
            "idempotency_key": IdempotencyKey(f"{number:032x}", (month or day).strftime("%Y-%m")),
            "asked": Asked(date_range_start=str(days.first), date_range_end=str(days.last)),
            "file_format": "jsonl",
            "finished_at": at(day),
            "sync_before": at(day, 22),
            "sync_after": at(day, 22),
            "settled": True,
            "schools": {"a": SchoolReceipt(state="landed", name="Alder", covered=(days,))},
            **more,
        }
    )


@pytest.fixture
def lake(tmp_path: Path) -> Objects:
    return objects_at(fsspec.filesystem("file"), str(tmp_path / "lake"))


def keep(lake: Objects, *receipts: Receipt) -> None:
    """Write receipts as a landing task does: joined with that of an earlier try."""
    for one in receipts:
        write_receipt(lake, one)


@pytest.fixture
def status(lake: Objects, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, dict[str, Any]]]:
    def status(*options: str, today: date = TODAY, district: str = DISTRICT) -> tuple[int, dict[str, Any]]:
        code = main(["status", lake.root, "--today", str(today), "--json", "--district", district, *options])
        (found,) = json.loads(capsys.readouterr().out)
        return code, found

    return status


def names(found: dict[str, Any], what: str) -> dict[str, str]:
    return {school["name"]: school["words"] for school in found[what]}


# --- which receipts are read ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ago", range(0, 184, 15))
def test_a_receipt_counts_for_as_long_as_clever_keeps_the_days_that_it_may_speak_of(
    lake: Objects, status: Callable[..., tuple[int, dict[str, Any]]], ago: int
) -> None:
    pulled_on = TODAY - timedelta(days=ago)
    keep(lake, receipt(pulled_on, FIRST, pulled_on))
    assert status()[1]["gaps"] == max(0, ago - 1)  # the days since then; TODAY is not over


def test_what_a_run_names_is_read_whatever_month_its_logical_date_lies_in(lake: Objects) -> None:
    long_ago = receipt(TODAY, FIRST, TODAY, month=date(2025, 1, 1))
    keep(lake, long_ago, receipt(date(2025, 1, 2), date(2025, 1, 1), date(2025, 1, 1), number=1))
    listing = Listing(today=TODAY, schools={"a": "Alder"})
    assert not record_coverage(lake, DISTRICT, listing).coverage.schools["a"].days
    after = record_coverage(lake, DISTRICT, listing, receipts=[long_ago.path]).coverage
    assert after.schools["a"].is_settled(TODAY)


@pytest.mark.parametrize(
    "wrong",
    [
        {"district_id": OTHER},
        {"idempotency_key": IdempotencyKey(f"{7:032x}", "2026-11")},
        {"idempotency_key": IdempotencyKey(f"{0:032x}", "2026-10")},
        {"finished_at": "yesterday"},
        {"sync_before": 7},
        {"idempotency_key": IdempotencyKey("../..", "2026-11")},
    ],
    ids=["another district's", "another work's", "another month's", "no moment", "no sync", "no work"],
)
def test_a_receipt_that_does_not_belong_where_it_lies_counts_for_nothing_and_is_told(
    lake: Objects,
    status: Callable[..., tuple[int, dict[str, Any]]],
    capsys: pytest.CaptureFixture[str],
    wrong: dict[str, Any],
) -> None:
    good, other = receipt(TODAY, TODAY, TODAY), receipt(TODAY, FIRST, TODAY)
    keep(lake, replace(good, idempotency_key=IdempotencyKey(f"{1:032x}", "2026-11")))
    lake.update(good.path, lambda _: gzipped_json(other.to_json() | replace(other, **wrong).to_json()))
    _, found = status()
    assert found["gaps"] == (TODAY - FIRST).days
    assert main(["verify", lake.root, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["counts"]["damaged"] == 1


def test_the_coverage_of_another_district_is_refused_and_made_again_from_the_receipts(
    lake: Objects, status: Callable[..., tuple[int, dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    keep(lake, receipt(TODAY, FIRST, TODAY), receipt(TODAY, TODAY, TODAY, district_id=OTHER))
    record_coverage(lake, DISTRICT, Listing(today=TODAY, schools={"a": "Alder"}))
    mine = lake.read(f"_clever/district={DISTRICT}/coverage.json")
    assert mine is not None
    lake.update(f"_clever/district={OTHER}/coverage.json", lambda _: mine[0])
    assert main(["status", lake.root, "--today", str(TODAY)]) == 2
    assert f"is that of another district, {DISTRICT}" in capsys.readouterr().err
    _, found = status("--rebuild", district=OTHER)
    assert found["gaps"] > 100


# --- clocks -----------------------------------------------------------------------------------------------------------


def due(lake: Objects, today: date, last_sync: str, **settings: Any) -> int:
    """How many days of Alder are due."""
    coverage = record_coverage(lake, DISTRICT, Listing(today=today, schools={"a": "Alder"})).coverage
    found = plan(coverage, {"a": "Alder"}, today=today, last_sync=last_sync, settings=PlanSettings(**settings))
    return found.schools[0].due_days


def test_a_sync_stamp_from_the_future_does_not_make_days_done(lake: Objects) -> None:
    future = at(TODAY + timedelta(days=60))
    keep(lake, receipt(TODAY, FIRST, TODAY, sync_before=future, sync_after=future))
    tomorrow = TODAY + timedelta(days=1)
    assert due(lake, tomorrow, at(tomorrow), sweep_weekday=None) == 15


def test_a_workers_clock_from_the_future_does_not_outdo_the_pulls_after_it(lake: Objects) -> None:
    keep(lake, receipt(TODAY, FIRST, TODAY, finished_at=at(TODAY + timedelta(days=400))))
    monday = TODAY + timedelta(days=7)
    assert due(lake, TODAY, at(TODAY, 22)) <= 1  # by that clock Clever may have forgotten the oldest day
    assert due(lake, monday, at(monday)) > 150
    keep(lake, receipt(monday, FIRST, monday, number=1))
    assert due(lake, monday, at(monday, 22)) == 0


def test_a_workers_clock_from_long_ago_counts_no_day_as_lost_that_was_forgotten_before_we_came(
    lake: Objects, status: Callable[..., tuple[int, dict[str, Any]]]
) -> None:
    keep(lake, receipt(TODAY, FIRST, TODAY, finished_at=at(date(1970, 1, 1))))
    _, found = status()
    assert (found["lost"], found["gaps"]) == ([], 0)


# --- tries ------------------------------------------------------------------------------------------------------------


def test_clearing_a_task_of_seven_months_ago_takes_no_day_from_the_ledger(
    lake: Objects, status: Callable[..., tuple[int, dict[str, Any]]]
) -> None:
    long_ago = TODAY - timedelta(days=210)
    first, last, summer = date(2025, 10, 28), long_ago, TODAY - timedelta(days=100)
    keep(lake, receipt(long_ago, first, last), receipt(summer, long_ago, summer, number=1))
    keep(lake, receipt(TODAY, summer, TODAY, number=2))
    assert status("--rebuild")[1]["lost"] == []
    again = receipt(TODAY, first, last, month=long_ago)
    keep(lake, again, again)
    for options in ((), ("--rebuild",)):
        code, found = status(*options)
        assert (code, found["lost"], found["gaps"]) == (0, [], 0)


def test_a_second_try_that_covers_less_leaves_what_the_first_one_settled(
    lake: Objects, status: Callable[..., tuple[int, dict[str, Any]]]
) -> None:
    days = DateRange(TODAY, TODAY)
    alder = SchoolReceipt(state="landed", name="Alder", covered=(DateRange(FIRST, TODAY),))
    birch = SchoolReceipt(state="failed", name="Birch", error="Clever answered 500")
    keep(lake, receipt(TODAY, FIRST, TODAY, schools={"a": alder, "b": birch}))
    second = receipt(TODAY, FIRST, TODAY, finished_at=at(TODAY + timedelta(days=1), 1), sync_before=at(TODAY))
    refused = SchoolReceipt(state="failed", name="Alder", error="Clever answered 503")
    keep(lake, replace(second, schools={"a": refused, "b": replace(birch, state="landed", covered=(days,))}))
    _, found = status()
    assert found["gaps"] == (TODAY - FIRST).days  # Birch's, and none of Alder's
    assert set(names(found, "failing")) == {"Alder"}


def test_a_receipt_keeps_no_try_that_a_later_one_has_outdone(lake: Objects) -> None:
    one = receipt(TODAY, FIRST, TODAY)
    keep(lake, replace(one, finished_at=at(TODAY, 21)), one, one)
    found = lake.read(one.path)
    assert found is not None
    assert read_gzipped_json(found[0])["tries"] == []


# --- gone and failing -------------------------------------------------------------------------------------------------


def listing(day: date, *schools: str) -> Listing:
    return Listing(today=day, schools={school: {"a": "Alder", "b": "Birch"}[school] for school in schools})


def test_a_school_is_gone_after_two_lists_of_different_days_and_the_text_says_since_when(
    lake: Objects, status: Callable[..., tuple[int, dict[str, Any]]]
) -> None:
    both = {school: SchoolReceipt(state="landed", covered=(DateRange(FIRST, TODAY),)) for school in "ab"}
    keep(lake, receipt(TODAY, FIRST, TODAY, schools=both))
    record_coverage(lake, DISTRICT, listing(TODAY, "a", "b"))
    tomorrow, day_after = TODAY + timedelta(days=1), TODAY + timedelta(days=2)
    for _ in range(3):
        record_coverage(lake, DISTRICT, listing(tomorrow, "a"))
        assert status(today=tomorrow)[1]["schools"] == 2
    record_coverage(lake, DISTRICT, listing(day_after, "a"))
    _, found = status(today=day_after)
    assert names(found, "gone") == {
        "Birch": f"not in Clever's list of schools since {tomorrow}, last listed on {TODAY}"
    }
    record_coverage(lake, DISTRICT, listing(day_after + timedelta(days=1), "a", "b"))
    _, found = status(today=day_after + timedelta(days=1))
    assert (found["gone"], found["schools"]) == ([], 2)


def test_lists_without_a_school_that_do_not_follow_each_other_prove_nothing(
    lake: Objects, status: Callable[..., tuple[int, dict[str, Any]]]
) -> None:
    keep(lake, receipt(TODAY, FIRST, TODAY))
    for offset, schools in enumerate(("ab", "a", "ab", "a")):
        record_coverage(lake, DISTRICT, listing(TODAY + timedelta(days=offset), *schools))
    assert status(today=TODAY + timedelta(days=3))[1]["gone"] == []


def test_a_list_without_a_school_that_another_one_of_the_same_day_named_is_no_witness(
    lake: Objects, status: Callable[..., tuple[int, dict[str, Any]]]
) -> None:
    keep(lake, receipt(TODAY, FIRST, TODAY))
    for offset, schools in ((0, "ab"), (0, "a"), (1, "a")):
        record_coverage(lake, DISTRICT, listing(TODAY + timedelta(days=offset), *schools))
    assert status(today=TODAY + timedelta(days=1))[1]["gone"] == []


@pytest.mark.parametrize("state", ["failed", "gone"])
def test_a_school_that_is_listed_and_refused_fails_however_often_also_in_receipts_of_0_1_0(
    lake: Objects, status: Callable[..., tuple[int, dict[str, Any]]], state: str
) -> None:
    start = TODAY - timedelta(days=238)
    good = SchoolReceipt(state="landed", name="Birch", covered=(DateRange(start, start),))
    keep(lake, receipt(start, start, start, schools={"b": good}))
    for week in range(1, 35):
        night = start + timedelta(weeks=week)
        refused = SchoolReceipt(state=state, name="Birch", error="Clever answered 404 for /attendance.")  # type: ignore[arg-type]  # one of its words
        keep(lake, receipt(night, night, night, number=week, schools={"b": refused}))
        record_coverage(lake, DISTRICT, listing(night, "b"))
    code, found = status()
    assert code == 1
    assert names(found, "failing") == {
        "Birch": f"Clever answered 404 for /attendance (last pulled to its end on {start})"
    }
    assert found["gone"] == []
    assert found["gaps"] == (TODAY - FIRST).days
    assert found["lost"]
    assert found["watermark"] is None


# --- files whose values nobody meant ----------------------------------------------------------------------------------

ODD = (None, True, 0, -1, 10**400, float("nan"), "", "x", "2026-11-23", "0001-01-01", "9999-12-31", [], {}, ["x", "y"])
ODD_MOMENTS = ("0001-01-01T00:00:00+14:00", "0001-01-02T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z")


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where there is a value in a document; of a list, its first two."""
    yield place
    inner = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for name, one in inner:
        yield from places(one, (*place, name))


def with_value(document: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    changed = copy.deepcopy(document)
    holder = functools.reduce(operator.getitem, place[:-1], changed)
    holder[place[-1]] = value
    return changed


@pytest.fixture
def told(lake: Objects) -> Objects:
    """A lake whose receipts and coverage hold a value in every place that they have."""
    days = (DateRange(FIRST, TODAY),)
    birch = SchoolReceipt(
        state="landed",
        name="Birch",
        covered=days,
        written={"2026-11-02": WrittenPartition(path="p", rows=3, content_hash="0" * 64, counts={"added": 3})},
        unchanged={"2026-11-03": "0" * 16},
    )
    withheld = Withheld(
        rows=1, of=2, days=(DateRange.from_json(("2026-11-02", "2026-11-02")),), since=at(TODAY), reason="gone"
    )
    alder = SchoolReceipt(state="withheld", name="Alder", withheld=withheld)
    keep(lake, receipt(TODAY - timedelta(days=1), FIRST, TODAY, schools={"b": birch}))
    keep(lake, receipt(TODAY, FIRST, TODAY, schools={"a": alder, "b": birch}, totals={"missing": 1}))
    failed = {"a": SchoolReceipt(state="failed", error="refused")}
    keep(lake, receipt(TODAY, TODAY, TODAY, number=1, schools=failed))
    record_coverage(
        lake, DISTRICT, Listing(today=TODAY, timezone="America/Chicago", schools={"a": "Alder", "c": "Cedar"})
    )
    return lake


def test_no_value_in_a_receipt_comes_out_as_an_error_that_is_not_ours(told: Objects) -> None:
    written = sorted(Path(told.root).glob("_clever/district=*/receipts/*/*.gz"))
    Path(told.root, coverage_path(DISTRICT)).unlink()
    for file in written:
        data = file.read_bytes()
        document = read_gzipped_json(data)
        assert gzipped_json(Receipt.from_json(document).to_json()) == data
        for place in places(document):
            for odd in (*ODD, *ODD_MOMENTS):
                file.write_bytes(gzipped_json(with_value(document, place, odd)))
                current = current_coverage(told, DISTRICT, Listing(today=TODAY))
                assert district_report(current, TODAY).to_json()
                assert verify(told.fs, told.root, districts=[DISTRICT]).receipts <= len(written)
        file.write_bytes(data)


def test_no_value_in_coverage_comes_out_as_an_error_that_is_not_ours(told: Objects) -> None:
    file = Path(told.root, coverage_path(DISTRICT))
    document = json.loads(file.read_bytes())
    schools = {"a": "Alder", "b": "Birch"}
    for place in places(document):
        for odd in (*ODD, *ODD_MOMENTS):
            file.write_text(json.dumps(with_value(document, place, odd)))
            with contextlib.suppress(CleverLandingError):  # another district's, or a newer version's
                current = current_coverage(told, DISTRICT, Listing(today=TODAY, timezone="UTC"))
                assert district_report(current, TODAY).to_json()
                plan(current.coverage, schools, today=TODAY, last_sync=at(TODAY), settings=PlanSettings())


@pytest.mark.parametrize("last", [date(2027, 6, 30), date(9999, 12, 31)])
def test_a_day_that_was_asked_for_before_it_came_is_not_covered_by_that(
    lake: Objects, status: Callable[..., tuple[int, dict[str, Any]]], last: date
) -> None:
    keep(lake, receipt(TODAY, FIRST, last))
    half_a_year_later = date(2027, 5, 20)
    code, found = status(today=half_a_year_later)
    (lost,) = found["about_to_be_lost"]
    assert (code, lost["days"][0][0]) == (1, "2026-11-25")
    assert found["gaps"] > 170


def test_a_rebuild_for_trial_as_of_an_earlier_day_backdates_no_pull(
    lake: Objects, status: Callable[..., tuple[int, dict[str, Any]]]
) -> None:
    keep(lake, receipt(TODAY, FIRST, TODAY))
    status("--rebuild", today=date(2020, 1, 1))
    assert status()[1]["lost"] == []
    cover = read_coverage(lake, DISTRICT).coverage.schools["a"].days.get(TODAY)
    assert cover is not None
    assert cover.pulled_at == at(TODAY)
