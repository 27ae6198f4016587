"""`clever-attendance doctor` as a process, beside the sandbox: what it finds, how it ends, and what it costs."""

import json
import logging
import os
import socket
import subprocess
import sys
import threading
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_clever.cli.connections import airflow_on_stderr
from airflow_provider_clever.cli.diagnosis import State, Verdict
from airflow_provider_clever.cli.doctor import Check, Examination, examine
from airflow_provider_clever.cli.main import main
from airflow_provider_clever.forget.requests import Forgetting
from airflow_provider_clever.lake import layout
from airflow_provider_clever.sandbox.testing import Sandbox
from tests.trust.test_command_line import landed

MADE_UP_SECRET = "a-secret-that-nobody-has"
CLEVER = ("connection", "token", "district", "attendance")
DESTINATION = ("destination", "landing", "coverage")


class Report(NamedTuple):
    """What a doctor has said: the state and the words of each check by its name."""

    code: int
    states: dict[str, str]
    words: dict[str, str]

    def of(self, *checks: str) -> list[str]:
        return [self.states[check] for check in checks]


Examine = Callable[..., Report]


def doctor(connection: str | None, *arguments: object, without: Sequence[str] = (), **more: str) -> Report:
    """Let a process examine; refuses a traceback, and anything of a secret or a student."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW__")}
    own |= {"NO_PROXY": "*", **more}
    if connection is not None:
        own["AIRFLOW_CONN_CLEVER_DEFAULT"] = connection
    code = f"import sys; sys.modules.update(dict.fromkeys({list(without)!r})); import runpy; "
    code += "runpy.run_module('airflow_provider_clever.cli', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", code, "doctor", "--json", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        env=own,
    )
    return read(connection, done.returncode, done.stdout, done.stderr)


def read(connection: str | None, code: int, out: str, err: str) -> Report:
    assert "Traceback" not in out + err
    assert not connection or (json.loads(connection)["password"] or "no secret at all") not in out + err
    found = json.loads(out)
    assert found["ok"] is (code == 0)
    checks = found["checks"]
    return Report(
        code,
        {check["check"]: check["state"] for check in checks},
        {check["check"]: check["text"] for check in checks},
    )


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Examine]:
    """Examine in this process, which has imported Airflow already; its log handlers write to closed outputs."""

    def in_this_process(connection: str, *arguments: object, **more: str) -> Report:
        with monkeypatch.context() as meanwhile:
            for name, value in {"AIRFLOW_CONN_CLEVER_DEFAULT": connection, **more}.items():
                meanwhile.setenv(name, value)
            return read(connection, main(["doctor", "--json", *map(str, arguments)]), *capsys.readouterr())

    logging.disable()
    yield in_this_process
    logging.disable(logging.NOTSET)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    folder = tmp_path / "lake"
    folder.mkdir()
    return folder


def files(folder: Path) -> list[str]:
    """The files below a folder, without locks and the like."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.parent.name != "local")


def with_fields(sandbox: Sandbox, **fields: Any) -> str:
    return json.dumps(json.loads(sandbox.connection_json("small")) | fields)


def refused_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def test_all_is_well_with_few_requests_and_no_trace_but_the_marker(sandbox: Sandbox, lake: Path) -> None:
    small = sandbox.district("small")
    sandbox.clear_requests()
    report = doctor(sandbox.connection_json("small"), lake)
    assert report.code == 0
    assert set(report.states.values()) <= {"ok", "warning", "not checked"}
    assert report.of("versions", *CLEVER, "destination", "landing", "airflow") == ["ok"] * 8
    assert "was last synced at 2026-11-23 22:45 UTC" in report.words["attendance"]
    assert report.states["coverage"] == "warning"  # nothing has landed here yet
    assert sandbox.counters()["total"] <= 6
    assert files(lake) == ["destination.json"]
    students = {row["student_id"] for row in sandbox.iter_expected("small", school_id=small.school_ids[0])}
    said = json.dumps(report.words)
    assert [secret for secret in (small.token, sandbox.client_secret, *students) if secret in said] == []
    assert doctor(sandbox.connection_json("small", mode="token"), lake).code == 0


def test_without_a_destination_the_rest_is_checked(sandbox: Sandbox, here: Examine) -> None:
    report = here(sandbox.connection_json("small"))
    assert (report.code, report.of(*CLEVER), report.of(*DESTINATION)) == (0, ["ok"] * 4, ["not checked"] * 3)


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "wrong secret": ({"password": MADE_UP_SECRET}, "token", "Copy both again from Clever's dashboard"),
    "unreachable host": ({"host": "http://127.0.0.1:{port}"}, "district", "no connection to http://127.0.0.1"),
    "no secret": ({"password": ""}, "connection", "put the client secret of your Clever app there"),
    "another district": ({"extra": {"district_id": "65e0000000000000000000ff"}}, "district", "is not connected"),
}


