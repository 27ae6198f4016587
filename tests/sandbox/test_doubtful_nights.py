"""The sandbox can look wrong without having lost anything: rows, schools, stamps and answers, each on order."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

import pytest
import requests

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.sandbox.wire import RANGE, ask, attendance, links, school, walk


def rows_of(sandbox: Sandbox, name: str, **params: Any) -> list[dict[str, Any]]:
    return walk(sandbox, attendance(school(sandbox, name)), limit=1000, **{**RANGE, **params})[0]


def listed(sandbox: Sandbox) -> set[str]:
    return {item["data"]["id"] for item in ask(sandbox, "/v3.1/schools").json()["data"]}


def stamp(sandbox: Sandbox) -> str:
    return str(ask(sandbox, "/v3.1/districts").json()["data"][0]["data"]["last_attendance_sync"])


class KeptConnection:
    """A client that takes the next answer on its connection for its own, whatever it is."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox, address = sandbox, urlsplit(sandbox.url)
        self.socket = socket.create_connection((address.hostname, address.port), timeout=10)
        self.stream = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()
        self.socket.close()

    def ask(self, name: str) -> tuple[int, Any]:
        """Ask for a school's rows, and give the status and the page of the first answer that comes."""
        path = f"{attendance(school(self.sandbox, name))}?{urlencode(RANGE)}"
        token = self.sandbox.district("small").token
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        status = int(self.stream.readline().split()[1])
        head = dict(line.lower().split(b": ") for line in iter(self.stream.readline, b"\r\n"))
        body = self.stream.read(int(head.get(b"content-length", 0)))
        return status, json.loads(body) if body else None


def schools_on(page: dict[str, Any]) -> set[str]:
    return {row["school_id"] for row in page["data"]}


def test_all_rows_of_all_schools_can_be_withheld_though_they_are_still_due(sandbox: Sandbox) -> None:
    due = sandbox.expected_count()
    sandbox.knobs(rows_withheld_schools=["*"])
    assert not rows_of(sandbox, "Elm")
    assert not rows_of(sandbox, "Birch")
    assert sandbox.expected_count() == due
    sandbox.knobs(rows_withheld_schools=[])
    assert rows_of(sandbox, "Elm") == sandbox.expected(school_id=school(sandbox, "Elm"), **RANGE)


@pytest.mark.parametrize(("data", "wanted"), [("list", []), ("null", None)])
@pytest.mark.parametrize("link_list", ["self", "missing"])
def test_a_withheld_page_has_each_form_of_an_empty_page(
    sandbox: Sandbox, data: str, wanted: list[Any] | None, link_list: str
) -> None:
    sandbox.knobs(rows_withheld_schools=["small"], empty_data=data, empty_links=link_list)
    page = ask(sandbox, attendance(school(sandbox, "Elm")), **RANGE).json()
    assert page["data"] == wanted
    assert ("links" in page) == (link_list == "self")


def test_rows_of_one_school_on_some_days_can_be_withheld(sandbox: Sandbox) -> None:
    elm = school(sandbox, "Elm")
    sandbox.knobs(rows_withheld_schools=[elm], rows_withheld_days=["2026-11-10/2026-11-12", "2026-11-20"])
    found = {row["attendance_date"] for row in rows_of(sandbox, "Elm")}
    assert found == {"2026-11-09", "2026-11-13", "2026-11-16", "2026-11-17", "2026-11-18", "2026-11-19"}
    assert {row["attendance_date"] for row in rows_of(sandbox, "Alder")} > found


def test_a_share_of_each_day_can_be_withheld_exactly(sandbox: Sandbox) -> None:
    sandbox.knobs(rows_withheld_days=["2026-11-18/2026-11-19"], rows_withheld_percent=15)
    found = [row["attendance_date"] for row in rows_of(sandbox, "Elm")]
    assert (found.count("2026-11-17"), found.count("2026-11-18"), found.count("2026-11-19")) == (20, 17, 17)


def test_pages_of_a_partly_withheld_school_are_walked_whole_whatever_the_limit(sandbox: Sandbox) -> None:
    sandbox.knobs(rows_withheld_percent=30, rows_withheld_schools=["*"])
    whole = rows_of(sandbox, "Elm")
    assert walk(sandbox, attendance(school(sandbox, "Elm")), limit=7, **RANGE)[0] == whole


@pytest.mark.parametrize(("attendance_is", "status"), [("answers", 200), ("404", 404)])
def test_schools_can_vanish_from_the_list(sandbox: Sandbox, attendance_is: str, status: int) -> None:
    elm = school(sandbox, "Elm")
    before = listed(sandbox)
    sandbox.knobs(unlisted_schools=[elm], unlisted_schools_attendance=attendance_is)
    assert before - listed(sandbox) == {elm}
    assert ask(sandbox, f"/v3.1/schools/{elm}").status_code == 404
    assert ask(sandbox, attendance(elm), **RANGE).status_code == status
    sandbox.knobs(unlisted_schools=["*"])
    assert listed(sandbox) == set()


def test_the_stamp_can_come_before_its_rows(sandbox: Sandbox) -> None:
    sandbox.advance(days=1)
    before = stamp(sandbox)
    sandbox.knobs(rows_lag_seconds=3600)
    sandbox.sync(edits=3)
    assert stamp(sandbox) > before
    new_day = {"date_range_start": "2026-11-24", "date_range_end": "2026-11-24"}
    assert not rows_of(sandbox, "Elm", **new_day)
    assert not sandbox.expected(**new_day)
    sandbox.advance(hours=2)
    found = rows_of(sandbox, "Elm", **new_day)
    assert len(found) == 20
    assert all(row["created"] < stamp(sandbox) for row in found)


