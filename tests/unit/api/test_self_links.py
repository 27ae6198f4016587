"""A self link is compared with the question by what both name, whatever either of them looks like."""

from __future__ import annotations

import pytest

from airflow_provider_clever.api.messages import Request
from airflow_provider_clever.api.self_links import Part, check_self_link
from airflow_provider_clever.api.walking import Sizes

ORIGIN = "https://api.clever.com"
SCHOOL = "/v3.1/attendance/schools/s1"
DAYS = "date_range_start=2026-11-09&date_range_end=2026-11-20"


def asked(query: str = DAYS, path: str = SCHOOL) -> Request:
    return Request(ORIGIN, path, query)


@pytest.mark.parametrize(
    ("link", "conflicting"),
    [
        (f"{SCHOOL}?{DAYS}", set()),
        (f"{ORIGIN}{SCHOOL}/?date_range_end=2026-11-20T00:00:00Z&date_range_start=2026%2D11%2D09&limit=5", set()),
        ("http://[no address", set()),
        (f"{SCHOOL}?date_range_start=soon&date_range_start=2026-11-10&date_range_end=", {Part.START}),
        (f"/v3.1/attendance/schools/s2?{DAYS}", {Part.SUBJECT}),
        ("/v3.1/schools?limit=1000", {Part.SUBJECT}),
        (f"{SCHOOL}?{DAYS}&starting_after=x", {Part.CURSOR}),
        (f"{SCHOOL}?{DAYS}&attendance_status=absent", {Part.STATUS}),
    ],
)
def test_only_what_both_name_is_compared(link: str, conflicting: set[Part]) -> None:
    assert check_self_link(link, asked()).conflicting == conflicting


def test_a_list_that_is_answered_with_attendance_is_another_answer() -> None:
    assert check_self_link(f"{SCHOOL}?{DAYS}", asked("limit=1000", "/v3.1/schools")).conflicting == {Part.SUBJECT}


def test_a_status_is_compared_as_it_stands() -> None:
    question = asked(f"{DAYS}&attendance_status=absent")
    assert check_self_link(f"{SCHOOL}?{DAYS}&attendance_status=tardy", question).conflicting == {Part.STATUS}


def test_longer_ranges_that_are_answered_later_change_nothing() -> None:
    sizes = Sizes(max_span_days=5)
    sizes.note_span(7)
    assert sizes.max_span_days == 5
