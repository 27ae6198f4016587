"""Each open question of clever-api.md 9 has a default and a knob; both are tried here."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import pytest
import requests

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.sandbox.wire import RANGE, ask, attendance, school, walk


def first_page(sandbox: Sandbox, **params: Any) -> requests.Response:
    return ask(sandbox, attendance(school(sandbox, "Elm")), **{"limit": 100, **RANGE, **params})


def district_record(sandbox: Sandbox, character: str = "small") -> dict[str, Any]:
    record: dict[str, Any] = ask(sandbox, "/v3.1/districts", sandbox.district(character).token).json()["data"][0][
        "data"
    ]
    return record


def test_a_knob_that_does_not_exist_or_a_wrong_value_is_refused(sandbox: Sandbox) -> None:
    for wrong in ({"no_such_knob": 1}, {"next_link": "never"}, {"rate_limit": "many"}, {"gzip": 1}):
        with pytest.raises(RuntimeError, match="400"):
            sandbox.knobs(**wrong)


def test_a_reset_puts_every_knob_back(sandbox: Sandbox) -> None:
    before = sandbox.knobs()
    sandbox.knobs(next_link="exact", latency_ms=5)
    sandbox.reset()
    assert sandbox.knobs() == before


def test_o1_the_attendance_scope_can_be_withheld(sandbox: Sandbox) -> None:
    for status in (401, 403, 404):
        sandbox.knobs(attendance_withheld=True, attendance_withheld_status=status)
        assert first_page(sandbox).status_code == status
        assert ask(sandbox, "/v3.1/schools").status_code == 200
    assert "read:attendance" not in ask(sandbox, "/oauth/tokeninfo").json()["scopes"]
    sandbox.knobs(attendance_withheld=False, attendance_withheld_districts=[sandbox.district("both").id])
    assert first_page(sandbox).status_code == 200
    both = sandbox.district("both")
    assert ask(sandbox, attendance(both.school_ids[0]), both.token).status_code == 404


def test_o3_rows_can_carry_a_clever_id(sandbox: Sandbox) -> None:
    assert "clever_id" not in first_page(sandbox).json()["data"][0]
    sandbox.knobs(include_clever_id=True)
    found, _ = walk(sandbox, attendance(school(sandbox, "Elm")), limit=100, **RANGE)
    assert found == sandbox.expected(school_id=school(sandbox, "Elm"), **RANGE)
    assert len({row["clever_id"] for row in found}) == len(found)
    assert list(found[0]) == sorted(found[0])


def test_o5_one_date_can_mean_an_open_range(sandbox: Sandbox) -> None:
    sandbox.knobs(one_date="open")
    answer = first_page(sandbox, date_range_end=None)
    assert answer.json()["data"][0]["attendance_date"] == "2026-11-09"


def test_o6_a_reversed_range_can_be_empty_and_a_span_can_be_limited(sandbox: Sandbox) -> None:
    sandbox.knobs(reversed_range="empty", max_span_days=12)
    assert first_page(sandbox, date_range_start="2026-12-01").json()["data"] == []
    assert first_page(sandbox).status_code == 200
    assert first_page(sandbox, date_range_start="2026-11-08").status_code == 400
    future = {"date_range_start": "2027-01-01", "date_range_end": "2027-01-02"}
    assert first_page(sandbox, **future).json()["data"] == []


def test_o7_wrong_cursors_can_be_let_pass(sandbox: Sandbox) -> None:
    sandbox.knobs(both_cursors="starting_after", bad_cursor="restart")
    plain = first_page(sandbox).json()["data"]
    assert first_page(sandbox, starting_after="%%").json()["data"] == plain
    cursor = "MjAyNi0wMS0wMV9hX2JfYw=="
    assert first_page(sandbox, starting_after=cursor, ending_before=cursor).json()["data"] == plain


def test_o8_sending_a_day_again_can_touch_its_rows(sandbox: Sandbox) -> None:
    elm = school(sandbox, "Elm")
    before = sandbox.expected(school_id=elm)
    sandbox.sync("small")
    assert sandbox.expected(school_id=elm) == before
    sandbox.knobs(resend_bumps_last_modified=True)
    sandbox.sync("small", edits=3, weeks=1)
    sandbox.sync("small")
    after = sandbox.expected(school_id=elm)
    touched = {row["attendance_date"] for row in after if row["last_modified"] > "2026-11-23T23:00"}
    assert touched == {"2026-11-16", "2026-11-17", "2026-11-18", "2026-11-19", "2026-11-20", "2026-11-23"}
    assert [row["created"] for row in after] == [row["created"] for row in before]


@pytest.mark.parametrize(("style", "start"), [("json", "{"), ("html", "<!DOCTYPE"), ("empty", "")])
def test_o9_wrong_client_credentials(sandbox: Sandbox, style: str, start: str) -> None:
    sandbox.knobs(bad_credentials_body=style)
    answer = requests.get(f"{sandbox.url}/oauth/tokens", auth=("a", "b"), timeout=10)
    assert answer.status_code == 401
    assert answer.text[:9].startswith(start)
    assert bool(answer.text) == bool(start)


def test_o10_rows_can_be_deleted_without_a_trace(sandbox: Sandbox) -> None:
    elm = school(sandbox, "Elm")
    gone, *left = sandbox.expected(school_id=elm, **RANGE)
    sandbox.delete_rows(gone)
    found, _ = walk(sandbox, attendance(elm), limit=1000, **RANGE)
    assert found == left


def test_o11_retention_can_be_in_days_or_off(sandbox: Sandbox) -> None:
    alder = school(sandbox, "Alder")
    months = sandbox.expected_count(school_id=alder)["total"]
    sandbox.knobs(retention="off")
    assert sandbox.expected_count(school_id=alder)["total"] == 170 * 15 + 10 > months
    sandbox.knobs(retention="days", retention_days=5)
    assert {row["attendance_date"] for row in sandbox.expected(school_id=alder)} == {
        "2026-11-19",
        "2026-11-20",
        "2026-11-23",
    }


def test_o12_the_sync_stamp_is_the_end_of_the_load_or_its_start(sandbox: Sandbox) -> None:
    sandbox.advance(days=1)
    sandbox.sync("small")
    created = sandbox.expected(date_range_start="2026-11-24")[0]["created"]
    assert district_record(sandbox)["last_attendance_sync"] > created
    sandbox.knobs(sync_stamp="start")
    sandbox.advance(days=1)
    sandbox.sync("small")
    created = sandbox.expected(date_range_start="2026-11-25")[0]["created"]
    assert district_record(sandbox)["last_attendance_sync"] < created


def test_o12_a_sync_without_news_moves_the_stamp_or_not(sandbox: Sandbox) -> None:
    before = district_record(sandbox)["last_attendance_sync"]
    sandbox.knobs(sync_stamp_on_no_change=False)
    sandbox.sync("small")
    assert district_record(sandbox)["last_attendance_sync"] == before
    sandbox.knobs(sync_stamp_on_no_change=True)
    sandbox.sync("small")
    assert district_record(sandbox)["last_attendance_sync"] > before


def test_o13_a_limit_over_1000_can_be_413_or_clamped(sandbox: Sandbox) -> None:
    sandbox.knobs(over_limit="413")
    assert first_page(sandbox, limit=1001).status_code == 413
    sandbox.knobs(over_limit="clamp")
    assert first_page(sandbox, limit=1001).status_code == 200


def test_o14_a_wrong_token_can_be_403(sandbox: Sandbox) -> None:
    sandbox.knobs(bad_token_status=403)
    assert ask(sandbox, "/v3.1/districts", "wrong").status_code == 403
    assert ask(sandbox, "/v3.1/districts", "").status_code == 401


def test_o15_next_can_be_exact_or_on_every_page(sandbox: Sandbox) -> None:
    week = {"date_range_start": "2026-11-16", "date_range_end": "2026-11-20"}
    sandbox.knobs(next_link="exact")
    _, sizes = walk(sandbox, attendance(school(sandbox, "Elm")), limit=50, **week)
    assert sizes == [50, 50]
    sandbox.knobs(next_link="short_pages_too")
    _, sizes = walk(sandbox, attendance(school(sandbox, "Elm")), limit=60, **week)
    assert sizes == [60, 40, 0]


def test_o16_rate_headers_can_repeat_be_missing_or_be_spelled_otherwise(sandbox: Sandbox) -> None:
    def rate_headers() -> list[tuple[str, str]]:
        raw = ask(sandbox, "/v3.1/districts").raw.headers
        return [(name, value) for name, value in raw.items() if name.lower().startswith("x-ratelimit")]

    assert [name for name, _ in rate_headers()] == [
        f"X-Ratelimit-{n}" for n in ("Bucket", "Limit", "Remaining", "Reset")
    ]
    sandbox.knobs(rate_headers="two_buckets")
    assert [value for name, value in rate_headers() if name.endswith("Limit")] == ["12000", "1200"]
    sandbox.knobs(rate_headers="none")
    assert rate_headers() == []
    sandbox.knobs(rate_headers="single", rate_header_case="documented")
    assert rate_headers()[0][0] == "X-RateLimit-Bucket"


def test_o17_a_pause_can_be_dated_by_day(sandbox: Sandbox) -> None:
    sandbox.knobs(pause_dates="date")
    assert district_record(sandbox, "paused")["pause_start"] == "2026-10-24"


@pytest.mark.parametrize("data", ["list", "null", "missing"])
@pytest.mark.parametrize("link_list", ["self", "null", "missing"])
def test_o18_an_empty_page_has_many_forms(sandbox: Sandbox, data: str, link_list: str) -> None:
    sandbox.knobs(empty_data=data, empty_links=link_list)
    page = first_page(sandbox, date_range_start="2026-11-14", date_range_end="2026-11-15").json()
    wanted = {"list": {"data": []}, "null": {"data": None}, "missing": {}}[data]
    assert {name: value for name, value in page.items() if name == "data"} == wanted
    assert ("links" in page) == (link_list != "missing")
    assert (page.get("links") is None) == (link_list != "self")


def test_o19_an_unknown_school_can_look_empty(sandbox: Sandbox) -> None:
    sandbox.knobs(unknown_school="empty")
    for path in (attendance(school(sandbox, "Fir")), "/v3.1/attendance/sections/nonsense"):
        assert ask(sandbox, path, **RANGE).json()["data"] == []


def retired_section(sandbox: Sandbox) -> str:
    cedar = school(sandbox, "Cedar")
    listed = {item["data"]["id"] for item in ask(sandbox, f"/v3.1/schools/{cedar}/sections").json()["data"]}
    (retired,) = {row["section_id"] for row in sandbox.expected(school_id=cedar)} - listed
    return str(retired)


def test_o23_an_ended_section_is_gone_or_not_and_its_rows_stay_with_the_school(sandbox: Sandbox) -> None:
    retired = retired_section(sandbox)
    assert ask(sandbox, f"/v3.1/attendance/sections/{retired}").status_code == 404
    assert ask(sandbox, f"/v3.1/sections/{retired}").status_code == 404
    sandbox.knobs(retired_section="200")
    found, _ = walk(sandbox, f"/v3.1/attendance/sections/{retired}", limit=1000)
    assert found == sandbox.expected(section_id=retired)
    assert found


def test_o23_the_section_route_can_give_daily_rows_as_well(sandbox: Sandbox) -> None:
    birch = school(sandbox, "Birch")
    section = ask(sandbox, f"/v3.1/schools/{birch}/sections").json()["data"][0]["data"]["id"]
    sandbox.knobs(section_returns_daily=True)
    found, _ = walk(sandbox, f"/v3.1/attendance/sections/{section}", limit=1000, **RANGE)
    assert {row["attendance_type"] for row in found} == {"daily", "section"}


def test_o24_rows_of_students_who_are_not_shared_can_show(sandbox: Sandbox) -> None:
    birch = school(sandbox, "Birch")
    before = {row["student_id"] for row in sandbox.expected(school_id=birch)}
    sandbox.knobs(show_unshared_students=True)
    after = {row["student_id"] for row in sandbox.expected(school_id=birch)}
    assert len(after - before) == 1
    found, _ = walk(sandbox, attendance(birch), limit=1000)
    assert {row["student_id"] for row in found} == after


@pytest.mark.parametrize("order", ["older_first", "newer_first"])
def test_o27_a_district_can_have_two_tokens_of_which_the_newer_works(sandbox: Sandbox, order: str) -> None:
    sandbox.knobs(duplicate_tokens=order)
    district = sandbox.district("small")
    auth = (sandbox.client_id, sandbox.client_secret)
    listed = requests.get(f"{sandbox.url}/oauth/tokens", params={"district": district.id}, auth=auth, timeout=10)
    entries = listed.json()["data"]
    newest = max(entries, key=lambda entry: entry["created"])
    assert len(entries) == 2
    assert (entries[0] == newest) == (order == "newer_first")
    for entry in entries:
        status = ask(sandbox, "/v3.1/districts", entry["access_token"]).status_code
        assert status == (200 if entry == newest else 401)


def test_o29_a_429_can_have_a_body_a_retry_after_and_no_headers(sandbox: Sandbox) -> None:
    sandbox.knobs(rate_limit=1, body_429="html", headers_on_429=False, retry_after_on_429=7)
    ask(sandbox, "/v3.1/districts")
    answer = ask(sandbox, "/v3.1/districts")
    assert answer.status_code == 429
    assert answer.text.startswith("<!DOCTYPE")
    assert answer.headers["Retry-After"] == "7"
    assert "X-Ratelimit-Reset" not in answer.headers


def test_o30_the_default_limit_can_be_another(sandbox: Sandbox) -> None:
    sandbox.knobs(default_limit=30)
    assert len(first_page(sandbox, limit=None).json()["data"]) == 30


def test_colliding_keys_are_all_walked_whatever_the_limit(sandbox: Sandbox) -> None:
    district = sandbox.district("no_section_id")
    plain = sandbox.expected_count("no_section_id")["total"]
    sandbox.knobs(colliding_keys=True)
    for school_id in district.school_ids:
        for limit in (1, 3, 1000):
            days = {"date_range_start": "2026-11-20", "date_range_end": "2026-11-23"}
            found, _ = walk(sandbox, attendance(school_id), district.token, limit=limit, **days)
            assert found == sandbox.expected("no_section_id", school_id=school_id, **days)
    assert sandbox.expected_count("no_section_id")["total"] > plain


def test_errors_can_be_labelled_as_json(sandbox: Sandbox) -> None:
    sandbox.knobs(error_content_type="application/json")
    assert first_page(sandbox, limit=0).headers["Content-Type"] == "application/json"


def test_never_synced_can_be_null_or_missing(sandbox: Sandbox) -> None:
    assert district_record(sandbox, "no_attendance")["last_attendance_sync"] is None
    sandbox.knobs(never_synced="missing")
    assert "last_attendance_sync" not in district_record(sandbox, "no_attendance")


def test_answers_can_be_compressed(sandbox: Sandbox) -> None:
    plain = first_page(sandbox)
    assert "Content-Encoding" not in plain.headers
    sandbox.knobs(gzip=True)
    packed = first_page(sandbox)
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.content == plain.content


def test_answers_can_be_slow_without_holding_up_others(sandbox: Sandbox) -> None:
    sandbox.knobs(latency_ms=150)
    assert first_page(sandbox).elapsed.total_seconds() > 0.14
    sandbox.knobs(latency_ms=0)
    path = attendance(school(sandbox, "Elm"))
    token = sandbox.district("small").token
    with ThreadPoolExecutor(3) as pool, sandbox.holding_answers(3):
        asked = [pool.submit(ask, sandbox, path, token, **RANGE) for _ in range(3)]
    assert [answer.result().status_code for answer in asked] == [200] * 3


def test_the_clock_of_clever_can_be_off_in_date_and_reset_alike(sandbox: Sandbox) -> None:
    from email.utils import parsedate_to_datetime

    before = first_page(sandbox).headers
    sandbox.knobs(date_skew_seconds=-600)
    after = first_page(sandbox).headers
    moved = parsedate_to_datetime(before["Date"]) - parsedate_to_datetime(after["Date"])
    assert 590 < moved.total_seconds() <= 600
    assert int(before["X-Ratelimit-Reset"]) - int(after["X-Ratelimit-Reset"]) == 600


def test_the_clock_can_follow_the_wall(sandbox: Sandbox) -> None:
    assert sandbox.now == sandbox.now
    sandbox.knobs(clock_follows_wall=True)
    first, deadline = sandbox.now, time.monotonic() + 60
    while sandbox.now == first:  # it tells milliseconds, and two answers may come within one
        assert time.monotonic() < deadline
    assert sandbox.now > first
    assert date.fromisoformat(sandbox.today) == date(2026, 11, 23)