def test_late_rows_can_be_delivered_at_once(sandbox: Sandbox) -> None:
    sandbox.advance(days=1)
    sandbox.knobs(rows_lag_seconds=3600)
    sandbox.sync()
    assert sandbox.deliver() == 1
    assert sandbox.expected(date_range_start="2026-11-24")
    assert sandbox.deliver() == 0


def test_two_replicas_show_two_stamps_in_turn(sandbox: Sandbox) -> None:
    old = stamp(sandbox)
    sandbox.advance(days=1)
    sandbox.sync()
    new = stamp(sandbox)
    sandbox.knobs(stamp_replicas=2)
    assert [stamp(sandbox) for _ in range(4)] == [new, old, new, old]


def test_a_gateway_can_give_up_on_large_pages(sandbox: Sandbox) -> None:
    path = attendance(school(sandbox, "Elm"))
    sandbox.knobs(gateway_most_rows=50)
    answer = ask(sandbox, path, limit=51, **RANGE)
    assert (answer.status_code, answer.text[:9]) == (504, "<!DOCTYPE")
    assert ask(sandbox, path, limit=50, **RANGE).status_code == 200
    sandbox.knobs(gateway_status=0, gateway_seconds=0.01)
    with pytest.raises(requests.ConnectionError):
        ask(sandbox, path, limit=51, **RANGE)


def test_an_informational_answer_comes_before_the_right_one(sandbox: Sandbox) -> None:
    sandbox.fault("informational")
    sandbox.fault("informational", status=100)
    with KeptConnection(sandbox) as connection:
        assert connection.ask("Elm") == (103, None)
        status, page = connection.ask("Birch")
        assert (status, schools_on(page)) == (200, {school(sandbox, "Elm")})
    assert sandbox.counters()["by_fault"] == {"informational": 2}


def test_a_stray_answer_shifts_all_later_ones_of_its_connection(sandbox: Sandbox) -> None:
    sandbox.fault("stray_answer")
    with KeptConnection(sandbox) as connection:
        assert connection.ask("Elm")[1]["data"] == []
        assert schools_on(connection.ask("Birch")[1]) == {school(sandbox, "Elm")}


def test_a_stray_answer_can_come_after_the_right_one_and_be_of_another_school(sandbox: Sandbox) -> None:
    birch = school(sandbox, "Birch")
    sandbox.fault("stray_answer", place="after", other_school_id=birch)
    with KeptConnection(sandbox) as connection:
        assert schools_on(connection.ask("Elm")[1]) == {school(sandbox, "Elm")}
        assert schools_on(connection.ask("Cedar")[1]) == {birch}


def test_an_answer_can_be_that_of_another_school_or_another_query(sandbox: Sandbox) -> None:
    elm, birch = school(sandbox, "Elm"), school(sandbox, "Birch")
    sandbox.fault("other_answer", other_school_id=birch)
    assert birch in links(ask(sandbox, attendance(elm), **RANGE))["self"]
    sandbox.fault("other_answer")
    assert elm not in links(ask(sandbox, attendance(elm), **RANGE))["self"]
    sandbox.fault("other_answer", other_query="date_range_start=2026-11-20&date_range_end=2026-11-20")
    answer = ask(sandbox, attendance(elm), **RANGE)
    assert elm in links(answer)["self"]
    assert {row["attendance_date"] for row in answer.json()["data"]} == {"2026-11-20"}


def test_the_nth_request_can_be_refused_in_html_or_met_with_a_200_that_is_none(sandbox: Sandbox) -> None:
    path = attendance(school(sandbox, "Elm"))
    for kind in ("401", "403", "404", "421"):
        sandbox.fault(kind, nth=2, body="html")
        answers = [ask(sandbox, path, **RANGE) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, int(kind), 200]
        assert answers[1].text.startswith("<!DOCTYPE")
        sandbox.clear_faults()
    sandbox.fault("error_200", text="try later")
    assert ask(sandbox, path, **RANGE).json() == {"error": "try later"}
    sandbox.fault("maintenance_200")
    assert "maintenance" in ask(sandbox, path, **RANGE).text
    sandbox.fault("403", text="Jane Roe may not be seen")
    assert ask(sandbox, path, **RANGE).json() == {"message": "Jane Roe may not be seen"}


def test_a_429_can_lie_about_when_to_come_back(sandbox: Sandbox) -> None:
    sandbox.fault("429", reset_in=-30.0, retry_after_text="0")
    sandbox.knobs(date_header=False)
    headers = ask(sandbox, "/v3.1/districts").headers
    assert headers["Retry-After"] == "0"
    assert "Date" not in headers


def test_nonsense_is_refused(sandbox: Sandbox) -> None:
    for wrong in (
        {"rows_withheld_percent": 101},
        {"rows_withheld_days": ["yesterday"]},
        {"stamp_replicas": 3},
        {"unlisted_schools": "*"},
    ):
        with pytest.raises(RuntimeError, match="400"):
            sandbox.knobs(**wrong)
    with pytest.raises(RuntimeError, match="400"):
        sandbox.fault("stray_answer", place="beside")


def test_every_knob_is_documented(sandbox: Sandbox) -> None:
    text = Path(__file__).parents[2].joinpath("docs/reference/sandbox.md").read_text()
    assert not [name for name in sandbox.knobs() if f"`{name}`" not in text]
