"""The wire: envelopes, links, cursors, order and errors as clever-api.md states them."""

from __future__ import annotations

import base64
import json
import re

import pytest
import requests

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.sandbox.wire import RANGE, ask, attendance, cursor_of, key, links, school, walk


def test_an_attendance_page_is_flat_and_its_keys_are_in_alphabetical_order(sandbox: Sandbox) -> None:
    answer = ask(sandbox, attendance(school(sandbox, "Birch")), limit=5, **RANGE)
    assert list(answer.json()) == ["data", "links"]
    for row in answer.json()["data"]:
        assert list(row) == sorted(row)
    assert answer.headers["Content-Type"] == "application/json"


def test_links_are_relative_repeat_the_filters_and_leave_equal_signs_alone(sandbox: Sandbox) -> None:
    path = attendance(school(sandbox, "Birch"))
    first = ask(sandbox, path, limit=5, **RANGE)
    assert list(links(first)) == ["self", "next"]
    following = ask(sandbox, links(first)["next"])
    assert list(links(following)) == ["self", "next", "prev"]
    start = f"{path}?date_range_start=2026-11-09&date_range_end=2026-11-20&limit=5"
    assert links(first)["self"] == start
    assert re.fullmatch(re.escape(start) + r"&starting_after=[A-Za-z0-9]{114}==", links(first)["next"])
    assert links(following)["self"] == links(first)["next"]


def test_a_cursor_names_the_last_row_of_the_page_before(sandbox: Sandbox) -> None:
    first = ask(sandbox, attendance(school(sandbox, "Birch")), limit=5, **RANGE)
    plain = base64.b64decode(cursor_of(links(first)["next"])).decode()
    assert plain == "_".join(key(first.json()["data"][-1]))
    following = ask(sandbox, links(first)["next"])
    plain = base64.b64decode(cursor_of(links(following)["prev"])).decode()
    assert plain == "_".join(key(following.json()["data"][0]))


def test_a_cursor_may_come_escaped_and_without_padding(sandbox: Sandbox) -> None:
    path = attendance(school(sandbox, "Birch"))
    first = ask(sandbox, path, limit=5, **RANGE)
    cursor = cursor_of(links(first)["next"])
    raw = ask(sandbox, links(first)["next"]).json()["data"]
    assert ask(sandbox, path, limit=5, starting_after=cursor, **RANGE).json()["data"] == raw
    assert ask(sandbox, path, limit=5, starting_after=cursor.rstrip("="), **RANGE).json()["data"] == raw


@pytest.mark.parametrize("limit", [1000, 100, 7])
@pytest.mark.parametrize("name", ["Alder", "Birch", "Cedar", "Dogwood", "Elm"])
def test_a_walk_gives_exactly_the_rows_due_in_order(sandbox: Sandbox, name: str, limit: int) -> None:
    school_id = school(sandbox, name)
    found, sizes = walk(sandbox, attendance(school_id), limit=limit, **RANGE)
    assert found == sandbox.expected("small", school_id=school_id, **RANGE)
    assert [key(row) for row in found] == sorted(key(row) for row in found)
    assert max(sizes) <= limit


def test_a_walk_backwards_gives_the_same_rows(sandbox: Sandbox) -> None:
    path = attendance(school(sandbox, "Birch"))
    forwards, _ = walk(sandbox, path, limit=1000, **RANGE)
    after_all = base64.b64encode(b"2099-01-01_f_f_f").decode()
    answer = ask(sandbox, path, limit=50, ending_before=after_all, **RANGE)
    backwards: list[dict[str, str]] = []
    while True:
        backwards = answer.json()["data"] + backwards
        assert "next" not in links(answer)
        if "prev" not in links(answer):
            break
        answer = ask(sandbox, links(answer)["prev"])
    assert backwards == forwards


def test_the_default_limit_is_100(sandbox: Sandbox) -> None:
    answer = ask(sandbox, attendance(school(sandbox, "Birch")), **RANGE)
    assert len(answer.json()["data"]) == 100
    assert "limit" not in links(answer)["next"]


def test_a_full_last_page_leads_to_an_empty_one(sandbox: Sandbox) -> None:
    _, sizes = walk(sandbox, attendance(school(sandbox, "Elm")), limit=100, **RANGE)
    assert sizes == [100, 80]
    only_full = {"date_range_start": "2026-11-16", "date_range_end": "2026-11-20"}
    _, sizes = walk(sandbox, attendance(school(sandbox, "Elm")), limit=100, **only_full)
    assert sizes == [100, 0]


def test_the_status_filter_and_the_section_route(sandbox: Sandbox) -> None:
    school_id = school(sandbox, "Birch")
    absent, _ = walk(sandbox, attendance(school_id), attendance_status="absent", limit=10, **RANGE)
    assert absent == sandbox.expected(school_id=school_id, attendance_status="absent", **RANGE)
    assert {row["attendance_status"] for row in absent} == {"absent"}
    sections = ask(sandbox, f"/v3.1/schools/{school_id}/sections").json()["data"]
    section_id = sections[0]["data"]["id"]
    found, _ = walk(sandbox, f"/v3.1/attendance/sections/{section_id}", limit=10, **RANGE)
    assert found == sandbox.expected(section_id=section_id, **RANGE)
    assert {row["section_id"] for row in found} == {section_id}


