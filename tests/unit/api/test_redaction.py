"""No cursor in the log lines of the HTTP libraries, whatever the level and wherever it is set."""

from __future__ import annotations

import logging

import pytest

from airflow_provider_clever.api.redaction import keep_cursors_out_of_logs


@pytest.mark.parametrize("name", ["starting_after", "ending_before"])
def test_a_cursor_is_cut_out_of_a_debug_line(caplog: pytest.LogCaptureFixture, name: str) -> None:
    keep_cursors_out_of_logs()
    keep_cursors_out_of_logs()
    caplog.set_level(logging.DEBUG)
    line = '%s://%s:%s "%s %s %s" %s %s'
    path = f"/v3.1/x?limit=5&{name}=CANARY==&zz=1"
    logging.getLogger("urllib3.connectionpool").debug(line, "https", "h", 443, "GET", path, "HTTP/1.1", 200, 5)
    assert caplog.messages == [f'https://h:443 "GET /v3.1/x?limit=5&{name}=[...]&zz=1 HTTP/1.1" 200 5']


def test_an_exception_beside_a_cursor_goes_with_it(caplog: pytest.LogCaptureFixture) -> None:
    keep_cursors_out_of_logs()
    beside = (ValueError, ValueError("starting_after=CANARY"), None)
    logging.getLogger("urllib3.connection").warning("(url=%s)", "/x?starting_after%3DCANARY", exc_info=beside)
    assert "CANARY" not in caplog.text


def test_other_lines_pass_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    keep_cursors_out_of_logs()
    caplog.set_level(logging.DEBUG)
    logging.getLogger("urllib3.connectionpool").debug("GET %s", "/bucket?list-type=2")
    assert caplog.messages == ["GET /bucket?list-type=2"]
    assert caplog.records[0].args == ("/bucket?list-type=2",)