@pytest.mark.parametrize(("changes", "check", "says"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_with_clever_fails_its_check_and_leaves_the_destination_to_be_looked_at(
    sandbox: Sandbox, here: Examine, lake: Path, changes: dict[str, Any], check: str, says: str
) -> None:
    fields = json.loads(json.dumps(changes).replace("{port}", str(refused_port())))
    if "extra" in fields:
        fields["extra"]["auth_base"] = sandbox.url
    # A secret that is refused may not be printed, whoever logs.
    report = (doctor if changes == WRONG["wrong secret"][0] else here)(with_fields(sandbox, **fields), lake)
    assert report.code == 1
    assert report.states[check] == "failed"
    assert says in report.words[check]
    assert report.of(*CLEVER[CLEVER.index(check) + 1 :]) == ["not checked"] * (3 - CLEVER.index(check))
    assert report.states["destination"] == "ok"


def test_attendance_that_clever_refuses_fails_its_own_check(sandbox: Sandbox, here: Examine) -> None:
    sandbox.knobs(attendance_withheld=True, attendance_withheld_districts=[sandbox.district("small").id])
    report = here(sandbox.connection_json("small"))
    assert (report.code, report.of(*CLEVER)) == (1, ["ok", "ok", "ok", "failed"])
    assert "Ask your contact at Clever to enable attendance" in report.words["attendance"]


@pytest.mark.parametrize(
    ("district", "check", "says"),
    [("no_attendance", "attendance", "has never synced any"), (None, "district", "Name one of them")],
)
def test_what_works_and_finds_nothing_is_a_warning_and_no_failure(
    sandbox: Sandbox, here: Examine, lake: Path, district: str | None, check: str, says: str
) -> None:
    report = here(sandbox.connection_json(district), lake)
    assert (report.code, report.states[check]) == (0, "warning")
    assert says in report.words[check]


def test_a_process_says_the_same_of_a_misspelt_destination(sandbox: Sandbox, lake: Path) -> None:
    report = doctor(sandbox.connection_json("small"), f"{lake}e")
    assert (report.code, report.of(*CLEVER, *DESTINATION)) == (1, ["ok"] * 4 + ["failed"] + ["not checked"] * 2)


def test_no_connection_says_how_to_make_one(tmp_path: Path) -> None:
    report = doctor(None, AIRFLOW_HOME=str(tmp_path / "airflow"))
    assert (report.code, report.of(*CLEVER)) == (1, ["failed", *["not checked"] * 3])
    assert "Set AIRFLOW_CONN_CLEVER_DEFAULT as JSON" in report.words["connection"]


MISSPELT = {
    "no such folder": ("{lake}e", "There is no folder"),
    "a file": ("{lake}/file", "There is no folder"),
    "no scheme": ("lake/clever", "it is a path without a scheme"),
    "unknown scheme": ("foo://bucket/lake", "foo:// is no kind of store"),
    "no connection": ("s3://nobody@bucket/lake", "no Airflow connection nobody"),
}


@pytest.mark.parametrize(("destination", "says"), MISSPELT.values(), ids=MISSPELT)
def test_a_misspelt_destination_fails_and_nothing_is_made_there(
    sandbox: Sandbox, here: Examine, lake: Path, destination: str, says: str
) -> None:
    (lake / "file").write_text("")
    report = here(sandbox.connection_json("small"), destination.format(lake=lake))
    assert (report.code, report.of(*DESTINATION)) == (1, ["failed", "not checked", "not checked"])
    assert says in report.words["destination"]
    assert [path.name for path in lake.parent.rglob("*")] == ["lake", "file"]


@pytest.mark.parametrize(
    ("library", "check", "says"),
    [
        ("pyarrow", "landing", "pip install 'airflow-provider-clever[parquet]'"),
        ("airflow", "airflow", "pip install apache-airflow"),
    ],
)
def test_a_missing_library_is_named_with_the_line_that_installs_it(
    sandbox: Sandbox, lake: Path, library: str, check: str, says: str
) -> None:
    report = doctor(sandbox.connection_json("small"), lake, without=[library])
    assert (report.code, report.states[check]) == (1, "failed")
    assert says in report.words[check]
    assert report.of(*CLEVER) == ["ok"] * 4


def test_coverage_without_a_gap_is_well_and_days_about_to_be_lost_fail(
    sandbox: Sandbox, here: Examine, lake: Path
) -> None:
    district, today = sandbox.district("small").id, datetime.now(UTC).date()
    landed(lake, district, str(today - timedelta(days=190)), str(today))
    assert here(sandbox.connection_json("small"), lake).states["coverage"] == "ok"
    landed(lake.parent / "late", district, str(today - timedelta(days=170)), str(today))
    lake = lake.parent / "late"
    report = here(sandbox.connection_json("small"), lake)
    assert (report.code, report.states["coverage"]) == (1, "failed")
    assert f"clever-attendance status {lake}" in report.words["coverage"]


def test_a_forgotten_district_is_not_said_to_want_a_pull(sandbox: Sandbox, here: Examine, lake: Path) -> None:
    district = sandbox.district("small").id
    Forgetting(layout.objects_at(LocalFileSystem(), str(lake)), district).district()
    report = here(sandbox.connection_json("small"), lake)
    assert report.of("landing", "coverage") == ["failed", "failed"]
    assert "was forgotten here on" in report.words["coverage"]


UNWISE = {"max_map_length": "200", "parallelism": "1", "max_active_tasks_per_dag": "1", "default_timezone": "system"}


def test_settings_of_airflow_that_get_in_the_way_are_warnings(sandbox: Sandbox, here: Examine) -> None:
    settings = {f"AIRFLOW__CORE__{key.upper()}": value for key, value in UNWISE.items()}
    report = here(sandbox.connection_json("small"), **settings, AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME="60")
    found = {f"[core] {key}": value for key, value in UNWISE.items()} | {"[execution_api] jwt_expiration_time": "60"}
    assert report.code == 0
    assert {name: report.words[name].split(":")[0] for name in found} == found
    assert report.of(*found) == ["warning"] * len(found)


@pytest.fixture
def airflow_api() -> Iterator[HTTPServer]:
    """What stands for Airflow's API server: it knows of a triggerer that was seen last in June."""
    health = {"triggerer": {"status": "unhealthy", "latest_triggerer_heartbeat": "2026-06-01T10:00:00.123456+00:00"}}

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/airflow/api/v2/monitor/health"
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(json.dumps(health if found else {}).encode())

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_triggerer_that_does_not_run_is_a_warning_where_airflow_can_be_asked(
    sandbox: Sandbox, here: Examine, airflow_api: HTTPServer
) -> None:
    server = f"http://127.0.0.1:{airflow_api.server_port}"
    report = here(sandbox.connection_json("small"), AIRFLOW__API__BASE_URL=f"{server}/airflow/")
    assert (report.code, report.states["triggerer"]) == (0, "warning")
    assert "the last one was seen at 2026-06-01T10:00:00" in report.words["triggerer"]
    tasks_report_at = f"{server}/airflow/execution/"
    asked = here(sandbox.connection_json("small"), AIRFLOW__CORE__EXECUTION_API_SERVER_URL=tasks_report_at)
    assert asked.states["triggerer"] == "warning"
    for elsewhere in (f"{server}/elsewhere", f"http://127.0.0.1:{refused_port()}"):
        found = here(sandbox.connection_json("small"), AIRFLOW__API__BASE_URL=elsewhere)
        assert found.states["triggerer"] == "not checked"


def test_on_a_terminal_each_check_is_a_line(
    sandbox: Sandbox, lake: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CLEVER_DEFAULT", with_fields(sandbox, password=MADE_UP_SECRET))
    assert main(["doctor", str(lake)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ok           versions")
    assert [line.split()[:2] for line in lines if line.startswith("failed")] == [["failed", "token"]]


def test_a_check_that_hangs_is_left_behind_and_takes_neither_the_others_nor_the_output_with_it() -> None:
    released = threading.Event()

    def hang(_: Examination) -> Verdict:
        with airflow_on_stderr():
            released.wait(60)
        return Verdict(State.OK, "too late")

    def go_well(_: Examination) -> Verdict:
        return Verdict(State.OK, "in time")

    output = sys.stdout
    checks = (
        Check("silent", hang, seconds=0.2),
        Check("after it", go_well, needs=("silent",)),
        Check("other", go_well),
    )
    try:
        findings = list(examine(Examination(Namespace()), checks))
        assert sys.stdout is output
    finally:
        released.set()
    assert [finding.state for finding in findings] == [State.FAILED, State.NOT_CHECKED, State.OK]
    assert findings[0].text.startswith("No answer within 0.2 seconds")


def test_an_argument_that_makes_no_sense_is_no_finding() -> None:
    with pytest.raises(SystemExit) as end:
        main(["doctor", "--nonsense"])
    assert end.value.code == 2