def test_without_dates_everything_retained_is_given(sandbox: Sandbox) -> None:
    school_id = school(sandbox, "Alder")
    found, _ = walk(sandbox, attendance(school_id), limit=1000)
    assert found == sandbox.expected(school_id=school_id)
    assert found[0]["attendance_date"] == "2026-05-25"


def test_a_filter_and_a_cursor_outside_it_both_count(sandbox: Sandbox) -> None:
    path = attendance(school(sandbox, "Elm"))
    cursor = base64.b64encode(b"2026-11-01_f_f_f").decode()
    answer = ask(sandbox, path, limit=1000, starting_after=cursor, **RANGE)
    assert answer.json()["data"][0]["attendance_date"] == "2026-11-09"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"limit": "1001"}, "limit in query should be less than or equal to 1000"),
        ({"limit": "0"}, "limit in query should be greater than or equal to 1"),
        ({"limit": "abc"}, 'strconv.ParseInt: parsing "abc": invalid syntax'),
        ({"attendance_status": "late"}, "attendance_status in query should be one of [present absent tardy]"),
        ({"date_range_start": "2026-13-01"}, 'parsing time "2026-13-01": month out of range'),
        ({"date_range_start": "2026-02-31"}, 'parsing time "2026-02-31": day out of range'),
        ({"date_range_start": "yesterday"}, 'parsing time "yesterday" as "2006-01-02"'),
        ({"date_range_end": None}, "must be used together"),
        ({"date_range_start": "2026-11-21"}, "must not be after"),
        ({"starting_after": "%%%"}, "not a valid cursor"),
        ({"starting_after": "bm8="}, "not a valid cursor"),
        ({"starting_after": "MjAyNi0wMS0wMV9hX2JfYw==", "ending_before": "MjAyNi0wMS0wMV9hX2JfYw=="}, "together"),
    ],
)
def test_wrong_parameters_are_refused(sandbox: Sandbox, params: dict[str, str | None], message: str) -> None:
    answer = ask(sandbox, attendance(school(sandbox, "Elm")), **{**RANGE, **params})
    assert answer.status_code == 400
    assert message in answer.json()["message"]
    assert answer.text.endswith("}\n")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_unknown_parameters_are_ignored(sandbox: Sandbox) -> None:
    assert ask(sandbox, attendance(school(sandbox, "Elm")), status="absent", **RANGE).status_code == 200


@pytest.mark.parametrize("token", ["", "wrong"])
def test_no_token_and_a_wrong_one_are_refused(sandbox: Sandbox, token: str) -> None:
    answer = ask(sandbox, "/v3.1/districts", token)
    assert answer.status_code == 401
    assert "authoriz" in answer.json()["message"]


def test_schools_of_others_and_schools_not_shared_are_unknown(sandbox: Sandbox) -> None:
    other = sandbox.district("both").school_ids[0]
    for school_id in (other, school(sandbox, "Fir"), "nonsense"):
        assert ask(sandbox, attendance(school_id), **RANGE).status_code == 404
        assert ask(sandbox, f"/v3.1/schools/{school_id}").status_code == 404


def test_a_shared_school_without_rows_gives_an_empty_page(sandbox: Sandbox) -> None:
    district = sandbox.district("no_attendance")
    answer = ask(sandbox, attendance(district.school_ids[0]), district.token, **RANGE)
    assert answer.json()["data"] == []
    assert list(links(answer)) == ["self"]


def test_routes_that_do_not_exist_answer_with_html(sandbox: Sandbox) -> None:
    for path in ("/v3.1/classes", "/", "/v3.0/schools", "/oauth/other"):
        answer = ask(sandbox, path)
        assert answer.status_code == 404
        assert answer.headers["Content-Type"].startswith("text/html")


def test_only_get_is_allowed(sandbox: Sandbox) -> None:
    headers = {"Authorization": f"Bearer {sandbox.district('small').token}"}
    assert requests.post(f"{sandbox.url}/v3.1/districts", headers=headers, timeout=10).status_code == 405


def test_a_district_token_lists_its_one_district(sandbox: Sandbox) -> None:
    district = sandbox.district("small")
    body = ask(sandbox, "/v3.1/districts").json()
    assert [item["data"]["id"] for item in body["data"]] == [district.id]
    assert body["data"][0]["data"]["last_attendance_sync"] == "2026-11-23T22:45:50.000Z"
    assert ask(sandbox, f"/v3.1/districts/{district.id}").json()["data"] == body["data"][0]["data"]
    assert ask(sandbox, f"/v3.1/districts/{sandbox.district('both').id}").status_code == 404
    assert ask(sandbox, "/v3.1/districts", count="true").json()["count"] == 1


