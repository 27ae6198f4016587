"""What one thread's way to Clever puts on the wire, which connections it keeps, and what it says when they fail."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from urllib.parse import unquote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from airflow_provider_clever import __version__
from airflow_provider_clever.api.client import CleverClient
from airflow_provider_clever.api.exchange import RetryPolicy
from airflow_provider_clever.api.fetcher import PageFetcher
from airflow_provider_clever.api.messages import Request, Response
from airflow_provider_clever.exceptions import CleverError, CleverTransportError
from airflow_provider_clever.settings import CleverSettings
from tests.integration.api.raw_server import ROWS, Behaviour, dripping, page, saying, serving, silent

ONCE = RetryPolicy(attempts=1, unreadable_attempts=1, backoff_seconds=0.0)
PATH = "/v3.1/attendance/schools/s1"
BODY = ROWS
KEPT = page().replace(b"Connection: close\r\n", b"")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy and no certificates but those that a test names."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "requests_ca_bundle", "curl_ca_bundle"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@contextmanager
def keeping_connections(
    answer: Callable[[socket.socket], None], heads: list[list[str]], certificate: Path | None = None
) -> Iterator[str]:
    """Serve connections with as many requests as come over them; give the origin.

    :param answer: answers one request, whose head was read.
    :param heads: filled with the heads of the requests, connection by connection.
    :param certificate: speak TLS with it.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if certificate else None
    if tls and certificate:
        tls.load_cert_chain(certificate)

    def serve(raw: socket.socket, heard: list[str]) -> None:
        with (
            suppress(OSError),
            tls.wrap_socket(raw, server_side=True) if tls else raw as connection,
            connection.makefile("rb") as stream,
        ):
            while head := b"".join(takewhile(lambda line: line.strip(), stream)):
                heard.append(head.decode())
                answer(connection)

    def accept() -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                connection, _ = listener.accept()
                heads.append([])
                threading.Thread(target=serve, args=(connection, heads[-1]), daemon=True).start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        acceptor.join(5)
        listener.close()


def answering(answer: bytes) -> Callable[[socket.socket], None]:
    """Answer every request alike, and keep the connection."""
    return lambda connection: connection.sendall(answer)


@contextmanager
def fetching(url: str, **changes: float) -> Iterator[PageFetcher]:
    """Give a way to a server, which asks once."""
    settings = CleverSettings(api_base=url, auth_base=url, token="t0ken", **changes)  # type: ignore[arg-type]  # numbers
    with CleverClient(settings, policy=ONCE) as client, client.fetcher() as fetcher:
        yield fetcher


def fetch(fetcher: PageFetcher, url: str, query: str = "limit=1") -> Response:
    return fetcher.fetch(Request(url, PATH, query))


# --- what is sent ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cursor",
    ["MjAyNi0wMQ==", "MjAyNi0wMQ%3D%3D", "a+b/c==", "a%2Bb%2Fc", "a%2Bb+c", "-._~!$'()*,;:@/?", "%25%2525"],
)
def test_a_cursor_is_sent_byte_for_byte(cursor: str) -> None:
    heads: list[list[str]] = []
    with keeping_connections(answering(KEPT), heads) as url, fetching(url) as fetcher:
        fetch(fetcher, url, f"limit=1&starting_after={cursor}")
    assert heads[0][0].splitlines()[0] == f"GET {PATH}?limit=1&starting_after={cursor} HTTP/1.1"


def test_a_cursor_with_escapes_in_lower_case_means_the_same() -> None:
    heads: list[list[str]] = []
    with keeping_connections(answering(KEPT), heads) as url, fetching(url) as fetcher:
        fetch(fetcher, url, "starting_after=a%2bb%2fc%3d%3D")
    assert unquote(heads[0][0].split()[1]) == f"{PATH}?starting_after=a+b/c=="


def test_these_headers_are_sent_and_no_cookie_ever() -> None:
    heads: list[list[str]] = []
    answer = page(extra="Set-Cookie: tracked=yes; Path=/\r\n").replace(b"Connection: close\r\n", b"")
    with keeping_connections(answering(answer), heads) as url, fetching(url) as fetcher:
        for _ in range(2):
            fetch(fetcher, url)
    for head in heads[0]:
        assert sorted(head.splitlines()[1:]) == [
            "Accept-Encoding: gzip",
            "Accept: application/json",
            "Authorization: Bearer t0ken",
            "Connection: keep-alive",
            f"Host: {url.removeprefix('http://')}",
            f"User-Agent: airflow-provider-clever/{__version__}",
        ]


