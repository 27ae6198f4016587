"""One logical GET: when it asks again, how long it waits, when it gives up, and what it says then."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clever.api.credentials import token_credentials
from airflow_provider_clever.api.error_answers import phrase_of
from airflow_provider_clever.api.exchange import RetryPolicy, exchange
from airflow_provider_clever.api.messages import Request, Response
from airflow_provider_clever.api.self_links import SelfLinkHistory
from airflow_provider_clever.exceptions import (
    CleverAuthError,
    CleverError,
    CleverHTTPError,
    CleverNotFoundError,
    CleverProtocolError,
    CleverRateLimitError,
    CleverRequestError,
    CleverTransportError,
)
from tests.unit.api.plan_script import CALM, SILENCE, WALL, Played, play, reply, reply_json

REQUEST = Request(
    "https://api.clever.com", "/v3.1/attendance/schools/s1", "limit=1000&starting_after=CURSOR0123456789=="
)
TOKEN = token_credentials("t0ken")


def asking(*script: Response | CleverTransportError, policy: RetryPolicy = CALM) -> Played:
    return play(exchange(REQUEST, TOKEN, policy), script)


def test_a_page_is_asked_for_once_and_in_the_right_name() -> None:
    played = asking(reply())
    assert played.asked == [replace(REQUEST, authorization="Bearer t0ken")]
    assert played.result.status == 200
    assert played.pauses == []


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 520], ids="status_{}_is_asked_again".format)
def test_trouble_that_passes(status: int) -> None:
    played = asking(reply(status, b""), reply(status, b"<html>"), reply(status, b'{"message":"x"}'), reply())
    assert played.result.status == 200
    assert [pause.seconds for pause in played.pauses] == [0.5, 1.0, 2.0]


def test_trouble_that_stays() -> None:
    played = asking(*[reply(503, b"<html>busy</html>")] * 5)
    assert isinstance(played.error, CleverHTTPError)
    assert not played.error.permanent
    assert (played.error.status, played.error.attempts) == (503, 5)
    assert "asked 5 times" in str(played.error)
    assert "Service Unavailable" in str(played.error)
    assert "<html>" not in str(played.error)


REFUSALS = [
    (400, CleverRequestError),
    (401, CleverAuthError),
    (403, CleverAuthError),
    (404, CleverNotFoundError),
    (405, CleverRequestError),
    (413, CleverRequestError),
    (418, CleverRequestError),
    (421, CleverRequestError),
    (501, CleverRequestError),
    (301, CleverRequestError),
    (302, CleverRequestError),
]


@pytest.mark.parametrize(("status", "kind"), REFUSALS)
def test_a_refusal_is_permanent_once_clever_repeats_it(status: int, kind: type[CleverHTTPError]) -> None:
    played = asking(*[reply(status, b'{"message":"invalid token"}\n')] * 2)
    assert type(played.error) is kind
    assert played.error.permanent
    assert "invalid token" in str(played.error)
    assert str(played.error).endswith((".", ","))
    assert "/v3.1/attendance/schools/s1 (asked 2 times)" in str(played.error)
    assert [asked.on_new_connection for asked in played.asked] == [False, True]
    assert [pause.seconds for pause in played.pauses] == [1.0]


@pytest.mark.parametrize(("status", "kind"), REFUSALS)
@pytest.mark.parametrize("body", [b"", b"<html>blocked</html>", b"blocked", b'{"blocked":true}', b"[1]"])
def test_a_refusal_that_is_not_in_clevers_form_is_never_permanent(
    status: int, kind: type[CleverHTTPError], body: bytes
) -> None:
    played = asking(*[reply(status, body)] * 3)
    assert type(played.error) is kind
    assert not played.error.permanent
    assert "blocked" not in str(played.error)


@pytest.mark.parametrize(("status", "kind"), REFUSALS)
@pytest.mark.parametrize("body", [b"<html>", b'{"message":"x"}'])
def test_one_refusal_is_none(status: int, kind: type[CleverHTTPError], body: bytes) -> None:
    played = asking(reply(status, body), reply())
    assert played.result.status == 200
    assert played.asked[1].on_new_connection


def test_refusals_that_differ_confirm_nothing() -> None:
    said = b'{"message":"x"}'
    played = asking(reply(404, said), reply(403, said), reply(404, said))
    assert isinstance(played.error, CleverNotFoundError)
    assert not played.error.permanent


def test_a_redirect_says_that_it_is_not_followed() -> None:
    assert "not followed" in str(asking(*[reply(302, b"", location="https://evil.example/")] * 3).error)


@pytest.mark.parametrize("status", [201, 204, 206])
def test_a_success_of_another_kind_is_no_page(status: int) -> None:
    assert asking(reply(status), reply()).result.status == 200
    played = asking(*[reply(status)] * 3)
    assert isinstance(played.error, CleverProtocolError)
    assert not played.error.permanent


def test_silence_that_passes() -> None:
    assert asking(SILENCE, SILENCE, reply()).result.status == 200


def test_silence_that_stays() -> None:
    played = asking(*[SILENCE] * 5)
    assert type(played.error) is CleverTransportError
    assert "fell silent (asked 5 times for /v3.1/attendance/schools/s1)" in str(played.error)
    assert played.error.__suppress_context__


def test_one_attempt_is_one_attempt() -> None:
    assert "asked once" in str(asking(SILENCE, policy=replace(CALM, attempts=1)).error)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<!DOCTYPE html><html>", "an HTML page"),
        (b"", "is empty"),
        (b'{"data":[{"student_id":"canary', "cut short"),
        (b"canary", "not JSON"),
    ],
)
def test_a_200_that_is_not_json_is_asked_again_then_an_error(body: bytes, words: str) -> None:
    assert asking(reply(200, body), reply(200, body), reply()).result.status == 200
    played = asking(*[reply(200, body)] * 3)
    assert isinstance(played.error, CleverProtocolError)
    assert words in str(played.error)
    assert "canary" not in str(played.error)


@pytest.mark.parametrize(
    "value",
    [[], 1, "x", None, {"maintenance": True}, {"error": "x"}, {"data": "x"}, {"data": {}}, {"links": {"a": 1}}],
)
def test_json_that_is_no_page_is_asked_again_then_an_error(value: object) -> None:
    assert asking(reply_json(value), reply()).result.status == 200
    played = asking(*[reply_json(value)] * 3)
    assert isinstance(played.error, CleverProtocolError)
    assert not played.error.permanent
    assert [asked.on_new_connection for asked in played.asked] == [False, True, True]


# --- is it the answer to the question -------------------------------------------------------------------------------


def page(own: str | None, rows: int = 1) -> Response:
    return reply_json({"data": [{}] * rows, "links": [{"rel": "self", "uri": own}] if own else []})


PATH = "/v3.1/attendance/schools/s1"
OWN = f"{PATH}?limit=1000&starting_after=CURSOR0123456789%3D%3D"
OTHER = "/v3.1/attendance/schools/s2?limit=1000&starting_after=CURSOR0123456789=="


def test_an_answer_to_another_question_is_asked_again_over_a_new_connection() -> None:
    played = asking(page(OTHER), page(OWN))
    assert played.result.body == page(OWN).body
    assert played.result.matches_request
    assert [asked.on_new_connection for asked in played.asked] == [False, True]


def test_an_answer_that_always_names_another_question_is_taken_and_not_believed() -> None:
    played = asking(*[page(OTHER)] * 3)
    assert not played.result.matches_request


def test_answers_that_name_now_this_and_now_that_question_are_an_error() -> None:
    elsewhere = page(f"{PATH}?starting_after=other")
    played = asking(page(OTHER), elsewhere, page(OTHER))
    assert isinstance(played.error, CleverProtocolError)
    assert "school" in str(played.error)
    assert "CURSOR" not in str(played.error)


def test_what_every_answer_names_otherwise_is_asked_once() -> None:
    self_links, asked = SelfLinkHistory(), []
    for number in range(3):
        request = replace(REQUEST, path=f"/v3.1/attendance/schools/s{number}")
        plan = exchange(request, TOKEN, CALM, self_links=self_links)
        played = play(plan, [page("/v4/attendance/schools/all")] * (3 if number < 2 else 1))
        asked.append(len(played.asked))
        assert not played.result.matches_request
    assert asked == [3, 3, 1]
    assert self_links.is_systematic


def test_rows_without_any_link_are_no_last_page() -> None:
    assert asking(page(None), page(OWN)).result.matches_request
    played = asking(*[page(None)] * 3)
    assert isinstance(played.error, CleverProtocolError)
    assert "without any link" in str(played.error)


@pytest.mark.parametrize("own", [None, "/", PATH])
def test_an_empty_page_that_does_not_say_to_what_is_believed_when_it_comes_again(own: str | None) -> None:
    played = asking(page(own, rows=0), page(own, rows=0))
    assert played.result.matches_request
    assert played.asked[1].on_new_connection
    assert asking(page(own, rows=0), page(OWN)).result.body == page(OWN).body


def test_an_empty_page_that_says_to_what_is_believed_at_once() -> None:
    assert asking(page(OWN, rows=0)).result.matches_request


def test_an_answer_with_unasked_bytes_behind_it_is_asked_again() -> None:
    followed = replace(reply(), is_alone=False)
    played = asking(followed, reply())
    assert played.asked[1].on_new_connection
    assert "nobody asked for" in str(asking(*[followed] * 3).error)
    assert asking(replace(reply(404), is_alone=False), reply()).result.status == 200


# --- the budget -----------------------------------------------------------------------------------------------------


def test_a_429_is_waited_out() -> None:
    played = asking(reply(429, b""), reply())
    assert [pause.seconds for pause in played.pauses] == [pytest.approx(60.275)]
    played = asking(reply(429, b"", retry_after="7"), reply())
    assert [pause.seconds for pause in played.pauses] == [pytest.approx(7.275)]


def test_a_429_that_stays() -> None:
    played = asking(*[reply(429, b"", retry_after="1")] * 6)
    assert isinstance(played.error, CleverRateLimitError)
    assert not played.error.permanent
    assert "budget_share" in str(played.error)


def test_a_429_leaves_the_other_attempts_alone() -> None:
    script = [reply(429, b"", retry_after="1"), reply(500)] * 4
    assert asking(*script, reply()).result.status == 200


def test_all_waits_together_are_bounded() -> None:
    policy = replace(CALM, refused_attempts=100, patience_seconds=100.0)
    played = asking(reply(429, b""), reply(429, b""), reply(429, b""), policy=policy)
    assert isinstance(played.error, CleverRateLimitError)
    assert sum(pause.seconds for pause in played.pauses) == 100.0
    impatient = replace(CALM, patience_seconds=0.0)
    assert isinstance(asking(SILENCE, policy=impatient).error, CleverTransportError)
    assert isinstance(asking(reply(500), policy=impatient).error, CleverHTTPError)
    assert isinstance(asking(reply(200, b"{"), policy=impatient).error, CleverProtocolError)


@given(st.lists(st.sampled_from([0, 200, 404, 429, 500, 503]), max_size=60), st.floats(0, 1))
def test_no_script_makes_it_ask_or_wait_for_ever(statuses: list[int], chance: float) -> None:
    policy = RetryPolicy(random=lambda: chance, wall_clock=lambda: WALL)
    plan, asked, waited = exchange(REQUEST, TOKEN, policy), 0, 0.0
    answers = [SILENCE if status == 0 else reply(status, b"" if status == 200 else b"{}") for status in statuses]
    try:
        step = next(plan)
        for answer in [*answers, *[reply(503)] * 5]:
            while not isinstance(step, Request):
                waited += step.seconds
                step = plan.send(None)
            asked += 1
            step = plan.throw(answer) if isinstance(answer, CleverTransportError) else plan.send(answer)
        raise AssertionError("it does not end")
    except (StopIteration, CleverError):
        pass
    assert asked <= 5 + 3 + 3 + 6
    assert waited <= policy.patience_seconds


# --- what an error says ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("limit in query should be less than or equal to 1000", None),
        ("limit in query should be greater than or equal to 1", None),
        ("attendance_status in query should be one of [present absent tardy]", None),
        ("date_range_start and date_range_end must be used together", None),
        ("date_range_start must not be after date_range_end", None),
        ("the date range may span at most 31 days", None),
        ("starting_after in query is not a valid cursor", None),
        ("No authorization provided", None),
        ("Could not authorize token", None),
        ("Resource not in token's scopes.", "Resource not in token's scopes"),
        ("invalid grant: invalid code", None),
        ("unauthorized", None),
        ('strconv.ParseInt: parsing "Maria": invalid syntax', "a number cannot be read"),
        ('parsing time "Maria": month out of range', "a date cannot be read: month out of range"),
        ('parsing time "Maria" as "2006-01-02": cannot parse "Maria" as "2006"', "a date cannot be read"),
        ("school 65aa00000000000000000001 not found", "school not found"),
        ("Maria Lopez was absent", "Bad Request"),
        ("unauthorized: Maria Lopez", "Bad Request"),
        ("school Maria Lopez not found", "Bad Request"),
        ("attendance_status in query should be one of [maria lopez]", "Bad Request"),
        ("", "Bad Request"),
    ],
)
def test_known_phrases_of_clevers_are_passed_on_and_nothing_else(message: str, text: str | None) -> None:
    for name in ("message", "error_description", "error"):
        assert phrase_of(reply_json({name: message}, 400)) == (message if text is None else text)


@pytest.mark.parametrize(
    "body", [b"bad date\n", b'{"message":5}', b"[1]", b"", b"<html><body>bad date", b"[" * 9999, b"\xff"]
)
def test_what_is_not_in_clevers_form_is_not_passed_on(body: bytes) -> None:
    assert phrase_of(reply(400, body)) == "Bad Request"


def test_a_status_without_a_name() -> None:
    assert phrase_of(reply(599, b"")) == "no reason given"


@given(st.text())
def test_no_message_passes_on_a_word_that_is_not_known(message: str) -> None:
    words = {word.lower() for word in re.findall(r"\w+", phrase_of(reply_json({"message": message}, 400)))}
    assert not words & {word.lower() for word in re.findall(r"\w+", message)} - KNOWN_WORDS


KNOWN_WORDS = {"bad", "request", "unauthorized", "not", "found", "user", "page", "school", "section", "district"}


def test_a_plan_tells_a_driver_that_forgets_to_answer() -> None:
    plan = exchange(REQUEST, TOKEN, CALM)
    next(plan)
    with pytest.raises(TypeError, match="driver"):
        plan.send(None)


def test_an_answer_shows_its_size_only() -> None:
    assert repr(reply(200, b"canary", set_cookie="canary")) == "Response(status=200, 6 bytes)"
