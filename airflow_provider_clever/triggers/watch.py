"""Polls all watched districts of a connection in one loop, and advances their cursors.

Airflow restarts a trigger that has raised, every two seconds and for ever, so no error leaves this module. It stores an
event only some seconds after it was yielded, so a cursor is written once the shared stream says that its event is
stored, and not before (decision 0010).
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from asgiref.sync import sync_to_async

from airflow_provider_clever.compat import SharedStreamProducer
from airflow_provider_clever.exceptions import CleverError
from airflow_provider_clever.hooks.clever import CleverHook
from airflow_provider_clever.hooks.destinations import refuse_forgotten_at
from airflow_provider_clever.syncs import ChangeLog, SyncObservation, WaitMemory, moment_text, observe, sync_moment
from airflow_provider_clever.triggers.cursors import Cursor
from airflow_provider_clever.triggers.polling import POLL_POLICY, phase

if TYPE_CHECKING:
    from airflow_provider_clever.api.async_client import AsyncCleverClient

log = logging.getLogger(__name__)

_POLLS_AT_ONCE: Final = 16
_SLOWEST: Final = 12
"""A district that needs a person (its token is refused) is polled less often, at last in every 12th interval."""


@dataclass(eq=False)
class Watch:
    """One trigger's watch over one district.

    :param clever_conn_id: the connection.
    :param district_id: the district.
    :param cursors: the cursor in Airflow's state store of each watched asset. Empty: it is not kept.
    :param destination: where the district may have been forgotten; None: that is not checked.
    """

    clever_conn_id: str
    district_id: str
    cursors: Sequence[Cursor] = ()
    destination: str | None = None
    known: bool = False
    baseline: datetime | None = None
    stored: datetime | None = None
    unsaved: bool = False
    unstored: int = 0
    failures: int = 0
    memory: WaitMemory = field(default_factory=WaitMemory)
    saving: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def load(self) -> None:
        """Read the cursor. Several assets may be watched by one trigger; the oldest cursor of them counts."""
        found = [value for cursor in self.cursors if (value := await cursor.load(self.district_id)) is not None]
        if found:
            moments = [sync_moment(value.get("last_attendance_sync")) for value in found]
            self.baseline = None if None in moments else min(filter(None, moments))
            self.stored, self.known = self.baseline, True
            self.memory = WaitMemory.of_note(found[0].get("memory"))

    async def refuse_forgotten(self) -> None:
        """Make sure that the district may be watched.

        :raises CleverSettingsError: it was forgotten at the destination.
        :raises CleverLandingError: the destination cannot be read.
        """
        if self.destination is not None:
            # Airflow lets a thread look up a connection only if asgiref made the thread.
            await sync_to_async(refuse_forgotten_at, thread_sensitive=False)(self.destination, self.district_id)

    async def keep(self, moment: datetime | None) -> None:
        """Write the cursor, now or, if the store fails, before the next poll."""
        self.stored, self.unsaved = moment, True
        await self.save()

    async def save(self) -> None:
        """Write the cursor if it is not written yet."""
        async with self.saving:
            if not self.unsaved:
                return
            value = {
                "last_attendance_sync": moment_text(self.stored) if self.stored else None,
                "memory": self.memory.as_note(),
            }
            for cursor in self.cursors:
                await cursor.save(self.district_id, value)
            self.unsaved = False


@dataclass(eq=False)
class SyncChange:
    """A change of a watched district's sync: a cursor to move, and perhaps an event.

    :param watch: the watch of the district.
    :param observed: what the poll found.
    :param payload: the payload of the event; None: there is no event, only a cursor to move.
    :param yielded: whether the watch's trigger has passed the event on.
    """

    watch: Watch
    observed: SyncObservation
    payload: dict[str, str | None] | None
    yielded: bool = False


def change_of(watch: Watch, observed: SyncObservation) -> SyncChange | None:
    """Decide what follows from an observation: an event, a new cursor without an event, or nothing.

    The watch begins with the first poll: a sync from before is no advance.
    """
    if not watch.known:
        return SyncChange(watch, observed, payload=None)
    if observed.advanced and observed.found is not None:
        previous = moment_text(observed.baseline) if observed.baseline else None
        sync = moment_text(observed.found)
        return SyncChange(
            watch, observed, {"district_id": observed.district_id, "last_attendance_sync": sync, "previous": previous}
        )
    return SyncChange(watch, observed, payload=None) if observed.next_baseline != observed.baseline else None


class _Members:
    """The watches that share one poll loop. Triggers register here, since Airflow shows the loop only one of them."""

    def __init__(self) -> None:
        self.watches: dict[Watch, None] = {}
        self.changed = asyncio.Event()


_GROUPS: dict[Hashable, _Members] = {}


@contextmanager
def joined(key: Hashable, watch: Watch) -> Iterator[None]:
    """Have a district polled for as long as the block runs."""
    members = _GROUPS.setdefault(key, _Members())
    members.watches[watch] = None
    members.changed.set()
    try:
        yield
    finally:
        members.watches.pop(watch, None)
        members.changed.set()
        _forget_if_empty(key)


def _forget_if_empty(key: Hashable) -> None:
    if key in _GROUPS and not _GROUPS[key].watches:
        del _GROUPS[key]


class SyncStream(SharedStreamProducer):
    """Polls every watched district once per interval, and yields what is to be reported or remembered.

    :param key: the group.
    :param poll_seconds: the interval, in seconds.
    :param share: the part of the interval, 0 to 1, at which to poll. Default: the districts are spread as they join.
    """

    def __init__(self, key: Hashable, poll_seconds: float, share: float | None = None) -> None:
        self._key = key
        self._poll_seconds = poll_seconds
        self._share = share
        self._changes: asyncio.Queue[SyncChange] = asyncio.Queue()
        self._tasks: dict[Watch, asyncio.Task[None]] = {}
        self._joins = 0

    async def open_stream(self) -> AsyncGenerator[tuple[SyncChange, SyncChange], None]:
        """Yield each change twice: once for the triggers, once for :meth:`advance`."""
        self._slots = asyncio.Semaphore(_POLLS_AT_ONCE)
        keeper = asyncio.create_task(self._follow_members())
        try:
            while True:
                change = await self._changes.get()
                yield change, change
                await asyncio.sleep(0)  # otherwise a full queue would be emptied at once
        finally:
            for task in (keeper, *self._tasks.values()):
                task.cancel()
            await asyncio.gather(keeper, *self._tasks.values(), return_exceptions=True)
            _forget_if_empty(self._key)

    def get_advance_lane(self, broker_payload: SyncChange) -> Hashable:
        """Give the watch, so that districts do not wait for one another's cursors."""
        return id(broker_payload.watch)

    async def advance(self, batch: Sequence[Any]) -> None:
        """Move the cursors of events that Airflow has stored; have the others reported again."""
        for change, outcome in batch:
            change.watch.unstored -= 1
            if change.payload is None or (change.yielded and not outcome.failed):
                await keep(change)
            else:
                change.watch.baseline = change.watch.stored
                change.watch.memory.forget(change.observed.found)

    async def _follow_members(self) -> None:
        while True:
            members = _GROUPS.setdefault(self._key, _Members())  # again: the last member that leaves removes the group
            members.changed.clear()
            for watch in [watch for watch in self._tasks if watch not in members.watches]:
                self._tasks.pop(watch).cancel()
            for watch in [watch for watch in members.watches if watch not in self._tasks]:
                share = phase(self._joins) if self._share is None else self._share
                start = time.monotonic() + share * self._poll_seconds
                self._joins += 1
                self._tasks[watch] = asyncio.create_task(self._follow(watch, start))
            await members.changed.wait()

    async def _follow(self, watch: Watch, start: float) -> None:
        changes = ChangeLog(log)
        while True:
            try:
                await self._poll_on(watch, start, changes)
            except CleverError as error:
                watch.failures += 1
                changes.trouble(error, "Watching on, ever more rarely, until somebody has mended this.")
            except Exception as error:  # noqa: BLE001 - an error would end the whole group
                changes.trouble(error, f"Watching district {watch.district_id} on.")
            await asyncio.sleep(self._poll_seconds * min(2**watch.failures, _SLOWEST))

    async def _poll_on(self, watch: Watch, start: float, changes: ChangeLog) -> None:
        """Poll in each interval, until a person has to fix something."""
        async with self._slots:
            await watch.refuse_forgotten()
            if not watch.known:
                await watch.load()
            client = await CleverHook(watch.clever_conn_id, watch.district_id).aget_conn(policy=POLL_POLICY)
        is_due = not watch.known
        async with client:
            while True:
                if not is_due:
                    await asyncio.sleep(self._poll_seconds - (time.monotonic() - start) % self._poll_seconds)
                is_due = False
                async with self._slots:
                    await watch.save()
                    await self._poll(watch, client, changes)

    async def _poll(self, watch: Watch, client: "AsyncCleverClient", changes: ChangeLog) -> None:
        try:
            district = await client.get_district()
            baseline = watch.baseline if watch.known else district.last_attendance_sync
            if district.last_attendance_sync != baseline:
                await watch.refuse_forgotten()
        except CleverError as error:
            if watch.memory.ends(error):
                raise
            changes.trouble(error, f"Watching on; looking again every {self._poll_seconds:g} s.")
            return
        watch.failures = 0
        observed = watch.memory.settled(observe(district, baseline, datetime.now(UTC)))
        changes.observed(observed)
        change = change_of(watch, observed)
        if change is None:
            return
        watch.known, watch.baseline = True, observed.next_baseline
        if change.payload is None and not watch.unstored:
            await keep(change)  # without an event there is no need to wake every trigger of the group
        else:
            watch.unstored += 1
            self._changes.put_nowait(change)


async def keep(change: SyncChange) -> None:
    """Move the cursor to what was found. If the store fails, it is written before the next poll."""
    try:
        await change.watch.keep(change.observed.next_baseline)
    except Exception as error:  # noqa: BLE001 - the event is stored; an error would end the group
        log.warning("The cursor of district %s could not be stored; trying again. %s", change.watch.district_id, error)
