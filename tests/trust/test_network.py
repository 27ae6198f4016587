"""The wait sees the network as the worker does: one table over both drivers and all variables that requests honours."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from airflow_provider_clever.exceptions import CleverError, CleverTransportError
from airflow_provider_clever.settings import CleverSettings
from tests.integration.api.conftest import Asker, ask_with_aiohttp, ask_with_requests
from tests.integration.api.raw_server import page, saying, serving

DISTRICT = b'{"data":[{"data":{"id":"d1","name":"x"}}],"links":[{"rel":"self","uri":"/v3.1/districts"}]}'
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "requests_ca_bundle", "curl_ca_bundle")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(params=[ask_with_requests, ask_with_aiohttp], ids=["requests", "aiohttp"])
def ask(request: pytest.FixtureRequest) -> Asker:
    asker: Asker = request.param
    return asker


def certificate(folder: Path, *, name: str = "127.0.0.1", days: int = 1) -> Path:
    """A certificate that signs itself, with its key; also by the name under which OpenSSL looks into folders."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    now = dt.datetime.now(dt.UTC)
    other: x509.GeneralName = x509.DNSName(name)
    with suppress(ValueError):
        other = x509.IPAddress(ipaddress.ip_address(name))
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=10))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([other]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


@contextmanager
def speaking_tls(path: Path) -> Iterator[str]:
    """Answer every question over TLS with a district."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                raw, _ = listener.accept()
                with suppress(OSError), context.wrap_socket(raw, server_side=True) as connection:
                    connection.recv(65536)
                    connection.sendall(page(DISTRICT))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        listener.close()


def settings(url: str) -> CleverSettings:
    return CleverSettings(api_base=url, auth_base=url, token="t0ken")


def failure(ask: Asker, url: str) -> CleverTransportError:
    with pytest.raises(CleverTransportError) as caught:
        ask(settings(url))
    return caught.value


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_certificates_that_the_environment_names_are_trusted(
    ask: Asker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    path = certificate(tmp_path)
    monkeypatch.setenv(variable, str(path))
    with speaking_tls(path) as url:
        assert ask(settings(url)).id == "d1"


@pytest.mark.parametrize(
    ("made", "trusted", "words"),
    [
        ({"days": -1}, True, "has expired"),
        ({"name": "other.example"}, True, "is for another name"),
        ({}, False, "issuer that is not trusted"),
    ],
    ids=["expired", "wrong name", "unknown issuer"],
)
def test_the_reason_why_tls_failed_is_said(
    ask: Asker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    made: dict[str, int | str],
    trusted: bool,
    words: str,
) -> None:
    path = certificate(tmp_path, **made)  # type: ignore[arg-type]  # as the parameters are
    if trusted:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    with speaking_tls(path) as url:
        error = failure(ask, url)
    assert words in str(error)
    assert error.needs_person


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_the_proxy_of_the_environment_is_asked(ask: Asker, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    with serving(saying(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")) as proxy:
        monkeypatch.setenv(variable, proxy.url.replace("http://", "http://me:canary@"))
        error = failure(ask, "https://clever.invalid")
        assert {head.split()[1] for head in proxy.heard} == {"clever.invalid:443"}
        assert all("Proxy-Authorization: Basic" in head for head in proxy.heard)
    assert "407" in str(error)
    assert error.needs_person
    assert "canary" not in str(error)


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "127.0.0.1:9", "nonsense://x", "http://"])
def test_a_proxy_that_cannot_be_used_is_named(ask: Asker, monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    error = failure(ask, "https://clever.invalid")
    assert "the proxy to https://clever.invalid" in str(error)
    assert error.needs_person


def test_hosts_without_a_proxy_are_reached_directly(
    ask: Asker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8,127.0.0.0/8")
    with speaking_tls(path) as url:
        assert ask(settings(url)).id == "d1"


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificates_that_cannot_be_read_are_named(
    ask: Asker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    path = tmp_path / "bundle.pem"
    if content:
        path.write_text(content)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    with pytest.raises(CleverError, match="REQUESTS_CA_BUNDLE") as caught:
        ask(settings("https://127.0.0.1:9"))
    assert ("names a file" in str(caught.value)) == (content is None)


def test_a_triggerer_says_that_it_cannot_use_socks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    assert "SOCKS" in str(failure(ask_with_aiohttp, "https://clever.invalid"))


class _Greeting(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(b"220 no TLS is spoken here\r\n")
        with suppress(OSError):
            self.request.recv(65536)


def test_a_host_that_speaks_no_tls_is_named_with_the_reason(ask: Asker) -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Greeting) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            error = failure(ask, f"https://127.0.0.1:{server.server_address[1]}")
        finally:
            server.shutdown()
    assert "TLS with https://127.0.0.1" in str(error)
