"""The sensor mapped over districts, in real Airflow, over runs with and without logical dates."""

from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.support.airflow import NOW, AirflowHome
from tests.support.postgres import find_programs, running_postgres
from tests.support.sandbox import Sandbox

DAG_OF_TWO = dedent(
    """
    from airflow.sdk import DAG
    from airflow_provider_clever.sensors.clever import CleverAttendanceSyncSensor

    with DAG("mapped", schedule=None):
        CleverAttendanceSyncSensor.partial(
            task_id="wait", mode="{mode}", poke_interval=0.2, timeout=1, soft_fail=True
        ).expand(district_id={districts})
    """
)


@pytest.fixture(params=["sqlite", "postgres"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AirflowHome]:
    if request.param == "sqlite":
        migrated: AirflowHome = request.getfixturevalue("migrated_home")
        yield migrated.copy(tmp_path / "airflow-home")
        return
    if find_programs() is None:
        pytest.skip("PostgreSQL is not installed; on Debian and Ubuntu: apt-get install postgresql")
    with running_postgres() as server:
        yield AirflowHome.create(tmp_path / "airflow-home", server.create_database("airflow"))


def test_each_district_waits_on_its_own_baseline_over_several_runs(home: AirflowHome, sandbox: Sandbox) -> None:
    one, other = sandbox.district("small"), sandbox.district("paused")
    sandbox.set_stamp("small", "2026-11-18T12:00:00Z")
    sandbox.set_stamp("paused", "2026-11-19T12:00:00Z")

    def states(districts: list[str], logical_date: str | None) -> dict[str, str]:
        outcome = home.run_dag(
            DAG_OF_TWO.format(districts=districts, mode="poke"),
            connections={"clever_default": sandbox.connection_json()},
            logical_date=logical_date,
        )
        return {district: outcome.tasks["wait", index] for index, district in enumerate(districts)}

    both = {one.id: "success", other.id: "success"}
    assert states([one.id, other.id], None) == both, "any sync at all is enough for the first run"
    sandbox.set_stamp("small", "2026-11-20T12:00:00Z")
    assert states([one.id, other.id], NOW) == both | {other.id: "skipped"}
    sandbox.set_stamp("paused", "2026-11-20T11:00:00Z")
    # The order in which they are mapped has changed: positions mean nothing, and neither does the other's later value.
    assert states([other.id, one.id], None) == both | {one.id: "skipped"}
    assert states([one.id, other.id], None) == {one.id: "skipped", other.id: "skipped"}
