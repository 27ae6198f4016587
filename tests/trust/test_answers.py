"""An answer is believed only if it answers the question: stray, mixed-up and unlabelled answers hide no row."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import date
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import duckdb
import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_clever.api.client import CleverClient
from airflow_provider_clever.api.endpoints import AttendanceQuery
from airflow_provider_clever.api.exchange import RetryPolicy
from airflow_provider_clever.attendance.absence import AbsenceRules
from airflow_provider_clever.exceptions import CleverError, CleverProtocolError, CleverTransportError
from airflow_provider_clever.lake.idempotency_key import IdempotencyKey
from airflow_provider_clever.lake.store import Destination
from airflow_provider_clever.pull.question import Question
from airflow_provider_clever.sandbox.testing import Sandbox
from airflow_provider_clever.settings import CleverSettings
from airflow_provider_clever.transfer.transfer import Transfer
from tests.support.asking import ask, due, landed

DAYS = {"first_day": date(2026, 11, 9), "last_day": date(2026, 11, 20)}
RANGE = {"date_range_start": "2026-11-09", "date_range_end": "2026-11-20"}


def marked(lake: Path) -> int:
    files = f"{lake}/attendance/**/*.parquet"
    found = duckdb.execute(f"SELECT count(*) FROM read_parquet('{files}') WHERE missing_since IS NOT NULL").fetchall()
    return int(found[0][0])


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "informational"},
        {"kind": "stray_answer", "place": "before"},
        {"kind": "stray_answer", "place": "after"},
        {
            "kind": "stray_answer",
            "place": "before",
            "other_query": "date_range_start=2026-01-01&date_range_end=2026-01-02",
        },
        {"kind": "other_answer"},
        {"kind": "other_answer", "other_query": "date_range_start=2026-11-09&date_range_end=2026-11-10&limit=1000"},
    ],
    ids=str,
)
def test_an_answer_that_was_not_asked_for_changes_nothing(
    sandbox: Sandbox, tmp_path: Path, fault: dict[str, Any]
) -> None:
    ask(sandbox, tmp_path, **DAYS)
    sandbox.fault(family="attendance", nth=2, times=3, **fault)
    answer = ask(sandbox, tmp_path, work="the second night", **DAYS)
    assert answer.problem is None
    assert landed(tmp_path) == due(sandbox.expected("small", **RANGE))
    assert marked(tmp_path) == 0


# --- a server that answers as it is told ----------------------------------------------------------------------------

DISTRICT = {"data": [{"data": {"id": "d1", "name": "x"}}], "links": [{"rel": "self", "uri": "/v3.1/districts"}]}
Say = Callable[[str], bytes]


def row(number: int, school: str = "s1", day: str = "2026-11-10") -> dict[str, str]:
    return {
        "attendance_date": day,
        "attendance_status": "absent",
        "attendance_type": "daily",
        "student_id": f"student{number:04}",
        "school_id": school,
        "district_id": "d1",
    }


def http(body: object, *, status: int = 200, extra: bytes = b"", before: bytes = b"", after: bytes = b"") -> bytes:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} Said\r\nContent-Length: {len(text)}\r\n".encode()
    return before + head + extra + b"\r\n" + text + after


@contextmanager
def serving(say: Say) -> Iterator[tuple[str, list[str]]]:
    """Answer each request, over kept connections, with what is said to its target. Give the origin and the targets."""
    listener = socket.create_server(("127.0.0.1", 0))
    targets: list[str] = []

    def serve(connection: socket.socket) -> None:
        with suppress(OSError), connection, connection.makefile("rb") as stream:
            while lines := list(takewhile(lambda line: line.strip(), stream)):
                target = lines[0].split()[1].decode()
                targets.append(target)
                answer = http(DISTRICT) if target == "/v3.1/districts" else say(target)
                connection.sendall(answer)
                if b"Connection: close" in answer:
                    connection.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", targets
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        acceptor.join(5)
        listener.close()


QUICK = RetryPolicy(backoff_seconds=0.0)
ROWS = [row(number) for number in range(6)]


def page_of(target: str, rows: list[dict[str, str]] = ROWS, own: str | None = None) -> dict[str, Any]:
    """The right page of two rows, as Clever gives it."""
    query = parse_qs(urlsplit(target).query)
    start = int(query.get("starting_after", ["0"])[0])
    links = [{"rel": "self", "uri": own or target}]
    if start + 2 < len(rows):
        plain = re.sub(r"&starting_after=\d+", "", target)
        links.append({"rel": "next", "uri": f"{plain}&starting_after={start + 2}"})
    return {"data": rows[start : start + 2], "links": links}


def pulled(url: str, school: str = "s1", **limits: float) -> list[str]:
    query = AttendanceQuery(school_id=school, **RANGE)  # type: ignore[arg-type]  # all are text
    settings = CleverSettings(api_base=url, auth_base=url, token="t0ken", **limits)
    with CleverClient(settings, policy=QUICK) as client:
        return [found["student_id"] for page in client.iter_attendance_pages(query) for found in page.rows]


EVERY = [found["student_id"] for found in ROWS]


def test_rows_on_a_page_without_links_are_never_the_end() -> None:
    with serving(lambda target: http({"data": page_of(target)["data"]})) as (url, targets):
        with pytest.raises(CleverProtocolError, match="without any link") as caught:
            pulled(url)
        assert not caught.value.permanent
        assert len(targets) == 4


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ("date_range_end=2026-11-20", "date_range_end=2026-11-10"),
        ("date_range_start=2026-11-09", "date_range_start=2026-11-12"),
        ("limit=", "attendance_status=absent&limit="),
    ],
)
def test_a_next_link_that_asks_for_less_is_not_followed(written: str, instead: str) -> None:
    def say(target: str) -> bytes:
        page = page_of(target)
        for link in page["links"]:
            if link["rel"] == "next":
                link["uri"] = link["uri"].replace(written, instead)
        return http(page)

    with serving(say) as (url, targets):
        with pytest.raises(CleverProtocolError, match="than this walk") as caught:
            pulled(url)
        assert not caught.value.permanent
        assert not any(instead in target for target in targets)


@pytest.mark.parametrize("field", ["error", "errors", "message"])
@pytest.mark.parametrize("data", [None, []])
def test_an_error_in_the_place_of_rows_is_no_empty_page(field: str, data: list[Any] | None) -> None:
    def say(target: str) -> bytes:
        return http({"data": data, field: ["internal"], "links": [{"rel": "self", "uri": target}]})

    with serving(say) as (url, targets):
        with pytest.raises(CleverProtocolError, match="in the place of rows"):
            pulled(url)
        assert len(targets) == 4


def test_an_empty_page_in_the_middle_is_believed_only_when_it_comes_again() -> None:
    emptied: list[str] = []

    def say(target: str) -> bytes:
        page = page_of(target)
        if "starting_after=2" in target and not emptied:
            emptied.append(target)
            page["data"] = None
        return http(page)

    with serving(say) as (url, _):
        assert pulled(url) == EVERY


def test_a_filtered_answer_is_no_answer_to_a_question_for_all() -> None:
    filtered: list[str] = []

    def say(target: str) -> bytes:
        page = page_of(target)
        if not filtered:
            filtered.append(target)
            page = {"data": page["data"][:1], "links": [{"rel": "self", "uri": f"{target}&attendance_status=absent"}]}
        return http(page)

    with serving(say) as (url, _):
        assert pulled(url) == EVERY


def test_interim_answers_shift_nothing() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
    with serving(lambda target: http(page_of(target), before=hints)) as (url, _):
        assert pulled(url) == EVERY


def test_interim_answers_without_end_are_no_answer() -> None:
    endless = b"HTTP/1.1 102 Processing\r\n\r\n" * 200
    with (
        serving(lambda target: http(page_of(target), before=endless)) as (url, _),
        pytest.raises(CleverTransportError),
    ):
        pulled(url)


@pytest.mark.parametrize("size", [b"zz", b"1;"])
def test_an_answer_that_is_no_http_in_its_chunks_is_an_error(size: bytes) -> None:
    broken = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + size + b"\r\n{}\r\n"
    with serving(lambda _: broken) as (url, _), pytest.raises(CleverTransportError):
        pulled(url)


def test_a_trailer_without_end_ends_at_the_response_timeout() -> None:
    endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 5_000_000
    with serving(lambda _: endless) as (url, _), pytest.raises(CleverTransportError):
        pulled(url, response_timeout_seconds=0.05)


def test_rows_that_answer_the_question_are_given_whatever_the_links_say() -> None:
    other = "/v3.1/attendance/schools/s2"
    with serving(lambda target: http(page_of(target, own=other))) as (url, _):
        assert pulled(url) == EVERY
    with serving(lambda target: http(page_of(target, own=other) if "after=4" not in target else empty(other))) as (
        url,
        _,
    ):
        assert pulled(url) == EVERY[:4]  # Clever writes another link throughout, and ends with an empty page


@pytest.mark.parametrize("rows", [[], [row(1, school="s2")], [row(1, day="2026-12-24")]], ids=["none", "school", "day"])
def test_no_rows_or_strange_ones_are_never_given_under_another_questions_link(rows: list[dict[str, str]]) -> None:
    page = {"data": rows, "links": [{"rel": "self", "uri": "/v3.1/attendance/schools/s2"}]}
    with (
        serving(lambda _: http(page)) as (url, _),
        pytest.raises(CleverProtocolError, match="another question") as error,
    ):
        pulled(url)
    assert not error.value.permanent


def test_blank_lines_behind_an_answer_are_no_answer() -> None:
    with serving(lambda target: http(page_of(target), after=b"\r\n")) as (url, targets):
        assert pulled(url) == EVERY
        assert len(targets) == 4


def empty(own: str) -> dict[str, Any]:
    return {"data": [], "links": [{"rel": "self", "uri": own}]}


# One wrong answer of each kind, as a function of the request's target.
WRONG: dict[str, Say] = {
    "another school": lambda target: http(page_of(target, own=target.replace("s1", "s2"))),
    "another school's end": lambda target: http(empty(target.replace("s1", "s2"))),
    "other days": lambda target: http(
        {"data": [], "links": [{"rel": "self", "uri": target.replace("11-09", "11-19")}]}
    ),
    "another place": lambda target: http(empty(f"{target.partition('&starting')[0]}&starting_after=9")),
    "empty without links": lambda _: http({"data": []}),
    "null": lambda _: http({"data": None}),
    "rows without links": lambda target: http({"data": page_of(target)["data"]}),
    "a maintenance page": lambda _: http(b"<html>soon</html>"),
    "an error in JSON": lambda _: http({"error": "soon"}),
    "maintenance in JSON": lambda _: http({"maintenance": True}),
    "nothing": lambda _: http(b""),
    "deep JSON": lambda _: http(b'{"data":' + b"[" * 900 + b"]" * 900 + b"}"),
    "cut JSON": lambda target: http(json.dumps(page_of(target)).encode()[:-9]),
    "401": lambda _: http(b"<html>", status=401),
    "403": lambda _: http({"message": "forbidden"}, status=403),
    "404": lambda _: http(b"", status=404),
    "421": lambda _: http({"message": "x"}, status=421),
    "302": lambda _: http(b"", status=302, extra=b"Location: https://evil.example/\r\n"),
    "500": lambda _: http(b"", status=500),
    "an answer more": lambda target: http({"data": [], "links": [{"rel": "self", "uri": target}]}, after=http({})),
    "a link elsewhere": lambda target: http(
        {"data": [], "links": [{"rel": "next", "uri": "https://evil.example/"}, {"rel": "self", "uri": target}]}
    ),
    "a broken answer": lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
}


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_one_wrong_answer_of_any_kind_loses_no_row(kind: str, nth: int) -> None:
    asked: list[str] = []

    def say(target: str) -> bytes:
        asked.append(target)
        if len(asked) == nth:
            return WRONG[kind](target)
        return http(page_of(target))

    with serving(say) as (url, _):
        assert pulled(url) == EVERY


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([*WRONG, "right", "right"]), max_size=12))
def test_whatever_is_answered_every_row_comes_or_an_error(kinds: list[str]) -> None:
    waiting = list(kinds)

    def say(target: str) -> bytes:
        kind = waiting.pop(0) if waiting else "right"
        return http(page_of(target)) if kind == "right" else WRONG[kind](target)

    with serving(say) as (url, _):
        try:
            found = pulled(url)
        except CleverError as error:
            confirmed = any(first == second == "403" or first == second == "421" for first, second in _pairs(kinds))
            assert not error.permanent or confirmed  # noqa: PT017 - most runs raise nothing
        else:
            assert found == EVERY or "null" in kinds or "empty without links" in kinds


def _pairs(kinds: list[str]) -> list[tuple[str, str]]:
    return list(pairwise(kinds))


class DifferentLinks:
    """A Clever that writes its self links in another way than today."""

    def __init__(self, rows: dict[str, list[dict[str, str]]], own: Callable[[str], str]) -> None:
        self._rows, self._own = rows, own

    def __call__(self, target: str) -> bytes:
        if target.startswith("/v3.1/schools"):
            schools = [{"data": {"id": school, "name": school}} for school in self._rows]
            return http({"data": schools, "links": [{"rel": "self", "uri": target}]})
        school = urlsplit(target).path.rpartition("/")[2]
        days = parse_qs(urlsplit(target).query)
        first, last = days["date_range_start"][0], days["date_range_end"][0]
        rows = [found for found in self._rows[school] if first <= found["attendance_date"] <= last]
        return http(page_of(target, rows, self._own(target)))


def landing(url: str, lake: Path) -> Any:
    stop = threading.Event()
    with CleverClient(CleverSettings(api_base=url, auth_base=url, token="t0ken"), policy=QUICK, stop=stop) as client:
        transfer = Transfer(client, Question(**DAYS), stop=stop, max_concurrency=2)  # type: ignore[arg-type]  # dates
        return transfer.land(
            lambda district: Destination(
                fsspec.filesystem("file"), str(lake), district_id=district, file_format="parquet"
            ),
            idempotency_key=IdempotencyKey.of("a night", month="2026-11"),
            today=date(2026, 11, 23),
            absence=AbsenceRules(confirm_seconds=0, school_percent=100, run_percent=100),
        )


OWN_LINKS: dict[str, Callable[[str], str]] = {
    "another version": lambda target: target.replace("/v3.1/", "/v4/"),
    "the host as well": lambda target: f"https://api.clever.com{target}",
    "other order, more parameters": lambda target: "?x=1&".join(target.split("?")) + "&y=2",
    "moments for days": lambda target: target.replace("11-09", "11-09T00:00:00Z"),
    "no question at all": lambda _: "/",
    "one school for all": lambda target: re.sub("schools/s[0-9]", "schools/all", target),
    "other days": lambda target: re.sub("range_end=[0-9-]+", "range_end=2026-11-30", target),
}
GENERAL = {"one school for all", "other days"}


@pytest.mark.parametrize("writing", OWN_LINKS)
def test_links_that_are_written_differently_one_day_are_no_outage(
    writing: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = {f"s{school}": [row(number, f"s{school}") for number in range(6)] for school in (1, 2, 3)}
    with serving(DifferentLinks(rows, lambda target: target)) as (url, targets):
        assert landing(url, tmp_path).problem is None
        as_usual = len(targets)
    fewer = {school: found[:-1] for school, found in rows.items()}
    with serving(DifferentLinks(fewer, OWN_LINKS[writing])) as (url, targets):
        answer = landing(url, tmp_path)
    assert answer.problem is None
    assert len(landed(tmp_path)) == 18
    said = [line for line in caplog.messages if "name other questions than were asked" in line]
    assert (len(said), marked(tmp_path)) == ((1, 0) if writing in GENERAL else (0, 3))
    assert writing in GENERAL or len(targets) <= as_usual + 3


def test_one_school_whose_answers_name_another_lands_and_fails_without_a_mark(tmp_path: Path) -> None:
    rows = {f"s{school}": [row(number, f"s{school}") for number in range(6)] for school in (1, 2, 3)}
    with serving(DifferentLinks(rows, lambda target: target)) as (url, _):
        assert landing(url, tmp_path).problem is None
    fewer = {school: found[:-1] for school, found in rows.items()}
    with serving(DifferentLinks(fewer, lambda target: target.replace("schools/s2", "schools/s9"))) as (url, _):
        answer = landing(url, tmp_path)
    assert isinstance(answer.problem, CleverProtocolError)
    assert "s2" in str(answer.problem)
    assert not answer.problem.permanent
    assert answer.summary["schools_failed"] == ["s2"]
    assert marked(tmp_path) == 2
