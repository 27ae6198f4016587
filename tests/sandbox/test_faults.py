"""Every fault does what its name says, hits the request it was ordered for, and passes."""

from __future__ import annotations

import json
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider_clever.sandbox.fault_effects import KINDS
from airflow_provider_clever.sandbox.page_faults import DEFECTS
from airflow_provider_clever.sandbox.testing import Sandbox
from tests.sandbox.wire import RANGE, ask, attendance, cursor_of, key, links, school, walk


def page(sandbox: Sandbox, **params: Any) -> requests.Response:
    return ask(sandbox, attendance(school(sandbox, "Elm")), **{"limit": 50, **RANGE, **params})


def test_a_fault_hits_once_and_passes(sandbox: Sandbox) -> None:
    sandbox.fault("500")
    assert [page(sandbox).status_code for _ in range(3)] == [500, 200, 200]
    assert sandbox.faults()[0]["hits"] == 1


def test_a_fault_can_wait_repeat_and_skip(sandbox: Sandbox) -> None:
    sandbox.fault("503", nth=2, every=3, times=2)
    assert [page(sandbox).status_code for _ in range(6)] == [200, 503, 200, 200, 503, 200]
    sandbox.fault("503", times=0)
    assert {page(sandbox).status_code for _ in range(5)} == {503}
    sandbox.clear_faults()
    assert page(sandbox).status_code == 200


def test_faults_in_a_row_hit_one_request_each(sandbox: Sandbox) -> None:
    for kind in ("500", "502", "429"):
        sandbox.fault(kind)
    assert [page(sandbox).status_code for _ in range(4)] == [500, 502, 429, 200]


def test_a_fault_can_be_for_a_family_a_path_a_query_a_token_a_district_or_a_school(sandbox: Sandbox) -> None:
    elm, both = school(sandbox, "Elm"), sandbox.district("both")
    misses = [
        {"family": "districts"},
        {"path": "sections"},
        {"query": "starting_after"},
        {"token": both.token},
        {"district_id": both.id},
        {"school_id": both.school_ids[0]},
    ]
    for match in misses:
        sandbox.fault("500", **match)
    assert page(sandbox).status_code == 200
    sandbox.clear_faults()
    small = sandbox.district("small")
    for match in (
        {"family": "attendance"},
        {"path": "/attendance/"},
        {"query": "limit=50"},
        {"token": small.token},
        {"district_id": small.id},
        {"school_id": elm},
    ):
        sandbox.fault("500", **match)
        assert page(sandbox).status_code == 500
    assert page(sandbox).status_code == 200


def test_an_unknown_fault_or_field_is_refused(sandbox: Sandbox) -> None:
    for wrong in ({"kind": "earthquake"}, {"kind": "500", "colour": "red"}, {"kind": "500", "times": "x"}):
        with pytest.raises(RuntimeError, match="400"):
            sandbox.control("POST", "faults", json=wrong)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500, 502, 503, 504])
@pytest.mark.parametrize(("body", "start"), [("json", b'{"message"'), ("html", b"<!DOCTYPE"), ("empty", b"")])
def test_statuses_come_with_any_body(sandbox: Sandbox, status: int, body: str, start: bytes) -> None:
    sandbox.fault(str(status), body=body)
    answer = page(sandbox)
    assert answer.status_code == status
    assert answer.content.startswith(start)
    assert bool(answer.content) == bool(start)


def test_any_other_status_can_be_ordered(sandbox: Sandbox) -> None:
    sandbox.fault("status", status=418)
    assert page(sandbox).status_code == 418


def test_429_out_of_turn_costs_nothing(sandbox: Sandbox) -> None:
    sandbox.fault("429", retry_after=3, reset_in=9.0)
    before = time.time()
    answer = page(sandbox)
    assert (answer.status_code, answer.content) == (429, b"")
    assert answer.headers["Retry-After"] == "3"
    assert before + 8 <= int(answer.headers["X-Ratelimit-Reset"]) <= time.time() + 9
    assert page(sandbox).headers["X-Ratelimit-Remaining"] == "1199"
    sandbox.fault("429", headers=False)
    assert not [name for name in page(sandbox).headers if name.lower().startswith("x-ratelimit")]


def test_a_200_that_is_no_page(sandbox: Sandbox) -> None:
    sandbox.fault("html_200")
    assert page(sandbox).text.startswith("<!DOCTYPE")
    sandbox.fault("not_a_page_200")
    assert "data" not in page(sandbox).json()
    sandbox.fault("truncated_json")
    with pytest.raises(ValueError, match=r"."):
        json.loads(page(sandbox).content)


