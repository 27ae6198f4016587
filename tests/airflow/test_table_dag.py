"""The DAG of a table: started by what landed, and no more often than it is worth."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_clever.assets import landed_alias, landed_asset
from airflow_provider_clever.dags import attendance_table_dag
from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.sensors.gathering import GatheringSensor
from tests.support.dag_bag import stored

A, B = "65e000000000000000000001", "65e000000000000000000002"
LAKE = "s3://aws_default@lake/clever"


def test_a_run_gathers_and_then_makes_the_table_one_at_a_time() -> None:
    dag = attendance_table_dag(LAKE)
    assert {task.task_id: set(task.downstream_task_ids) for task in dag.tasks} == {
        "gather": {"table"},
        "table": {"announce"},
        "announce": set(),
    }
    assert dag.max_active_runs == 1
    assert not dag.catchup


def test_it_is_started_by_what_landed_of_its_districts_or_of_any() -> None:
    some = attendance_table_dag(LAKE, district_ids=[A, B]).schedule
    assert list(some.objects) == [landed_asset(LAKE, A), landed_asset(LAKE, B)]
    assert attendance_table_dag(LAKE).schedule == [landed_alias()]
    assert stored(attendance_table_dag(LAKE)).dag_id == "clever_attendance_table"


def test_it_may_be_started_by_the_clock_instead() -> None:
    dag = attendance_table_dag(LAKE, schedule="0 6 * * *", dag_id="at_six")
    assert (dag.dag_id, dag.schedule) == ("at_six", "0 6 * * *")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"destination": "no place"}, "destination"),
        ({"district_ids": A}, "must be a list"),
        ({"district_ids": ["../x"]}, "district_id"),
        ({"gather_minutes": -1}, "gather_minutes"),
        ({"gather_minutes": "soon"}, "gather_minutes"),
    ],
)
def test_slips_are_said_where_the_dag_is_made(options: dict[str, Any], says: str) -> None:
    with pytest.raises(CleverSettingsError, match=says):
        attendance_table_dag(**{"destination": LAKE, **options})


@pytest.mark.parametrize(
    ("run_type", "waited_minutes", "is_done"),
    [
        ("asset_triggered", None, False),
        ("asset_triggered", 14, False),
        ("asset_triggered", 15, True),
        ("manual", None, True),
        ("scheduled", None, True),
    ],
)
def test_a_run_waits_once_for_what_else_lands_unless_a_person_or_the_clock_started_it(
    run_type: str, waited_minutes: int | None, is_done: bool
) -> None:
    first = None if waited_minutes is None else datetime.now(UTC) - timedelta(minutes=waited_minutes)
    task = SimpleNamespace(get_first_reschedule_date=lambda _: first)
    sensor = GatheringSensor(task_id="gather", mode="reschedule", poke_interval=15 * 60)
    assert sensor.poke({"dag_run": SimpleNamespace(run_type=run_type), "ti": task}) is is_done  # type: ignore[typeddict-item]
