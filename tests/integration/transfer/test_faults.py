"""Whatever Clever or the network does: the same rows at the end, or a clear error and intact files."""

import threading
import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_clever.exceptions import (
    CleverAuthError,
    CleverDataError,
    CleverError,
    CleverNotFoundError,
    CleverProtocolError,
    CleverRequestError,
    CleverSettingsError,
    CleverStoppedError,
)
from airflow_provider_clever.sandbox.testing import Sandbox
from airflow_provider_clever.transfer.result import TransferResult
from tests.support import asking
from tests.support.asking import due, files, landed
from tests.support.timing import at_most

FIRST_DAY = date(2026, 11, 2)
THESE_DAYS = {"date_range_start": "2026-11-02", "date_range_end": "2026-11-23"}
WALKED: dict[str, Any] = {"district": "both", "first_day": date(2026, 10, 19)}
"""Three schools with two pages each."""

SURVIVED: dict[str, dict[str, Any]] = {
    "429_without_retry_after": {"kind": "429", "times": 2},
    "429_without_any_header": {"kind": "429", "headers": False, "retry_after": 1},
    "500_with_json": {"kind": "500", "body": "json", "times": 3},
    "502_empty": {"kind": "502", "body": "empty", "times": 3},
    "503_with_html": {"kind": "503", "body": "html", "times": 3},
    "504_with_html": {"kind": "504", "body": "html", "times": 3},
    "connection_refused_then_back": {"kind": "refuse", "seconds": 0.2, "nth": 3},
    "reset_in_mid_body": {"kind": "reset_mid_body", "times": 3},
    "closed_before_an_answer": {"kind": "close", "times": 3},
    "truncated_json": {"kind": "truncated_json", "times": 2},
    "slow_bytes": {"kind": "slow_bytes", "seconds": 1.0, "times": 2},
    "silence": {"kind": "timeout", "seconds": 2.5},
    "token_rotated_in_mid_walk": {"kind": "rotate_token", "nth": 4},
    "extra_empty_last_page": {"kind": "extra_empty_last_page", "times": 3},
    "empty_page_in_the_middle": {"kind": "empty_page_with_next"},
    "data_null_on_an_empty_page": {"kind": "extra_empty_last_page"},
    "clock_ahead_by_ten_minutes": {"kind": "clock_skew", "seconds": 600, "times": 0},
    "clock_behind_by_ten_minutes": {"kind": "clock_skew", "seconds": -600, "times": 0},
    "no_rate_headers": {"kind": "no_rate_headers", "times": 0},
    "repeated_rate_headers": {"kind": "repeated_rate_headers", "times": 0},
}

FATAL: dict[str, tuple[dict[str, Any], type[CleverError], str]] = {
    "next_to_another_host": ({"kind": "next_foreign_host", "times": 0}, CleverProtocolError, "another host or scheme"),
    "next_to_another_scheme": (
        {"kind": "next_foreign_scheme", "times": 0},
        CleverProtocolError,
        "another host or scheme",
    ),
    "cursor_loop": ({"kind": "next_loop", "times": 0}, CleverProtocolError, "read already"),
    "200_with_html": ({"kind": "html_200", "times": 0}, CleverProtocolError, "HTML"),
    "200_that_is_no_page": ({"kind": "not_a_page_200", "times": 0}, CleverProtocolError, "no page"),
    "json_that_stays_cut": ({"kind": "truncated_json", "times": 0}, CleverProtocolError, "cut short"),
    "401_that_persists": ({"kind": "401", "times": 0}, CleverAuthError, "401"),
    "403_for_every_school": ({"kind": "403", "times": 0}, CleverAuthError, "403"),
    "404_for_every_school": ({"kind": "404", "times": 0}, CleverNotFoundError, "404"),
    "rows_of_another_district": (
        {"kind": "foreign_district_rows", "row": 5, "times": 0},
        CleverDataError,
        "another district",
    ),
    "redirect_to_another_host": ({"kind": "redirect", "times": 0}, CleverRequestError, "302"),
}


def ask(sandbox: Sandbox, lake: Path | None, **options: Any) -> TransferResult:
    """Pull three weeks of the small district: several days on a page."""
    return asking.ask(sandbox, lake, **{"first_day": FIRST_DAY, **options})


