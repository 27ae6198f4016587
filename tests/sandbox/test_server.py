"""The server: loopback only, up and down quickly, a log of what it received."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import date
from pathlib import Path

import pytest
import requests

from airflow_provider_clever.sandbox.__main__ import main, url_at
from airflow_provider_clever.sandbox.app import Stage
from airflow_provider_clever.sandbox.knobs import Knobs
from airflow_provider_clever.sandbox.server import SandboxServer
from airflow_provider_clever.sandbox.testing import Sandbox, running_sandbox
from airflow_provider_clever.sandbox.world import WorldPlan
from tests.sandbox.wire import RANGE, ask, attendance, school
from tests.support.timing import at_most

MODULE = [sys.executable, "-m", "airflow_provider_clever.sandbox"]


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.com"])
def test_it_refuses_to_serve_other_machines(host: str) -> None:
    done = subprocess.run([*MODULE, "--host", host], capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 2
    assert "127.0.0.1" in done.stderr
    stage = Stage(WorldPlan(7, date(2026, 11, 23), districts=("small",)), Knobs())
    with pytest.raises(ValueError, match="this machine only"):
        SandboxServer(stage, host, 0, print)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("--today 2026-13-01", "'2026-13-01' is not a date such as 2026-11-23"),
        ("--today 0001-01-01", "today must be a date from 2000-01-01 to 2199-12-31"),
        ("--large-school-days 999999999", "'999999999' is not a whole number of 1 to 2000"),
        ("--districts tiny", "There is no district ['tiny']; known:"),
        ("--ready-file nowhere/ready.json", "--ready-file: there is no folder nowhere"),
        ("--host a..b --beyond-loopback", "'a..b' is no address of this machine"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_in_a_line(
    options: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(options.split())
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err


def test_a_port_that_another_program_has_is_refused_with_the_next_step(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    port = sandbox.url.rpartition(":")[2]
    with pytest.raises(SystemExit) as ended:
        main(["--districts", "small", "--port", port])
    assert ended.value.code == 2
    assert f"Port {port} of 127.0.0.1 is not free (Address already in use). Name another" in capsys.readouterr().err


def test_a_reset_to_what_nobody_can_have_meant_is_refused(sandbox: Sandbox) -> None:
    for body in ({"large_schools": 0}, {"large_students": "many"}, {"today": "0001-01-01"}, {"extra_districts": True}):
        with pytest.raises(RuntimeError, match="must be a"):
            sandbox.reset(**body)


def test_it_serves_at_another_address_when_it_is_told_so_outright() -> None:
    # 127.0.0.2 stands for an address of the network, and leads back to this machine all the same.
    program = (*MODULE, "--host", "127.0.0.2", "--beyond-loopback")
    with running_sandbox(program, today="2026-11-23", districts="small") as own:
        assert own.url.startswith("http://127.0.0.2:")
        assert own.today == "2026-11-23"
        port = int(own.url.rpartition(":")[2])
        with pytest.raises(requests.ConnectionError):
            requests.get(f"http://127.0.0.1:{port}/_sandbox/", timeout=10)


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "http://127.0.0.1:1"), ("::", "http://[::1]:1"), ("::1", "http://[::1]:1"), ("a", "http://a:1")],
)
def test_the_address_that_it_names_is_one_that_can_be_asked(host: str, url: str) -> None:
    assert url_at(host, 1) == url


@pytest.mark.timing
def test_it_says_what_a_person_needs(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    command = [*MODULE, "--port", "0", "--seed", "11", "--today", "2026-11-23", "--ready-file", str(ready)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            deadline = time.monotonic() + 120
            while not ready.exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            facts = json.loads(ready.read_text())
            assert facts["pid"] == process.pid
            overview = requests.get(f"{facts['url']}/_sandbox/", timeout=10).json()
        finally:
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert process.stdout is not None
            text = process.stdout.read()
            assert process.wait(120) == 0
    assert time.monotonic() - began < at_most(2)
    assert facts["url"] in text
    assert overview["client_secret"] in text
    line = next(line for line in text.splitlines() if "AIRFLOW_CONN_CLEVER_DEFAULT=" in line)
    connection = json.loads(line.split("=", 1)[1].strip("'"))
    assert connection["host"] == connection["extra"]["auth_base"] == facts["url"]
    assert connection["login"] == overview["client_id"]
    for district in overview["districts"]:
        assert district["id"] in text
    assert "Traceback" not in text


@pytest.mark.timing
def test_sigterm_stops_it_at_once_even_in_mid_answer() -> None:
    with running_sandbox(today="2026-11-23", districts="small", latency_ms=600_000) as own:
        token = own.district("small").token

        def hang() -> None:
            with pytest.raises(requests.ConnectionError):
                requests.get(f"{own.url}/v3.1/districts", headers={"Authorization": f"Bearer {token}"}, timeout=500)

        waiting = threading.Thread(target=hang)
        waiting.start()
        own.wait_for_in_flight(1)
        began = time.monotonic()
        os.kill(own.pid, signal.SIGTERM)
        waiting.join(300)
        assert not waiting.is_alive()
        assert time.monotonic() - began < at_most(2), "the answer was due after ten minutes"


def test_options_of_the_command_line_hold(sandbox_server: Sandbox) -> None:
    options = {"seed": 3, "rate_limit": 5, "window_seconds": 2.5, "latency_ms": 1, "extra_districts": 2}
    with running_sandbox(today="2026-10-05", districts="small,large", large_schools=2, **options) as own:
        assert own.today == "2026-10-05"
        assert list(own.districts) == ["small", "large", "extra-001", "extra-002"]
        assert len(own.district("large").school_ids) == 2
        assert own.knobs()["rate_limit"] == 5
        assert own.client_secret != sandbox_server.client_secret
        assert own.url != sandbox_server.url


def test_requests_are_logged_without_their_tokens(sandbox: Sandbox) -> None:
    token = sandbox.district("small").token
    elm = school(sandbox, "Elm")
    ask(sandbox, attendance(elm), limit=5, **RANGE)
    ask(sandbox, "/v3.1/schools/nothing")
    page, missing = sandbox.requests()
    assert page["path"] == attendance(elm)
    assert page["query"] == "limit=5&date_range_start=2026-11-09&date_range_end=2026-11-20"
    assert (page["status"], page["family"], missing["status"]) == (200, "attendance", 404)
    assert page["token"] == missing["token"] != ""
    assert token not in json.dumps(sandbox.requests())
    sandbox.clear_requests()
    assert sandbox.requests() == []
    assert sandbox.counters()["total"] == 0


def test_tcp_connections_and_requests_in_flight_are_counted(sandbox: Sandbox) -> None:
    token = sandbox.district("small").token
    headers = {"Authorization": f"Bearer {token}"}

    def four_in_a_row() -> None:
        with requests.Session() as session:
            for _ in range(4):
                session.get(f"{sandbox.url}/v3.1/districts", headers=headers, timeout=120)

    threads = [threading.Thread(target=four_in_a_row) for _ in range(3)]
    with sandbox.holding_answers(3):
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join(120)
    counters = sandbox.counters()
    assert counters["total"] == 12
    assert counters["connections"] == 3
    assert counters["max_in_flight"] == 3
    assert counters["in_flight"] == 0
    assert counters["by_status"] == {"200": 12}


def test_the_connection_for_airflow_has_both_modes(sandbox: Sandbox) -> None:
    client = json.loads(sandbox.connection_json("small", budget_share=0.5))
    assert client["login"] == sandbox.client_id
    assert client["extra"] == {
        "auth_base": sandbox.url,
        "district_id": sandbox.district("small").id,
        "budget_share": 0.5,
    }
    token = json.loads(sandbox.connection_json("both", mode="token"))
    assert (token["login"], token["password"]) == ("", sandbox.district("both").token)


@pytest.mark.timing(only=True)
def test_a_warm_page_of_1000_rows_takes_a_few_milliseconds(sandbox: Sandbox) -> None:
    """A generous floor, so that a slow machine passes; docs/reference/sandbox.md says how to measure."""
    sandbox.knobs(rate_limit=100_000)
    large = sandbox.district("large")
    headers = {"Authorization": f"Bearer {large.token}"}
    url = f"{sandbox.url}{attendance(large.school_ids[0])}"
    params = {"limit": "1000", "date_range_start": "2026-11-19", "date_range_end": "2026-11-20"}
    with requests.Session() as session:
        session.get(url, params=params, headers=headers, timeout=10)
        began = time.monotonic()
        for _ in range(100):
            assert len(session.get(url, params=params, headers=headers, timeout=10).content) > 300_000
    assert 100 / (time.monotonic() - began) > 100


def test_it_imports_nothing_from_the_rest_of_the_package() -> None:
    code = (
        "import sys, airflow_provider_clever.sandbox.__main__ as _;"
        "print([m for m in sys.modules if m.split('.')[0] in ('airflow', 'requests', 'aiohttp', 'pyarrow', 'pydantic')"
        " or (m.startswith('airflow_provider_clever.') and not m.startswith('airflow_provider_clever.sandbox'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=180)
    assert done.stdout.strip() == "[]"