def test_a_paused_district_says_so_and_still_gives_its_rows(sandbox: Sandbox) -> None:
    district = sandbox.district("paused")
    record = ask(sandbox, "/v3.1/districts", district.token).json()["data"][0]["data"]
    assert record["state"] == "paused"
    assert record["pause_start"].endswith("T00:00:00.000Z")
    assert record["last_attendance_sync"] == "2026-10-24T22:45:50.000Z"
    assert ask(sandbox, attendance(district.school_ids[0]), district.token, limit=1000).json()["data"]


@pytest.mark.parametrize("path", ["schools", "sections", "users", "events"])
def test_data_lists_are_double_wrapped_and_can_be_paged(sandbox: Sandbox, path: str) -> None:
    whole, _ = walk(sandbox, f"/v3.1/{path}", limit=10_000)
    paged, sizes = walk(sandbox, f"/v3.1/{path}", limit=2)
    assert paged == whole
    assert len(sizes) > 2
    assert [item["data"]["id"] for item in whole] == sorted(item["data"]["id"] for item in whole)
    assert all(item["uri"] == f"/v3.1/{path}/{item['data']['id']}" for item in whole)
    one = ask(sandbox, whole[0]["uri"]).json()
    assert one["data"] == whole[0]["data"]
    assert ask(sandbox, f"/v3.1/{path}/nothing").status_code == 404


def test_a_data_list_over_its_limit_is_413(sandbox: Sandbox) -> None:
    assert ask(sandbox, "/v3.1/schools", limit=10_001).status_code == 413


def test_lists_can_be_counted_and_users_filtered(sandbox: Sandbox) -> None:
    counted = ask(sandbox, "/v3.1/schools", count="true").json()
    assert counted["count"] == 5
    assert "data" not in counted
    students, _ = walk(sandbox, "/v3.1/users", limit=10_000, role="student")
    assert students
    assert all("student" in item["data"]["roles"] for item in students)


def test_the_token_list_is_for_the_client_id_only(sandbox: Sandbox) -> None:
    url = f"{sandbox.url}/oauth/tokens"
    answer = requests.get(
        url, params={"owner_type": "district"}, auth=(sandbox.client_id, sandbox.client_secret), timeout=10
    )
    owners = {entry["owner"]["id"]: entry for entry in answer.json()["data"]}
    assert set(owners) == {district.id for district in sandbox.districts.values()}
    small = owners[sandbox.district("small").id]
    assert set(small) == {"id", "created", "owner", "access_token", "scopes"}
    assert small["access_token"] == sandbox.district("small").token
    assert answer.json()["links"] == [{"rel": "self", "uri": "/oauth/tokens?owner_type=district"}]
    one = requests.get(
        url, params={"district": small["owner"]["id"]}, auth=(sandbox.client_id, sandbox.client_secret), timeout=10
    )
    assert one.json()["data"] == [small]
    wrong = requests.get(url, auth=(sandbox.client_id, "wrong"), timeout=10)
    assert (wrong.status_code, wrong.json()) == (401, {"error": "unauthorized"})


def test_a_district_that_is_not_connected_has_no_token(sandbox: Sandbox) -> None:
    district = sandbox.district("both")
    sandbox.connect("both", connected=False)
    auth = (sandbox.client_id, sandbox.client_secret)
    listed = requests.get(f"{sandbox.url}/oauth/tokens", params={"district": district.id}, auth=auth, timeout=10)
    assert listed.json()["data"] == []
    assert ask(sandbox, "/v3.1/districts", district.token).status_code == 401


def test_tokeninfo_names_the_client_and_its_scopes(sandbox: Sandbox) -> None:
    info = ask(sandbox, "/oauth/tokeninfo").json()
    assert info["client_id"] == sandbox.client_id
    assert "read:attendance" in info["scopes"]
    assert ask(sandbox, "/oauth/tokeninfo", "wrong").status_code == 401


def test_a_user_token_reaches_few_routes(sandbox: Sandbox) -> None:
    assert ask(sandbox, "/v3.1/me", "ilsomething").json()["type"] == "user"
    assert ask(sandbox, f"/v3.1/districts/{sandbox.district('small').id}", "ilsomething").status_code == 200
    for path in ("/v3.1/districts", "/v3.1/schools", attendance(school(sandbox, "Elm"))):
        answer = ask(sandbox, path, "ilsomething")
        assert answer.status_code == 404
        assert answer.headers["Content-Type"].startswith("text/html")


def test_text_goes_out_as_utf_8(sandbox: Sandbox) -> None:
    elm = school(sandbox, "Elm")
    sandbox.put_rows({"school_id": elm, "attendance_date": "2026-11-20", "student_id": "6" * 24, "excuse_code": "😷 غ"})
    answer = ask(sandbox, attendance(elm), limit=1000, **RANGE)
    assert '"excuse_code":"😷 غ"'.encode() in answer.content
    assert json.loads(answer.content)["data"]
