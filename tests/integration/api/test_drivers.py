"""One contract for both drivers: the same question, the same faults, the same answer or the same error."""

from __future__ import annotations

import asyncio
import gzip
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_provider_clever import __version__
from airflow_provider_clever.api.async_client import AsyncCleverClient
from airflow_provider_clever.exceptions import (
    CleverAuthError,
    CleverHTTPError,
    CleverProtocolError,
    CleverRequestError,
    CleverSettingsError,
    CleverTransportError,
)
from airflow_provider_clever.sandbox.testing import Sandbox
from airflow_provider_clever.settings import CleverSettings
from tests.integration.api.conftest import QUICK, Asker, settings_for, token_settings
from tests.integration.api.raw_server import dripping, endless, page, saying, serving, silent

DISTRICT = b'{"data":[{"data":{"id":"d1","name":"x"}}],"links":[]}'


def raw_settings(url: str, **changes: float) -> CleverSettings:
    return CleverSettings(api_base=url, auth_base=url, token="t0ken", **changes)  # type: ignore[arg-type]  # all are numbers


def test_the_district_is_read(ask_for_the_district: Asker, sandbox: Sandbox, settings: CleverSettings) -> None:
    small = sandbox.district("small")
    district = ask_for_the_district(settings)
    assert (district.id, district.name) == (small.id, small.name)
    assert district.last_attendance_sync is not None
    asked = [(entry["path"], entry["status"]) for entry in sandbox.requests()]
    assert asked == [("/oauth/tokens", 200), ("/v3.1/districts", 200)]


def test_a_token_alone_is_enough(ask_for_the_district: Asker, sandbox: Sandbox) -> None:
    large = sandbox.district("large")
    assert ask_for_the_district(token_settings(sandbox, large.token, district_id=large.id)).id == large.id


def test_a_token_of_another_district_is_noticed(ask_for_the_district: Asker, sandbox: Sandbox) -> None:
    small, large = sandbox.district("small"), sandbox.district("large")
    with pytest.raises(CleverSettingsError, match=f"belongs to district {large.id}, but district {small.id}"):
        ask_for_the_district(token_settings(sandbox, large.token, district_id=small.id))


@pytest.mark.parametrize("body", ["json", "empty", "html"])
@pytest.mark.parametrize("kind", ["500", "502", "503", "504"])
def test_trouble_that_passes(
    ask_for_the_district: Asker, sandbox: Sandbox, settings: CleverSettings, kind: str, body: str
) -> None:
    sandbox.fault(kind, family="districts", body=body, times=2)
    assert ask_for_the_district(settings).id == settings.district_id


@pytest.mark.parametrize("kind", ["reset_mid_body", "close", "truncated_json", "html_200"])
@pytest.mark.parametrize("family", ["districts", "oauth"])
def test_an_answer_that_breaks_off_is_asked_for_again(
    ask_for_the_district: Asker, sandbox: Sandbox, settings: CleverSettings, kind: str, family: str
) -> None:
    sandbox.fault(kind, family=family, times=2)
    assert ask_for_the_district(settings).id == settings.district_id


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("400", CleverRequestError),
        ("404", CleverHTTPError),
        ("503", CleverHTTPError),
        ("redirect", CleverRequestError),
        ("reset_mid_body", CleverTransportError),
        ("truncated_json", CleverProtocolError),
        ("html_200", CleverProtocolError),
        ("not_a_page_200", CleverProtocolError),
    ],
)
def test_trouble_that_stays(
    ask_for_the_district: Asker, sandbox: Sandbox, settings: CleverSettings, kind: str, error: type[Exception]
) -> None:
    sandbox.fault(kind, family="districts", times=0)
    with pytest.raises(error) as caught:
        ask_for_the_district(settings)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("status", [401, 403])
def test_a_rotated_token_is_found_again(ask_for_the_district: Asker, sandbox: Sandbox, status: int) -> None:
    small = sandbox.district("small")
    sandbox.knobs(bad_token_status=status)
    sandbox.fault("rotate_token", family="districts")
    assert ask_for_the_district(settings_for(sandbox, small.id)).id == small.id


def test_a_fixed_token_that_is_refused_is_final(ask_for_the_district: Asker, sandbox: Sandbox) -> None:
    with pytest.raises(CleverAuthError, match="connection's password"):
        ask_for_the_district(token_settings(sandbox, "no-such-token"))
    assert [entry["status"] for entry in sandbox.requests()] == [401, 401]


@pytest.mark.parametrize("body", ["json", "html", "empty"])
def test_a_wrong_secret_is_final(ask_for_the_district: Asker, sandbox: Sandbox, body: str) -> None:
    sandbox.knobs(bad_credentials_body=body)
    with pytest.raises(CleverAuthError, match="client id and secret") as caught:
        ask_for_the_district(settings_for(sandbox, None, client_secret="wrong-secret"))
    assert caught.value.path == "/oauth/tokens"
    assert "wrong-secret" not in str(caught.value)


def test_a_429_is_waited_out(ask_for_the_district: Asker, sandbox: Sandbox, settings: CleverSettings) -> None:
    sandbox.fault("429", family="districts", retry_after=1)
    assert ask_for_the_district(settings).id == settings.district_id
    refused, answered = (entry for entry in sandbox.requests() if entry["family"] == "districts")
    assert (refused["status"], answered["status"]) == (429, 200)
    assert answered["received"] - refused["received"] >= 1


