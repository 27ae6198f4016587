"""The operator that forgets, in real Airflow: it removes, says what it did, and Airflow keeps no student's id."""

import json
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import duckdb
import pytest

from airflow_provider_clever.lake.store import Destination
from tests.lake.builders import DISTRICT, context, day, row
from tests.lake.emulators import Store
from tests.support.airflow import AirflowHome, DagOutcome

WANTED, OTHER = "66aaaaaaaaaaaaaaaaaaaaaa", "66bbbbbbbbbbbbbbbbbbbbbb"
SECRET = "a made-up key that is long enough to be one"
CONNECTION = {"conn_type": "clever", "password": "made-up", "extra": {"forget_secret": SECRET}}

DAG = dedent(
    """
    from airflow.sdk import DAG

    from airflow_provider_clever.operators.clever import CleverAttendanceForgetOperator

    lake = "{{ dag_run.conf['lake'] }}"

    with DAG("forgets", schedule=None):
        students = CleverAttendanceForgetOperator(
            task_id="students", destination=lake, students_path="{{ dag_run.conf['list'] }}", longest_task_hours=0
        )
        days = CleverAttendanceForgetOperator(task_id="days", destination=lake, older_than_years=1)
        pending = CleverAttendanceForgetOperator(task_id="pending", destination=lake)
        for task_id, options in {
            "no_list": {"students_path": "{{ '' }}"},
            "missing_list": {"students_path": "/no/such/list"},
            "two_choices": {"older_than_years": 1, "whole_district": True},
            "which_district": {"whole_district": True},
        }.items():
            pending >> CleverAttendanceForgetOperator(task_id=task_id, destination=lake, **options)
        students >> days >> pending
    """
)


@dataclass(frozen=True)
class Run:
    """What became of the DAG, and what is left in its lake."""

    outcome: DagOutcome
    lake: Path
    kept: str


@pytest.fixture(scope="module")
def run(migrated_home: AirflowHome, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("forgets")
    store = Store("file", str(folder / "lake"))
    destination = Destination(store.filesystem(), store.root, district_id=DISTRICT)
    destination.check()
    for attendance_date in ("2024-04-01", "2026-11-20", "2026-11-21"):
        destination.land(day([row(WANTED), row(OTHER)], attendance_date=attendance_date), context=context())
    Path(folder, "list.txt").write_text(f"{WANTED}\n")
    home = migrated_home.copy(folder / "home")
    outcome = home.run_dag(
        DAG,
        connections={"clever_default": json.dumps(CONNECTION)},
        run_conf={"lake": (folder / "lake").as_uri(), "list": str(folder / "list.txt")},
    )
    return Run(outcome, folder / "lake", outcome.log + home.log_text() + home.database_text())


def test_students_and_old_days_are_gone(run: Run):
    files = f"read_parquet('{run.lake}/attendance/**/*.parquet')"
    rows = duckdb.sql(f"SELECT student_id, attendance_date::VARCHAR FROM {files} ORDER BY ALL").fetchall()
    assert rows == [(OTHER, "2026-11-20"), (OTHER, "2026-11-21")]


def test_each_task_says_what_it_did(run: Run):
    (students,) = run.outcome.xcoms["students", -1, "summary"]
    assert (students["state"], students["completeness"], students["students"]) == ("final", "complete", 1)
    assert students["counts"]["partitions"] == {"objects": 3, "rows": 3}
    assert Path(run.lake, students["receipt"]).exists()
    (days,) = run.outcome.xcoms["days", -1, "summary"]
    assert days["counts"]["partitions"] == {"objects": 1, "rows": 1}
    assert run.outcome.xcoms["pending", -1, "summary"] == []


@pytest.mark.parametrize(
    ("task_id", "says"),
    [
        ("no_list", "students_path is empty"),
        ("missing_list", "check students_path"),
        ("two_choices", "give one of them"),
        ("which_district", "needs district_id"),
    ],
)
def test_slips_fail_for_good_and_remove_nothing(run: Run, task_id: str, says: str):
    assert run.outcome.tasks[task_id, -1] == "failed"
    assert says in run.outcome.log


def test_airflow_keeps_no_id_and_no_key(run: Run):
    assert run.outcome.rendered["students", -1]["students_path"].endswith("list.txt")
    assert WANTED[:12] not in run.kept
    assert SECRET not in run.kept
