"""What Clever, or something in its place, writes into answers and rosters reaches no message, log or terminal."""

from __future__ import annotations

import json
import os
import pickle
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from airflow_provider_clever.api.client import CleverClient
from airflow_provider_clever.api.exchange import RetryPolicy
from airflow_provider_clever.exceptions import CleverError, CleverHTTPError, CleverProtocolError, CleverTransportError
from airflow_provider_clever.models import District, School, printable
from airflow_provider_clever.settings import CleverSettings
from tests.integration.api.raw_server import Behaviour, page, saying, serving

ONCE = RetryPolicy(attempts=1, unreadable_attempts=1, confirming_attempts=1, backoff_seconds=0.0)


@contextmanager
def client(behave: Behaviour, **changes: float) -> Iterator[CleverClient]:
    with serving(behave) as server:
        settings = CleverSettings(api_base=server.url, auth_base=server.url, token="canary-token", **changes)  # type: ignore[arg-type]  # numbers
        with CleverClient(settings, policy=ONCE) as made:
            yield made


@pytest.mark.parametrize("field", ["message", "error", "error_description"])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 500])
def test_an_error_that_names_a_student_is_not_passed_on(status: int, field: str) -> None:
    body = json.dumps({field: "Maria Lopez (grade 7) was absent; token canary-token"}).encode()
    answer = page(body).replace(b"200 OK", f"{status} Maria Lopez".encode())
    with client(saying(answer)) as made, pytest.raises(CleverHTTPError) as caught:
        made.get_district()
    shown = f"{caught.value} {caught.value!r} {caught.value.message} {pickle.loads(pickle.dumps(caught.value))}"
    assert "Maria" not in shown
    assert "canary" not in shown
    assert f"Clever answered {status}" in shown


def test_names_steer_no_terminal_and_forge_no_line() -> None:
    name = "North\x1b[2J\x9b31m High\r\nERROR all is well\u202e gnol \u2066x\x07"
    shown = School.model_validate({"id": "s1", "name": name}).name
    assert shown == printable(name)
    assert not set(shown) & set("\x1b\x9b\r\n\u202e\u2066\x07")
    assert shown.startswith("North[2J31m High ERROR all is well")
    assert printable("Lycée Zoë 北") == "Lycée Zoë 北"


@pytest.mark.parametrize("odd", [None, 5, [], {"a": 1}, "not a date"])
def test_no_odd_value_in_a_roster_stops_a_district(odd: object) -> None:
    fields = ("name", "state", "last_sync", "last_attendance_sync", "pause_start", "pause_end")
    district = District.model_validate({"id": "d1"} | dict.fromkeys(fields, odd))
    assert (district.id, district.last_attendance_sync, district.pause_start) == ("d1", None, None)
    assert School.model_validate({"id": "s1", "name": odd, "sis_id": odd, "school_number": odd}).id == "s1"


def test_a_bomb_is_refused_before_it_fills_the_memory() -> None:
    packer = zlib.compressobj(9, wbits=31)
    zeros = bytes(2**20)
    bomb = b"".join(packer.compress(zeros) for _ in range(1024)) + packer.flush()
    assert len(bomb) < 1.1 * 2**20
    with client(saying(page(bomb, "Content-Encoding: gzip\r\n"))) as made:
        tracemalloc.start()
        try:
            with pytest.raises(CleverProtocolError, match="larger than 64 MB"):
                made.get_district()
            assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
        finally:
            tracemalloc.stop()


SLOW_PARTS = {
    "the status line": b"HTTP/1.1 200 OK" + b" " * 500,
    "a header": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 500,
    "a chunk's size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 500,
    "a trailer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"x" * 500,
    "interim answers": b"HTTP/1.1 102 Processing\r\n\r\n" * 50,
    "the body": b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + b" " * 400,
}


@pytest.mark.parametrize("part", SLOW_PARTS)
def test_slow_bytes_are_waited_for_no_longer_than_stated(part: str) -> None:
    def drip(connection: object, done: object) -> None:
        for byte in SLOW_PARTS[part]:
            connection.sendall(bytes([byte]))  # type: ignore[attr-defined]  # a socket
            if done.wait(0.05):  # type: ignore[attr-defined]  # an event
                return

    with client(drip, response_timeout_seconds=0.5, read_timeout_seconds=20.0) as made:  # type: ignore[arg-type]  # as above
        begun = time.monotonic()
        with pytest.raises(CleverTransportError, match="too long to arrive"):
            made.get_district()
        assert time.monotonic() - begun < 10


def test_no_variable_of_a_failure_shows_a_secret_or_a_row() -> None:
    rows = b'{"data":[{"student_id":"canary-student"}],"links":[{"rel":"next","uri":"https://evil.example/"}]}'
    for answer in (
        page(rows),
        page(rows[:-9]),
        page(b"{}"),
        b"nonsense canary-student\r\n\r\n",
        page(rows, length=999),
    ):
        with client(saying(answer)) as made, pytest.raises(CleverError) as caught:
            made.get_district()
        error: BaseException | None = caught.value
        while error is not None:
            frame = error.__traceback__
            while frame is not None:
                file = frame.tb_frame.f_code.co_filename
                if f"{os.sep}airflow_provider_clever{os.sep}" in file:
                    for name, value in frame.tb_frame.f_locals.items():
                        assert "canary" not in repr(value), (file, frame.tb_frame.f_code.co_name, name)
                frame = frame.tb_next
            error = error.__cause__ or error.__context__