def test_nobody_there(ask_for_the_district: Asker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(CleverTransportError, match="no connection to") as caught:
        ask_for_the_district(raw_settings(url))
    assert caught.value.__suppress_context__


def test_a_server_that_says_nothing(ask_for_the_district: Asker) -> None:
    with serving(silent) as server, pytest.raises(CleverTransportError, match=r"asked 5 times"):
        ask_for_the_district(raw_settings(server.url, read_timeout_seconds=0.1))


def test_a_body_that_drips_for_ever(ask_for_the_district: Asker) -> None:
    with serving(dripping(0.02)) as server, pytest.raises(CleverTransportError, match="asked 5 times"):
        ask_for_the_district(raw_settings(server.url, response_timeout_seconds=0.2))
    assert len(server.heard) == 5


def test_a_body_without_end(ask_for_the_district: Asker) -> None:
    with serving(endless) as server, pytest.raises(CleverProtocolError, match="larger than 64 MB"):
        ask_for_the_district(raw_settings(server.url))


@pytest.mark.parametrize(
    "answer",
    [
        page(DISTRICT[:20], length=len(DISTRICT)),
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{"data"',
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{"data"',
        page(b"\x1f\x8b not gzip", "Content-Encoding: gzip\r\n"),
        b"not http at all\r\n\r\n",
        b"",
    ],
    ids=["short", "cut_chunk", "bad_chunk", "bad_gzip", "not_http", "nothing"],
)
def test_an_answer_that_is_broken_below_http(ask_for_the_district: Asker, answer: bytes) -> None:
    with serving(saying(answer)) as server, pytest.raises(CleverTransportError) as caught:
        ask_for_the_district(raw_settings(server.url))
    assert caught.value.__suppress_context__


def test_gzip_is_understood(ask_for_the_district: Asker) -> None:
    answer = page(gzip.compress(DISTRICT), "Content-Encoding: gzip\r\n")
    with serving(saying(answer)) as server:
        assert ask_for_the_district(raw_settings(server.url)).id == "d1"


def test_repeated_headers_are_joined(ask_for_the_district: Asker, sandbox: Sandbox, settings: CleverSettings) -> None:
    sandbox.knobs(rate_headers="two_buckets")
    assert ask_for_the_district(settings).id == settings.district_id
    twice = "X-RateLimit-Limit: 5\r\nX-RateLimit-Limit: 9\r\n"
    with serving(saying(page(DISTRICT, twice))) as server:
        assert ask_for_the_district(raw_settings(server.url)).id == "d1"


def test_neither_a_netrc_nor_a_proxy_gets_in_between(
    ask_for_the_district: Asker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login intruder password hunter2\ndefault login intruder password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text(netrc.read_text())
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with serving(saying(page(DISTRICT))) as server:
        assert ask_for_the_district(raw_settings(server.url)).id == "d1"
    (head,) = server.heard
    assert "Authorization: Bearer t0ken\r\n" in head
    assert f"User-Agent: airflow-provider-clever/{__version__}\r\n" in head
    assert "Accept-Encoding: gzip\r\n" in head


def test_https_goes_through_the_proxy_of_the_environment(
    ask_for_the_district: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with serving(saying(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        with pytest.raises(CleverTransportError):
            ask_for_the_district(replace(raw_settings("https://clever.invalid"), auth_base="https://clever.invalid"))
    assert len(proxy.heard) == 5
    assert all(head.startswith("CONNECT clever.invalid:443") for head in proxy.heard)
    assert "t0ken" not in "".join(proxy.heard)


def test_a_host_that_does_not_speak_tls(ask_for_the_district: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(saying(b"plain text")) as server, pytest.raises(CleverTransportError):
        ask_for_the_district(raw_settings(server.url.replace("http:", "https:"), connect_timeout_seconds=0.2))


def test_coroutines_share_one_look_up_of_the_token(sandbox: Sandbox, settings: CleverSettings) -> None:
    async def ask() -> set[str]:
        async with AsyncCleverClient(settings, policy=QUICK) as client:
            districts = await asyncio.gather(*(client.get_district() for _ in range(5)))
            await client.close()
        return {district.id for district in districts}

    assert asyncio.run(ask()) == {settings.district_id}
    assert [entry["path"] for entry in sandbox.requests()].count("/oauth/tokens") == 1


def test_the_event_loop_runs_on_while_clever_is_silent(sandbox: Sandbox, settings: CleverSettings) -> None:
    async def ask() -> set[str]:
        async with AsyncCleverClient(settings, policy=QUICK) as client:
            await client.get_district()  # the token is known from here on
            await asyncio.to_thread(sandbox.knobs, hold_answers=True)
            asking = [asyncio.create_task(client.get_district()) for _ in range(5)]
            # The loop itself lets the answers go, once all five wait for theirs: a blocked loop never would.
            await asyncio.to_thread(sandbox.wait_for_in_flight, 5)
            await asyncio.to_thread(sandbox.knobs, hold_answers=False)
            return {district.id for district in await asyncio.gather(*asking)}

    assert asyncio.run(ask()) == {settings.district_id}


@pytest.mark.timing(only=True)
def test_the_event_loop_stays_free_while_clever_is_slow(sandbox: Sandbox, settings: CleverSettings) -> None:
    sandbox.knobs(latency_ms=400)
    gaps: list[float] = []

    async def tick() -> None:
        while True:
            begun = time.monotonic()
            await asyncio.sleep(0.005)
            gaps.append(time.monotonic() - begun)

    async def ask() -> None:
        async with AsyncCleverClient(settings, policy=QUICK) as client:
            await client.get_district()  # the first one loads what is loaded once
            gaps.clear()
            ticker = asyncio.create_task(tick())
            await client.get_district()
            ticker.cancel()

    asyncio.run(ask())
    assert len(gaps) > 10
    assert max(gaps) < 0.3
