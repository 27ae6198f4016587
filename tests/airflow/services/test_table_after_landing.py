"""From what a pull lands to a table and on to its readers, by the scheduler; nothing starts where nothing changed."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_clever.lake import layout
from airflow_provider_clever.sandbox.testing import Sandbox
from tests.lake.emulators import Store
from tests.support.airflow import AirflowStack
from tests.support.features import RETRIES_KILLED_TASKS
from tests.table import engines
from tests.table.iceberg_lakes import landed, read

DAGS = """
import os
from datetime import timedelta

from airflow.sdk import DAG, task
from airflow_provider_clever.assets import table_asset
from airflow_provider_clever.dags import attendance_table_dag, range_params
from airflow_provider_clever.operators.clever import CleverAttendanceOperator, CleverAttendanceTableOperator


def lose_the_first_try(context, result=None):
    if context["ti"].try_number == 1:
        os._exit(1)


with DAG("table_landing_NUMBER", schedule=None, params=range_params()):
    CleverAttendanceOperator(task_id="pull", destination="LAKE", district_id="DISTRICT")

at_once = {"destination": "LAKE", "gather_minutes": 0}
months = attendance_table_dag(**at_once, dag_id="months_NUMBER")
iceberg = attendance_table_dag(**at_once, district_ids=["DISTRICT"], table="iceberg", dag_id="iceberg_NUMBER")

with DAG("killed_NUMBER", schedule=None):
    CleverAttendanceTableOperator(
        task_id="table",
        destination="LAKE",
        district_ids=["DISTRICT"],
        retries=1,
        retry_delay=timedelta(0),
        post_execute=lose_the_first_try,
    )

with DAG("reader_NUMBER", schedule=table_asset("LAKE"), catchup=False):

    @task
    def told(triggering_asset_events=None):
        return [event.extra["months_written"] for event in triggering_asset_events[table_asset("LAKE")]]

    told()
"""
NUMBERS = count(1)
STARTED = ("months", "iceberg", "reader")
OTHER_DISTRICT = "66" * 12


class Story:
    """A DAG that lands, the DAGs of two tables, and one that reads the months when they have changed."""

    def __init__(self, sandbox: Sandbox, stack: AirflowStack, lake: Path) -> None:
        sandbox.reset(today=str(datetime.now(UTC).date()), districts=["small"])
        self.stack, self.lake, self.rows = stack, lake, sandbox.expected("small")
        self.number = next(NUMBERS)
        text = DAGS.replace("LAKE", lake.as_uri()).replace("DISTRICT", sandbox.district("small").id)
        self.file = stack.home.dags / f"table_story_{self.number}.py"
        self.file.write_text(text.replace("NUMBER", str(self.number)))

    def dag_id(self, name: str) -> str:
        """The id of one of the story's DAGs."""
        return f"{name}_{self.number}"

    def damage(self) -> Path:
        """Let a partition of another district stand at the destination that cannot be read."""
        damaged = self.lake / layout.partition_path(OTHER_DISTRICT, "2026-03-02", "5f" * 12, "parquet")
        damaged.parent.mkdir(parents=True)
        damaged.write_bytes(b"not Parquet")
        return damaged

    def night(self, first: date, last: date) -> None:
        """Pull some days, and see the run to its end."""
        dag_id, conf = self.dag_id("table_landing"), {"date_range_start": str(first), "date_range_end": str(last)}
        run_id = self.stack.trigger(dag_id, conf=conf)
        assert self.stack.wait_for_run(dag_id, run_id) == "success"

    def newest(self, name: str, runs: int, state: str = "success") -> dict[str, Any]:
        """The newest run of a DAG that something started by itself, once there have been so many and it has ended."""
        stack, dag_id = self.stack, self.dag_id(name)
        (found,) = stack.wait_until(lambda: stack.runs(dag_id)[runs - 1 :], f"run {runs} of {dag_id} began")
        assert stack.wait_for_run(dag_id, found["dag_run_id"]) == state, stack.home.log_text()[-4000:]
        return found

    def xcom(self, name: str, run_id: str, *what: str) -> Any:
        """One XCom value of a run."""
        return self.stack.xcom(self.dag_id(name), run_id, *what)

    def tables_equal_what_landed(self) -> None:
        assert engines.differences(self.lake) == []
        store = Store("file", str(self.lake))
        assert read("polars", store) == [landed(store)]


@pytest.fixture
def story(sandbox: Sandbox, stack: AirflowStack, tmp_path: Path) -> Iterator[Story]:
    found = Story(sandbox, stack, tmp_path / "lake")
    for name in STARTED:
        stack.wait_for_dag(found.dag_id(name))
    yield found
    found.file.unlink()


def test_what_landed_starts_the_tables_and_a_table_starts_its_readers(story: Story) -> None:
    school_days = sorted({date.fromisoformat(row["attendance_date"]) for row in story.rows})
    story.night(school_days[-5], school_days[-3])

    ended = {dag_id: story.newest(dag_id, runs=1) for dag_id in STARTED}
    assert {run["run_type"] for run in ended.values()} == {"asset_triggered"}
    story.tables_equal_what_landed()
    months = len({str(day)[:7] for day in school_days[-5:-2]})
    assert story.xcom("reader", ended["reader"]["dag_run_id"], "told") == [months]

    story.night(school_days[-5], school_days[-3])  # nothing has changed
    story.night(school_days[-3] + timedelta(days=1), school_days[-1])

    later = {dag_id: story.newest(dag_id, runs=2) for dag_id in STARTED}
    for dag_id in ("months", "iceberg"):
        assert story.xcom(dag_id, later[dag_id]["dag_run_id"], "table", "summary")["rows_written"]
    story.tables_equal_what_landed()


def test_a_district_that_cannot_be_read_fails_the_run_and_the_readers_of_the_others_start(story: Story) -> None:
    school_days = sorted({date.fromisoformat(row["attendance_date"]) for row in story.rows})
    damaged = story.damage()
    story.night(school_days[-3], school_days[-1])

    failed = story.newest("months", runs=1, state="failed")
    assert story.xcom("months", failed["dag_run_id"], "table", "summary")["failures"]
    story.newest("reader", runs=1)
    damaged.unlink()
    story.tables_equal_what_landed()


def test_the_try_after_a_killed_one_announces_what_that_may_have_changed(story: Story) -> None:
    last = max(date.fromisoformat(row["attendance_date"]) for row in story.rows)
    story.night(last, last)
    story.newest("reader", runs=1)

    run_id = story.stack.trigger(story.dag_id("killed"))
    if not RETRIES_KILLED_TASKS:  # then a person clears it
        assert story.stack.wait_for_run(story.dag_id("killed"), run_id) == "failed"
        story.stack.api("POST", f"dags/{story.dag_id('killed')}/dagRuns/{run_id}/clear", json={"dry_run": False})
    assert story.stack.wait_for_run(story.dag_id("killed"), run_id) == "success"

    assert story.xcom("killed", run_id, "table", "summary")["months_written"] == 0
    story.newest("reader", runs=2)