def test_repeated_headers_are_joined_under_a_name_in_lower_case() -> None:
    said = page(BODY, "X-RateLimit-Limit: 5\r\nx-ratelimit-limit: 9\r\n")
    with serving(saying(said)) as server, fetching(server.url) as fetcher:
        assert fetch(fetcher, server.url).headers["x-ratelimit-limit"] == "5, 9"


# --- which connections are kept -------------------------------------------------------------------------------------


def test_one_connection_serves_all_pages_until_it_is_closed() -> None:
    heads: list[list[str]] = []
    with keeping_connections(answering(KEPT), heads) as url, fetching(url) as fetcher:
        for _ in range(3):
            assert fetch(fetcher, url).body == BODY
        fetcher.close()
        fetch(fetcher, url)
    assert [len(heard) for heard in heads] == [3, 1]


def test_each_origin_has_a_connection_of_its_own() -> None:
    api: list[list[str]] = []
    auth: list[list[str]] = []
    with (
        keeping_connections(answering(KEPT), api) as url,
        keeping_connections(answering(KEPT), auth) as other_url,
        fetching(url) as fetcher,
    ):
        for origin in (url, other_url, url, other_url):
            fetch(fetcher, origin)
    assert [len(heard) for heard in (*api, *auth)] == [2, 2]


def test_an_answer_may_end_its_connection() -> None:
    heads: list[list[str]] = []
    with keeping_connections(answering(page()), heads) as url, fetching(url) as fetcher:
        for _ in range(2):
            fetch(fetcher, url)
    assert [len(heard) for heard in heads] == [1, 1]


def test_a_connection_that_the_server_closed_in_between_is_opened_anew() -> None:
    def answer_and_close(connection: socket.socket) -> None:
        connection.sendall(KEPT)
        connection.shutdown(socket.SHUT_WR)
        closed.set()

    closed = threading.Event()
    heads: list[list[str]] = []
    with keeping_connections(answer_and_close, heads) as url, fetching(url) as fetcher:
        for _ in range(3):
            assert fetch(fetcher, url).body == BODY
            assert closed.wait(5)
            closed.clear()
    assert [len(heard) for heard in heads] == [1, 1, 1]


def test_a_connection_with_an_unfinished_body_is_not_used_again() -> None:
    unfinished = KEPT.replace(b"Content-Length: ", b"Content-Length: 9")
    heads: list[list[str]] = []
    with (
        keeping_connections(answering(unfinished), heads) as url,
        fetching(url, read_timeout_seconds=0.1) as fetcher,
    ):
        for _ in range(2):
            with pytest.raises(CleverTransportError, match="broke off"):
                fetch(fetcher, url)
    assert [len(heard) for heard in heads] == [1, 1]


# --- what is said of failures ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behave", "words"),
    [
        (silent, "fell silent"),
        (saying(b""), "or it broke"),
        (saying(b"not http at all\r\n\r\n"), "or it broke"),
        (saying(page(BODY[:9], length=len(BODY))), "broke off"),
        (saying(page(BODY, "Content-Encoding: gzip\r\n")), "broke off"),
        (dripping(10), "broke off"),
    ],
    ids=["silent", "nothing", "not_http", "short", "not_gzip", "silent_in_the_body"],
)
def test_what_is_said_of_a_server_that_fails(behave: Behaviour, words: str) -> None:
    with serving(behave) as server, fetching(server.url, read_timeout_seconds=0.2) as fetcher:
        with pytest.raises(CleverTransportError, match=words) as caught:
            fetch(fetcher, server.url, "starting_after=CANARY")
        assert_silent(caught.value)


def test_what_is_said_when_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with fetching(url) as fetcher, pytest.raises(CleverTransportError, match="no connection to") as caught:
        fetch(fetcher, url, "starting_after=CANARY")
    assert_silent(caught.value)


