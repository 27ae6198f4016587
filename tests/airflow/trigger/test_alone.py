"""The watcher's trigger where Airflow has neither shared streams nor a state store of assets, as 3.1 and 3.2."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.sandbox.testing import Sandbox
from airflow_provider_clever.triggers.clever import CleverAttendanceSyncEventTrigger
from airflow_provider_clever.triggers.cursors import cursors_of
from airflow_provider_clever.triggers.polling import share_of
from tests.support.timing import STRICT
from tests.support.waits import looks_at

POLL_SECONDS = 0.2
NOON, LATER = "2026-11-20T12:00:00Z", "2026-11-21T12:00:00Z"


@pytest.fixture(autouse=True)
def connection(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CLEVER_DEFAULT", sandbox.connection_json())


async def until(check: Callable[[], Any], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(check):  # noqa: ASYNC110 - what is waited for happens elsewhere
            await asyncio.sleep(0.02)


async def follow(trigger: CleverAttendanceSyncEventTrigger, events: list[Any]) -> None:
    async for event in trigger.run():
        events.append(event.payload)  # noqa: PERF401 - they come one by one


async def stop(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_a_trigger_alone_tells_each_advance_and_begins_anew_with_each_start(sandbox: Sandbox) -> None:
    sandbox.set_stamp("small", NOON)
    district_id = sandbox.district("small").id

    async def story() -> None:
        for stamp in (LATER, "2026-11-22T12:00:00Z"):
            events: list[Any] = []
            trigger = CleverAttendanceSyncEventTrigger(district_id=district_id, poll_seconds=POLL_SECONDS)
            looked = await asyncio.to_thread(looks_at, sandbox)
            task = asyncio.create_task(follow(trigger, events))
            await until(lambda: looks_at(sandbox) >= looked + 2)  # noqa: B023 - it has ended before the next turn
            assert events == []
            await asyncio.to_thread(sandbox.set_stamp, "small", stamp)
            await until(lambda: events)  # noqa: B023 - as above
            assert events[0]["district_id"] == district_id
            await stop(task)

    asyncio.run(story())


@pytest.mark.timing
def test_120_triggers_that_know_nothing_of_one_another_look_spread_over_the_interval(sandbox: Sandbox) -> None:
    """In lockstep all 120 looks fell into one tenth of the interval; a busy machine makes some of them late."""
    interval, wanted = 10.0, 120
    sandbox.reset(extra_districts=wanted)
    districts = [facts["id"] for facts in sandbox.overview()["districts"]][-wanted:]

    async def story() -> None:
        triggers = [CleverAttendanceSyncEventTrigger(district_id=one, poll_seconds=interval) for one in districts]
        tasks = [asyncio.create_task(follow(trigger, [])) for trigger in triggers]
        await until(lambda: looks_at(sandbox) >= 2 * wanted, 120)
        await stop(*tasks)

    asyncio.run(story())
    looks = [entry["received"] for entry in sandbox.requests() if entry["family"] == "districts"]
    for round_of_looks in (looks[:wanted], looks[wanted:]):
        tenths = Counter(int(at % interval / interval * 10) for at in round_of_looks)
        assert max(tenths.values()) <= (wanted / 3 if STRICT else wanted * 2 / 3), sorted(tenths.items())


@pytest.mark.parametrize("share", ["districts of one import", "others"])
def test_the_ids_of_districts_pick_parts_of_the_interval_evenly(share: str) -> None:
    ids = [f"65e0000000000000{number:08x}" if share == "others" else f"d{number}" for number in range(120)]
    tenths = Counter(int(share_of(one) * 10) for one in ids)
    assert len(tenths) == 10
    assert max(tenths.values()) <= 30


class Unlisted:
    """Airflow's accessors of several assets, should the private way to list them be gone."""

    async def aget(self, key: str, default: Any = None) -> Any:
        raise ValueError("Task has 2 concrete inlets and outlets")

    async def aset(self, key: str, value: Any) -> None:
        raise ValueError("Task has 2 concrete inlets and outlets")


def test_assets_that_cannot_be_listed_cost_the_cursor_and_not_the_watch(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        (cursor,) = cursors_of(Unlisted())
        assert await cursor.load("d1") is None
        await cursor.save("d1", {"last_attendance_sync": None})

    asyncio.run(story())
    assert caplog.text.count("a restart may miss a sync") == 1


def test_without_a_state_store_there_is_no_cursor() -> None:
    assert cursors_of(None) == []


def test_a_wrong_argument_is_refused_when_the_dag_is_parsed() -> None:
    with pytest.raises(CleverSettingsError, match="district_id"):
        CleverAttendanceSyncEventTrigger(district_id="../etc")
    with pytest.raises(CleverSettingsError, match="poll_seconds"):
        CleverAttendanceSyncEventTrigger(district_id="d1", poll_seconds=0)
