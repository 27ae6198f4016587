"""The watcher's trigger under Airflow's own shared streams: one event per advance, and no cursor before its event."""

import asyncio
import itertools
import json
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_clever.cli.main import main
from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.lake.forgotten import forgotten_path
from airflow_provider_clever.sandbox.testing import Sandbox
from airflow_provider_clever.syncs import sync_moment
from airflow_provider_clever.triggers.clever import CleverAttendanceSyncEventTrigger
from tests.support.asking import ask
from tests.support.event_loop import largest_gap
from tests.support.timing import STRICT
from tests.support.waits import looks_at
from tests.unit.test_syncs import NOON, SEQUENCES

shared_stream = pytest.importorskip("airflow.triggers.shared_stream", reason="from Airflow 3.3 on")

POLL_SECONDS = 0.2


@dataclass
class Store:
    """The asset state store of one asset. It outlives the triggerer."""

    values: dict[str, Any] = field(default_factory=dict)
    failures: int = 0

    async def aget(self, key: str, default: Any = None) -> Any:
        return self.values.get(key, default)

    async def aset(self, key: str, value: Any) -> None:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("database is locked")
        self.values[key] = json.loads(json.dumps(value))


class Triggerer:
    """Airflow's part: it runs triggers on shared streams and, some time after it, has stored their events.

    :param confirms: whether it gets as far as storing.
    """

    def __init__(self, *, confirms: bool = True) -> None:
        self.manager = shared_stream.SharedStreamManager()
        self.confirms = confirms
        self.events: list[dict[str, Any]] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.ids = itertools.count(1)

    def start(self, trigger: CleverAttendanceSyncEventTrigger, store: Any = None) -> asyncio.Task[None]:
        trigger.asset_state_store = store
        task = asyncio.create_task(self._run(next(self.ids), trigger))
        self.tasks.append(task)
        return task

    async def _run(self, number: int, trigger: CleverAttendanceSyncEventTrigger) -> None:
        key = trigger.shared_stream_key()
        stream = self.manager.subscribe(trigger_id=number, trigger=trigger, key=key)
        try:
            async for event in trigger.filter_shared_stream(stream):
                self.events.append(event.payload)
                seq = self.manager.bind_pending_event(trigger_id=number, key=key)
                assert seq is not None, "the event is not bound to its change"
                if self.confirms:
                    asyncio.get_running_loop().call_later(0.05, self.manager.confirm_persisted, [seq])
        finally:
            await self.manager.unsubscribe(number, key)

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        for result in await asyncio.gather(*self.tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
        await self.manager.stop_all()


async def until(check: Callable[[], Any], seconds: float = 120.0) -> None:
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(check):  # noqa: ASYNC110 - what is waited for happens elsewhere
            await asyncio.sleep(0.02)


async def look_again(sandbox: Sandbox, looks: int = 2) -> None:
    start = await asyncio.to_thread(looks_at, sandbox)
    await until(lambda: looks_at(sandbox) >= start + looks)


@pytest.fixture(autouse=True)
def connection(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CLEVER_DEFAULT", sandbox.connection_json())


@pytest.fixture
def district_id(sandbox: Sandbox) -> str:
    return sandbox.district("small").id


def watcher(district_id: str, **options: Any) -> CleverAttendanceSyncEventTrigger:
    return CleverAttendanceSyncEventTrigger(district_id=district_id, **{"poll_seconds": POLL_SECONDS} | options)


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(200):
            await story()

    asyncio.run(bounded())


@pytest.mark.parametrize(("since", "stamps", "conditions"), SEQUENCES.values(), ids=SEQUENCES)
def test_a_course_of_stamps_gives_one_event_per_advance(
    sandbox: Sandbox, district_id: str, since: str | None, stamps: list[str | None], conditions: list[str]
) -> None:
    sandbox.set_stamp("small", since)
    store = Store()

    async def story() -> None:
        triggerer = Triggerer()
        triggerer.start(watcher(district_id), store)
        await until(lambda: store.values)
        for stamp in stamps:
            await asyncio.to_thread(sandbox.set_stamp, "small", stamp)
            await look_again(sandbox)
        await asyncio.sleep(0.1)
        await triggerer.stop()
        advances = [stamp for stamp, condition in zip(stamps, conditions, strict=True) if condition == "advanced"]
        found = [event["last_attendance_sync"] for event in triggerer.events]
        assert list(map(sync_moment, found)) == list(map(sync_moment, advances))

    run(story)


def test_an_event_names_the_district_and_both_values(sandbox: Sandbox, district_id: str) -> None:
    sandbox.set_stamp("small", NOON)
    store = Store()

    async def story() -> None:
        triggerer = Triggerer()
        triggerer.start(watcher(district_id), store)
        await until(lambda: store.values)
        await asyncio.to_thread(sandbox.set_stamp, "small", "2026-11-21T12:00:00Z")
        await until(lambda: triggerer.events)
        await until(lambda: "11-21" in json.dumps(store.values))
        await triggerer.stop()
        (event,) = triggerer.events
        assert event == {
            "district_id": district_id,
            "last_attendance_sync": "2026-11-21T12:00:00.000000Z",
            "previous": "2026-11-20T12:00:00.000000Z",
        }

    run(story)


def test_the_first_look_of_all_is_no_advance_but_an_outage_later_on_loses_none(
    sandbox: Sandbox, district_id: str
) -> None:
    sandbox.set_stamp("small", NOON)
    store = Store()

    async def first_life() -> None:
        triggerer = Triggerer()
        triggerer.start(watcher(district_id), store)
        await until(lambda: store.values)
        await look_again(sandbox)
        await triggerer.stop()
        assert triggerer.events == []

    async def second_life() -> None:
        triggerer = Triggerer()
        triggerer.start(watcher(district_id), store)
        await until(lambda: triggerer.events)
        await triggerer.stop()
        assert [event["previous"] for event in triggerer.events] == ["2026-11-20T12:00:00.000000Z"]

    run(first_life)
    sandbox.set_stamp("small", "2026-11-21T12:00:00Z")
    run(second_life)


def test_an_event_that_airflow_never_stored_comes_again_and_a_stored_one_does_not(
    sandbox: Sandbox, district_id: str
) -> None:
    sandbox.set_stamp("small", NOON)
    store = Store()

    async def life(*, confirms: bool, events: int) -> None:
        triggerer = Triggerer(confirms=confirms)
        triggerer.start(watcher(district_id), store)
        if not store.values:
            await until(lambda: store.values)
            await asyncio.to_thread(sandbox.set_stamp, "small", "2026-11-21T12:00:00Z")
        await look_again(sandbox, 4)
        await asyncio.sleep(0.2)
        await triggerer.stop()
        assert Counter(event["last_attendance_sync"] for event in triggerer.events) == (
            Counter({"2026-11-21T12:00:00.000000Z": 1}) if events else Counter()
        )

    run(lambda: life(confirms=False, events=1))
    assert "2026-11-20" in json.dumps(store.values)
    run(lambda: life(confirms=True, events=1))
    assert "2026-11-21" in json.dumps(store.values)
    run(lambda: life(confirms=True, events=0))


def test_a_store_that_fails_is_written_later_and_no_event_is_lost_or_repeated(
    sandbox: Sandbox, district_id: str
) -> None:
    sandbox.set_stamp("small", NOON)
    store = Store()

    async def story() -> None:
        triggerer = Triggerer()
        triggerer.start(watcher(district_id), store)
        await until(lambda: store.values)
        store.failures = 2
        await asyncio.to_thread(sandbox.set_stamp, "small", "2026-11-21T12:00:00Z")
        await until(lambda: "11-21" in json.dumps(store.values))
        await triggerer.stop()
        assert len(triggerer.events) == 1

    run(story)


@pytest.fixture
def many(sandbox: Sandbox) -> list[str]:
    sandbox.reset(extra_districts=20)
    return [facts["id"] for facts in sandbox.overview()["districts"]][-20:]


@pytest.mark.timing
def test_twenty_watchers_share_one_loop_and_only_watched_districts_are_asked(sandbox: Sandbox, many: list[str]) -> None:
    stores = {district_id: Store() for district_id in many}
    poll_seconds = 2.0

    async def story() -> None:
        triggerer = Triggerer()
        for district_id, store in stores.items():
            triggerer.start(watcher(district_id, poll_seconds=poll_seconds), store)
        await until(lambda: all(store.values for store in stores.values()))
        await asyncio.sleep(poll_seconds)
        await asyncio.to_thread(sandbox.clear_requests)
        await asyncio.sleep(3 * poll_seconds)
        requests = await asyncio.to_thread(sandbox.requests)
        assert Counter(request["family"] for request in requests).keys() == {"districts"}
        per_token = Counter(request["token"] for request in requests)
        assert len(per_token) == 20
        # However slow the machine, no district is asked more often than told; how evenly, only an idle one can tell.
        assert max(per_token.values()) <= 4
        if STRICT:
            assert min(per_token.values()) >= 2
            assert abs(len(requests) - 60) <= 3
            parts = Counter(int(request["received"] / (poll_seconds / 4)) for request in requests)
            assert max(parts.values()) <= 10, "the looks are not spread over the interval"
        for district_id in many[:5]:
            await asyncio.to_thread(sandbox.sync, district_id)
        await until(lambda: len(triggerer.events) >= 5)
        await asyncio.sleep(poll_seconds)
        await triggerer.stop()
        assert sorted(event["district_id"] for event in triggerer.events) == sorted(many[:5])

    run(story)


def test_trouble_and_a_refused_token_of_one_district_leave_the_others_alone(sandbox: Sandbox, many: list[str]) -> None:
    stores = {district_id: Store() for district_id in many[:4]}

    async def story() -> None:
        triggerer = Triggerer()
        for district_id, store in stores.items():
            triggerer.start(watcher(district_id), store)
        await until(lambda: all(store.values for store in stores.values()))
        await asyncio.to_thread(sandbox.revoke_token, many[0])
        for kind in ("500", "html_200", "reset_mid_body", "429"):
            await asyncio.to_thread(sandbox.fault, kind, family="districts", times=3)
        await look_again(sandbox, 12)
        for district_id in stores:
            await asyncio.to_thread(sandbox.sync, district_id)
        await until(lambda: len(triggerer.events) >= 3)
        assert not any(task.done() for task in triggerer.tasks)
        await asyncio.to_thread(sandbox.rotate_token, many[0])
        await until(lambda: len(triggerer.events) >= 4, 30)
        await triggerer.stop()
        assert sorted(event["district_id"] for event in triggerer.events) == sorted(stores)

    run(story)


@pytest.mark.timing(only=True)
def test_the_event_loop_stays_free_with_five_hundred_watchers(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox.reset(extra_districts=500, knobs={"latency_ms": 100})
    districts = [facts["id"] for facts in sandbox.overview()["districts"]][-500:]
    stores = {district_id: Store() for district_id in districts}

    async def story() -> None:
        warm = Triggerer()
        warm.start(watcher(districts[0], poll_seconds=1.0), Store())  # the driver's one-time import
        await look_again(sandbox, 1)
        await warm.stop()
        triggerer = Triggerer()
        async with largest_gap() as gaps:
            for district_id, store in stores.items():
                triggerer.start(watcher(district_id, poll_seconds=20.0), store)
            await until(lambda: all(store.values for store in stores.values()), 60)
            for district_id in districts[:50]:
                await asyncio.to_thread(sandbox.sync, district_id)
            await until(lambda: len(triggerer.events) >= 50, 60)
        await triggerer.stop()
        with capsys.disabled():
            sys.stdout.write(f" [500 watchers: largest gaps {[round(gap * 1000) for gap in sorted(gaps)[-3:]]} ms] ")
        assert max(gaps) < 0.1

    run(story)


def test_a_forgotten_district_is_not_watched_until_that_is_lifted_and_then_loses_no_sync(
    sandbox: Sandbox, district_id: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.set_stamp("small", NOON)
    store, lake = Store(), tmp_path.as_uri()
    ask(sandbox, tmp_path)

    def forget(*arguments: str) -> None:
        assert main(["forget", lake, "--district", district_id, "--yes", *arguments]) in (0, 3)  # done, or pending

    def refusals() -> int:
        return sum("was forgotten here" in line for line in caplog.messages)

    async def advances_and_is_forgotten() -> None:
        triggerer = Triggerer()
        triggerer.start(watcher(district_id, destination=lake), store)
        await until(lambda: store.values)
        await asyncio.to_thread(forget)
        await asyncio.to_thread(sandbox.set_stamp, "small", "2026-11-21T12:00:00Z")
        await until(refusals)
        assert not triggerer.tasks[0].done()
        await triggerer.stop()
        assert triggerer.events == []

    async def starts_again() -> None:
        triggerer = Triggerer()
        triggerer.start(watcher(district_id, destination=lake), store)
        await until(lambda: refusals() == 2)
        asked = looks_at(sandbox)
        await asyncio.sleep(5 * POLL_SECONDS)
        assert looks_at(sandbox) == asked, "Clever is asked about a district that was forgotten"
        await asyncio.to_thread(forget, "--lift")
        await until(lambda: triggerer.events)
        await triggerer.stop()
        assert [event["previous"] for event in triggerer.events] == ["2026-11-20T12:00:00.000000Z"]

    run(advances_and_is_forgotten)
    run(starts_again)


def test_a_destination_that_cannot_be_read_delays_an_event_and_loses_none(
    sandbox: Sandbox, district_id: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.set_stamp("small", NOON)
    store = Store()
    damaged = tmp_path / forgotten_path(district_id)

    async def story() -> None:
        triggerer = Triggerer()
        triggerer.start(watcher(district_id, destination=tmp_path.as_uri()), store)
        await until(lambda: store.values)
        damaged.parent.mkdir(parents=True)
        damaged.write_bytes(b"not what it was")
        await asyncio.to_thread(sandbox.set_stamp, "small", "2026-11-21T12:00:00Z")
        await until(lambda: any("cannot be used: it is damaged" in line for line in caplog.messages))
        assert triggerer.events == []
        damaged.unlink()
        await until(lambda: triggerer.events)
        await triggerer.stop()
        assert len(triggerer.events) == 1

    run(story)


@pytest.mark.parametrize("destination", ["", "lake/here", "s3:/bucket", "{{ var.value.lake }}"])
def test_a_destination_that_names_no_place_is_refused_where_the_watcher_is_made(
    district_id: str, destination: str
) -> None:
    with pytest.raises(CleverSettingsError, match="destination"):
        watcher(district_id, destination=destination)


def test_a_trigger_that_two_assets_share_keeps_a_cursor_in_both(sandbox: Sandbox, district_id: str) -> None:
    from airflow.sdk import Asset
    from airflow.sdk.execution_time.context import AssetStateStoreAccessors

    accessors = AssetStateStoreAccessors(inlets=[Asset("one"), Asset("two")])
    stores = {name: Store() for name in accessors._by_name}
    accessors._by_name.update(stores)
    sandbox.set_stamp("small", NOON)

    async def story() -> None:
        triggerer = Triggerer()
        triggerer.start(watcher(district_id), accessors)
        await until(lambda: all(store.values for store in stores.values()))
        await triggerer.stop()

    run(story)
