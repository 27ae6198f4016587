"""Every spelling of a connection that is meant to work, and one message for everything that is wrong with it."""

from __future__ import annotations

import dataclasses
import pickle
from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.settings import CleverSettings


@dataclass
class Fields:
    """A connection as the form, a URI or JSON may leave it."""

    host: str | None = None
    schema: str | None = None
    port: Any = None
    login: str | None = "app"
    password: str | None = "secret-value"
    extra_dejson: dict[str, Any] = field(default_factory=dict)


def problems(**changes: Any) -> str:
    with pytest.raises(CleverSettingsError) as caught:
        CleverSettings.from_connection(Fields(**changes))
    assert caught.value.__cause__ is None
    assert caught.value.permanent
    return str(caught.value)


@pytest.mark.parametrize(
    ("host", "schema", "port", "base"),
    [
        (None, None, None, "https://api.clever.com"),
        ("", "", 0, "https://api.clever.com"),
        ("", "", 443, "https://api.clever.com"),
        ("", "", 8900, "https://api.clever.com:8900"),
        ("https://api.clever.com", None, 0, "https://api.clever.com"),
        ("http://127.0.0.1:8900", None, 443, "http://127.0.0.1:8900"),
        ("api.clever.com", None, None, "https://api.clever.com"),
        ("API.Clever.com", "https", "", "https://api.clever.com"),
        ("https://api.clever.com/", None, None, "https://api.clever.com"),
        ("https://api.clever.com:443", None, None, "https://api.clever.com"),
        ("api.clever.com", "https", 443, "https://api.clever.com"),
        ("gateway.example.org", None, 8443, "https://gateway.example.org:8443"),
        ("https://gateway.example.org", None, "8443", "https://gateway.example.org:8443"),
        ("https://gateway.example.org:8443", None, 9, "https://gateway.example.org:8443"),
        ("127.0.0.1", "http", 8900, "http://127.0.0.1:8900"),
        ("http://localhost:8900/", None, None, "http://localhost:8900"),
        ("http://[::1]:8900", None, None, "http://[::1]:8900"),
        ("http://127.0.0.1:80", None, None, "http://127.0.0.1"),
    ],
)
def test_a_host_may_be_written_in_every_usual_way(host: str, schema: str, port: Any, base: str) -> None:
    assert CleverSettings.from_connection(Fields(host=host, schema=schema, port=port)).api_base == base


def test_login_and_password_are_the_app() -> None:
    settings = CleverSettings.from_connection(Fields(login=" app ", password="secret-value\n"))
    assert (settings.client_id, settings.client_secret, settings.token) == ("app", "secret-value", None)


@pytest.mark.parametrize("login", [None, "", "  "])
def test_a_password_alone_is_one_districts_token(login: str | None) -> None:
    settings = CleverSettings.from_connection(Fields(login=login, password="token-value"))
    assert (settings.client_id, settings.client_secret, settings.token) == (None, None, "token-value")


@pytest.mark.parametrize("share", [0.5, "0.5", " 0.5 "])
def test_extras_are_read_and_unknown_ones_ignored(share: object) -> None:
    extra = {"auth_base": "http://127.0.0.1:9/", "district_id": "d1", "budget_share": share, "color": "red"}
    settings = CleverSettings.from_connection(Fields(extra_dejson=extra))
    assert (settings.auth_base, settings.district_id, settings.budget_share) == ("http://127.0.0.1:9", "d1", 0.5)


@pytest.mark.parametrize("empty", [None, ""])
def test_empty_extras_count_as_not_given(empty: str | None) -> None:
    extra = {"auth_base": empty, "district_id": empty, "budget_share": empty}
    settings = CleverSettings.from_connection(Fields(extra_dejson=extra))
    assert (settings.auth_base, settings.district_id, settings.budget_share) == ("https://clever.com", None, 0.8)


def test_the_tasks_district_wins_over_the_connections() -> None:
    fields = Fields(extra_dejson={"district_id": "of-connection"})
    assert CleverSettings.from_connection(fields, "of-task").district_id == "of-task"
    assert CleverSettings.from_connection(fields, "").district_id == "of-connection"


def test_all_problems_come_in_one_message() -> None:
    text = problems(
        host="http://api.clever.com",
        password="",
        extra_dejson={"auth_base": "clever", "district_id": "../x", "budget_share": "lots"},
    )
    for part in ("host:", "https", "auth_base:", "password:", "district_id:", "budget_share:"):
        assert part in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"host": "http://10.0.0.1"}, "plain http"),
        ({"host": "http://localhost.example.org"}, "plain http"),
        ({"host": "ftp://api.clever.com"}, "not an address"),
        ({"host": "api.clever.com", "schema": "clever"}, "not an address"),
        ({"host": "https://"}, "not an address"),
        ({"host": "api clever.com"}, "not an address"),
        ({"host": "https://api.clever.com:port"}, "not an address"),
        ({"host": "https://[api", "port": 8}, "not an address"),
        ({"host": "https://me:pw@api.clever.com"}, "user name or password"),
        ({"host": "https://api.clever.com/v3.1"}, "more than an address"),
        ({"host": "https://api.clever.com?x=1"}, "more than an address"),
        ({"login": None, "password": None}, "password: empty"),
        ({"login": "a:b"}, "login: not a client id"),
        ({"login": "a b"}, "login: holds a blank"),
        ({"password": "sécret"}, "password: holds"),
        ({"login": "", "password": "a\nb"}, "password: holds"),
        ({"login": "", "password": "ilabcdef"}, "signed-in user"),
        ({"extra_dejson": {"budget_share": 0}}, "budget_share"),
        ({"extra_dejson": {"budget_share": 1.01}}, "budget_share"),
        ({"extra_dejson": {"budget_share": "nan"}}, "budget_share"),
        ({"extra_dejson": {"district_id": "a\n"}}, ""),
    ][:-1],
)
def test_each_problem_names_its_field_and_the_next_step(changes: dict[str, Any], words: str) -> None:
    assert words in problems(**changes)


def test_no_secret_shows() -> None:
    shown = repr(CleverSettings(client_id="app", client_secret="s3cret-value")) + repr(CleverSettings(token="t0ken"))
    assert "s3cret" not in shown
    assert "t0ken" not in shown
    assert "t0ken" not in problems(login="", password="t0ken t0ken", host="http://t0ken.example.org")


def test_settings_are_values() -> None:
    settings = CleverSettings(token="t", api_base="HTTPS://API.clever.com/")
    assert settings == CleverSettings(token="t", api_base="https://api.clever.com")
    assert pickle.loads(pickle.dumps(settings)) == settings
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.token = "other"  # type: ignore[misc]  # that it is refused is the point


@pytest.mark.parametrize("share", [80, "80", "80%", 1.01, 0, -0.5, "nan", "inf"])
def test_a_budget_share_in_percent_is_refused_with_the_way_to_write_it(share: object) -> None:
    with pytest.raises(
        CleverSettingsError, match=r"budget_share: must be above 0 and at most 1; write 80 percent as 0\.8"
    ):
        CleverSettings.from_connection(Fields(extra_dejson={"budget_share": share}))