def test_what_is_said_when_no_connection_is_accepted_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.create_connection(full.getsockname()):
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        with (
            fetching(url, connect_timeout_seconds=0.2) as fetcher,
            pytest.raises(CleverTransportError, match="did not accept a connection in time") as caught,
        ):
            fetch(fetcher, url, "starting_after=CANARY")
    assert_silent(caught.value)


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "nonsense://x:y"])
def test_what_is_said_of_a_proxy_that_cannot_be_used(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", proxy)
    url = "https://clever.invalid"
    words = "the proxy to"
    with fetching(url) as fetcher, pytest.raises(CleverTransportError, match=f"{words} {url}") as caught:
        fetch(fetcher, url, "starting_after=CANARY")
    assert_silent(caught.value)


def assert_silent(error: CleverError) -> None:
    assert "CANARY" not in str(error)
    assert "t0ken" not in str(error)
    assert error.__suppress_context__


# --- sent ahead -----------------------------------------------------------------------------------------------------

FIRST, SECOND, OTHER = "limit=1", "limit=1&starting_after=a", "limit=1&starting_after=b"


def send_ahead(fetcher: PageFetcher, url: str, query: str = SECOND) -> None:
    fetcher.send_ahead(Request(url, PATH, query))


def asked(heads: list[list[str]]) -> list[list[str]]:
    """The queries that came, connection by connection."""
    return [[head.split()[1].partition("?")[2] for head in heard] for heard in heads]


def wait_until(holds: Callable[[], bool]) -> None:
    given_up = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < given_up
        time.sleep(0.005)  # a socket tells nobody when the other side has read from it


def test_a_request_that_was_sent_ahead_is_answered_before_it_is_fetched_and_asked_once() -> None:
    heads: list[list[str]] = []
    bodies = iter([BODY, ROWS.replace(b"{}", b"1"), ROWS.replace(b"{}", b"2")])
    with (
        keeping_connections(
            lambda connection: connection.sendall(page(next(bodies)).replace(b"Connection: close\r\n", b"")), heads
        ) as url,
        fetching(url) as fetcher,
    ):
        fetch(fetcher, url, FIRST)
        send_ahead(fetcher, url)
        wait_until(lambda: asked(heads) == [[FIRST, SECOND]])
        assert fetch(fetcher, url, SECOND).body == ROWS.replace(b"{}", b"1")
        assert fetch(fetcher, url, SECOND).body == ROWS.replace(b"{}", b"2")
    assert asked(heads) == [[FIRST, SECOND, SECOND]]
    assert len({head.split("?")[1].partition(" ")[2] for head in heads[0]}) == 1, "other headers than usual"


@pytest.mark.parametrize("next_query", [FIRST, OTHER])
def test_an_answer_that_nobody_asks_for_after_all_is_given_to_nobody(next_query: str) -> None:
    heads: list[list[str]] = []
    with keeping_connections(answering(KEPT), heads) as url, fetching(url) as fetcher:
        fetch(fetcher, url, FIRST)
        send_ahead(fetcher, url)
        fetch(fetcher, url, next_query)
        send_ahead(fetcher, url)
        send_ahead(fetcher, url, OTHER)
    wait_until(lambda: sum(map(len, heads)) >= 4)
    assert asked(heads)[:2] == [[FIRST, SECOND], [next_query, SECOND]]


def test_nothing_is_sent_ahead_to_where_there_is_no_connection() -> None:
    heads: list[list[str]] = []
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + KEPT.partition(b"\r\n")[2]
    with keeping_connections(answering(closing), heads) as url, fetching(url) as fetcher:
        send_ahead(fetcher, url)
        fetch(fetcher, url, FIRST)
        send_ahead(fetcher, url)
        fetch(fetcher, url, SECOND)
    assert asked(heads) == [[FIRST], [SECOND]]


def test_nothing_is_sent_ahead_while_a_token_would_have_to_be_looked_up() -> None:
    heads: list[list[str]] = []
    with keeping_connections(answering(KEPT), heads) as url:
        settings = CleverSettings(api_base=url, auth_base=url, client_id="id", client_secret="secret")
        with CleverClient(settings, policy=ONCE) as client, client.fetcher() as fetcher:
            with suppress(CleverError):  # the list of tokens is empty
                fetch(fetcher, url, FIRST)
            sent = sum(map(len, heads))
            send_ahead(fetcher, url)
        assert sum(map(len, heads)) == sent


def test_nothing_is_sent_ahead_while_the_throttle_would_have_it_wait() -> None:
    spent = f"X-RateLimit-Limit: 100\r\nX-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: {time.time() + 60:.0f}\r\n"
    heads: list[list[str]] = []
    answer = page(extra=spent).replace(b"Connection: close\r\n", b"")
    with keeping_connections(answering(answer), heads) as url, fetching(url) as fetcher:
        fetch(fetcher, url, FIRST)
        send_ahead(fetcher, url)
    assert asked(heads) == [[FIRST]]


def test_what_is_sent_ahead_takes_a_place_of_the_throttle_until_it_is_fetched_or_given_up() -> None:
    # 20 of 100 are kept; of the other 32, two may be on their way.
    budget = f"X-RateLimit-Limit: 100\r\nX-RateLimit-Remaining: 52\r\nX-RateLimit-Reset: {time.time() + 60:.0f}\r\n"
    heads: list[list[str]] = []
    answer = page(extra=budget).replace(b"Connection: close\r\n", b"")
    with keeping_connections(answering(answer), heads) as url:
        settings = CleverSettings(api_base=url, auth_base=url, token="t0ken")
        with CleverClient(settings, policy=ONCE) as client:
            fetchers = [client.fetcher() for _ in range(3)]
            for fetcher in fetchers:
                fetch(fetcher, url, FIRST)
            for fetcher in fetchers:
                send_ahead(fetcher, url)
            wait_until(lambda: sum(map(len, heads)) == 5)
            assert [len(heard) for heard in heads] == [2, 2, 1]
            assert client.requests_sent == 5
            fetchers[0].close()
            send_ahead(fetchers[2], url)
            wait_until(lambda: sum(map(len, heads)) == 6)
            for fetcher in reversed(fetchers):
                fetch(fetcher, url, SECOND)
                fetcher.close()
            assert client.requests_sent == 7


def test_an_answer_sent_ahead_that_breaks_off_is_an_error_like_any_other() -> None:
    answers = iter([KEPT, KEPT.replace(b"Content-Length: ", b"Content-Length: 9"), KEPT])
    heads: list[list[str]] = []

    def answer(connection: socket.socket) -> None:
        text = next(answers)
        connection.sendall(text)
        if text != KEPT:
            connection.shutdown(socket.SHUT_RDWR)

    with keeping_connections(answer, heads) as url, fetching(url) as fetcher:
        fetch(fetcher, url, FIRST)
        send_ahead(fetcher, url, f"{SECOND}CANARY")
        with pytest.raises(CleverTransportError, match="broke off") as caught:
            fetch(fetcher, url, f"{SECOND}CANARY")
        assert_silent(caught.value)
        send_ahead(fetcher, url, OTHER)  # there is no connection any more
        assert fetch(fetcher, url, OTHER).body == BODY
    assert asked(heads) == [[FIRST, f"{SECOND}CANARY"], [OTHER]]


def test_a_request_that_cannot_be_sent_ahead_is_sent_when_it_is_fetched() -> None:
    def answer_once(connection: socket.socket, done: threading.Event) -> None:
        connection.sendall(KEPT)
        done.wait(10)

    with serving(answer_once) as server, fetching(server.url) as fetcher:
        fetch(fetcher, server.url, FIRST)
        (connection,) = fetcher._pools[server.url].pool.queue  # type: ignore[union-attr]  # there is one
        connection.sock.shutdown(socket.SHUT_WR)
        send_ahead(fetcher, server.url)
        assert fetch(fetcher, server.url, SECOND).body == BODY
    assert [head.split()[1].partition("?")[2] for head in server.heard] == [FIRST, SECOND]


def test_a_request_that_was_sent_ahead_is_told_of_at_debug_without_its_cursor(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    heads: list[list[str]] = []
    with keeping_connections(answering(KEPT), heads) as url, fetching(url) as fetcher:
        fetch(fetcher, url, FIRST)
        send_ahead(fetcher, url, "limit=1&starting_after=CANARY")
        fetch(fetcher, url, "limit=1&starting_after=CANARY")
    assert f'{url} "GET {PATH}?limit=1&starting_after=[...]" sent ahead' in caplog.messages
    assert "CANARY" not in caplog.text
    assert "t0ken" not in caplog.text


def test_requests_are_sent_ahead_through_tls_too(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    heads: list[list[str]] = []
    with keeping_connections(answering(KEPT), heads, certificate) as url, fetching(url) as fetcher:
        fetch(fetcher, url, FIRST)
        fetch(fetcher, url, FIRST)
        send_ahead(fetcher, url)
        wait_until(lambda: asked(heads) == [[FIRST, FIRST, SECOND]])
        assert fetch(fetcher, url, SECOND).body == BODY
    assert asked(heads) == [[FIRST, FIRST, SECOND]]


# --- TLS ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 that signs itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    path.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_certificate_that_the_environment_names_is_trusted(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, str(certificate))
    heads: list[list[str]] = []
    with keeping_connections(answering(KEPT), heads, certificate) as url, fetching(url) as fetcher:
        for _ in range(2):
            assert fetch(fetcher, url).body == BODY
    assert [len(heard) for heard in heads] == [2]


@pytest.mark.parametrize("trusted", [None, "no such file"])
def test_no_other_certificate_is_trusted(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, trusted: str | None
) -> None:
    if trusted:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", trusted)
    heads: list[list[str]] = []
    words = "TLS cannot start, for REQUESTS_CA_BUNDLE names" if trusted else "TLS with .* failed, for its certificate"
    with (
        keeping_connections(answering(KEPT), heads, certificate) as url,
        fetching(url) as fetcher,
        pytest.raises(CleverTransportError, match=words) as caught,
    ):
        fetch(fetcher, url, "starting_after=CANARY")
    assert not any(heads)
    assert_silent(caught.value)
