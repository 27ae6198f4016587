"""Whose token is used, when it is looked up, and what is said when there is none."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from airflow_provider_clever.api.credentials import AppCredentials, find_tokens, token_credentials
from airflow_provider_clever.api.districts import find_district, items
from airflow_provider_clever.api.endpoints import districts_request, schools_request
from airflow_provider_clever.api.exchange import exchange
from airflow_provider_clever.api.messages import Pause
from airflow_provider_clever.exceptions import CleverAuthError, CleverProtocolError, CleverSettingsError
from airflow_provider_clever.models import District
from airflow_provider_clever.settings import CleverSettings
from tests.unit.api.plan_script import CALM, SILENCE, play, reply, reply_json, tokens_reply

BASIC = "Basic " + base64.b64encode(b"app:secret").decode()
API = "https://api.clever.com"
REFUSED = [reply(401, b'{"message":"unauthorized"}')] * 2
TOKENS, DISTRICTS = "/oauth/tokens", "/v3.1/districts"


def app(district_id: str | None = "d1") -> AppCredentials:
    return AppCredentials(settings(district_id), CALM)


def settings(district_id: str | None = "d1") -> CleverSettings:
    return CleverSettings(client_id="app", client_secret="secret", district_id=district_id)


def asking(credentials: AppCredentials) -> Any:
    return exchange(districts_request(API), credentials, CALM)


def test_the_token_is_looked_up_once_and_for_the_district_that_is_asked() -> None:
    credentials = app()
    played = play(asking(credentials), [tokens_reply(d1="one"), reply()])
    assert played.paths == [TOKENS, DISTRICTS]
    assert played.names == [BASIC, "Bearer one"]
    assert [request.origin for request in played.asked] == ["https://clever.com", API]
    assert played.asked[0].query == "owner_type=district&district=d1"
    assert play(asking(credentials), [reply()]).names == ["Bearer one"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_rotated_token_is_looked_up_again_once(status: int) -> None:
    credentials = app()
    play(asking(credentials), [tokens_reply(d1="one"), reply()])
    played = play(asking(credentials), [reply(status), tokens_reply(d1="two"), reply()])
    assert played.names == ["Bearer one", BASIC, "Bearer two"]
    assert play(asking(credentials), [reply()]).names == ["Bearer two"]


def test_a_new_token_that_is_refused_too_is_the_end() -> None:
    played = play(asking(app()), [tokens_reply(d1="one"), reply(401), tokens_reply(d1="two"), *REFUSED])
    assert isinstance(played.error, CleverAuthError)
    assert played.error.permanent
    assert "hands out" in str(played.error)


def test_a_refused_token_that_is_handed_out_again_is_not_tried_again() -> None:
    played = play(asking(app()), [tokens_reply(d1="one"), REFUSED[0], tokens_reply(d1="one"), REFUSED[1]])
    assert isinstance(played.error, CleverAuthError)
    assert played.error.permanent


def test_a_rotation_that_another_thread_has_seen_costs_no_request() -> None:
    credentials = app()
    play(asking(credentials), [tokens_reply(d1="one"), reply()])
    late = asking(credentials)
    assert next(late).authorization == "Bearer one"
    play(asking(credentials), [reply(401), tokens_reply(d1="two"), reply()])
    again = late.send(reply(401))
    assert again.authorization == "Bearer two"


def test_who_finds_another_one_looking_waits_without_a_word() -> None:
    credentials = app()
    first, second = asking(credentials), asking(credentials)
    assert next(first).path == TOKENS
    pause = next(second)
    assert isinstance(pause, Pause)
    assert not pause.reason
    assert isinstance(second.send(None), Pause)
    assert first.send(tokens_reply(d1="one")).authorization == "Bearer one"
    assert second.send(None).authorization == "Bearer one"


def test_a_look_up_that_fails_leaves_the_next_one_free() -> None:
    credentials = app()
    assert play(asking(credentials), [SILENCE] * 5).error is not None
    assert play(asking(credentials), [tokens_reply(d1="one"), reply()]).error is None


def test_a_wrong_secret_is_told_apart_from_a_wrong_token() -> None:
    played = play(asking(app()), [reply(401, b"")] * 3)
    assert isinstance(played.error, CleverAuthError)
    assert played.error.path == TOKENS
    assert "client id and secret" in str(played.error)


@pytest.mark.parametrize(
    ("asked", "found", "words"),
    [
        (None, {"d1": "one", "d2": "two"}, "2 districts are connected"),
        (None, {}, "No district is connected"),
        ("d9", {}, "District d9 is not connected"),
        ("d9", {"d1": "one"}, "District d9 is not connected"),
        ("d1", {"d1": "ilc_of_a_user"}, "signed-in user"),
    ],
)
def test_a_district_that_cannot_be_chosen(asked: str | None, found: dict[str, str], words: str) -> None:
    looks = 2 if asked not in (None, *found) or not found else 1
    played = play(asking(app(asked)), [tokens_reply(**found)] * looks)
    assert isinstance(played.error, CleverSettingsError)
    assert words in str(played.error)
    assert "ilc_of" not in str(played.error)


def test_one_list_of_tokens_that_does_not_name_the_district_is_no_proof() -> None:
    played = play(asking(app("d9")), [tokens_reply(), tokens_reply(d9="one"), reply()])
    assert played.result.status == 200
    assert [asked.on_new_connection for asked in played.asked] == [False, True, False]


def test_whatever_token_is_found_is_told_so_that_it_can_be_masked() -> None:
    told: list[str] = []
    credentials = AppCredentials(settings(), CALM, told.append)
    play(asking(credentials), [tokens_reply(d1="one"), reply(401), tokens_reply(d1="two"), reply()])
    assert told == ["one", "two"]


def test_the_only_district_needs_no_name() -> None:
    credentials = app(None)
    assert play(asking(credentials), [tokens_reply(d7="one"), reply()]).asked[0].query == "owner_type=district"
    assert credentials.district_id == "d7"


def test_the_newest_token_wins_and_pages_are_followed() -> None:
    def token(text: str, created: str | None) -> dict[str, Any]:
        return {"owner": {"type": "district", "id": "d1"}, "access_token": text, "created": created}

    first = {
        "data": [token("newest", "2026-03-01T00:00:00.500Z"), token("old", "2026-03-01T00:00:00Z")],
        "links": [{"rel": "next", "uri": "/oauth/tokens?owner_type=district&starting_after=x"}],
    }
    last = {"data": [token("undated", None)], "links": []}
    played = play(find_tokens(settings(None), CALM, None), [reply_json(first), reply_json(last)])
    assert played.result == {"d1": "newest"}
    assert {request.origin for request in played.asked} == {"https://clever.com"}


@pytest.mark.parametrize(
    "data",
    [
        ["canary"],
        [{"access_token": "canary"}],
        [{"owner": {"id": "d1"}}],
        [{"owner": "d1", "access_token": "canary"}],
        [{"owner": {"id": "d1"}, "access_token": "can\nary"}],
        [{"owner": {"id": "d1"}, "access_token": "canary\r\n"}],
        [{"owner": {"id": "d1"}, "access_token": 5}],
    ],
)
def test_a_token_that_cannot_be_sent_is_not_quoted(data: list[Any]) -> None:
    played = play(find_tokens(settings(None), CALM, None), [reply_json({"data": data})])
    assert isinstance(played.error, CleverProtocolError)
    assert "1 tokens that cannot be used" in str(played.error)
    assert "ary" not in str(played.error)


def test_one_bad_token_spoils_only_itself() -> None:
    def token(text: object, owner: str, kind: str | None = "district") -> dict[str, Any]:
        return {"owner": {"id": owner} | ({"type": kind} if kind else {}), "access_token": text}

    data = [token(None, "d1"), token("one", "d1"), token("x", "u1", "user"), token("x", "s1", "school")]
    data += [token("two", "d2", None), token("bad\n", "d3")]
    assert play(find_tokens(settings(), CALM, "d1"), [reply_json({"data": data})]).result == {"d1": "one", "d2": "two"}
    missing = play(find_tokens(settings("d3"), CALM, "d3"), [reply_json({"data": data})])
    assert isinstance(missing.error, CleverProtocolError)
    assert "for district d3" in str(missing.error)


# --- the district of a token ----------------------------------------------------------------------------------------


def district_reply(*ids: str) -> Any:
    return reply_json({"data": [{"data": {"id": found, "name": "x"}, "uri": "/x"} for found in ids], "links": []})


def test_the_district_of_a_token_is_found() -> None:
    played = play(find_district(API, app(), CALM), [tokens_reply(d1="one"), district_reply("d1")])
    assert played.result == District(id="d1", name="x")


@pytest.mark.parametrize("ids", [[], ["d1", "d2"]])
def test_a_token_of_no_district_or_several(ids: list[str]) -> None:
    played = play(find_district(API, app(), CALM), [tokens_reply(d1="one"), *[district_reply(*ids)] * 3])
    assert isinstance(played.error, CleverProtocolError)


def test_a_district_that_cannot_be_read() -> None:
    played = play(find_district(API, app(), CALM), [tokens_reply(d1="one"), *[reply_json({"data": ["x"]})] * 3])
    assert "all of it" in str(played.error)


def test_another_district_is_believed_when_it_is_named_again() -> None:
    def asking_for(asked: str | None, *replies: Any) -> Any:
        return play(find_district(API, token_credentials("t", asked), CALM), [*replies])

    assert asking_for("d1", district_reply("d2"), district_reply("d1")).result.id == "d1"
    assert asking_for(None, district_reply("d2")).result.id == "d2"
    played = asking_for("d2", *[district_reply("d1")] * 2)
    assert isinstance(played.error, CleverSettingsError)
    assert "belongs to district d1, but district d2 was asked for" in str(played.error)
    assert played.asked[-1].on_new_connection


def test_all_items_of_a_list_are_read() -> None:
    pages = [
        {
            "data": [{"data": {"id": "a"}}],
            "links": [{"rel": "next", "uri": "/v3.1/schools?limit=1000&starting_after=a"}],
        },
        {"data": None, "links": None},
        {"data": None, "links": None},
    ]
    credentials = app()
    script = [tokens_reply(d1="one"), *map(reply_json, pages)]
    assert play(items(schools_request(API), credentials, CALM), script).result == [{"id": "a"}]
