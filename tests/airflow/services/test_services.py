"""Real services: what the UI is told about the connection, and what runs of every kind say about their dates."""

from datetime import date, timedelta
from textwrap import dedent
from typing import Any

import pytest

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.airflow.services.shared import Services
from tests.support.airflow import AirflowStack
from tests.support.features import (
    READS_FORM_FROM_METADATA,
    SHOWS_FORM_WITHOUT_HOOK,
    CronPartitionTimetable,
    PartitionedAtRuntime,
)

LOOKBACK_DAYS = 2

DAGS = dedent(
    """
    import asyncio
    import logging

    import pendulum
    from airflow.sdk import DAG, Asset, task

    from tests.support.features import CronDataIntervalTimetable, CronPartitionTimetable, PartitionedAtRuntime

    @task
    def window(**context):
        from airflow_provider_clever.operators.run_facts import facts_from_context
        from airflow_provider_clever.windows import run_window

        facts = facts_from_context(context)
        found = run_window(facts, lookback_days=2, district_id="d1")
        return [str(found.start), str(found.end), str(found.source), found.lookback_days, facts.run_type]

    @task
    def show_the_token():
        from airflow_provider_clever.hooks.clever import CleverHook

        with CleverHook("clever_token").get_conn() as client:
            logging.getLogger("airflow.task").info("shown: %s", client.settings.token)
            return client.get_district().id

    @task
    def show_the_token_from_a_loop():
        from airflow_provider_clever.hooks.clever import CleverHook

        async def ask():
            async with await CleverHook("clever_token").aget_conn() as client:
                logging.getLogger("airflow.task").info("shown: %s", client.settings.token)
                return (await client.get_district()).id

        return asyncio.run(ask())

    @task
    def number_like():
        return "65e000000000000000000001"

    DENVER = "America/Denver"
    three_days_ago = pendulum.today(DENVER).subtract(days=3)
    daily = CronDataIntervalTimetable("0 0 * * *", timezone=DENVER)

    with DAG("nightly", schedule=daily, start_date=three_days_ago, catchup=True):
        window()
    with DAG("filled_back", schedule=daily, start_date=pendulum.datetime(2026, 1, 1, tz=DENVER), catchup=False):
        window()
    if CronPartitionTimetable:
        with DAG("partitioned_by_cron", schedule=CronPartitionTimetable("0 6 * * *", timezone=DENVER), catchup=False):
            window()
    if PartitionedAtRuntime:
        with DAG("partitioned_at_runtime", schedule=PartitionedAtRuntime()):
            window()
    with DAG("leaking", schedule=None):
        show_the_token() >> show_the_token_from_a_loop()
    with DAG("number_like", schedule=None):
        number_like()
    with DAG("on_sync", schedule=[Asset("attendance_of_d1", uri="clever://d1/attendance")]):
        window()
    """
)


def window_of(stack: AirflowStack, dag_id: str, run_id: str) -> list[Any]:
    assert stack.wait_for_run(dag_id, run_id) == "success"
    return stack.xcom(dag_id, run_id, "window")


@pytest.mark.skipif(not READS_FORM_FROM_METADATA, reason="this Airflow asks the hook: tests/matrix/test_metadata.py")
def test_the_ui_is_told_the_whole_form(stack: AirflowStack):
    (form,) = (f for f in stack.api("GET", "/ui/connections/hook_meta") if f["connection_type"] == "clever")
    assert form["hook_name"] == "Clever"
    assert {name: field["title"] for name, field in form["standard_fields"].items() if field and field["title"]} == {
        "host": "API origin",
        "port": "API port",
        "login": "Client ID",
        "password": "Client secret or district token",
    }
    assert {name for name, field in form["standard_fields"].items() if field and field["hidden"]} == {"url_schema"}
    fields = {name: field["schema"] for name, field in form["extra_fields"].items()}
    assert {name: schema["title"] for name, schema in fields.items()} == {
        "district_id": "District ID",
        "auth_base": "Token origin",
        "budget_share": "Budget share",
        "forget_secret": "Key of what is forgotten",
    }
    assert (fields["budget_share"]["default"], fields["auth_base"].get("default")) == (0.8, None)


