"""One logical GET: when it asks again, how long it waits, when it gives up, and what it says then."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clever.api.credentials import app_credentials, token_credentials
from airflow_provider_clever.api.exchange import RetryPolicy, exchange, said
from airflow_provider_clever.api.messages import Request, Response
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
from airflow_provider_clever.settings import CleverSettings
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


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, CleverRequestError),
        (401, CleverAuthError),
        (403, CleverAuthError),
        (404, CleverNotFoundError),
        (405, CleverRequestError),
        (413, CleverRequestError),
        (418, CleverRequestError),
        (501, CleverRequestError),
        (301, CleverRequestError),
        (302, CleverRequestError),
    ],
)
def test_permanent_refusals_are_not_asked_again(status: int, kind: type[CleverHTTPError]) -> None:
    played = asking(reply(status, b'{"message":"no way"}\n'))
    assert type(played.error) is kind
    assert kind.permanent
    assert "no way" in str(played.error)
    assert str(played.error).endswith((".", ","))
    assert "/v3.1/attendance/schools/s1" in str(played.error)


def test_a_redirect_says_that_it_is_not_followed() -> None:
    assert "not followed" in str(asking(reply(302, b"", location="https://evil.example/")).error)


@pytest.mark.parametrize("status", [201, 204, 206])
def test_a_success_of_another_kind_is_no_page(status: int) -> None:
    assert isinstance(asking(reply(status)).error, CleverProtocolError)


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
    "value", [[], 1, "x", None, {"maintenance": True}, {"data": "x"}, {"data": {}}, {"links": {"a": 1}}]
)
def test_json_that_is_no_page_is_an_error_at_once(value: object) -> None:
    assert isinstance(asking(reply_json(value)).error, CleverProtocolError)


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


@given(st.lists(st.sampled_from([0, 200, 429, 500, 503]), max_size=60), st.floats(0, 1))
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
    assert asked <= 5 + 3 + 6
    assert waited <= policy.patience_seconds


# --- what an error says ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"message":"bad date"}', "bad date"),
        (b'{"error":"x","error_description":"bad date."}', "bad date"),
        (b'{"error":"bad date"}', "bad date"),
        (b"bad date\n", "bad date"),
        (b'{"message":5}', "Bad Request"),
        (b"[1]", "Bad Request"),
        (b"", "Bad Request"),
        (b"<html><body>bad date", "Bad Request"),
        (b"[" * 9999, "[" * 200),
    ],
)
def test_the_message_is_found(body: bytes, text: str) -> None:
    assert said(reply(400, body), REQUEST) == text


def test_a_status_without_a_name() -> None:
    assert said(reply(599, b""), REQUEST) == "no reason given"


def test_ids_cursors_and_credentials_are_cut_out() -> None:
    student = "5f0c00000000000000000001"
    cursor = base64.b64encode(f"2026-01-05_{student}_x_y".encode()).decode()
    body = json.dumps({"message": f"token t0ken, student {student}, cursor {cursor}, escaped {cursor[:-2]}%3D%3D"})
    text = said(reply(400, body.encode()), replace(REQUEST, authorization="Bearer t0ken"))
    assert text == "token [...], student [...], cursor [...], escaped [...]"


def test_client_id_and_secret_are_cut_out() -> None:
    basic = app_credentials(CleverSettings(client_id="my-app", client_secret="hush")).current()
    with pytest.raises(StopIteration) as done:
        next(basic)
    text = said(reply(401, b"my-app:hush is wrong, hush"), replace(REQUEST, authorization=done.value.value))
    assert "hush" not in text
    assert said(reply(401, b"plain"), REQUEST) == "plain"


def test_a_plan_tells_a_driver_that_forgets_to_answer() -> None:
    plan = exchange(REQUEST, TOKEN, CALM)
    next(plan)
    with pytest.raises(TypeError, match="driver"):
        plan.send(None)


def test_an_answer_shows_its_size_only() -> None:
    assert repr(reply(200, b"canary", set_cookie="canary")) == "Response(status=200, 6 bytes)"