@pytest.mark.parametrize("fault", SURVIVED.values(), ids=SURVIVED.keys())
def test_the_same_rows_land_in_spite_of(sandbox: Sandbox, tmp_path: Path, fault: dict[str, Any]):
    sandbox.fault(**{"family": "attendance", **fault})

    answer = ask(sandbox, tmp_path, **WALKED)

    assert answer.problem is None
    assert landed(tmp_path) == due(sandbox.expected("both", date_range_start="2026-10-19", date_range_end="2026-11-23"))
    assert sum("starting_after" in request["query"] for request in sandbox.requests()) >= 3
    assert sum(fault["hits"] for fault in sandbox.faults()) or not sandbox.faults()


@pytest.mark.parametrize(("fault", "error", "words"), FATAL.values(), ids=FATAL.keys())
def test_earlier_files_stay_untouched_after(
    sandbox: Sandbox, tmp_path: Path, fault: dict[str, Any], error: type[CleverError], words: str
):
    ask(sandbox, tmp_path, **WALKED)
    before = files(tmp_path)
    sandbox.fault(**{"family": "attendance", **fault})

    problem: CleverError | None
    try:
        problem = ask(sandbox, tmp_path, **WALKED, work="another night").problem
    except CleverError as raised:
        problem = raised

    assert isinstance(problem, error)
    assert words in str(problem)
    assert files(tmp_path) == before


def test_a_token_of_another_district_is_refused_before_any_attendance(sandbox: Sandbox, tmp_path: Path):
    from dataclasses import replace

    from airflow_provider_clever.api.client import CleverClient
    from tests.support.asking import settings_for

    settings = replace(settings_for(sandbox, "small", mode="token"), token=sandbox.district("both").token)
    with CleverClient(settings) as client, pytest.raises(CleverSettingsError, match="district"):
        client.get_district()

    assert sandbox.counters()["by_family"].get("attendance", 0) == 0


@pytest.mark.parametrize(
    "question",
    [
        {"school_ids": ("../x",)},
        {"school_ids": ()},
        {"school_ids": ("a",), "section_ids": ("b",)},
        {"section_ids": ("a/b",)},
        {"attendance_status": "late"},
    ],
    ids=str,
)
def test_a_question_that_cannot_be_asked_costs_no_request(sandbox: Sandbox, question: dict[str, Any]):
    with pytest.raises(CleverSettingsError):
        ask(sandbox, None, **question)

    assert sandbox.counters()["total"] == 0


def test_one_school_fails_and_the_others_land(sandbox: Sandbox, tmp_path: Path):
    bad, *good = sandbox.district("small").school_ids
    sandbox.fault("500", family="attendance", school_id=bad, times=0)

    answer = ask(sandbox, tmp_path)

    expected = sandbox.expected("small", school_id=good, **THESE_DAYS)
    assert landed(tmp_path) == due(expected)
    assert answer.summary["schools_failed"] == [bad]
    assert answer.problem is not None
    assert not answer.problem.permanent


def test_schools_that_fail_for_one_cause_are_counted_and_named_once(sandbox: Sandbox, tmp_path: Path):
    small = sandbox.district("small")
    names = {school_id: name for name, school_id in small.schools.items()}
    *refused, last = small.school_ids
    for school_id in refused:
        sandbox.fault("404", family="attendance", school_id=school_id, times=0)

    problem = ask(sandbox, tmp_path).problem

    assert isinstance(problem, CleverNotFoundError)
    text = str(problem)
    assert text.startswith(
        "4 of 5 schools failed: 4 schools: Clever answered 404 for /v3.1/attendance/schools/… (asked"
    )
    assert text.count("Clever answered") == 1
    assert all(f"{names[school_id]} ({school_id})" in text for school_id in refused)
    assert last not in text


def test_a_school_whose_attendance_is_refused_fails_alone(sandbox: Sandbox, tmp_path: Path):
    bad, *good = sandbox.district("small").school_ids
    sandbox.fault("403", family="attendance", school_id=bad, times=0)

    answer = ask(sandbox, tmp_path)

    expected = sandbox.expected("small", school_id=good, **THESE_DAYS)
    assert landed(tmp_path) == due(expected)
    assert answer.summary["schools_failed"] == [bad]
    assert isinstance(answer.problem, CleverAuthError)


def test_a_school_that_is_refused_has_failed_unless_it_is_known_to_be_gone(sandbox: Sandbox, tmp_path: Path):
    school_ids = sandbox.district("small").school_ids
    ask(sandbox, tmp_path)
    before = files(tmp_path)
    sandbox.share(school_ids[0], shared=False)

    refused = ask(sandbox, tmp_path, school_ids=school_ids, work="another night")
    assert refused.summary["schools_failed"] == [school_ids[0]]
    assert isinstance(refused.problem, CleverNotFoundError)

    known = ask(sandbox, tmp_path, school_ids=school_ids, work="3", gone_schools=lambda _: school_ids[:1])
    assert known.summary["schools_gone"] == [school_ids[0]]
    assert known.problem is None
    assert files(tmp_path) == before


