"""What is asked, and what is refused before anything is sent."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clever.api.endpoints import (
    AttendanceQuery,
    attendance_request,
    districts_request,
    schools_request,
    sections_request,
    tokens_request,
)
from airflow_provider_clever.exceptions import CleverSettingsError

BASE = "https://api.clever.com"
DAYS = {"date_range_start": "2026-01-05", "date_range_end": "2026-01-09"}


def test_a_question_says_everything_it_filters_by() -> None:
    query = AttendanceQuery(school_id="s1", attendance_status="absent", **DAYS)
    request = attendance_request(BASE, query, limit=5, starting_after="MjAyNg==")
    assert request.url == (
        f"{BASE}/v3.1/attendance/schools/s1?date_range_start=2026-01-05&date_range_end=2026-01-09"
        "&attendance_status=absent&limit=5&starting_after=MjAyNg=="
    )


def test_dates_may_be_dates_and_a_section_may_be_asked() -> None:
    query = AttendanceQuery(section_id="c1", date_range_start=date(2026, 1, 5), date_range_end=date(2026, 1, 5))
    assert (query.start, query.end, query.path) == ("2026-01-05", "2026-01-05", "/v3.1/attendance/sections/c1")
    assert attendance_request(BASE, query).query.endswith("&limit=1000")


@pytest.mark.parametrize("cursor", ["a+b/c==", "a%2Bb%2Fc%3D%3D"])
def test_a_cursor_is_taken_escaped_or_not(cursor: str) -> None:
    request = attendance_request(BASE, AttendanceQuery(school_id="s1", **DAYS), ending_before=cursor)
    assert request.query.endswith("&ending_before=a%2Bb%2Fc==")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"school_id": None}, "either school_id or section_id"),
        ({"section_id": "c1"}, "either school_id or section_id"),
        ({"school_id": "../x"}, "school_id: not a Clever id"),
        ({"school_id": "a/b"}, "school_id: not a Clever id"),
        ({"school_id": "abc\n"}, "school_id: not a Clever id"),
        ({"school_id": ""}, "school_id: not a Clever id"),
        ({"school_id": None, "section_id": "a?b"}, "section_id: not a Clever id"),
        ({"date_range_start": ""}, "date_range_start: missing"),
        ({"date_range_end": None}, "date_range_end: missing"),
        ({"date_range_end": "2026-13-01"}, "date_range_end: not a day"),
        ({"date_range_end": "20260109"}, "date_range_end: not a date"),
        ({"date_range_end": 20260109}, "date_range_end: not a date"),
        ({"date_range_end": datetime(2026, 1, 9, tzinfo=UTC)}, "date_range_end: not a date"),
        ({"date_range_start": "2026-01-10"}, "swap them"),
        ({"attendance_status": "late"}, "present, absent or tardy"),
        ({"attendance_status": ""}, "present, absent or tardy"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(CleverSettingsError, match=words):
        AttendanceQuery(**{"school_id": "s1", **DAYS, **changes})


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(CleverSettingsError) as caught:
        AttendanceQuery(school_id="../x", date_range_start="x", attendance_status="late")
    for part in ("school_id", "date_range_start", "date_range_end", "attendance_status"):
        assert part in str(caught.value)
    assert "../x" not in str(caught.value)


@pytest.mark.parametrize("limit", [0, -1, 1001, True])
def test_a_limit_out_of_range_is_refused(limit: int) -> None:
    with pytest.raises(CleverSettingsError, match="limit"):
        attendance_request(BASE, AttendanceQuery(school_id="s1", **DAYS), limit=limit)


@pytest.mark.parametrize("nothing", ["", None])
def test_a_cursor_can_do_without_dates_and_nothing_else_can(nothing: Any) -> None:
    query = AttendanceQuery(school_id="s1", date_range_start=nothing, date_range_end=nothing, any_day=True)
    for name in ("starting_after", "ending_before"):
        request = attendance_request(BASE, query, **{name: "YQ=="})
        assert request.query == f"limit=1000&{name}=YQ=="
    with pytest.raises(CleverSettingsError, match="Give both dates"):
        attendance_request(BASE, query)
    with pytest.raises(CleverSettingsError, match="date_range_end: given beside any_day"):
        AttendanceQuery(school_id="s1", date_range_end="2026-01-09", any_day=True)
    with pytest.raises(CleverSettingsError, match="both dates are needed"):
        AttendanceQuery(school_id="s1", date_range_start=nothing, date_range_end=nothing)


def test_both_cursors_are_refused() -> None:
    query = AttendanceQuery(school_id="s1", **DAYS)
    with pytest.raises(CleverSettingsError, match="not both"):
        attendance_request(BASE, query, starting_after="a", ending_before="b")


def test_the_roster_requests() -> None:
    assert districts_request(BASE).url == f"{BASE}/v3.1/districts"
    assert schools_request(BASE).url == f"{BASE}/v3.1/schools?limit=1000"
    assert sections_request(BASE).url == f"{BASE}/v3.1/sections?limit=1000"
    assert sections_request(BASE, "s1").url == f"{BASE}/v3.1/schools/s1/sections?limit=1000"
    with pytest.raises(CleverSettingsError, match="school_id"):
        sections_request(BASE, "s1/../../oauth")


def test_the_token_requests_cost_no_budget() -> None:
    assert tokens_request("https://clever.com").url == "https://clever.com/oauth/tokens?owner_type=district"
    request = tokens_request("https://clever.com", "d1")
    assert request.query == "owner_type=district&district=d1"
    assert not request.metered


@given(st.text())
def test_no_id_changes_what_is_asked(text: str) -> None:
    try:
        query = AttendanceQuery(school_id=text, **DAYS)
    except CleverSettingsError:
        return
    assert attendance_request(BASE, query).url.startswith(f"{BASE}/v3.1/attendance/schools/{text}?date_range_start=")
    assert text.isascii()
    assert not set(text) & set("/?#%.\\ \n")


def test_a_request_shows_neither_query_nor_credentials() -> None:
    query = AttendanceQuery(school_id="s1", **DAYS)
    request = attendance_request(BASE, query, starting_after="SECRETCURSOR")
    assert "SECRETCURSOR" not in repr(request)
