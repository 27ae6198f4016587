"""What lands is what Clever had, field by field; nothing more and nothing less."""

from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.sandbox.testing import Sandbox
from tests.support.asking import ask, due, files, landed

DISTRICTS = ["small", "section_only", "daily_only", "both", "no_section_id", "no_attendance", "paused"]


@pytest.mark.parametrize("mode", ["client", "token"])
def test_the_small_district_comes_as_rows_exactly_as_clever_has_them(sandbox: Sandbox, mode: str):
    expected = sandbox.expected("small", date_range_start="2026-06-01", date_range_end="2026-11-23")

    answer = ask(sandbox, None, mode=mode)

    assert Counter(map(repr, map(sorted_items, answer.rows))) == Counter(map(repr, map(sorted_items, expected)))
    assert answer.problem is None
    assert answer.summary["rows"] == answer.summary["received"] == len(expected)


def sorted_items(row: dict[str, str]) -> list[tuple[str, str]]:
    return sorted(row.items())


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
@pytest.mark.parametrize("district", DISTRICTS)
def test_every_kind_of_district_lands_exactly(sandbox: Sandbox, tmp_path: Path, district: str, file_format: str):
    expected = sandbox.expected(district, date_range_start="2026-06-01", date_range_end="2026-11-23")

    answer = ask(sandbox, tmp_path, district=district, file_format=file_format)

    assert landed(tmp_path, file_format) == due(expected)
    assert answer.problem is None
    assert answer.summary["added"] == len(expected)


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_every_school_of_the_large_district_lands_exactly(sandbox: Sandbox, tmp_path: Path, file_format: str):
    first_day, last_day = date(2026, 11, 17), date(2026, 11, 17)
    expected = sandbox.expected("large", date_range_start=first_day.isoformat(), date_range_end=last_day.isoformat())

    answer = ask(sandbox, tmp_path, district="large", first_day=first_day, last_day=last_day, file_format=file_format)

    assert len(expected) == 80_000
    assert landed(tmp_path, file_format) == due(expected)
    assert answer.summary["partitions"] == answer.summary["written"] == 40


def test_pulling_the_same_again_writes_nothing(sandbox: Sandbox, tmp_path: Path):
    first = ask(sandbox, tmp_path)
    before = files(tmp_path)

    again = ask(sandbox, tmp_path, work="another night")

    assert files(tmp_path) == before
    assert again.summary["unchanged"] == first.summary["written"] == len(before)
    assert again.summary["written"] == 0


@pytest.mark.parametrize(
    "knobs",
    [{"next_link": "exact"}, {"next_link": "short_pages_too"}, {"empty_links": "missing", "empty_data": "null"}],
    ids=str,
)
def test_every_documented_way_to_end_a_walk_ends_it(sandbox: Sandbox, tmp_path: Path, knobs: dict[str, str]):
    sandbox.knobs(**knobs)

    ask(sandbox, tmp_path)

    assert landed(tmp_path) == due(
        sandbox.expected("small", date_range_start="2026-06-01", date_range_end="2026-11-23")
    )


def test_chosen_schools_are_pulled_and_no_others(sandbox: Sandbox, tmp_path: Path):
    chosen = sandbox.district("small").school_ids[:2]

    answer = ask(sandbox, tmp_path, school_ids=tuple(chosen))

    expected = sandbox.expected(
        "small", school_id=list(chosen), date_range_start="2026-06-01", date_range_end="2026-11-23"
    )
    assert landed(tmp_path) == due(expected)
    assert answer.summary["schools"] == 2


def test_a_section_pull_beside_a_whole_school_pull_adds_and_marks_nothing(sandbox: Sandbox, tmp_path: Path):
    ask(sandbox, tmp_path, district="both")
    before = files(tmp_path)
    section_id = next(row["section_id"] for row in sandbox.iter_expected("both") if row.get("section_id"))

    answer = ask(sandbox, tmp_path, district="both", section_ids=(section_id,), work="sections")

    assert answer.problem is None
    assert answer.summary["missing"] == 0
    assert files(tmp_path) == before


def test_a_filter_is_refused_for_landing_before_anything_is_asked(sandbox: Sandbox, tmp_path: Path):
    with pytest.raises(CleverSettingsError, match="attendance_status"):
        ask(sandbox, tmp_path, attendance_status="absent")

    assert sandbox.counters()["total"] == 0
    assert files(tmp_path) == {}


def test_a_filter_works_for_rows(sandbox: Sandbox):
    answer = ask(sandbox, None, attendance_status="absent")

    expected = sandbox.expected(
        "small", attendance_status="absent", date_range_start="2026-06-01", date_range_end="2026-11-23"
    )
    assert len(answer.rows) == len(expected) > 0


def test_a_pull_into_rows_stops_as_soon_as_the_limit_is_passed(sandbox: Sandbox):
    with pytest.raises(CleverSettingsError, match="destination"):
        ask(sandbox, None, district="large", limit=5_000, max_concurrency=2)

    # 9.6 million rows are due; a few pages beyond the limit were on their way.
    assert sandbox.counters()["total"] < 60


def test_a_single_chain_needs_no_more_connections_than_it_has_threads(sandbox: Sandbox, tmp_path: Path):
    sandbox.clear_requests()

    ask(sandbox, tmp_path, max_concurrency=4)

    # One each, and the caller's own for tokens, district and schools.
    assert sandbox.counters()["connections"] <= 4 + 1 + 1
