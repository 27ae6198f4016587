"""One sensor in each of its three modes: Airflow's part of a wait, played in this process, and what became of it."""

from __future__ import annotations

import asyncio
import importlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.sdk.execution_time.timeout import timeout as execution_timeout

from airflow_provider_clever.compat import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
)
from airflow_provider_clever.sandbox.testing import Sandbox
from airflow_provider_clever.sensors.clever import CleverAttendanceSyncSensor

MODES: Final = ("poke", "reschedule", "deferrable")
POKE_SECONDS: Final = 0.05


class TaskState(dict[str, Any]):
    """The task state store of one task instance."""

    def set(self, key: str, value: Any) -> None:
        """Store a value as JSON, as Airflow does."""
        self[key] = json.loads(json.dumps(value))


@dataclass
class Instance:
    """A task instance, as far as a sensor speaks to it: XComs of this and of earlier runs.

    :param earlier: values that earlier runs pushed, by key.
    """

    task_id: str = "wait"
    earlier: dict[str, list[Any]] = field(default_factory=dict)
    pushed: dict[str, Any] = field(default_factory=dict)
    first_reschedule: datetime | None = None

    def xcom_push(self, key: str, value: Any) -> None:
        """Push a value as JSON."""
        self.pushed[key] = json.loads(json.dumps(value))

    def xcom_pull(self, *, task_ids: str, key: str, include_prior_dates: bool) -> Any:
        """Pull without map indexes: a list once there are two, the value if there is one, None if there is none."""
        assert task_ids == self.task_id
        assert include_prior_dates
        found = self.earlier.get(key, []) + ([self.pushed[key]] if key in self.pushed else [])
        return found if len(found) > 1 else next(iter(found), None)

    def get_first_reschedule_date(self, context: Any) -> datetime | None:
        """Give when this wait was first rescheduled."""
        return self.first_reschedule


@dataclass
class AfterAPlan(Instance):
    """A task instance of a run whose tasks have left XComs, by task and key."""

    left: dict[tuple[str, str], Any] = field(default_factory=dict)
    dag_id: str = "a_dag"
    run_id: str = "a_run"
    map_index: int = -1
    try_number: int = 1

    def xcom_pull(self, *, task_ids: str, key: str = "return_value", include_prior_dates: bool = False) -> Any:
        """Pull what a task has left, or None."""
        return self.left.get((task_ids, key))


@dataclass
class Outcome:
    """What became of a task.

    :param state: ``success``, ``skipped``, ``failed`` (for good) or ``up_for_retry``.
    """

    state: str
    value: Any = None
    message: str = ""


def wait(mode: str, instance: Instance | None = None, *, store: TaskState | None = None, **options: Any) -> Outcome:
    """Run one sensor to its end in one mode."""
    instance = instance or Instance()
    store = TaskState() if store is None else store
    options = {"task_id": "wait", "poke_interval": POKE_SECONDS, "timeout": 120.0} | options
    try:
        return Outcome("success", _MODES[mode](options, instance, store))
    except AirflowSkipException as end:
        return Outcome("skipped", message=str(end))
    except (AirflowFailException, AirflowSensorTimeout) as end:
        return Outcome("failed", message=str(end))
    except (AirflowTaskTimeout, Exception) as end:  # noqa: BLE001 - as Airflow's task runner: all else may be tried again
        return Outcome("up_for_retry", message=f"{type(end).__name__}: {end}")


def _run(act: Callable[[], Any], options: dict[str, Any]) -> Any:
    limit = options.get("execution_timeout")
    if limit is None:
        return act()
    with execution_timeout(limit.total_seconds()):  # type: ignore[no-untyped-call]  # Airflow leaves it untyped
        return act()


def _context(instance: Instance, store: TaskState, reschedules: int = 0) -> Any:
    return {"ti": instance, "task_state_store": store, "task_reschedule_count": reschedules}


def _poke(options: dict[str, Any], instance: Instance, store: TaskState) -> Any:
    sensor = CleverAttendanceSyncSensor(mode="poke", **options)
    return _run(lambda: sensor.execute(_context(instance, store)), options)


def _reschedule(options: dict[str, Any], instance: Instance, store: TaskState) -> Any:
    reschedules = 0
    while True:
        sensor = CleverAttendanceSyncSensor(mode="reschedule", **options)
        start = datetime.now(UTC)
        try:
            return _run(lambda: sensor.execute(_context(instance, store, reschedules)), options)  # noqa: B023 - called at once
        except AirflowRescheduleException as again:
            instance.first_reschedule = instance.first_reschedule or start
            instance.pushed.clear()
            reschedules += 1
            time.sleep(max(0.0, (again.reschedule_date - datetime.now(UTC)).total_seconds()))


def _deferrable(options: dict[str, Any], instance: Instance, store: TaskState) -> Any:
    sensor = CleverAttendanceSyncSensor(deferrable=True, **options)
    try:
        return _run(lambda: sensor.execute(_context(instance, store)), options)
    except TaskDeferred as deferral:
        resume = resumed(deferral)
    twin = CleverAttendanceSyncSensor(deferrable=True, **options)
    return _run(lambda: twin.resume_execution(*resume, _context(instance, store)), options)


def resumed(deferral: TaskDeferred) -> tuple[str, dict[str, Any]]:
    """Run a deferred task's trigger, rebuilt from JSON, and give what the task is resumed with."""
    path, arguments = deferral.trigger.serialize()
    module, _, name = path.rpartition(".")
    trigger = getattr(importlib.import_module(module), name)(**json.loads(json.dumps(arguments)))
    trigger.trigger_id = 1
    limit = deferral.timeout.total_seconds() if deferral.timeout else None

    async def first_event() -> Any:
        return await asyncio.wait_for(anext(trigger.run()), limit)

    try:
        event = asyncio.run(first_event())
    except TimeoutError:
        return "__fail__", {"error": "Trigger timeout"}
    except Exception as error:  # noqa: BLE001 - as the triggerer: whatever a trigger raises fails the task
        return "__fail__", {"error": "Trigger failure", "traceback": [repr(error)]}
    return deferral.method_name, {"event": json.loads(json.dumps(event.payload))}


_MODES: Final[dict[str, Callable[[dict[str, Any], Instance, TaskState], Any]]] = {
    "poke": _poke,
    "reschedule": _reschedule,
    "deferrable": _deferrable,
}


@contextmanager
def meanwhile(act: Callable[[], None]) -> Iterator[None]:
    """Run something beside the block, and let its failure be the test's."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            act()
        except BaseException as failure:  # noqa: BLE001 - raised again by the thread that waits
            failures.append(failure)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield
    thread.join(180)
    assert not thread.is_alive()
    if failures:
        raise failures[0]


def wait_for_looks(sandbox: Sandbox, looks: int = 2, seconds: float = 120.0) -> None:
    """Wait until so many more looks have come in; the last of them was sent after this call."""
    start = looks_at(sandbox)
    deadline = time.monotonic() + seconds
    seen = start
    while seen < start + looks:
        assert time.monotonic() < deadline, "the wait does not look"
        time.sleep(0.02)
        with suppress(ConnectionError):  # a sandbox that refuses connections refuses ours too
            seen = looks_at(sandbox)


def looks_at(sandbox: Sandbox) -> int:
    """Count the requests for a district so far."""
    return int(sandbox.counters()["by_family"].get("districts", 0))