def test_days_before_a_break_are_kept_and_counted_as_covered(sandbox: Sandbox, tmp_path: Path):
    school_id = sandbox.district("large").school_ids[0]
    sandbox.fault("500", family="attendance", school_id=school_id, nth=6, times=0)

    answer = ask(sandbox, tmp_path, district="large", school_ids=(school_id,), max_concurrency=1)

    days = {row[0] for row in landed(tmp_path)}
    assert days
    assert answer.summary["schools_failed"] == [school_id]
    for day in days:
        expected = sandbox.expected("large", school_id=school_id, date_range_start=day, date_range_end=day)
        assert sum(row[0] == day for row in landed(tmp_path)) == len(expected)


@pytest.mark.parametrize(
    "defect",
    [
        "missing_student_id",
        "empty_student_id",
        "path_student_id",
        "missing_date",
        "integer_date",
        "unreal_date",
        "date_out_of_range",
        "other_school",
        "bad_timestamp",
    ],
)
def test_a_row_that_cannot_land_is_set_aside_and_reported_once(sandbox: Sandbox, tmp_path: Path, defect: str):
    sandbox.fault("malformed_row", family="attendance", defect=defect, row=3, times=1)
    first = ask(sandbox, tmp_path, max_concurrency=1)
    sandbox.clear_faults()
    sandbox.fault("malformed_row", family="attendance", defect=defect, row=3, times=1)
    second = ask(sandbox, tmp_path, max_concurrency=1, work="another night")

    assert isinstance(first.problem, CleverDataError)
    assert first.summary["quarantined"] == second.summary["quarantined"] == 1
    assert first.summary["received"] == first.summary["added"] + 1
    assert second.problem is None
    assert second.summary["missing"] == 0


@pytest.mark.parametrize("defect", ["unknown_status", "unknown_type", "unknown_field", "null_optional"])
def test_a_row_with_something_new_lands(sandbox: Sandbox, tmp_path: Path, defect: str):
    sandbox.fault("malformed_row", family="attendance", defect=defect, row=3, times=1)

    answer = ask(sandbox, tmp_path, max_concurrency=1)

    assert answer.problem is None
    assert answer.summary["added"] == answer.summary["received"]
    assert answer.summary["unknown_values"] == (
        {f"attendance_{defect.removeprefix('unknown_')}": 1} if defect in ("unknown_status", "unknown_type") else {}
    )


def test_a_broken_letter_is_replaced_and_counted(sandbox: Sandbox, tmp_path: Path):
    sandbox.fault("malformed_row", family="attendance", defect="lone_surrogate", row=3, times=1)

    answer = ask(sandbox, tmp_path, max_concurrency=1)

    assert answer.summary["surrogates_replaced"] >= 1
    assert sum("\ufffd" in (row[5] or "") for row in landed(tmp_path)) == 1


def test_two_rows_with_one_key_land_as_one_and_the_other_is_set_aside(sandbox: Sandbox, tmp_path: Path):
    sandbox.fault("duplicate_keys", family="attendance", row=3, times=1)

    answer = ask(sandbox, tmp_path, max_concurrency=1)

    assert answer.summary["conflicts"] == 1
    assert answer.summary["received"] == answer.summary["added"] + 1
    assert isinstance(answer.problem, CleverDataError)


@pytest.mark.timing
@pytest.mark.parametrize("kind", ["timeout", "slow_bytes"])
def test_a_stop_ends_the_pull_at_once_even_while_every_thread_sits_in_a_read(
    sandbox: Sandbox, tmp_path: Path, kind: str
):
    sandbox.fault(kind, seconds=240, family="attendance", times=0)
    stop = threading.Event()
    threading.Timer(0.7, stop.set).start()

    started = time.monotonic()
    with pytest.raises(CleverStoppedError):
        ask(sandbox, tmp_path, stop=stop)

    assert time.monotonic() - started < at_most(2.5, guard=50), "a read is given up after 60 s"


def test_a_pull_leaves_no_thread_behind(sandbox: Sandbox, tmp_path: Path):
    before = threading.enumerate()

    ask(sandbox, tmp_path)

    fetching = [t for t in threading.enumerate() if t.name.startswith("clever-") and t not in before]
    for thread in fetching:
        thread.join(120)
    assert [thread.name for thread in fetching if thread.is_alive()] == []
