"""The trigger of a deferred wait: what it carries, what it says, and that it never blocks the event loop."""

import asyncio
import inspect
import json
import sys
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_clever.sandbox.testing import Sandbox
from airflow_provider_clever.sensors.clever import CleverAttendanceSyncSensor
from airflow_provider_clever.triggers.clever import (
    CleverAttendanceSyncEventTrigger,
    CleverAttendanceSyncTrigger,
    poke_pauses,
)
from tests.support.event_loop import largest_gap
from tests.support.waits import meanwhile, wait_for_looks


@pytest.fixture(autouse=True)
def connection(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CLEVER_DEFAULT", sandbox.connection_json())


@pytest.fixture
def district_id(sandbox: Sandbox) -> str:
    return sandbox.district("small").id


def started(trigger: CleverAttendanceSyncTrigger, number: int = 0) -> CleverAttendanceSyncTrigger:
    trigger.trigger_id = number
    return trigger


async def only_event(trigger: CleverAttendanceSyncTrigger, seconds: float = 120.0) -> Any:
    async with asyncio.timeout(seconds):
        events = [event.payload async for event in started(trigger).run()]
    (event,) = events
    return event


ALL_ARGUMENTS = [
    CleverAttendanceSyncTrigger(),
    CleverAttendanceSyncTrigger(
        clever_conn_id="other",
        district_id="d1",
        since="2026-11-20T12:00:00.000000Z",
        poke_seconds=2.5,
        exponential_backoff=True,
        max_wait_seconds=9.0,
        on_paused="skip",
        silent_fail=True,
        logged="unchanged",
    ),
    CleverAttendanceSyncEventTrigger(district_id="d1"),
    CleverAttendanceSyncEventTrigger(district_id="d2", clever_conn_id="other", poll_seconds=7.5),
]


@pytest.mark.parametrize("trigger", ALL_ARGUMENTS, ids=lambda trigger: type(trigger).__name__)
def test_a_trigger_survives_a_restart(trigger: Any) -> None:
    path, arguments = trigger.serialize()
    assert path == f"{type(trigger).__module__}.{type(trigger).__qualname__}"
    assert set(arguments) == set(inspect.signature(type(trigger)).parameters)
    assert type(trigger)(**json.loads(json.dumps(arguments))).serialize() == (path, arguments)


@given(
    poke_seconds=st.integers(1, 7200),
    backs_off=st.booleans(),
    longest=st.none() | st.integers(1, 3600),
)
@settings(deadline=None)
def test_the_pauses_follow_the_rule_of_airflows_own_sensors(
    poke_seconds: int, backs_off: bool, longest: int | None
) -> None:
    sensor = CleverAttendanceSyncSensor(
        task_id="wait", poke_interval=poke_seconds, exponential_backoff=backs_off, max_wait=longest, timeout=10**9
    )
    ours = poke_pauses(poke_seconds, exponential_backoff=backs_off, max_wait_seconds=longest, seed="1")
    for look, pause in enumerate(islice(ours, 12), start=1):
        theirs = sensor._get_next_poke_interval(0.0, lambda: 0.0, look)
        if not backs_off:
            assert pause == theirs == poke_seconds
            continue
        least = max(int(poke_seconds * 2 ** (look - 2)), 1)
        for seconds in (pause, theirs):
            assert min(least, longest or least) <= seconds < 2 * least


def test_pauses_double_for_ever_without_an_error() -> None:
    pauses = poke_pauses(60, exponential_backoff=True, max_wait_seconds=None, seed="1")
    assert all(pause > 0 for pause in islice(pauses, 2000))


def test_an_unreadable_baseline_ends_the_wait_with_a_clear_event(district_id: str) -> None:
    event = asyncio.run(only_event(CleverAttendanceSyncTrigger(district_id=district_id, since="yesterday")))
    assert event["status"] == "failed"
    assert "ISO-8601" in event["message"]


def test_an_unknown_district_ends_the_wait_with_a_clear_event() -> None:
    event = asyncio.run(only_event(CleverAttendanceSyncTrigger(district_id="65e0000000000000000000ff")))
    assert event["status"] == "failed"
    assert "not connected" in event["message"]


def test_a_rotated_token_is_looked_up_again_by_its_district(sandbox: Sandbox, district_id: str) -> None:
    since = sandbox.district("small").last_attendance_sync

    def rotate_then_sync() -> None:
        wait_for_looks(sandbox)
        sandbox.rotate_token("small")
        wait_for_looks(sandbox, 3)
        sandbox.sync("small")

    with meanwhile(rotate_then_sync):
        trigger = CleverAttendanceSyncTrigger(district_id=district_id, since=since, poke_seconds=0.05)
        event = asyncio.run(only_event(trigger))
    assert event["status"] == "advanced"
    listings = [request for request in sandbox.requests() if request["family"] == "oauth"]
    assert len(listings) == 2
    assert all(f"district={district_id}" in request["query"] for request in listings)


def test_a_spent_budget_is_waited_for(sandbox: Sandbox, district_id: str) -> None:
    since = sandbox.district("small").last_attendance_sync
    sandbox.knobs(rate_limit=3, window_seconds=2.0)

    def sync_soon() -> None:
        wait_for_looks(sandbox, 3)
        sandbox.sync("small")

    with meanwhile(sync_soon):
        trigger = CleverAttendanceSyncTrigger(district_id=district_id, since=since, poke_seconds=0.05)
        event = asyncio.run(only_event(trigger))
    assert event["status"] == "advanced"
    looks = [request for request in sandbox.requests() if request["family"] == "districts"]
    refused = [request for request in looks if request["status"] == 429]
    # A look that was refused waits for the window to end; it does not poke on.
    assert len(refused) <= len(looks) / 3 + 1


def test_an_outage_of_many_looks_is_one_line_in_the_log(
    sandbox: Sandbox, district_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    since = sandbox.district("small").last_attendance_sync

    def outage_then_sync() -> None:
        wait_for_looks(sandbox)
        sandbox.fault("500", family="districts", times=10)
        wait_for_looks(sandbox, 14)
        sandbox.sync("small")

    with meanwhile(outage_then_sync):
        trigger = CleverAttendanceSyncTrigger(district_id=district_id, since=since, poke_seconds=0.05)
        assert asyncio.run(only_event(trigger))["status"] == "advanced"
    log = capsys.readouterr().out
    assert log.count("answered 500") == 1
    assert log.count("has not synced attendance since") == 2
    assert log.count("synced attendance at") == 1


async def gaps_beside(triggers: list[CleverAttendanceSyncTrigger], seconds: float) -> list[float]:
    async def follow(trigger: CleverAttendanceSyncTrigger) -> None:
        async for _ in trigger.run():
            return

    await follow(started(CleverAttendanceSyncTrigger(district_id=triggers[0].district_id)))  # the one-time import
    async with largest_gap() as gaps:
        tasks = [asyncio.create_task(follow(started(trigger, number))) for number, trigger in enumerate(triggers)]
        await asyncio.sleep(seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return gaps


def test_no_wait_keeps_the_event_loop_from_another(sandbox: Sandbox, district_id: str) -> None:
    """Each of them has a request on its way before any is answered, so none holds the loop until its answer comes."""
    since = sandbox.district("small").last_attendance_sync
    count = 60

    async def follow(number: int) -> None:
        trigger = CleverAttendanceSyncTrigger(district_id=district_id, since=since, poke_seconds=0.5)
        async for _ in started(trigger, number).run():
            return

    async def story() -> None:
        await asyncio.to_thread(sandbox.knobs, hold_answers=True)
        waits = [asyncio.create_task(follow(number)) for number in range(count)]
        await asyncio.to_thread(sandbox.wait_for_in_flight, count)
        await asyncio.to_thread(sandbox.sync)
        await asyncio.to_thread(sandbox.knobs, hold_answers=False)
        await asyncio.gather(*waits)

    asyncio.run(story())
    assert sandbox.counters()["max_in_flight"] >= count


@pytest.mark.timing(only=True)
@pytest.mark.parametrize(("count", "limit_seconds"), [(1, 0.05), (500, 0.1)])
def test_the_event_loop_stays_free_while_clever_takes_two_seconds(
    sandbox: Sandbox, district_id: str, count: int, limit_seconds: float, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox.knobs(latency_ms=2000)
    since = sandbox.district("small").last_attendance_sync
    triggers = [
        CleverAttendanceSyncTrigger(district_id=district_id, since=since, poke_seconds=5.0) for _ in range(count)
    ]
    gaps = sorted(asyncio.run(gaps_beside(triggers, 10.0)))
    with capsys.disabled():
        sys.stdout.write(f" [{count} triggers: largest gaps {[round(gap * 1000) for gap in gaps[-3:]]} ms] ")
    assert sandbox.counters()["by_family"]["districts"] > count
    assert gaps[-1] < limit_seconds