@pytest.mark.skipif(not SHOWS_FORM_WITHOUT_HOOK, reason="this Airflow imports each hook before it shows a form")
def test_the_ui_is_told_the_form_without_importing_the_hook(services: Services):
    imported = services.imported_for_the_form
    assert "airflow_provider_clever.get_provider_info" in imported
    assert imported & {"airflow_provider_clever.hooks.clever", "wtforms", "flask_appbuilder"} == set()


def test_scheduled_runs_tile_the_days(stack: AirflowStack):
    stack.wait_for_dag("nightly")
    runs = stack.wait_until(lambda: len(found := stack.runs("nightly")) >= 3 and found, "three nightly runs")
    windows = [window_of(stack, "nightly", run["dag_run_id"]) for run in runs[:3]]
    days = [date.fromisoformat(end) for _, end, *_ in windows]
    assert days == [days[0] + timedelta(days=n) for n in range(3)]
    assert windows == [
        [str(day - timedelta(days=LOOKBACK_DAYS)), str(day), "data interval", LOOKBACK_DAYS, "scheduled"]
        for day in days
    ]


def test_backfill_runs_are_about_their_own_day_alone(stack: AirflowStack):
    runs = [run for run in stack.runs("filled_back") if run["run_type"] == "backfill"]
    windows = [window_of(stack, "filled_back", run["dag_run_id"]) for run in runs]
    assert sorted(windows) == [
        ["2026-01-05", "2026-01-05", "data interval", 0, "backfill"],
        ["2026-01-06", "2026-01-06", "data interval", 0, "backfill"],
    ]


@pytest.mark.parametrize(
    ("dag_id", "key"),
    [
        pytest.param(
            *("partitioned_at_runtime", "2026-01-05"),
            marks=pytest.mark.skipif(PartitionedAtRuntime is None, reason="this Airflow has no such timetable"),
        ),
        pytest.param(
            *("partitioned_by_cron", "2026-01-05T06:00:00"),
            marks=pytest.mark.skipif(CronPartitionTimetable is None, reason="this Airflow has no partitions"),
        ),
    ],
)
def test_partition_keys_name_the_day(stack: AirflowStack, dag_id, key):
    run_id = stack.trigger(dag_id, partition_key=key)
    assert window_of(stack, dag_id, run_id)[:4] == ["2026-01-03", "2026-01-05", "partition key", LOOKBACK_DAYS]


def test_a_run_that_sync_events_started_spans_them(stack: AirflowStack):
    stack.wait_for_dag("on_sync")
    (asset,) = stack.api("GET", "assets", name_pattern="attendance_of_d1")["assets"]
    payload = {"district_id": "d1", "last_attendance_sync": "2026-01-09T12:00:00Z", "previous": "2026-01-07T12:00:00Z"}
    event = {"asset_id": asset["id"], "extra": {"from_trigger": True, "payload": payload}}
    stack.api("POST", "assets/events", json=event)
    (run,) = stack.wait_until(lambda: stack.runs("on_sync"), "the event has started a run")
    assert window_of(stack, "on_sync", run["dag_run_id"]) == [
        "2026-01-05",
        "2026-01-09",
        "asset events",
        LOOKBACK_DAYS,
        "asset_triggered",
    ]


def test_a_token_that_a_task_logs_is_masked(stack: AirflowStack, sandbox: Sandbox):
    run_id = stack.trigger("leaking")
    assert stack.wait_for_run("leaking", run_id) == "success"
    small = sandbox.district("small")
    assert stack.xcom("leaking", run_id, "show_the_token_from_a_loop") == small.id
    # LocalExecutor repeats what its tasks log on the scheduler's standard output, and there Airflow masks nothing.
    logged = stack.home.log_text()
    assert logged.count("shown: ***") == 2
    assert small.token not in logged
    assert small.token.encode() not in (stack.home.path / "airflow.db").read_bytes()


def test_ids_that_look_like_numbers_stay_text(stack: AirflowStack):
    run_id = stack.trigger("number_like")
    assert stack.wait_for_run("number_like", run_id) == "success"
    assert stack.xcom("number_like", run_id, "number_like") == "65e000000000000000000001"


def test_a_service_can_be_killed_and_started_again(stack: AirflowStack):
    stack.kill("dag-processor")
    stack.start("dag-processor")
    stack.wait_ready()