def test_connections_break_in_three_ways(sandbox: Sandbox) -> None:
    for kind in ("reset_mid_body", "close", "timeout"):
        sandbox.fault(kind, seconds=0.1)
        with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
            page(sandbox)
        assert page(sandbox).status_code == 200
    assert sandbox.counters()["by_fault"] == {"reset_mid_body": 1, "close": 1, "timeout": 1}
    assert sandbox.counters()["by_status"] == {"200": 4, "0": 2}


def test_connections_are_refused_for_a_while(sandbox: Sandbox) -> None:
    path = attendance(school(sandbox, "Elm"))
    token = sandbox.district("small").token
    sandbox.fault("refuse", seconds=0.5)
    with pytest.raises(requests.ConnectionError):
        ask(sandbox, path, token, **RANGE)
    with pytest.raises(requests.ConnectionError, match="refused"):
        ask(sandbox, path, token, **RANGE)
    deadline = time.monotonic() + 120
    while not answers(sandbox, path, token):
        assert time.monotonic() < deadline, "the port never opened again"
        time.sleep(0.05)


def answers(sandbox: Sandbox, path: str, token: str) -> bool:
    try:
        return ask(sandbox, path, token, **RANGE).status_code == 200
    except requests.ConnectionError:
        return False


def test_slow_bytes_dribble(sandbox: Sandbox) -> None:
    whole = page(sandbox).content
    sandbox.fault("slow_bytes", seconds=0.3)
    began = time.monotonic()
    assert page(sandbox).content == whole
    assert time.monotonic() - began > 0.25


def test_next_links_can_mislead(sandbox: Sandbox) -> None:
    sandbox.fault("next_loop")
    answer = page(sandbox)
    assert links(answer)["next"] == links(answer)["self"]
    sandbox.fault("next_foreign_host", host="evil.example")
    assert links(page(sandbox))["next"].startswith("https://evil.example/v3.1/attendance")
    sandbox.fault("next_foreign_scheme")
    assert links(page(sandbox))["next"].startswith("ftp://")
    sandbox.fault("redirect", host="evil.example")
    answer = page(sandbox)
    assert (answer.status_code, answer.headers["Location"]) == (302, "https://evil.example/login")


def test_pages_can_be_misshapen(sandbox: Sandbox) -> None:
    sandbox.fault("null_data")
    assert page(sandbox).json()["data"] is None
    sandbox.fault("missing_links")
    assert "links" not in page(sandbox).json()


def test_empty_pages_before_the_end_and_after_it_lose_nothing(sandbox: Sandbox) -> None:
    path = attendance(school(sandbox, "Elm"))
    whole, plain_sizes = walk(sandbox, path, limit=50, **RANGE)
    sandbox.fault("empty_page_with_next", nth=2)
    found, sizes = walk(sandbox, path, limit=50, **RANGE)
    assert found == whole
    assert sizes == [plain_sizes[0], 0, *plain_sizes[1:]]
    sandbox.fault("extra_empty_last_page", nth=len(plain_sizes))
    found, sizes = walk(sandbox, path, limit=50, **RANGE)
    assert found == whole
    assert sizes == [*plain_sizes, 0]


def test_keys_can_stand_twice_or_run_backwards(sandbox: Sandbox) -> None:
    sandbox.fault("duplicate_keys", row=3)
    rows = page(sandbox).json()["data"]
    assert key(rows[3]) == key(rows[4])
    assert rows[3]["attendance_status"] != rows[4]["attendance_status"]
    sandbox.fault("keys_backwards")
    rows = page(sandbox).json()["data"]
    assert key(rows[0]) > key(rows[-1])
    sandbox.fault("foreign_district_rows", row=2)
    owners = [row["district_id"] for row in page(sandbox).json()["data"]]
    assert owners[2] not in (owners[0], sandbox.district("small").id)


@pytest.mark.parametrize("defect", sorted(DEFECTS))
def test_one_row_of_a_page_can_be_malformed(sandbox: Sandbox, defect: str) -> None:
    whole = page(sandbox).json()["data"]
    sandbox.fault("malformed_row", defect=defect, row=5, canary="CANARY-1")
    answer = page(sandbox)
    rows = answer.json()["data"]
    assert rows[5] != whole[5]
    assert rows[:5] + rows[6:] == whole[:5] + whole[6:]
    assert (b"CANARY-1" in answer.content) == (defect == "unknown_field")
    assert (b"\\ud83d emoji" in answer.content) == (defect == "lone_surrogate")


