"""The example that landed days start, by Airflow's scheduler: for those days alone, and not if nothing changed."""

import shutil
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.airflow.services.shared import Services
from tests.support.airflow import AirflowStack
from tests.support.features import HAS_ASSET_PARTITIONS

EXAMPLES = Path(__file__).parents[3] / "example_dags"
EXAMPLE = "clever_after_landing"
LANDING = """
from airflow.sdk import DAG
from airflow_provider_clever.dags import range_params
from airflow_provider_clever.operators.clever import CleverAttendanceOperator

with DAG("landing", schedule=None, params=range_params()):
    CleverAttendanceOperator(task_id="pull", destination="LAKE", district_id="DISTRICT")
"""
BY_PARTITION = """
from airflow.sdk import DAG, PartitionedAssetTimetable, task
from airflow_provider_clever.assets import landed_asset

with DAG("by_partition", schedule=PartitionedAssetTimetable(assets=landed_asset("LAKE", "DISTRICT")), catchup=False):

    @task
    def day(dag_run=None):
        return dag_run.partition_key

    day()
"""


class Landing:
    """A DAG that lands, the example, and a DAG that is scheduled on the days themselves."""

    def __init__(self, sandbox: Sandbox, stack: AirflowStack, lake: str) -> None:
        self.sandbox, self.stack = sandbox, stack
        sandbox.reset(today=str(datetime.now(UTC).date()), districts=["small"])
        self.district = sandbox.district("small")
        files = {"landing": LANDING, **({"by_partition": BY_PARTITION} if HAS_ASSET_PARTITIONS else {})}
        for name, text in files.items():
            (stack.home.dags / f"{name}.py").write_text(
                text.replace("LAKE", lake).replace("DISTRICT", self.district.id)
            )
        for name in ("attendance_views.sql", f"{EXAMPLE}.py"):
            shutil.copy(EXAMPLES / name, stack.home.dags)

    def night(self, first: date, last: date) -> None:
        """Pull some days, and see the run to its end."""
        conf = {"date_range_start": str(first), "date_range_end": str(last)}
        run_id = self.stack.trigger("landing", conf=conf)
        assert self.stack.wait_for_run("landing", run_id) == "success"

    def counted(self, runs: int) -> list[tuple[Any, ...]]:
        """What the newest run of the example counted, once there have been so many."""
        stack = self.stack
        found = stack.wait_until(lambda: len(stack.runs(EXAMPLE)) >= runs and stack.runs(EXAMPLE), f"run {runs} began")
        assert len(found) == runs
        assert stack.wait_for_run(EXAMPLE, found[-1]["dag_run_id"]) == "success"
        counts = stack.xcom(EXAMPLE, found[-1]["dag_run_id"], "count_students")
        return [tuple(one) for one in counts]

    def partitions(self) -> list[str]:
        return sorted(run["partition_key"] for run in self.stack.runs("by_partition"))


@pytest.fixture
def landing(sandbox: Sandbox, services: Services) -> Landing:
    found = Landing(sandbox, services.stack, services.example_lake.as_uri())
    for dag_id in (EXAMPLE, *(["by_partition"] if HAS_ASSET_PARTITIONS else [])):
        services.stack.wait_for_dag(dag_id)
    return found


def test_landed_days_start_a_run_for_those_days_and_nothing_new_starts_none(landing: Landing) -> None:
    school_days = sorted({row["attendance_date"] for row in landing.sandbox.expected("small")})
    first, last = date.fromisoformat(school_days[-5]), date.fromisoformat(school_days[-3])
    landing.night(first, last)

    counts = landing.counted(runs=1)
    assert {day for _, day, *_ in counts} == {*school_days[-5:-2]}
    school = landing.district.schools["Alder Elementary"]  # daily rows alone
    due = Counter(
        (row["attendance_date"], row["attendance_status"])
        for row in landing.sandbox.expected(
            "small", school_id=school, date_range_start=str(first), date_range_end=str(last)
        )
    )
    assert {(day, there, late, absent) for school_id, day, there, late, absent in counts if school_id == school} == {
        (day, due[day, "present"] + due[day, "tardy"], due[day, "tardy"], due[day, "absent"])
        for day in school_days[-5:-2]
    }

    landing.night(first, last)  # nothing has changed
    landing.night(last + timedelta(days=1), last + timedelta(days=3))

    later = landing.counted(runs=2)
    assert {day for _, day, *_ in later} == {*school_days[-2:]} & {
        str(last + timedelta(days=number)) for number in (1, 2, 3)
    }
    if HAS_ASSET_PARTITIONS:
        days = {day for _, day, *_ in (*counts, *later)}
        landing.stack.wait_until(lambda: len(landing.partitions()) >= len(days), "each day has a run")
        assert landing.partitions() == sorted(days)
