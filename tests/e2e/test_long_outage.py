"""Connections refused for a whole minute, then recovery: the wait goes on, and says so in two lines."""

import time
from contextlib import suppress

import pytest

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.support.waits import meanwhile, wait, wait_for_looks


@pytest.mark.parametrize("mode", ["poke", "deferrable"])
def test_a_minute_without_connections_neither_ends_a_wait_nor_hides_the_advance(
    sandbox: Sandbox, mode: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CLEVER_DEFAULT", sandbox.connection_json())
    small = sandbox.district("small")
    start = time.monotonic()

    def outage_then_sync() -> None:
        wait_for_looks(sandbox)
        sandbox.fault("refuse", family="districts", seconds=60.0)
        while time.monotonic() < start + 90:
            time.sleep(1)
            if time.monotonic() > start + 58:
                with suppress(ConnectionError):
                    sandbox.sync("small")
                    return

    with meanwhile(outage_then_sync):
        options = {"district_id": small.id, "since": small.last_attendance_sync}
        assert wait(mode, timeout=120, poke_interval=0.5, **options).state == "success"
    assert time.monotonic() - start > 55
    assert capsys.readouterr().out.count("No answer from Clever") == 1