def test_a_token_is_rotated_in_mid_walk_and_the_list_has_the_new_one(sandbox: Sandbox) -> None:
    old = sandbox.district("small").token
    sandbox.fault("rotate_token", nth=2)
    path = attendance(school(sandbox, "Elm"))
    assert [ask(sandbox, path, old, **RANGE).status_code for _ in range(3)] == [200, 401, 401]
    new = sandbox.district("small").token
    assert new != old
    assert ask(sandbox, path, new, **RANGE).status_code == 200


def test_a_token_can_be_revoked_for_good(sandbox: Sandbox) -> None:
    token = sandbox.district("small").token
    sandbox.fault("revoke_token")
    assert page(sandbox).status_code == 401
    assert page(sandbox).status_code == 401
    assert sandbox.district("small").token == token


def test_a_school_can_be_unshared_in_mid_walk_and_shared_again(sandbox: Sandbox) -> None:
    elm = school(sandbox, "Elm")
    sandbox.fault("unshare_school", nth=2)
    assert [page(sandbox).status_code for _ in range(3)] == [200, 404, 404]
    sandbox.share(elm)
    assert page(sandbox).status_code == 200


def test_a_row_can_be_inserted_behind_a_walk(sandbox: Sandbox) -> None:
    elm = school(sandbox, "Elm")
    before = sandbox.expected(school_id=elm, **RANGE)
    sandbox.fault("insert_before_cursor", nth=2)
    found, _ = walk(sandbox, attendance(elm), limit=50, **RANGE)
    after = sandbox.expected(school_id=elm, **RANGE)
    assert found == before
    assert len(after) == len(before) + 1
    assert key(after[0]) < key(before[0])


def test_a_row_can_be_edited_behind_a_walk(sandbox: Sandbox) -> None:
    elm = school(sandbox, "Elm")
    before = sandbox.expected(school_id=elm, **RANGE)
    sandbox.fault("edit_mid_walk", nth=2)
    found, _ = walk(sandbox, attendance(elm), limit=50, **RANGE)
    after = sandbox.expected(school_id=elm, **RANGE)
    assert found == before
    assert after[1:] == before[1:]
    assert after[0]["last_modified"] > before[0]["last_modified"]
    assert after[0]["created"] == before[0]["created"]


def test_a_sync_can_land_in_mid_walk(sandbox: Sandbox) -> None:
    before = sandbox.district("small").last_attendance_sync
    sandbox.fault("sync_mid_walk", nth=2)
    walk(sandbox, attendance(school(sandbox, "Elm")), limit=50, **RANGE)
    assert str(sandbox.district("small").last_attendance_sync) > str(before)


def test_headers_can_lie(sandbox: Sandbox) -> None:
    sandbox.fault("clock_skew", seconds=-900.0)
    before = time.time()
    skewed = parsedate_to_datetime(page(sandbox).headers["Date"]).timestamp()
    assert before - 901 <= skewed <= time.time() - 900
    sandbox.fault("no_rate_headers")
    assert "X-Ratelimit-Limit" not in page(sandbox).headers
    sandbox.fault("repeated_rate_headers")
    assert page(sandbox).headers["X-Ratelimit-Limit"] == "12000, 1200"


def test_the_token_list_can_fail_too(sandbox: Sandbox) -> None:
    sandbox.fault("503", family="oauth", body="html")
    auth = (sandbox.client_id, sandbox.client_secret)
    assert requests.get(f"{sandbox.url}/oauth/tokens", auth=auth, timeout=10).status_code == 503
    assert requests.get(f"{sandbox.url}/oauth/tokens", auth=auth, timeout=10).status_code == 200


def test_the_cursor_of_a_page_fault_is_still_a_cursor(sandbox: Sandbox) -> None:
    sandbox.fault("extra_empty_last_page")
    answer = page(sandbox, limit=1000)
    assert cursor_of(links(answer)["next"])


def test_every_kind_is_documented() -> None:
    text = Path(__file__).parents[2].joinpath("docs/reference/sandbox.md").read_text()
    assert not [kind for kind in sorted(KINDS | set(DEFECTS)) if f"`{kind}`" not in text]
