"""The two examples that wait for a sync, run by Airflow against the sandbox."""

from datetime import UTC, datetime
from pathlib import Path

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.demo import lake_beside_due, rows_that_differ
from tests.examples import fifteen_days
from tests.support.airflow import AirflowHome

EXAMPLES = Path(__file__).parents[2] / "example_dags"


def test_the_waiting_example_waits_and_then_lands_the_runs_window(
    airflow_home: AirflowHome, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.reset(today=str(datetime.now(UTC).date()))
    run = {
        "connections": {"clever_default": sandbox.connection_json("small")},
        "logical_date": None,
        "env": {"AIRFLOW_VAR_CLEVER_DESTINATION": (tmp_path / "lake").as_uri()},
    }

    outcome = airflow_home.run_dag(EXAMPLES / "clever_wait_then_land.py", **run)

    assert outcome.tasks == {("wait_for_sync", -1): "success", ("land_attendance", -1): "success"}
    small = sandbox.district("small")
    pushed = outcome.xcom("wait_for_sync", f"last_attendance_sync_{small.id}")
    assert pushed == outcome.xcom("wait_for_sync")
    assert pushed[:19] == (small.last_attendance_sync or "")[:19]
    due = sandbox.expected("small", **fifteen_days(outcome.xcom("land_attendance", "summary")))
    assert due
    assert rows_that_differ(lake_beside_due(tmp_path / "lake", due, tmp_path / "due.jsonl")) == 0


def test_the_waiting_example_skips_a_district_that_is_paused(
    airflow_home: AirflowHome, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.set_stamp("small", None)
    sandbox.pause("small")

    outcome = airflow_home.run_dag(
        EXAMPLES / "clever_wait_then_land.py",
        connections={"clever_default": sandbox.connection_json("small")},
        env={"AIRFLOW_VAR_CLEVER_DESTINATION": (tmp_path / "lake").as_uri()},
    )

    assert outcome.tasks == {("wait_for_sync", -1): "skipped", ("land_attendance", -1): "skipped"}
    assert "paused at Clever" in outcome.log


def test_the_example_that_an_event_starts_lands_what_is_due(
    airflow_home: AirflowHome, sandbox: Sandbox, tmp_path: Path
) -> None:
    # That events start such DAGs is shown with scheduler and triggerer: tests/e2e/test_syncs.py.
    sandbox.reset(today=str(datetime.now(UTC).date()))

    outcome = airflow_home.run_dag(
        EXAMPLES / "clever_on_sync_event.py",
        connections={"clever_default": sandbox.connection_json()},
        logical_date=None,
        env={"AIRFLOW_VAR_CLEVER_DESTINATION": (tmp_path / "lake").as_uri()},
    )

    assert outcome.tasks == {("land_attendance", -1): "success"}
    due = sandbox.expected("small", **fifteen_days(outcome.xcom("land_attendance", "summary")))
    assert due
    assert rows_that_differ(lake_beside_due(tmp_path / "lake", due, tmp_path / "due.jsonl")) == 0
