"""What newer Airflows have and older ones lack, in real services: what we do with each feature, and without it."""

import json
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.support.airflow import AirflowStack
from tests.support.asking import due, landed
from tests.support.features import (
    HAS_CONNECTION_TESTS_ON_WORKERS,
    CronPartitionTimetable,
    ExceptionRetryPolicy,
)

DAY = "2026-11-18"
WRONG_SECRET = "not-the-secret-of-this-app"

DAGS = dedent(
    """
    from datetime import timedelta

    from airflow.sdk import DAG

    from airflow_provider_clever.exceptions import CleverAuthError, CleverLandingError
    from airflow_provider_clever.operators.clever import CleverAttendanceOperator
    from tests.support.features import ExceptionRetryPolicy, PartitionedAtRuntime, RetryAction, RetryRule

    no_dates = {"date_range_start": None, "date_range_end": None}
    lake = "{{ dag_run.conf['lake'] }}"

    with DAG("named_day", schedule=None, params=no_dates):
        CleverAttendanceOperator(task_id="pull", destination=lake, lookback_days=0)
    with DAG("partitioned", schedule=PartitionedAtRuntime and PartitionedAtRuntime()):
        CleverAttendanceOperator(task_id="pull", destination=lake, lookback_days=0)

    # Each rule wants the opposite of what happens without it.
    policy = ExceptionRetryPolicy and ExceptionRetryPolicy(
        rules=[
            RetryRule(exception=CleverLandingError, action=RetryAction.FAIL),
            RetryRule(exception=CleverAuthError, action=RetryAction.RETRY),
        ]
    )
    options = {"retry_policy": policy} if policy else {}
    with DAG("judged", schedule=None, default_args={"retries": 1, "retry_delay": timedelta(hours=1), **options}):
        dates = {"date_range_start": "2026-11-18", "date_range_end": "2026-11-18"}
        CleverAttendanceOperator(task_id="no_room", destination="file:///proc/no-room", **dates)
        CleverAttendanceOperator(task_id="refused", destination=lake, clever_conn_id="clever_refused", **dates)
    """
)


@pytest.fixture(autouse=True)
def dags(stack: AirflowStack) -> None:
    (stack.home.dags / "newer_features.py").write_text(DAGS)


# --- partitions -----------------------------------------------------------------------------------------------------


def rows_of_the_day(sandbox: Sandbox) -> list[Any]:
    return due(sandbox.iter_expected("small", date_range_start=DAY, date_range_end=DAY))


def test_both_dates_as_params_name_the_day_on_every_airflow(
    stack: AirflowStack, sandbox: Sandbox, tmp_path: Path
) -> None:
    conf = {"lake": tmp_path.as_uri(), "date_range_start": DAY, "date_range_end": DAY}
    run_id = stack.trigger("named_day", conf=conf)
    assert stack.wait_for_run("named_day", run_id) == "success"
    assert landed(tmp_path) == rows_of_the_day(sandbox) != []


@pytest.mark.skipif(CronPartitionTimetable is None, reason="this Airflow has no partitions")
def test_a_partition_key_names_the_day(stack: AirflowStack, sandbox: Sandbox, tmp_path: Path) -> None:
    run_id = stack.trigger("partitioned", conf={"lake": tmp_path.as_uri()}, partition_key=DAY)
    assert stack.wait_for_run("partitioned", run_id) == "success"
    assert landed(tmp_path) == rows_of_the_day(sandbox) != []


@pytest.mark.skipif(CronPartitionTimetable is not None, reason="this Airflow has partitions")
def test_an_airflow_without_partitions_refuses_a_key_instead_of_pulling_another_day(
    stack: AirflowStack, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match=r"422 .*partition_key"):
        stack.trigger("partitioned", conf={"lake": tmp_path.as_uri()}, partition_key=DAY)
    assert stack.runs("partitioned") == []


# --- connection tests -----------------------------------------------------------------------------------------------


def connection(sandbox: Sandbox, conn_id: str, **fields: Any) -> dict[str, Any]:
    """Give what the form sends, which has a budget share; with texts alone, 3.1.8 reads the id 65e0... as a number."""
    defined = {**json.loads(sandbox.connection_json("small")), **fields}
    return {**defined, "connection_id": conn_id, "extra": json.dumps({**defined["extra"], "budget_share": 0.8})}


def test_the_api_server_tests_a_connection_on_every_airflow(stack: AirflowStack, sandbox: Sandbox) -> None:
    right = stack.api("POST", "connections/test", json=connection(sandbox, "right"))
    assert right["status"] is True, right["message"]
    assert "Its attendance was last synced at" in right["message"]
    wrong = stack.api("POST", "connections/test", json=connection(sandbox, "wrong", password=WRONG_SECRET))
    assert wrong["status"] is False
    assert "Clever refuses the client id and secret" in wrong["message"]
    assert WRONG_SECRET not in wrong["message"]


@pytest.mark.skipif(not HAS_CONNECTION_TESTS_ON_WORKERS, reason="this Airflow tests connections in its API server")
def test_a_worker_tests_a_connection(stack: AirflowStack, sandbox: Sandbox) -> None:
    def told(conn_id: str, **fields: Any) -> tuple[str, str]:
        queued = stack.api("POST", "connections/enqueue-test", json=connection(sandbox, conn_id, **fields))
        token = {"Airflow-Connection-Test-Token": queued["token"]}

        def ended() -> tuple[str, str] | None:
            found = stack.api("GET", "connections/enqueue-test", headers=token)
            return (found["state"], found["result_message"]) if found["state"] in ("success", "failed") else None

        return stack.wait_until(ended, "a worker has tested the connection", 120) or ("", "")

    state, message = told("right")
    assert (state, "Its attendance was last synced at" in message) == ("success", True), message
    state, message = told("wrong", password=WRONG_SECRET)
    assert (state, "Clever refuses the client id and secret" in message) == ("failed", True), message
    assert WRONG_SECRET not in message


# --- retry policies -------------------------------------------------------------------------------------------------


def test_a_retry_policy_judges_what_may_pass_and_nothing_else(stack: AirflowStack, tmp_path: Path) -> None:
    run_id = stack.trigger("judged", conf={"lake": tmp_path.as_uri()})
    states = ("failed", "success", "up_for_retry")
    ends = {task_id: stack.wait_for_task("judged", run_id, task_id, states) for task_id in ("no_room", "refused")}
    assert ends == {"no_room": "failed" if ExceptionRetryPolicy else "up_for_retry", "refused": "failed"}
