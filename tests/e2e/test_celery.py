"""Two districts backfilled at once on two Celery workers, one of which is lost half-way."""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.e2e.districts import PAUSED, Districts, days_to_backfill, of_type, succeeded, weekdays
from tests.support.airflow import AirflowHome
from tests.support.celery import CeleryStack
from tests.support.postgres import running_postgres
from tests.support.redis import running_redis

log = logging.getLogger(__name__)

FIRST, LAST = days_to_backfill(int(os.environ.get("CLEVER_E2E_DAYS", "5")))
RUNS = weekdays(FIRST, LAST)
SECONDS = 300.0 + 60.0 * RUNS

# The first wait before a retry is five minutes otherwise, which nobody wants to watch.
QUICK_RETRIES = """
from datetime import timedelta
from airflow.sdk import DAG
for found in list(globals().values()):
    if isinstance(found, DAG):
        for task in found.tasks:
            task.retry_delay = timedelta(seconds=5)
"""

QUICK = {
    **PAUSED,
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    # What a lost worker had taken but not begun.
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "120",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "10",
}


@pytest.fixture(scope="module")
def world(sandbox_server: Sandbox) -> Sandbox:
    sandbox_server.reset(
        today=datetime.now(UTC).date().isoformat(),
        districts=["large", "both"],
        large_schools=10,
        large_school_days=60,
        large_students=130,
        # Each page takes its time, so that a worker is lost in the middle of pulls.
        knobs={"rate_limit": 600, "latency_ms": 300},
    )
    return sandbox_server


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowHome]:
    with running_postgres() as postgres:
        yield AirflowHome.create(tmp_path_factory.mktemp("celery") / "home", postgres.create_database("airflow"))


@pytest.fixture(scope="module")
def districts(world: Sandbox, home: AirflowHome, tmp_path_factory: pytest.TempPathFactory) -> Districts:
    made = Districts(world, home, tmp_path_factory.mktemp("lake"), ("large", "both"))
    made.add_dags(QUICK_RETRIES)
    return made


@pytest.fixture(scope="module")
def stack(world: Sandbox, home: AirflowHome, districts: Districts) -> Iterator[CeleryStack]:
    connections = {"clever_default": world.connection_json()}
    with (
        running_redis() as broker_url,
        CeleryStack(home, broker_url=broker_url, connections=connections, env=QUICK) as running,
    ):
        yield running


def test_one_a_worker_is_lost_half_way_and_all_runs_succeed(stack: CeleryStack, districts: Districts) -> None:
    districts.let_begin(stack)
    districts.backfill(FIRST, LAST, "--max-active-runs", "2")
    everything = sum(districts.sandbox.expected_count(name)["total"] for name in districts.names)

    def pulling_half_way() -> str | None:
        served = districts.sandbox.counters()["by_family"].get("attendance", 0)
        return worker_at_a_pull(stack, districts) if served >= everything / 1000 / 2 else None

    lost = stack.wait_until(pulling_half_way, "a worker pulls, half-way", SECONDS)
    orphans = stack.descendants(lost)
    stack.kill(lost)
    # A task leads a process group of its own, so the signal did not reach it: it goes on beside its next try.
    log.info("killed %s; %d of its %d processes go on", lost, len(orphans & set(stack.running())), len(orphans))
    killed = time.monotonic()
    stack.wait_until(lambda: not orphans & set(stack.running()), "what the lost worker ran has ended by itself", 180)
    log.info("they ended by themselves after %.0f s", time.monotonic() - killed)

    def done() -> bool:
        runs = [stack.runs(dag_id) for dag_id in districts.dag_ids]
        return all(succeeded(of_type(stack, dag_id, "backfill")) for dag_id in districts.dag_ids) and all(
            succeeded(listed) for listed in runs
        )

    stack.wait_until(done, "all runs have succeeded", SECONDS)
    assert {len(of_type(stack, dag_id, "backfill")) for dag_id in districts.dag_ids} == {RUNS}
    again = [(task["task_id"], task["try_number"]) for task in tasks(stack, districts) if task["try_number"] > 1]
    log.info("tried again: %s", again)
    assert again, "the kill hit a task, which was tried again"


def test_two_every_row_due_has_landed_once(districts: Districts) -> None:
    rows, different = districts.rows_landed_and_different()
    log.info("%s rows landed, %d differ from those due", f"{rows:,}", different)
    assert rows
    assert different == 0


def test_three_at_most_one_request_in_a_thousand_was_refused(stack: CeleryStack, districts: Districts) -> None:
    counters = districts.sandbox.counters()
    refused = counters["by_status"].get("429", 0)
    log.info("%d requests, %d of them refused", counters["total"], refused)
    assert counters["total"] >= 800
    assert refused <= counters["total"] / 1000


def test_four_each_process_ends_when_it_is_told_and_none_is_left(stack: CeleryStack) -> None:
    for component in reversed(list(stack.processes)):  # the API server last, because the others say goodbye to it
        process = stack.processes.pop(component)
        process.terminate()
        process.wait(60)
    stack.wait_until(lambda: not stack.running(), "no process is left", 30)


def worker_at_a_pull(stack: CeleryStack, districts: Districts) -> str | None:
    """A worker that runs a pulling task just now."""
    pulls = {task["id"] for task in tasks(stack, districts, state="running") if task["task_id"] == "pull"}
    for worker in stack.workers:
        for pid in stack.descendants(worker):
            with suppress(OSError):
                # A task's process is named after the task's id.
                if any(pull.encode() in Path(f"/proc/{pid}/cmdline").read_bytes() for pull in pulls):
                    return worker
    return None


def tasks(stack: CeleryStack, districts: Districts, **matching: str) -> list[dict[str, Any]]:
    """The tasks of all runs."""
    found = (
        stack.api("GET", f"dags/{dag_id}/dagRuns/~/taskInstances", limit=100, **matching)
        for dag_id in districts.dag_ids
    )
    return [task for listed in found for task in listed["task_instances"]]
