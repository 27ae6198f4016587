"""Two districts in one mapped sensor, over runs with and without logical dates: the story, for any database."""

from __future__ import annotations

from textwrap import dedent
from typing import Final

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.support.airflow import NOW, AirflowHome

_DAG: Final = dedent(
    """
    from airflow.sdk import DAG
    from airflow_provider_clever.sensors.clever import CleverAttendanceSyncSensor

    with DAG("mapped", schedule=None):
        CleverAttendanceSyncSensor.partial(
            task_id="wait", poke_interval=0.2, timeout=1, soft_fail=True
        ).expand(district_id={districts})
    """
)


def each_district_waits_on_its_own_baseline(home: AirflowHome, sandbox: Sandbox) -> None:
    """Run the mapped sensor three times; one district syncs before the second run, the other before the third."""
    one, other = sandbox.district("small").id, sandbox.district("paused").id
    sandbox.set_stamp("small", "2026-11-18T12:00:00Z")
    sandbox.set_stamp("paused", "2026-11-19T12:00:00Z")

    def states(districts: list[str], logical_date: str | None) -> dict[str, str]:
        outcome = home.run_dag(
            _DAG.format(districts=districts),
            connections={"clever_default": sandbox.connection_json()},
            logical_date=logical_date,
        )
        names = [outcome.names["wait", index] for index in range(len(districts))]
        assert names == [f"district {district}" for district in districts]
        return {district: outcome.tasks["wait", index] for index, district in enumerate(districts)}

    # Any sync at all is enough for the first run.
    assert states([one, other], None) == {one: "success", other: "success"}
    sandbox.set_stamp("small", "2026-11-20T12:00:00Z")
    assert states([one, other], NOW) == {one: "success", other: "skipped"}
    sandbox.set_stamp("paused", "2026-11-20T11:00:00Z")
    # They have changed places: positions mean nothing, and neither does the later value of the other one.
    assert states([other, one], None) == {one: "skipped", other: "success"}
