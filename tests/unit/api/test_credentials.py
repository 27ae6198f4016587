"""Whose token is used, when it is looked up, and what is said when there is none."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from airflow_provider_clever.api.credentials import AppCredentials, find_tokens
from airflow_provider_clever.api.districts import check_district, find_district, items
from airflow_provider_clever.api.endpoints import districts_request, schools_request
from airflow_provider_clever.api.exchange import exchange
from airflow_provider_clever.api.messages import Pause
from airflow_provider_clever.exceptions import CleverAuthError, CleverProtocolError, CleverSettingsError
from airflow_provider_clever.models import District
from airflow_provider_clever.settings import CleverSettings
from tests.unit.api.plan_script import CALM, SILENCE, play, reply, reply_json, tokens_reply

BASIC = "Basic " + base64.b64encode(b"app:secret").decode()
API = "https://api.clever.com"
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
    played = play(asking(app()), [tokens_reply(d1="one"), reply(401), tokens_reply(d1="two"), reply(401)])
    assert isinstance(played.error, CleverAuthError)
    assert "hands out" in str(played.error)


def test_a_refused_token_that_is_handed_out_again_is_not_tried_again() -> None:
    played = play(asking(app()), [tokens_reply(d1="one"), reply(401), tokens_reply(d1="one")])
    assert isinstance(played.error, CleverAuthError)


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
    played = play(asking(app()), [reply(401, b"")])
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
    played = play(asking(app(asked)), [tokens_reply(**found)])
    assert isinstance(played.error, CleverSettingsError)
    assert words in str(played.error)
    assert "ilc_of" not in str(played.error)


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
    "data", [[{"access_token": "x"}], [{"owner": {"id": "d1"}}], [{"owner": "d1", "access_token": "x"}]]
)
def test_a_token_that_cannot_be_read_is_not_quoted(data: list[Any]) -> None:
    played = play(find_tokens(settings(None), CALM, None), [reply_json({"data": data})])
    assert isinstance(played.error, CleverProtocolError)
    assert "token that cannot be read" in str(played.error)


# --- the district of a token ----------------------------------------------------------------------------------------


def district_reply(*ids: str) -> Any:
    return reply_json({"data": [{"data": {"id": found, "name": "x"}, "uri": "/x"} for found in ids], "links": []})


def test_the_district_of_a_token_is_found() -> None:
    played = play(find_district(API, app(), CALM), [tokens_reply(d1="one"), district_reply("d1")])
    assert played.result == District(id="d1", name="x")


@pytest.mark.parametrize("ids", [[], ["d1", "d2"]])
def test_a_token_of_no_district_or_several(ids: list[str]) -> None:
    played = play(find_district(API, app(), CALM), [tokens_reply(d1="one"), district_reply(*ids)])
    assert isinstance(played.error, CleverProtocolError)


def test_a_district_that_cannot_be_read() -> None:
    played = play(find_district(API, app(), CALM), [tokens_reply(d1="one"), reply_json({"data": ["x"]})])
    assert "all of it" in str(played.error)


def test_another_district_than_the_one_asked_for() -> None:
    found = District(id="d1")
    assert check_district(found, None) is found
    assert check_district(found, "d1") is found
    with pytest.raises(CleverSettingsError, match=r"belongs to district d1, but district d2 .* nothing was pulled"):
        check_district(found, "d2")


def test_all_items_of_a_list_are_read() -> None:
    pages = [
        {
            "data": [{"data": {"id": "a"}}],
            "links": [{"rel": "next", "uri": "/v3.1/schools?limit=1000&starting_after=a"}],
        },
        {"data": None, "links": None},
    ]
    credentials = app()
    script = [tokens_reply(d1="one"), *map(reply_json, pages)]
    assert play(items(schools_request(API), credentials, CALM), script).result == [{"id": "a"}]
