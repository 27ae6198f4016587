"""The blocking client over a real socket: every row, whatever happens on the way; and a clear end when it must."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_clever.api.client import CleverClient
from airflow_provider_clever.api.endpoints import AttendanceQuery, attendance_request
from airflow_provider_clever.api.links import page_links
from airflow_provider_clever.api.pages import decode_page
from airflow_provider_clever.api.paging import Walk
from airflow_provider_clever.exceptions import (
    CleverAuthError,
    CleverDataError,
    CleverError,
    CleverNotFoundError,
    CleverProtocolError,
    CleverSettingsError,
    CleverStoppedError,
    CleverTransportError,
)
from airflow_provider_clever.models import AttendanceRecord
from airflow_provider_clever.sandbox.testing import Sandbox
from airflow_provider_clever.settings import CleverSettings
from tests.integration.api.conftest import QUICK, settings_for, token_settings
from tests.integration.api.raw_server import dripping, serving, silent
from tests.support.timing import at_most

WEEK = {"date_range_start": "2026-11-16", "date_range_end": "2026-11-20"}
DAYS = {"date_range_start": "2026-09-01", "date_range_end": "2026-11-23"}


def school(sandbox: Sandbox, district: str = "small") -> str:
    return sandbox.district(district).school_ids[0]


def due(sandbox: Sandbox, school_id: str, **query: Any) -> list[dict[str, Any]]:
    return sandbox.expected("small", school_id=school_id, **DAYS, **query)


def pulled(client: CleverClient, query: AttendanceQuery) -> list[dict[str, Any]]:
    return [row for page in client.iter_attendance_pages(query) for row in page.rows]


def test_the_client_tells_how_long_answers_are_waited_for_and_one_slow_answer_counts_for_little(
    sandbox: Sandbox, client: CleverClient
) -> None:
    assert client.answer_seconds == 0
    client.get_district()
    quick = client.answer_seconds
    assert quick > 0
    sandbox.knobs(latency_ms=400)
    client.get_district()
    assert quick < client.answer_seconds < 0.2
    for _ in range(4):
        client.get_district()
    assert client.answer_seconds > 0.12


def test_every_row_arrives_as_it_was_sent(sandbox: Sandbox, client: CleverClient) -> None:
    for school_id in sandbox.district("small").school_ids:
        rows = pulled(client, AttendanceQuery(school_id=school_id, **DAYS))
        assert rows == due(sandbox, school_id)
    assert client.requests_sent == sandbox.counters()["total"]


def test_records_are_typed(sandbox: Sandbox, client: CleverClient) -> None:
    query = AttendanceQuery(school_id=school(sandbox), attendance_status="absent", **DAYS)
    records = list(client.iter_attendance(query))
    rows = due(sandbox, school(sandbox), attendance_status="absent")
    assert [(record.attendance_date.isoformat(), record.student_id) for record in records] == [
        (row["attendance_date"], row["student_id"]) for row in rows
    ]
    assert {record.attendance_status for record in records} == {"absent"}


def test_a_section_is_a_question_too(sandbox: Sandbox) -> None:
    district = sandbox.district("both")
    with CleverClient(settings_for(sandbox, district.id), policy=QUICK) as client:
        section = next(section for section in client.iter_sections() if section.school == district.school_ids[0])
        rows = pulled(client, AttendanceQuery(section_id=section.id, **DAYS))
    assert rows == sandbox.expected("both", section_id=section.id, **DAYS)
    assert rows


def test_schools_and_sections_are_listed_over_all_pages(sandbox: Sandbox) -> None:
    district = sandbox.district("large")
    with CleverClient(settings_for(sandbox, district.id), policy=QUICK) as client:
        assert sorted(found.id for found in client.iter_schools()) == sorted(district.school_ids)
        sections = list(client.iter_sections())
        of_one = list(client.iter_sections(district.school_ids[0]))
    assert [section for section in sections if section.school == district.school_ids[0]] == of_one
    assert of_one


def test_single_pages_walk_forwards_and_back(sandbox: Sandbox, client: CleverClient) -> None:
    query = AttendanceQuery(school_id=school(sandbox), **DAYS)
    first = client.attendance_page(query, limit=5)
    second = client.attendance_page(query, limit=5, starting_after=first.next_cursor)
    third = client.attendance_page(query, limit=5, starting_after=second.next_cursor)
    assert first.rows + second.rows + third.rows == due(sandbox, school(sandbox))[:15]
    assert (
        client.attendance_page(query, limit=10, ending_before=second.next_cursor).rows == (first.rows + second.rows)[:9]
    )


def test_pages_are_walked_backwards_by_the_links_that_clever_gives(sandbox: Sandbox, client: CleverClient) -> None:
    query = AttendanceQuery(school_id=school(sandbox), **DAYS)
    rows = due(sandbox, school(sandbox))
    page = client.attendance_page(query, limit=7)
    assert page.prev_cursor is None
    while page.next_cursor is not None:
        page = client.attendance_page(query, limit=7, starting_after=page.next_cursor)
    found = page.rows
    while page.prev_cursor is not None:
        page = client.attendance_page(query, limit=7, ending_before=page.prev_cursor)
        found = page.rows + found
    assert found == rows


def test_a_cursor_alone_comes_back_to_its_place(sandbox: Sandbox, client: CleverClient) -> None:
    first = client.attendance_page(AttendanceQuery(school_id=school(sandbox), **DAYS), limit=5)
    anywhere = AttendanceQuery(school_id=school(sandbox), any_day=True)
    after = client.attendance_page(anywhere, limit=5, starting_after=first.next_cursor)
    assert after.rows == due(sandbox, school(sandbox))[5:10]
    before = client.attendance_page(anywhere, limit=5, ending_before=after.prev_cursor)
    assert before.rows == first.rows
    with pytest.raises(CleverSettingsError, match="both dates"):
        list(client.iter_attendance(anywhere))


@pytest.mark.parametrize(
    "knobs",
    [
        {"next_link": "exact"},
        {"next_link": "short_pages_too"},
        {"empty_data": "null", "empty_links": "missing"},
        {"gzip": True},
        {"rate_headers": "none"},
        {"rate_headers": "two_buckets", "rate_header_case": "documented"},
        {"date_skew_seconds": 4000},
        {"include_clever_id": True},
        {"duplicate_tokens": "older_first"},
        {"duplicate_tokens": "newer_first"},
    ],
    ids=str,
)
def test_what_the_documents_leave_open_makes_no_difference(
    sandbox: Sandbox, client: CleverClient, knobs: dict[str, Any]
) -> None:
    school_id = school(sandbox)
    wanted = [(row["attendance_date"], row["student_id"]) for row in due(sandbox, school_id)]
    sandbox.knobs(**knobs)
    rows = pulled(client, AttendanceQuery(school_id=school_id, **DAYS))
    assert [(row["attendance_date"], row["student_id"]) for row in rows] == wanted


# --- faults that must be survived -----------------------------------------------------------------------------------


PATIENT = replace(QUICK, attempts=9, backoff_seconds=0.05)
"""For a port that is closed for a moment: five quick tries may all fall into it."""


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        *[(kind, {"body": body}) for kind in ("500", "502", "503", "504") for body in ("json", "empty", "html")],
        ("refuse", {"seconds": 0.05}),
        ("close", {}),
        ("reset_mid_body", {}),
        ("truncated_json", {}),
        ("slow_bytes", {"seconds": 0.3}),
        ("429", {"headers": False, "retry_after": 1}),
        ("429", {"body": "html", "reset_in": 0.1}),
        ("rotate_token", {}),
        ("extra_empty_last_page", {"times": 0}),
        ("empty_page_with_next", {}),
        ("missing_links", {"nth": 2}),
        ("no_rate_headers", {"times": 0}),
        ("repeated_rate_headers", {"times": 0}),
        ("html_200", {}),
    ],
    ids=str,
)
def test_the_same_rows_come_through(sandbox: Sandbox, kind: str, how: dict[str, Any]) -> None:
    school_id = school(sandbox)
    wanted = due(sandbox, school_id)
    sandbox.fault(kind, **{"family": "attendance", **how})
    with CleverClient(settings_for(sandbox, sandbox.district("small").id), policy=PATIENT) as client:
        assert pulled(client, AttendanceQuery(school_id=school_id, **DAYS)) == wanted
    assert kind == "missing_links" or sandbox.faults()[0]["hits"]


def test_a_token_that_is_rotated_in_the_middle_of_a_walk(sandbox: Sandbox) -> None:
    district = sandbox.district("large")
    query = AttendanceQuery(
        school_id=district.school_ids[0], date_range_start="2026-11-16", date_range_end="2026-11-20"
    )
    sandbox.fault("rotate_token", family="attendance", nth=3)
    with CleverClient(settings_for(sandbox, district.id), policy=QUICK) as client:
        rows = pulled(client, query)
    assert rows == sandbox.expected("large", school_id=district.school_ids[0], **WEEK)
    assert len(rows) > 3000
    assert [entry["path"] for entry in sandbox.requests()].count("/oauth/tokens") == 2


def test_one_connection_is_enough_for_a_walk(sandbox: Sandbox) -> None:
    district = sandbox.district("large")
    before = sandbox.counters()["connections"]
    with CleverClient(settings_for(sandbox, district.id), policy=QUICK) as client:
        pulled(client, AttendanceQuery(school_id=district.school_ids[0], **WEEK))
        assert client.requests_sent > 10
    assert sandbox.counters()["connections"] - before == 1


def test_a_spent_window_is_waited_out_without_a_single_429(sandbox: Sandbox) -> None:
    sandbox.knobs(rate_limit=8, window_seconds=1.0)
    district = sandbox.district("large")
    query = AttendanceQuery(
        school_id=district.school_ids[0], date_range_start="2026-11-09", date_range_end="2026-11-20"
    )
    with CleverClient(settings_for(sandbox, district.id, budget_share=1.0), policy=QUICK) as client:
        rows = pulled(client, query)
        left = client.budget_left()
    assert len(rows) > 8000
    assert left is None or left.limit == 8
    assert "429" not in sandbox.counters()["by_status"]


# --- faults that must end it ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "how", "error", "words"),
    [
        ("next_foreign_host", {"times": 0}, CleverProtocolError, "another host"),
        ("next_foreign_scheme", {"times": 0}, CleverProtocolError, "another host or scheme"),
        ("next_loop", {"times": 0}, CleverProtocolError, "read already"),
        ("html_200", {"times": 0}, CleverProtocolError, "HTML page"),
        ("truncated_json", {"times": 0}, CleverProtocolError, "cut short"),
        ("not_a_page_200", {"times": 0}, CleverProtocolError, "no page"),
        ("401", {"times": 0}, CleverAuthError, "attendance is enabled"),
        ("403", {"times": 0}, CleverAuthError, "attendance is enabled"),
        ("404", {"times": 0}, CleverNotFoundError, "does not share it"),
        ("foreign_district_rows", {}, CleverProtocolError, "another district"),
        ("malformed_row", {"defect": "missing_student_id"}, CleverDataError, "student_id is missing"),
        ("reset_mid_body", {"times": 0}, CleverTransportError, "asked 5 times"),
    ],
    ids=str,
)
def test_it_ends_with_a_clear_error(
    sandbox: Sandbox, client: CleverClient, kind: str, how: dict[str, Any], error: type[CleverError], words: str
) -> None:
    sandbox.fault(kind, family="attendance", **how)
    with pytest.raises(error, match=words) as caught:
        list(client.iter_attendance(AttendanceQuery(school_id=school(sandbox), **DAYS)))
    assert type(caught.value) is error
    assert sandbox.url not in str(caught.value) or isinstance(caught.value, CleverTransportError)


def test_an_unusable_row_does_not_keep_the_others_back(sandbox: Sandbox, client: CleverClient) -> None:
    sandbox.fault("malformed_row", family="attendance", defect="unreal_date", row=1)
    records, wanted = list[AttendanceRecord](), due(sandbox, school(sandbox))
    with pytest.raises(CleverDataError, match="1 rows"):
        records.extend(client.iter_attendance(AttendanceQuery(school_id=school(sandbox), **DAYS)))
    assert [record.student_id for record in records] == [row["student_id"] for row in [wanted[0], *wanted[2:]]]


def test_a_token_of_another_district_ends_it_before_the_first_page(sandbox: Sandbox) -> None:
    small, large = sandbox.district("small"), sandbox.district("large")
    with (
        CleverClient(token_settings(sandbox, large.token, district_id=small.id), policy=QUICK) as client,
        pytest.raises(CleverSettingsError, match="nothing was pulled"),
    ):
        client.attendance_page(AttendanceQuery(school_id=small.school_ids[0], **DAYS))
    assert [entry["path"] for entry in sandbox.requests()] == ["/v3.1/districts"] * 2


def test_attendance_that_is_not_enabled_is_said(sandbox: Sandbox, client: CleverClient) -> None:
    sandbox.knobs(attendance_withheld=True)
    with pytest.raises(CleverAuthError, match="whether attendance is enabled"):
        client.attendance_page(AttendanceQuery(school_id=school(sandbox), **DAYS))


# --- districts ------------------------------------------------------------------------------------------------------


def test_districts_are_listed_through_their_own_tokens(sandbox: Sandbox) -> None:
    ids = sorted(district.id for district in sandbox.districts.values())
    with CleverClient(settings_for(sandbox, None), policy=QUICK) as client:
        assert client.district_ids() == ids
        assert [district.id for district in client.list_districts()] == ids
        with pytest.raises(CleverSettingsError, match=f"{len(ids)} districts are connected"):
            client.get_district()
    with CleverClient(token_settings(sandbox, sandbox.district("paused").token), policy=QUICK) as client:
        assert client.district_ids() == [sandbox.district("paused").id]
        assert [district.state for district in client.list_districts()] == ["paused"]


def test_a_district_whose_token_is_refused_is_named(sandbox: Sandbox) -> None:
    small = sandbox.district("small")
    sandbox.revoke_token("small")
    with (
        CleverClient(settings_for(sandbox, None), policy=QUICK) as client,
        pytest.raises(CleverAuthError, match=small.id),
    ):
        client.list_districts()


# --- threads --------------------------------------------------------------------------------------------------------


def walk(client: CleverClient, school_id: str, rows: list[dict[str, Any]]) -> None:
    request = attendance_request(client.settings.api_base, AttendanceQuery(school_id=school_id, **WEEK))
    steps, following = Walk(request), request
    with client.fetcher() as fetcher:
        while following is not None:
            body = fetcher.fetch(following, steps.check).body
            page = decode_page(body)
            assert page.next_link == page_links(body).next
            rows += page.rows
            following = steps.advance()


def test_many_threads_share_one_token_and_renew_it_once(sandbox: Sandbox) -> None:
    district = sandbox.district("large")
    sandbox.fault("rotate_token", family="attendance", nth=8)
    rows: list[dict[str, Any]] = []
    with CleverClient(settings_for(sandbox, district.id), policy=QUICK) as client:
        client.get_district()
        threads = [
            threading.Thread(target=walk, args=(client, school_id, rows), daemon=True)
            for school_id in district.school_ids[:6]
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        sent = client.requests_sent
    total = sandbox.expected_count("large", school_id=list(district.school_ids[:6]), **WEEK)["total"]
    assert len(rows) == total
    counters = sandbox.counters()
    assert sent == counters["total"]
    assert counters["by_family"]["oauth"] == 2


@pytest.mark.timing
def test_stop_ends_a_wait_at_once(sandbox: Sandbox, client: CleverClient) -> None:
    sandbox.fault("429", family="attendance", reset_in=60, times=0)
    caught: list[BaseException] = []

    def pull() -> None:
        try:
            client.attendance_page(AttendanceQuery(school_id=school(sandbox), **DAYS))
        except CleverStoppedError as error:
            caught.append(error)

    thread = threading.Thread(target=pull, daemon=True)
    thread.start()
    while not sandbox.counters()["by_fault"].get("429"):
        time.sleep(0.01)
    begun = time.monotonic()
    client.stop()
    thread.join(120)
    assert len(caught) == 1
    assert time.monotonic() - begun < at_most(1, guard=50), "the budget would be there again after 60 s"
    assert sandbox.counters()["by_fault"] == {"429": 1}
    with pytest.raises(CleverStoppedError):
        client.get_district()


@pytest.mark.timing
def test_stop_ends_a_body_that_drips(sandbox: Sandbox) -> None:
    stop = threading.Event()
    with serving(dripping(0.02)) as server:
        client = CleverClient(
            CleverSettings(api_base=server.url, auth_base=server.url, token="t"), policy=QUICK, stop=stop
        )
        threading.Timer(0.2, stop.set).start()
        begun = time.monotonic()
        with client, pytest.raises(CleverStoppedError):
            client.get_district()
    assert time.monotonic() - begun < at_most(2)


def test_stop_ends_a_look_up_of_the_token(sandbox: Sandbox) -> None:
    stop = threading.Event()
    stop.set()
    with CleverClient(settings_for(sandbox, None), stop=stop) as client, pytest.raises(CleverStoppedError):
        client.district_ids()
    assert sandbox.requests() == []


def test_after_an_interrupt_the_throttle_is_free_again() -> None:
    with serving(silent) as server:
        plain = CleverSettings(api_base=server.url, auth_base=server.url, token="t", read_timeout_seconds=0.1)
        with CleverClient(plain, policy=replace(QUICK, attempts=1)) as client:
            for _ in range(2):
                with pytest.raises(CleverTransportError):
                    client.get_district()


def test_making_a_client_sends_nothing(sandbox: Sandbox, settings: CleverSettings) -> None:
    client = CleverClient(settings)
    client.fetcher().close()
    client.close()
    assert sandbox.requests() == []
    assert client.budget_left() is None
