"""Triggers that wait for a district's attendance sync: one for a deferred task, one for an ``AssetWatcher``."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Hashable, Iterator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from airflow.triggers.base import BaseEventTrigger, BaseTrigger, TriggerEvent

from airflow_provider_clever.attendance.values import is_clever_id
from airflow_provider_clever.exceptions import CleverError, CleverSettingsError
from airflow_provider_clever.hooks.clever import CleverHook
from airflow_provider_clever.storage.destination_url import destination_url
from airflow_provider_clever.syncs import ChangeLog, SyncObservation, WaitMemory, moment_text, observe, sync_moment
from airflow_provider_clever.triggers.cursors import cursors_of
from airflow_provider_clever.triggers.polling import POLL_POLICY, phase, share_of
from airflow_provider_clever.triggers.watch import SyncChange, SyncStream, Watch, joined, keep

if TYPE_CHECKING:
    from airflow_provider_clever.api.async_client import AsyncCleverClient

_SPREAD_SECONDS: Final = 10.0
"""How long the first polls of many triggers are spread if they start at once, as after a restart."""


class CleverAttendanceSyncTrigger(BaseTrigger):
    """Waits, for a deferred task, until a district's ``last_attendance_sync`` is later than a baseline.

    Ends with one event: ``{"status": "advanced", "district_id": ..., "last_attendance_sync": ..., "previous": ...}``,
    ``{"status": "paused", ...}`` or ``{"status": "failed", "message": ...}``. It keeps no deadline: that is the
    ``timeout`` of the deferral.

    :param clever_conn_id: the connection. Default ``clever_default``.
    :param district_id: the district. Default: the connection's, or the only one that is connected.
    :param since: the baseline, ISO-8601; None or blank: any sync at all.
    :param poke_seconds: seconds between two polls. Default 60.
    :param exponential_backoff: double the interval from poll to poll, as sensors do. Default False.
    :param max_wait_seconds: longest interval with exponential back-off. Default: none.
    :param on_paused: ``wait`` (default), ``skip`` or ``fail`` when the district's uploads are paused.
    :param silent_fail: poll again after unforeseen errors too. Default False.
    :param logged: the condition that was logged last, so that it is not logged again.
    """

    def __init__(
        self,
        *,
        clever_conn_id: str = CleverHook.default_conn_name,
        district_id: str | None = None,
        since: str | None = None,
        poke_seconds: float = 60.0,
        exponential_backoff: bool = False,
        max_wait_seconds: float | None = None,
        on_paused: str = "wait",
        silent_fail: bool = False,
        logged: str = "",
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow leaves it untyped
        self.clever_conn_id = clever_conn_id
        self.district_id = district_id
        self.since = since
        self.poke_seconds = poke_seconds
        self.exponential_backoff = exponential_backoff
        self.max_wait_seconds = max_wait_seconds
        self.on_paused = on_paused
        self.silent_fail = silent_fail
        self.logged = logged

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give what rebuilds this trigger elsewhere: plain JSON, no secret."""
        return "airflow_provider_clever.triggers.clever.CleverAttendanceSyncTrigger", {
            "clever_conn_id": self.clever_conn_id,
            "district_id": self.district_id,
            "since": self.since,
            "poke_seconds": self.poke_seconds,
            "exponential_backoff": self.exponential_backoff,
            "max_wait_seconds": self.max_wait_seconds,
            "on_paused": self.on_paused,
            "silent_fail": self.silent_fail,
            "logged": self.logged,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll the district until there is something to report to the task."""
        try:
            yield _event(await self._outcome())
        except CleverError as error:
            yield _event(failed_event(error))

    async def _outcome(self) -> dict[str, Any]:
        try:
            baseline = sync_moment(self.since)
        except ValueError as error:
            raise CleverSettingsError(f"The baseline is {error}. Give since as ISO-8601, as Clever does.") from None
        changes, memory = ChangeLog(self.log, self.logged), WaitMemory()
        pauses = poke_pauses(
            self.poke_seconds,
            exponential_backoff=self.exponential_backoff,
            max_wait_seconds=self.max_wait_seconds,
            seed=str(self.trigger_id),
        )
        await asyncio.sleep(phase(self.trigger_id or 0) * min(self.poke_seconds, _SPREAD_SECONDS))
        hook = CleverHook(self.clever_conn_id, self.district_id or None)
        async with await hook.aget_conn(policy=POLL_POLICY) as client:
            while True:
                observed = await self._poll(client, baseline, changes, memory)
                if observed is not None:
                    baseline = observed.next_baseline
                    if observed.advanced or (observed.paused and self.on_paused != "wait"):
                        return event_payload(observed)
                await asyncio.sleep(next(pauses))

    async def _poll(
        self, client: "AsyncCleverClient", baseline: datetime | None, changes: ChangeLog, memory: WaitMemory
    ) -> SyncObservation | None:
        try:
            observed = memory.settled(observe(await client.get_district(), baseline, datetime.now(UTC)))
        except CleverError as error:
            if memory.ends(error):
                raise
            changes.trouble(error, "Waiting on.")
            return None
        except Exception:
            if not self.silent_fail:
                raise
            self.log.exception("The look at the district failed; silent_fail says to look again.")
            return None
        changes.observed(observed)
        return observed


def _event(payload: dict[str, Any]) -> TriggerEvent:
    return TriggerEvent(payload)  # type: ignore[no-untyped-call]  # Airflow leaves it untyped


def event_payload(observed: SyncObservation) -> dict[str, Any]:
    """Make the event that says why a wait has ended."""
    if not observed.advanced or observed.found is None:
        return {"status": "paused", "district_id": observed.district_id, "message": str(observed)}
    return {
        "status": "advanced",
        "district_id": observed.district_id,
        "last_attendance_sync": moment_text(observed.found),
        "previous": moment_text(observed.baseline) if observed.baseline else None,
    }


def failed_event(error: CleverError) -> dict[str, Any]:
    """Make the event that says that waiting longer is pointless."""
    return {"status": "failed", "message": str(error)}


def poke_pauses(
    poke_seconds: float, *, exponential_backoff: bool, max_wait_seconds: float | None, seed: str
) -> Iterator[float]:
    """Give the seconds from poll to poll, by the rule of Airflow's own sensors.

    :param poke_seconds: the interval.
    :param exponential_backoff: whether it doubles.
    :param max_wait_seconds: the longest interval; without back-off it has no effect, as in Airflow.
    :param seed: makes the jitter of many waits differ.
    """
    polls = 0
    while True:
        polls += 1
        if not exponential_backoff:
            yield poke_seconds
            continue
        least = max(int(poke_seconds * 2.0 ** min(polls - 2, 60)), 1)
        jitter = int(hashlib.sha256(f"{seed}#{polls}".encode()).hexdigest(), 16) % least
        yield float(least + jitter if max_wait_seconds is None else min(least + jitter, max_wait_seconds))


class CleverAttendanceSyncEventTrigger(BaseEventTrigger):
    """Fires one asset event for each advance of a district's ``last_attendance_sync``; for an ``AssetWatcher``.

    The payload is ``{"district_id": ..., "last_attendance_sync": ..., "previous": ...}``, instants as ISO-8601 UTC.
    The watch begins with the first poll; from then on its cursor lies in Airflow's asset state store, so that an
    advance during an outage is not lost. A crash may repeat an event: the same district with the same value. Airflow
    3.1 and 3.2 have no such store: there each start of the triggerer begins the watch again.

    All districts of a connection with the same interval share one poll loop: one small request per district and
    interval, spread over the interval. Airflow 3.1 and 3.2 have no shared loops: there each trigger polls for itself,
    at the part of the interval that its district's id picks.

    :param district_id: the district.
    :param clever_conn_id: the connection. Default ``clever_default``.
    :param poll_seconds: seconds between two polls of the district. Default 300.
    :param destination: where the district lands; no template, since Airflow renders none here. If the district was
        forgotten there, it is not watched, and the triggerer's log says why, until a person lifts that. Default None:
        it is watched, and the pull that an event starts refuses.
    :raises CleverSettingsError: an argument cannot be right.
    """

    def __init__(
        self,
        *,
        district_id: str,
        clever_conn_id: str = CleverHook.default_conn_name,
        poll_seconds: float = 300.0,
        destination: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow leaves it untyped
        self.district_id = district_id
        self.clever_conn_id = clever_conn_id
        self.poll_seconds = poll_seconds
        self.destination = destination
        if not is_clever_id(district_id):
            raise CleverSettingsError("district_id is not a Clever id; give the one from Clever's dashboard.")
        if poll_seconds <= 0:
            raise CleverSettingsError("poll_seconds must be above 0.")
        if destination is not None:
            destination_url(destination, single_writer=True)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give what rebuilds this trigger elsewhere: plain JSON, no secret."""
        return "airflow_provider_clever.triggers.clever.CleverAttendanceSyncEventTrigger", {
            "district_id": self.district_id,
            "clever_conn_id": self.clever_conn_id,
            "poll_seconds": self.poll_seconds,
            "destination": self.destination,
        }

    def shared_stream_key(self) -> Hashable | None:
        """Name the poll loop: one per connection and interval."""
        return _stream_key(self.clever_conn_id, self.poll_seconds)

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> SyncStream:
        """Make the poll loop of a group, of which ``kwargs`` is any one member's."""
        conn_id, seconds = kwargs["clever_conn_id"], kwargs["poll_seconds"]
        return SyncStream(_stream_key(conn_id, seconds), seconds)

    async def filter_shared_stream(self, shared_stream: AsyncIterator[SyncChange]) -> AsyncIterator[TriggerEvent]:
        """Have this trigger's district watched, and pass on the events of this one."""
        watch = self._watch()
        with joined(self.shared_stream_key(), watch):
            async for change in shared_stream:
                if change.watch is watch and change.payload is not None:
                    change.yielded = True
                    yield _event(change.payload)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll for this trigger alone, where Airflow has no shared streams."""
        watch, key, share = self._watch(), ("alone", id(self)), share_of(self.district_id)
        await asyncio.sleep(share * min(self.poll_seconds, _SPREAD_SECONDS))
        with joined(key, watch):
            async with aclosing(SyncStream(key, self.poll_seconds, share).open_stream()) as stream:
                async for change, _ in stream:
                    if change.payload is not None:
                        yield _event(change.payload)
                    await keep(change)

    def _watch(self) -> Watch:
        stores = getattr(self, "asset_state_store", None)  # from Airflow 3.3 on
        return Watch(self.clever_conn_id, self.district_id, cursors_of(stores), self.destination)


def _stream_key(clever_conn_id: str, poll_seconds: float) -> Hashable:
    return ("clever_attendance_syncs", clever_conn_id, float(poll_seconds))
