"""The sensor's own ways: what it pushes and tells, what it refuses, and that its trigger's word is read fail-closed."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException, TaskDeferred

from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.sandbox.testing import Sandbox
from airflow_provider_clever.sensors.clever import CleverAttendanceSyncSensor
from airflow_provider_clever.triggers.clever import CleverAttendanceSyncTrigger
from tests.support.waits import MODES, Instance, TaskState, meanwhile, wait, wait_for_looks

DISTRICT = "65e000000000000000000001"
SYNC = "2026-11-20T12:00:00.000000Z"


@pytest.fixture(autouse=True)
def connection(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "sandbox" in request.fixturenames:
        monkeypatch.setenv("AIRFLOW_CONN_CLEVER_DEFAULT", request.getfixturevalue("sandbox").connection_json())


def sensor(**options: Any) -> CleverAttendanceSyncSensor:
    return CleverAttendanceSyncSensor(task_id="wait", **options)


def test_a_complete_event_becomes_the_result_and_the_xcom_of_the_district() -> None:
    ti = Instance()
    event = {"status": "advanced", "district_id": DISTRICT, "last_attendance_sync": SYNC, "previous": None}
    assert sensor().execute_complete({"ti": ti}, event) == SYNC  # type: ignore[typeddict-item]  # all that it reads
    assert ti.pushed[f"last_attendance_sync_{DISTRICT}"] == SYNC
    assert ti.pushed[f"last_attendance_sync_{DISTRICT}_seen"]["sync"] == SYNC


UNREADABLE = [
    None,
    {},
    {"status": "advanced"},
    {"status": "advanced", "district_id": DISTRICT, "last_attendance_sync": None},
    {"status": "success", "district_id": DISTRICT, "last_attendance_sync": SYNC},
    {"status": "paused", "message": "paused, though the sensor waits"},
    "advanced",
]


@pytest.mark.parametrize("event", UNREADABLE, ids=repr)
def test_an_event_that_cannot_be_read_fails_for_good_and_is_not_quoted(event: Any) -> None:
    with pytest.raises(AirflowFailException, match="not readable") as refused:
        sensor().execute_complete({"ti": Instance()}, event)  # type: ignore[typeddict-item]  # all that it reads
    assert SYNC not in str(refused.value)


def test_a_failed_event_fails_for_good_with_the_triggers_words() -> None:
    with pytest.raises(AirflowFailException, match="mend the token"):
        sensor().execute_complete({}, {"status": "failed", "message": "mend the token"})


def test_a_paused_event_skips_if_told_to() -> None:
    with pytest.raises(AirflowSkipException, match="paused"):
        sensor(on_paused="skip").execute_complete({}, {"status": "paused", "message": "it is paused"})


@pytest.mark.parametrize(
    "options",
    [
        {"deferrable": True},
        {"deferrable": True, "since": ""},
        {"deferrable": False, "since": SYNC},
        {"deferrable": True, "destination": "file:///lake"},
    ],
    ids=str,
)
def test_starting_from_the_trigger_needs_an_explicit_since(options: dict[str, Any]) -> None:
    with pytest.raises(CleverSettingsError, match="start_from_trigger needs deferrable=True and an explicit since"):
        sensor(start_from_trigger=True, **options)


def test_starting_from_the_trigger_gives_it_all_that_a_deferral_would() -> None:
    options: dict[str, Any] = {
        "district_id": DISTRICT,
        "poke_interval": 7,
        "exponential_backoff": True,
        "max_wait": 70,
        "on_paused": "skip",
        "silent_fail": True,
        "timeout": 700,
    }
    first = sensor(start_from_trigger=True, deferrable=True, since=SYNC, **options).start_trigger_args
    assert first is not None
    assert first.timeout == timedelta(seconds=700)
    assert first.next_method == "execute_complete"
    path, arguments = CleverAttendanceSyncTrigger(**(first.trigger_kwargs or {})).serialize()
    assert (first.trigger_cls, first.trigger_kwargs) == (path, arguments)
    assert arguments == {
        "clever_conn_id": "clever_default",
        "district_id": DISTRICT,
        "since": SYNC,
        "poke_seconds": 7.0,
        "exponential_backoff": True,
        "max_wait_seconds": 70.0,
        "on_paused": "skip",
        "silent_fail": True,
        "logged": "",
    }


def test_an_unknown_on_paused_is_refused() -> None:
    with pytest.raises(CleverSettingsError, match="on_paused"):
        sensor(on_paused="ignore")


def test_the_baseline_is_fixed_before_deferring_and_travels_with_the_trigger(sandbox: Sandbox) -> None:
    ti = Instance(earlier={f"last_attendance_sync_{DISTRICT}": ["2026-11-20T12:00:00Z"]})
    sandbox.set_stamp("small", "2026-11-20T12:00:00Z")
    with pytest.raises(TaskDeferred) as deferral:
        sensor(district_id=DISTRICT, deferrable=True, timeout=60).execute(_context(ti))
    arguments = json.loads(json.dumps(deferral.value.trigger.serialize()[1]))
    assert arguments["since"] == SYNC
    assert arguments["logged"] == "unchanged"
    assert timedelta(seconds=50) < deferral.value.timeout <= timedelta(seconds=60)


def test_since_may_be_a_datetime(sandbox: Sandbox) -> None:
    sandbox.set_stamp("small", "2026-11-20T12:00:00Z")
    late, early = datetime(2026, 11, 20, 12, tzinfo=UTC), datetime(2026, 11, 20, 11, tzinfo=UTC)
    assert wait("deferrable", district_id=DISTRICT, since=late, timeout=0.3).state == "failed"
    assert wait("deferrable", district_id=DISTRICT, since=early).state == "success"


def test_a_district_that_is_not_named_is_the_connections(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for mode in ("client", "token"):
        monkeypatch.setenv("AIRFLOW_CONN_CLEVER_DEFAULT", sandbox.connection_json("small", mode=mode))
        ti = Instance()
        assert wait("deferrable", ti, since="2026-01-01T00:00:00Z").state == "success"
        assert f"last_attendance_sync_{DISTRICT}" in ti.pushed


@pytest.mark.parametrize("mode", MODES)
def test_the_log_has_one_line_per_change_of_condition(
    sandbox: Sandbox, mode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox.set_stamp("small", "2026-11-20T12:00:00Z")

    def course() -> None:
        wait_for_looks(sandbox, 4)
        sandbox.fault("500", family="districts", times=5)
        wait_for_looks(sandbox, 9)
        sandbox.set_stamp("small", None)
        wait_for_looks(sandbox, 4)
        sandbox.pause("small")
        wait_for_looks(sandbox, 4)
        sandbox.set_stamp("small", "2026-11-21T12:00:00Z")

    with meanwhile(course):
        assert wait(mode, district_id=DISTRICT, since="2026-11-20T12:00:00Z").state == "success"
    log = capsys.readouterr().out
    counted = {text: log.count(text) for text in LINES}
    assert counted == LINES


LINES = {
    "has not synced attendance since 2026-11-20T12:00:00.000000Z.": 2,  # before and after the trouble
    "answered 500": 1,
    "names no attendance sync any more": 2,  # running, then paused
    "uploads are paused at Clever": 1,
    "synced attendance at 2026-11-21T12:00:00.000000Z": 1,
}


@pytest.mark.parametrize("mode", MODES)
def test_no_secret_reaches_arguments_events_xcoms_or_the_log(
    sandbox: Sandbox, mode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ti, store = Instance(), TaskState()
    small = sandbox.district("small")

    def course() -> None:
        wait_for_looks(sandbox, 3)
        sandbox.rotate_token("small")
        wait_for_looks(sandbox, 4)
        sandbox.sync("small")

    with meanwhile(course):
        assert wait(mode, ti, store=store, district_id=DISTRICT, since=small.last_attendance_sync).state == "success"
    told = capsys.readouterr().out + json.dumps([ti.pushed, store])
    for secret in (sandbox.client_secret, small.token, sandbox.district("small").token):
        assert secret not in told


def _context(ti: Instance) -> Any:
    return {"ti": ti, "task_state_store": TaskState(), "task_reschedule_count": 0}
