"""The operator that makes a table, in real Airflow."""

import json
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest
from pyiceberg.table import StaticTable

from airflow_provider_clever.lake import layout
from tests.lake.builders import DAY, DISTRICT, SCHOOL
from tests.lake.emulators import Store
from tests.support.airflow import AirflowHome, DagOutcome
from tests.table import engines
from tests.table.lakes import land

STUDENT = "66aaaaaaaaaaaaaaaaaaaaaa"
TOKEN = "a-made-up-token-of-a-catalog"
DAMAGED = f"{DISTRICT[:-1]}2"

DAG = dedent(
    """
    from airflow.sdk import DAG

    from airflow_provider_clever.operators.clever import CleverAttendanceTableOperator

    with DAG("tables", schedule=None):
        lake = "{{ dag_run.conf['lake'] }}"
        good = CleverAttendanceTableOperator(task_id="good", destination=lake, district_ids=["%(district)s"])
        for task_id, options in {
            "whole": {},
            "embedded": {"table": "iceberg", "district_ids": ["%(district)s"]},
            "in_catalog": {"table": "iceberg", "district_ids": ["%(district)s"], "catalog_conn_id": "my_catalog"},
            "no_catalog": {"table": "iceberg", "catalog_conn_id": "nowhere"},
            "no_kind": {"table": "csv"},
            "a_catalog": {"catalog_conn_id": "glue"},
            "no_ids": {"district_ids": "{{ '' }}"},
            "nowhere": {"destination": lake + "/nothing"},
        }.items():
            good >> CleverAttendanceTableOperator(task_id=task_id, **{"destination": lake, **options})
    """
)


@dataclass(frozen=True)
class Run:
    """What became of the DAG, its lake, and all that Airflow keeps of it."""

    outcome: DagOutcome
    lake: Path
    kept: str


@pytest.fixture(scope="module")
def run(migrated_home: AirflowHome, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("tables")
    store = Store("file", str(folder / "lake"))
    for day in ("2026-03-31", DAY):
        land(store, day, [STUDENT, "b"])
    land(store, DAY, [STUDENT], district=DAMAGED)
    damaged = folder / "lake" / layout.partition_path(DAMAGED, DAY, SCHOOL, "parquet")
    damaged.write_bytes(damaged.read_bytes()[:99])
    home = migrated_home.copy(folder / "home")
    catalog = {"type": "sql", "uri": f"sqlite:///{folder}/catalog.db", "warehouse": f"file://{folder}/warehouse"}
    outcome = home.run_dag(
        DAG % {"district": DISTRICT},
        run_conf={"lake": (folder / "lake").as_uri()},
        connections={"my_catalog": json.dumps({"conn_type": "iceberg", "extra": {**catalog, "token": TOKEN}})},
    )
    damaged.unlink()
    return Run(outcome, folder / "lake", outcome.log + home.log_text() + home.database_text())


def test_a_table_is_made_and_the_task_says_what_it_wrote(run: Run) -> None:
    assert run.outcome.tasks["good", -1] == "success"
    assert run.outcome.xcom("good", "summary") == {
        "districts": 1,
        "districts_changed": 1,
        "months_written": 2,
        "months_removed": 0,
        "rows_written": 4,
        "failures": [],
        "changed": True,
    }
    assert engines.differences(run.lake) == []


@pytest.mark.parametrize(
    ("task_id", "folder"),
    [("embedded", "lake/iceberg/clever.attendance"), ("in_catalog", "warehouse/clever/attendance")],
)
def test_an_iceberg_table_is_made_where_the_task_says(run: Run, task_id: str, folder: str) -> None:
    assert run.outcome.tasks[task_id, -1] == "success", run.outcome.log[-4000:]
    assert run.outcome.xcom(task_id, "summary")["rows_written"] == 4
    newest = max((run.lake.parent / folder / "metadata").glob("*.metadata.json"))
    assert StaticTable.from_metadata(str(newest)).scan().count() == 4
    assert TOKEN not in run.kept


def test_a_damaged_file_makes_the_task_red_and_is_named(run: Run) -> None:
    assert run.outcome.tasks["whole", -1] == "failed"
    assert "not up to date for 1 of 2 districts" in run.outcome.log
    assert layout.partition_path(DAMAGED, DAY, SCHOOL, "parquet") in run.outcome.log
    assert run.outcome.xcom("whole", "summary")["failures"] == [{"district_id": DAMAGED, "month": DAY[:7]}]


@pytest.mark.parametrize(
    ("task_id", "says"),
    [
        ("no_catalog", "no Airflow connection nowhere"),
        ("no_kind", "table is 'csv'; choose one of 'parquet', 'iceberg'"),
        ("a_catalog", "has no catalog"),
        ("no_ids", "district_ids holds an empty id"),
        ("nowhere", "no district has landed there"),
    ],
)
def test_slips_fail_for_good_and_say_what_to_do(run: Run, task_id: str, says: str) -> None:
    assert run.outcome.tasks[task_id, -1] == "failed"
    assert says in run.outcome.log


def test_airflow_keeps_no_student(run: Run) -> None:
    assert STUDENT[:12] not in run.kept
