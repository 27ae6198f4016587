"""Each example, run by Airflow against the sandbox."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.demo import lake_beside_due, rows_that_differ
from tests.examples import fifteen_days
from tests.support.airflow import AirflowHome, DagOutcome

EXAMPLES = Path(__file__).parents[2] / "example_dags"


def announced_by(outcome: DagOutcome) -> list[str]:
    """The tasks that emitted an event. Two first ones at the same moment are more than Airflow bears."""
    return [task_id for _, task_id, *_ in outcome.events]


# All examples are run as `airflow dags trigger` does: without a logical date.


def test_the_nightly_example_lands_every_row_of_the_last_fifteen_days(
    airflow_home: AirflowHome, sandbox: Sandbox, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    sandbox.reset(today=str(datetime.now(UTC).date()))

    outcome = airflow_home.run_dag(
        EXAMPLES / "clever_attendance_nightly.py",
        connections={"clever_default": sandbox.connection_json("small")},
        logical_date=None,
        env={"AIRFLOW_VAR_CLEVER_DESTINATION": lake.as_uri()},
    )

    assert outcome.state == "success", outcome.log[-3000:]
    assert announced_by(outcome) == ["announce"]
    assert "the moment for which the run was made; it has no logical date" in outcome.log
    assert "This task pulls its own days alone" in outcome.log
    due = sandbox.expected("small", **fifteen_days(outcome.xcom("land_attendance", "summary", 0)))
    assert due
    assert rows_that_differ(lake_beside_due(lake, due, tmp_path / "due.jsonl")) == 0


def test_a_night_of_the_nightly_example_is_red_if_a_school_failed_and_says_what_landed_of_the_others(
    airflow_home: AirflowHome, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.reset(today=str(datetime.now(UTC).date()))
    sandbox.fault("404", family="attendance", school_id=sandbox.district("small").schools["Birch Middle"], times=0)

    outcome = airflow_home.run_dag(
        EXAMPLES / "clever_attendance_nightly.py",
        connections={"clever_default": sandbox.connection_json("small")},
        logical_date=None,
        env={"AIRFLOW_VAR_CLEVER_DESTINATION": (tmp_path / "lake").as_uri()},
    )

    assert outcome.tasks == {
        ("list_schools", -1): "success",
        ("land_attendance", 0): "failed",
        ("announce", -1): "success",
    }
    assert outcome.state == "failed"
    assert announced_by(outcome) == ["announce"]


def test_the_xcom_example_counts_the_absent_students_of_one_school(airflow_home: AirflowHome, sandbox: Sandbox) -> None:
    school_id = sandbox.district("small").schools["Alder Elementary"]
    last = date.fromisoformat(sandbox.today)
    dates = {"date_range_start": str(last - timedelta(days=30)), "date_range_end": str(last)}

    outcome = airflow_home.run_dag(
        EXAMPLES / "clever_absences_in_xcom.py",
        connections={"clever_default": sandbox.connection_json("small")},
        run_conf={"school_id": school_id, **dates},
        logical_date=None,
    )

    due = sandbox.expected("small", school_id=school_id, attendance_status="absent", **dates)
    student_days = {(row["attendance_date"], row["student_id"]) for row in due}
    assert due
    assert outcome.xcom("count_absent_students") == Counter(day for day, _ in student_days)


def test_the_date_range_example_lands_the_days_of_the_form_and_no_others(
    airflow_home: AirflowHome, sandbox: Sandbox, tmp_path: Path
) -> None:
    lake, last = tmp_path / "lake", date.fromisoformat(sandbox.today) - timedelta(days=3)
    dates = {"date_range_start": str(last - timedelta(days=20)), "date_range_end": str(last)}

    outcome = airflow_home.run_dag(
        EXAMPLES / "clever_date_range.py",
        connections={"clever_default": sandbox.connection_json("small")},
        run_conf={"district_id": sandbox.district("small").id, **dates},
        logical_date=None,
        env={"AIRFLOW_VAR_CLEVER_DESTINATION": lake.as_uri()},
    )

    assert outcome.state == "success", outcome.log[-3000:]
    assert announced_by(outcome) == ["announce"]
    due = sandbox.expected("small", **dates)
    assert due
    assert rows_that_differ(lake_beside_due(lake, due, tmp_path / "due.jsonl")) == 0
