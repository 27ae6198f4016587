"""A task that is ended half-way, in every way that Airflow has: never a success, and gone within five seconds."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.support.airflow import AirflowStack
from tests.support.asking import files
from tests.support.timing import at_most

pytestmark = pytest.mark.timing

GONE_SECONDS = at_most(5.0, guard=60.0)

# Months of the large district: no machine is through with it in time.
DAG = dedent(
    """
    from datetime import timedelta

    from airflow.sdk import DAG

    from airflow_provider_clever.operators.clever import CleverAttendanceOperator

    for name, limit in (("told_to_stop", None), ("marked_failed", None), ("too_slow", 6), ("without_answer", None)):
        with DAG(name, schedule=None, default_args={"retries": 1, "retry_delay": timedelta(hours=1)}):
            CleverAttendanceOperator(
                task_id="pull",
                clever_conn_id="clever_any_district",
                district_id="{{ dag_run.conf['district_id'] }}",
                date_range_start="2026-06-01",
                date_range_end="2026-11-23",
                destination="{{ dag_run.conf['destination'] }}",
                execution_timeout=limit and timedelta(seconds=limit),
            )
    """
)


@dataclass(frozen=True)
class Pull:
    """One long pull that is under way."""

    stack: AirflowStack
    dag_id: str
    run_id: str
    lake: Path

    @property
    def task(self) -> dict[str, Any]:
        return dict(self.stack.api("GET", f"dags/{self.dag_id}/dagRuns/{self.run_id}/taskInstances/pull"))

    def seconds_to_end(self, pid: int, kill: Callable[[], object] = lambda: None) -> float:
        """Kill the task somehow, and give after how many seconds its process is gone."""
        start = time.monotonic()
        kill()
        while is_running(pid):
            assert time.monotonic() < start + 180, "the task goes on"
            time.sleep(0.05)
        return time.monotonic() - start

    def end(self) -> str:
        """Wait for the state that Airflow gives the task."""
        states = ("up_for_retry", "success", "failed")
        return self.stack.wait_for_task(self.dag_id, self.run_id, "pull", states)

    def said(self) -> str:
        folder = self.stack.home.logs / f"dag_id={self.dag_id}"
        return "".join(file.read_text(errors="replace") for file in folder.rglob("*.log"))


def is_running(pid: int) -> bool:
    with suppress(OSError):
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    return False


@pytest.fixture
def start(stack: AirflowStack, sandbox: Sandbox, tmp_path: Path) -> Callable[[str], Pull]:
    (stack.home.dags / "kill.py").write_text(DAG)

    def begin(dag_id: str) -> Pull:
        conf = {"district_id": sandbox.district("large").id, "destination": tmp_path.as_uri()}
        pull = Pull(stack, dag_id, stack.trigger(dag_id, conf=conf), tmp_path)
        stack.wait_for_task(dag_id, pull.run_id, "pull", ("running",))
        return pull

    return begin


def has_landed(pull: Pull) -> bool:
    return any(pull.lake.glob("attendance/**/*.parquet"))


def test_sigterm_half_way_means_another_try(start: Callable[[str], Pull]):
    pull = start("told_to_stop")
    pull.stack.wait_until(lambda: has_landed(pull), "something has landed")
    pid = pull.task["pid"]

    seconds = pull.seconds_to_end(pid, lambda: os.kill(pid, signal.SIGTERM))

    assert seconds < GONE_SECONDS
    assert pull.end() == "up_for_retry"
    assert "told to stop" in pull.said()
    assert all(content.endswith(b"PAR1") for content in files(pull.lake).values())


def test_sigterm_ends_a_task_whose_every_thread_waits_for_an_answer(start: Callable[[str], Pull], sandbox: Sandbox):
    sandbox.fault("timeout", family="attendance", seconds=600.0, times=0)
    pull = start("without_answer")
    pull.stack.wait_until(lambda: sandbox.counters()["in_flight"], "a request waits for its answer")
    pid = pull.task["pid"]

    seconds = pull.seconds_to_end(pid, lambda: os.kill(pid, signal.SIGTERM))

    assert seconds < GONE_SECONDS
    assert pull.end() == "up_for_retry"


def test_a_task_that_is_marked_as_failed_in_the_ui_ends(start: Callable[[str], Pull]):
    pull = start("marked_failed")
    pull.stack.wait_until(lambda: has_landed(pull), "something has landed")
    pid = pull.task["pid"]
    address = f"dags/{pull.dag_id}/dagRuns/{pull.run_id}/taskInstances/pull"

    seconds = pull.seconds_to_end(pid, lambda: pull.stack.api("PATCH", address, json={"new_state": "failed"}))

    # Up to a heartbeat passes before Airflow tells the task.
    assert seconds < 2 * GONE_SECONDS
    assert pull.task["state"] == "failed"
    assert "told to stop" in pull.said()  # so it ended by itself; Airflow's SIGKILL came into no thread's write


def test_an_execution_timeout_means_another_try(start: Callable[[str], Pull], sandbox: Sandbox):
    sandbox.knobs(latency_ms=500)  # six seconds of work are much for a processor
    pull = start("too_slow")
    pid = pull.task["pid"]

    seconds = pull.seconds_to_end(pid)

    assert seconds < 6 + GONE_SECONDS
    assert pull.end() == "up_for_retry"
    assert "AirflowTaskTimeout" in pull.said()
