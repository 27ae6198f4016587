"""At two in the morning a log is read from its end: there stands why, for whom, where, and what to do."""

import inspect
import re
from pathlib import Path

from airflow_provider_clever import exceptions
from airflow_provider_clever.exceptions import CleverError, CleverHTTPError
from tests.support.airflow import AirflowHome

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "errors.md"
KINDS = {
    name: kind for name, kind in vars(exceptions).items() if inspect.isclass(kind) and issubclass(kind, CleverError)
}
KINDS.pop("CleverError")

EVERY_ERROR = """
from datetime import datetime
from types import SimpleNamespace
from airflow.sdk import DAG
from airflow_provider_clever import exceptions
from airflow_provider_clever.operators.district import DistrictOperator
from airflow_provider_clever.sensors.clever import CleverAttendanceSyncSensor

class Failing(DistrictOperator):
    destination = "s3://lake/clever"

    def _run(self, context):
        self.found_district = SimpleNamespace(name="Maple Valley", id=self.district_id)
        kind = getattr(exceptions, self.task_id, KeyError)
        is_http = issubclass(kind, exceptions.CleverHTTPError)
        raise kind(404, "/v3.1/x", "Do this.", 2) if is_http else kind("It broke. Do this.")

with DAG("errors", schedule=None, start_date=datetime(2026, 1, 1)):
    for name in NAMES:
        Failing(task_id=name, district_id="65e0", retries=1, retry_delay=1)
    CleverAttendanceSyncSensor(task_id="wait", district_id="65e0", clever_conn_id="nowhere")
"""


def tried_again() -> dict[str, bool]:
    """What the page says of each kind: whether Airflow tries again."""
    rows = re.findall(r"^\| (?:⤷ )?`(\w+)` \|.*\| ([\w ,]+) \|$", PAGE.read_text(), re.MULTILINE)
    return {name: words == "yes" for name, words in rows}


def of_task(lines: list[str], name: str) -> list[str]:
    """The log of a task's last try."""
    starts = [at for at, line in enumerate(lines) if "[DAG TEST] running task" in line]
    (*_, start) = (at for at in starts if f".{name} " in lines[at])
    return lines[start : next((at for at in starts if at > start), len(lines))]


def last_error(log: list[str]) -> str:
    return next(line for line in reversed(log) if re.search(r"\[error +\]", line))


def test_whatever_fails_a_task_its_log_ends_with_one_line_that_says_it_all(airflow_home: AirflowHome) -> None:
    source = EVERY_ERROR.replace("NAMES", repr([*KINDS, "KeyError"]))
    outcome = airflow_home.run_dag(source)
    lines = outcome.log.splitlines()
    assert tried_again().keys() == KINDS.keys(), "the page names every kind"
    for name, kind in KINDS.items():
        log = of_task(lines, name)
        errors = [at for at, line in enumerate(log) if re.search(r"\[error +\]", line)]
        last = log[errors[-1]]
        text = "Clever answered 404 for /v3.1/x (asked 2 times): Do this." if issubclass(kind, CleverHTTPError) else ""
        assert f"{name} failed for district Maple Valley (65e0), destination s3://lake/clever: {text}" in last
        assert "Do this." in last
        assert "Airflow tries again" not in last, "it was the last try"
        tracebacks = [at for at, line in enumerate(log) if line.startswith("Traceback")]
        assert len(tracebacks) == 1
        assert tracebacks[0] < errors[-1]
        is_retried = any(f"{name} failed" in line and "Do this. Airflow tries again." in line for line in lines)
        assert is_retried == tried_again()[name] == (outcome.tries[name, -1] == 2), "as the page says"
    assert "an unexpected KeyError. What has landed is as it was" in last_error(of_task(lines, "KeyError"))
    wait = last_error(of_task(lines, "wait"))
    assert "wait failed for district 65e0: The conn_id `nowhere` isn't defined." in wait
