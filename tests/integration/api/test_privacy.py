"""Nothing that names a student, and no secret, in log lines or exception texts: at DEBUG, in success and in failure."""

from __future__ import annotations

import base64
import json
import logging
import re
import socket
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_clever.api.client import CleverClient
from airflow_provider_clever.api.endpoints import AttendanceQuery
from airflow_provider_clever.api.messages import Request
from airflow_provider_clever.exceptions import CleverError, CleverTransportError
from airflow_provider_clever.sandbox.testing import Sandbox
from airflow_provider_clever.settings import CleverSettings
from tests.integration.api.conftest import QUICK, Asker, settings_for

DAYS = {"date_range_start": "2026-11-16", "date_range_end": "2026-11-17"}
CANARY = "canary-of-an-unknown-field"


class Lines(logging.Handler):
    """Keeps every line with everything that a formatter could show of it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{logging.Formatter().format(record)} {record.args!r} {record.exc_info!r}")


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Everything that is logged, of all loggers, at DEBUG."""
    root, handler = logging.getLogger(), Lines()
    level = root.level
    root.setLevel(logging.DEBUG)
    root.addHandler(handler)
    yield handler.lines
    root.removeHandler(handler)
    root.setLevel(level)


def assert_silent_about(text: str, sandbox: Sandbox, rows: list[dict[str, Any]]) -> None:
    """Check a text for every secret of the sandbox, every value of its rows, and anything like a cursor."""
    districts = sandbox.districts.values()
    basic = base64.b64encode(f"{sandbox.client_id}:{sandbox.client_secret}".encode()).decode()
    secrets = {sandbox.client_secret, basic, CANARY, *(district.token for district in districts)}
    for secret in secrets:
        assert secret not in text
    for row in rows:
        assert row["student_id"] not in text
        assert f"'{row.get('excuse_code', 'no such code')}'" not in text
    for found in re.findall(r"[A-Za-z0-9+/=]{60,}", text):
        assert b"2026-" not in base64.b64decode(found + "==", validate=False)


FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("none", {}),
    *[(kind, {"times": 0, "body": body}) for kind in ("400", "401", "404", "503") for body in ("json", "html")],
    *[(kind, {"times": 0}) for kind in ("reset_mid_body", "close", "truncated_json", "html_200", "not_a_page_200")],
    *[(kind, {}) for kind in ("next_loop", "next_foreign_host", "next_foreign_scheme", "redirect", "rotate_token")],
    *[(kind, {}) for kind in ("foreign_district_rows", "extra_empty_last_page", "empty_page_with_next")],
    *[
        ("malformed_row", {"defect": defect, "canary": CANARY})
        for defect in ("unknown_field", "missing_student_id", "path_student_id", "integer_date", "lone_surrogate")
    ],
    ("429", {"retry_after": 1}),
]


@pytest.mark.parametrize(("kind", "how"), FAULTS, ids=str)
def test_logs_and_errors_are_silent(sandbox: Sandbox, lines: list[str], kind: str, how: dict[str, Any]) -> None:
    district = sandbox.district("large")
    query = AttendanceQuery(school_id=district.school_ids[0], **DAYS)
    rows = sandbox.expected("large", school_id=district.school_ids[0], **DAYS)
    if kind != "none":
        sandbox.fault(kind, family="attendance", nth=2, **how)
    lines.clear()
    shown = []
    with CleverClient(settings_for(sandbox, district.id), policy=QUICK) as client:
        try:
            shown.extend(f"{page!r} {page.rejected!r}" for page in client.iter_attendance_pages(query))
        except CleverError as error:
            shown += [str(error), repr(error), "".join(traceback.format_exception(error))]
        shown += [repr(client), repr(client.settings)]
    assert kind != "none" or any("starting_after=[...]" in line for line in lines), "the check sees no cursor at all"
    assert_silent_about("\n".join(lines + shown), sandbox, rows)


def test_an_error_answer_that_quotes_what_it_was_asked_is_cut(sandbox: Sandbox, lines: list[str]) -> None:
    district = sandbox.district("small")
    cursor = base64.b64encode(b"2026-11-16_5f0c00000000000000000001_000_5f0c00000000000000000002").decode()
    sandbox.knobs(bad_cursor="reject")
    with CleverClient(settings_for(sandbox, district.id), policy=QUICK) as client, pytest.raises(CleverError) as caught:
        client.attendance_page(AttendanceQuery(school_id=district.school_ids[0], **DAYS), starting_after=cursor + "x")
    text = "\n".join([*lines, str(caught.value)])
    assert cursor[:30] not in text
    assert "5f0c0000" not in text


@pytest.mark.parametrize("kind", ["none", "401", "503", "reset_mid_body", "html_200", "truncated_json"])
def test_both_drivers_are_silent_about_tokens(
    ask_for_the_district: Asker, sandbox: Sandbox, lines: list[str], kind: str
) -> None:
    if kind != "none":
        sandbox.fault(kind, times=0)
    shown = []
    try:
        shown.append(repr(ask_for_the_district(settings_for(sandbox, sandbox.district("small").id))))
    except CleverError as error:
        shown += [str(error), repr(error), "".join(traceback.format_exception(error)), json.dumps(str(error.args))]
    sandbox.clear_faults()
    assert_silent_about("\n".join(lines + shown), sandbox, [])


def test_a_connection_that_is_refused_shows_no_cursor(lines: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    settings = CleverSettings(api_base=url, auth_base=url, token="canary-token")
    request = Request(url, "/v3.1/attendance/schools/s1", "limit=1000&starting_after=CANARYCURSOR==")
    with (
        CleverClient(settings, policy=QUICK) as client,
        client.fetcher() as fetcher,
        pytest.raises(CleverTransportError) as caught,
    ):
        fetcher.fetch(request)
    shown = [*lines, str(caught.value), "".join(traceback.format_exception(caught.value)), repr(request)]
    assert "CANARYCURSOR" not in "\n".join(shown)
    assert "canary-token" not in "\n".join(shown)
