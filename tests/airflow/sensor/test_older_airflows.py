"""Waits where Airflow has no task state store and does not start tasks from their trigger, as 3.1 and 3.2."""

from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_clever.compat import AirflowRescheduleException
from airflow_provider_clever.sandbox.testing import Sandbox
from airflow_provider_clever.sensors.clever import CleverAttendanceSyncSensor
from tests.support.waits import Instance, looks_at, resumed

NOON, LATER = "2026-11-20T12:00:00Z", "2026-11-21T12:00:00.000000Z"


@pytest.fixture(autouse=True)
def connection(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CLEVER_DEFAULT", sandbox.connection_json())


def context(ti: Instance, reschedules: int = 0) -> Any:
    return {"ti": ti, "task_reschedule_count": reschedules}


def sensor(**options: Any) -> CleverAttendanceSyncSensor:
    return CleverAttendanceSyncSensor(task_id="wait", poke_interval=0.05, timeout=120.0, **options)


def test_a_rescheduled_wait_finds_its_baseline_again_with_each_look(sandbox: Sandbox) -> None:
    sandbox.set_stamp("small", NOON)
    district_id, ti = sandbox.district("small").id, Instance()
    ti.earlier[f"last_attendance_sync_{district_id}"] = [NOON]
    for reschedules in range(3):
        with pytest.raises(AirflowRescheduleException):
            sensor(mode="reschedule", district_id=district_id).execute(context(ti, reschedules))
        ti.first_reschedule = ti.first_reschedule or datetime.now(UTC)
        ti.pushed.clear()  # as Airflow does when the task starts again
    sandbox.set_stamp("small", LATER)
    done = sensor(mode="reschedule", district_id=district_id).execute(context(ti, 3))
    assert getattr(done, "xcom_value", done) == LATER


def test_a_wait_that_was_to_start_from_its_trigger_looks_once_and_defers(sandbox: Sandbox) -> None:
    sandbox.set_stamp("small", NOON)
    options = {"district_id": sandbox.district("small").id, "since": NOON, "deferrable": True}
    before, ti = looks_at(sandbox), Instance()
    with pytest.raises(TaskDeferred) as deferral:
        sensor(start_from_trigger=True, **options).execute(context(ti))
    assert looks_at(sandbox) == before + 1
    sandbox.set_stamp("small", LATER)
    method, arguments = resumed(deferral.value)
    again = sensor(start_from_trigger=True, **options)
    assert again.resume_execution(method, arguments, context(ti)) == LATER
