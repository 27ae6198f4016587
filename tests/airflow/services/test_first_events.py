"""What Airflow makes of an asset's first event under an alias that comes with another task's, and what to do then."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from airflow_provider_clever.assets import ranges_from_text
from airflow_provider_clever.dates import days_of
from airflow_provider_clever.sandbox.testing import Sandbox
from tests.support.airflow import AirflowStack
from tests.support.features import HAS_ASSET_PARTITIONS

DAG = """
from airflow.sdk import DAG
from airflow_provider_clever.assets import landed_asset
from airflow_provider_clever.operators.clever import CleverAttendanceOperator

with DAG("raced", schedule=None):
    CleverAttendanceOperator(
        task_id="pull",
        retries=2,
        district_id={district_id!r},
        # Airflow knows the asset, and the operator does not: otherwise events of days come first, and lock SQLite.
        inlets=[landed_asset({lake!r}, {district_id!r})],
        destination="{{{{ dag_run.conf['lake'] }}}}",
        **{dates!r},
    )
"""
# Run by the stack's sitecustomize, in the API server, too.
ANOTHER_TASK = """
from sqlalchemy import event, inspect, text
from sqlalchemy.orm import Session

@event.listens_for(Session, "before_flush")
def is_first(session, *_):
    # Airflow has looked, and is about to write. Just now another connection writes the same, as another task's would.
    for asset in [one for one in session.dirty if type(one).__name__ == "AssetModel" and "of-a-race" in one.name]:
        with session.get_bind().engine.begin() as other:
            for alias in inspect(asset).attrs.aliases.history.added:
                row = {"alias_id": alias.id, "asset_id": asset.id}
                other.execute(text("INSERT INTO asset_alias_asset VALUES (:alias_id, :asset_id)"), row)
"""


@pytest.mark.skipif(not HAS_ASSET_PARTITIONS, reason="stated of Airflow 3.3")
def test_airflow_fails_a_task_whose_first_event_comes_with_anothers_and_clearing_it_announces_its_days(
    sandbox: Sandbox, stack: AirflowStack, tmp_path: Path
) -> None:
    """If the first run succeeds, Airflow has fixed this: drop *First events* from docs/reference/assets.md."""
    sandbox.reset(today=str(datetime.now(UTC).date()), districts=["small"])
    last = date.fromisoformat(sandbox.today)
    dates = {"date_range_start": str(last.replace(day=1)), "date_range_end": str(last)}
    lake, district_id = (tmp_path / "of-a-race").as_uri(), sandbox.district("small").id
    source = DAG.format(lake=lake, district_id=district_id, dates=dates)
    (stack.home.dags / "raced.py").write_text(source)

    stack.wait_for_dag("raced")
    run_id = stack.trigger("raced", conf={"lake": lake})
    assert stack.wait_for_run("raced", run_id) == "failed"
    (task,) = stack.api("GET", f"dags/raced/dagRuns/{run_id}/taskInstances")["task_instances"]
    assert task["try_number"] < task["max_tries"] + 1, "there is no further try"
    assert stack.xcom("raced", run_id, "pull", "summary")["written"], "it had done its work"
    assert "UNIQUE constraint failed: asset_alias_asset" in stack.output("api-server")
    assert stack.api("GET", "assets/events", source_dag_id="raced")["total_entries"] == 0

    stack.api("POST", f"dags/raced/dagRuns/{run_id}/clear", json={"dry_run": False})
    assert stack.wait_for_run("raced", run_id, ("success",)) == "success"
    (event,) = stack.api("GET", "assets/events", source_dag_id="raced")["asset_events"]

    due = {row["attendance_date"] for row in sandbox.expected("small", **dates)}
    assert {str(day) for day in days_of(ranges_from_text(event["extra"]["changed_days"]))} == due
