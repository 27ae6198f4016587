"""Carries out requests to forget: writes the request down, sweeps, and leaves a receipt as the proof.

A task that was running when the request was made may not know of it. So a request is pending until a sweep has begun
after the longest such task can have ended. A killed run can be repeated, and the end is the same.
"""

import platform
import secrets
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from airflow_provider_clever.attendance.values import moment_from_text
from airflow_provider_clever.exceptions import CleverLandingError, CleverSettingsError
from airflow_provider_clever.forget.found import Found
from airflow_provider_clever.forget.receipts import (
    ForgetReceipt,
    Journal,
    Sweep,
    Unreached,
    folder,
    new_receipt,
    read_receipt,
)
from airflow_provider_clever.forget.rules import Days, Rule, Students, WholeDistrict, first_kept_day
from airflow_provider_clever.forget.sweeping import Sweeper
from airflow_provider_clever.forget.tables import FedTables, OpenTable
from airflow_provider_clever.lake import layout, preflight
from airflow_provider_clever.lake.forgotten import (
    HOW_TO_GIVE_THE_KEY,
    Denied,
    Forgotten,
    Key,
    Request,
    key_of,
    read_forgotten,
    update_forgotten,
    with_request,
)
from airflow_provider_clever.lake.idempotency_key import IdempotencyKey
from airflow_provider_clever.storage.objects import Objects
from airflow_provider_clever.storage.versions import ABSENT, PreconditionFailedError
from airflow_provider_clever.syncs import moment_text

LONGEST_TASK_HOURS: Final = 24.0
SHORTEST_AGE_YEARS: Final = 1
"""Younger days may still be at Clever, and would come back with the next pull."""

_NO_KEY: Final = (
    "students are forgotten by a keyed hash of their ids, and no key was given: make one with `openssl rand -hex 32`, "
    f"keep it for as long as the lake lasts, and {HOW_TO_GIVE_THE_KEY}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a request would do.

    :param found: what would become of each object, and what could not be read.
    :param missing_rights: what these credentials may not do, in words.
    """

    district_id: str
    found: Found
    missing_rights: tuple[str, ...]


class Forgetting:
    """Forgets students, days or all of one district.

    :param objects: the destination.
    :param district_id: whose.
    :param secret: makes the keyed hashes of students. Default: what the environment holds.
    :param longest_task_hours: how long a task that is running now may still take. Default 24; 0: none is running.
    :param open_table: opens a registered table in a catalog. Default: such tables cannot be opened.
    :param command: the name that the receipt records; never with arguments.
    :param clock: gives the present instant. Default: this machine's.
    :raises CleverSettingsError: the secret is too short.
    """

    def __init__(
        self,
        objects: Objects,
        district_id: str,
        *,
        secret: str | None = None,
        longest_task_hours: float = LONGEST_TASK_HOURS,
        open_table: OpenTable | None = None,
        command: str = "airflow_provider_clever.forget",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._objects = objects
        self.district_id = layout.checked_id(district_id, "district id")
        self._key = key_of(secret, district_id)
        self._longest_task = timedelta(hours=longest_task_hours)
        self._secret, self._open_table = secret, open_table
        self._command = command
        self._clock = clock

    def preview_students(self, student_ids: Collection[str]) -> Preview:
        """Say what forgetting these students would do, and write nothing."""
        key = self._needed_key()
        forgotten = read_forgotten(self._objects, self.district_id)
        forgotten.denied(key)
        return self._preview(Students(Denied(key, frozenset(map(key.student, student_ids))), student_ids))

    def preview_district(self) -> Preview:
        """Say what forgetting the district would do, and write nothing."""
        return self._preview(WholeDistrict())

    def preview_days(self, before: str) -> Preview:
        """Say what forgetting the days before one would do, and write nothing."""
        return self._preview(Days(self._old_enough(before)))

    def students(self, student_ids: Collection[str]) -> ForgetReceipt:
        """Forget students, or continue a request to.

        :param student_ids: their ids; those that never landed are kept out from now on, too.
        :raises CleverSettingsError: there is no key, or it is not the earlier one.
        :raises CleverLandingError: the destination cannot be read or written.
        """
        key = self._needed_key()
        hashes = sorted(map(key.student, {*student_ids}))
        request = self._request("students", students=dict.fromkeys(hashes, ()))
        return self._ask(key.request("students", *hashes), request, student_ids)

    def district(self) -> ForgetReceipt:
        """Forget the whole district, or continue a request to. Nothing of it lands until :meth:`lift_district`.

        :raises CleverLandingError: the destination cannot be read or written.
        """
        forgotten = read_forgotten(self._objects, self.district_id)
        open_ids = [id_ for id_, one in forgotten.requests.items() if one is forgotten.tombstone]
        return self._ask(open_ids[0] if open_ids else secrets.token_hex(16), self._request("district"))

    def days(self, before: str) -> ForgetReceipt:
        """Forget the days before one.

        :param before: the first day that stays, ``YYYY-MM-DD``; at least a year ago.
        :raises CleverSettingsError: Clever may still have some of these days.
        :raises CleverLandingError: the destination cannot be read or written.
        """
        request = self._request("days", before=self._old_enough(before))
        # No task lands days that Clever has forgotten, so there is nothing to wait for.
        return self._ask(f"before-{before}", replace(request, final_after=request.asked_at))

    def go_on(self, student_ids: Collection[str] = ()) -> list[ForgetReceipt]:
        """Sweep again for each pending request, and make it final if its time has come.

        :param student_ids: students of pending requests, if their ids are known. Only hashes are stored, and these find
            whole ids only; the ids themselves are also found inside of other texts. Default: none.
        :raises CleverSettingsError: students are to be forgotten, and there is no key, or it is not the earlier one.
        :raises CleverLandingError: the destination cannot be read or written.
        """
        pending = read_forgotten(self._objects, self.district_id).pending
        named = {self._needed_key().student(student): student for student in student_ids}
        at_hand = {id_: [named[hash_] for hash_ in one.students if hash_ in named] for id_, one in pending.items()}
        return [self._sweep(id_, one, at_hand[id_]) for id_, one in sorted(pending.items())]

    def lift_district(self) -> bool:
        """Allow the district to be pulled again; what was removed stays removed. False: it was not forgotten."""

        def lifted(forgotten: Forgotten) -> Forgotten:
            open_ids = [id_ for id_, one in forgotten.requests.items() if one.kind == "district"]
            return replace(forgotten, lifted=tuple(sorted({*forgotten.lifted, *open_ids})))

        was = read_forgotten(self._objects, self.district_id).tombstone is not None
        if was:
            update_forgotten(self._objects, self.district_id, lifted)
        return was

    def lift_students(self, student_ids: Collection[str]) -> int:
        """Allow students to land again; what was removed stays removed. Give how many of them had been forgotten."""
        key = self._needed_key()
        forgotten = read_forgotten(self._objects, self.district_id)
        forgotten.denied(key)
        lifted = {*map(key.student, student_ids)} & forgotten.students

        def without(now: Forgotten) -> Forgotten:
            requests = {
                id_: replace(
                    one, students={hash_: one.students[hash_] for hash_ in one.students if hash_ not in lifted}
                )
                for id_, one in now.requests.items()
            }
            return replace(now, requests=requests)

        if lifted:
            update_forgotten(self._objects, self.district_id, without)
        return len(lifted)

    def missing_rights(self) -> tuple[str, ...]:
        """List what these credentials may not do, found out with an object of our own.

        :raises CleverLandingError: not even that can be written or read.
        """
        path = f"{folder(self.district_id)}/rehearsal"
        with suppress(PreconditionFailedError):  # an earlier one could not be removed
            self._objects.write(path, b"rehearsal", ABSENT)
        missing = []
        try:
            found = self._objects.read(path)
            if found is not None:
                self._objects.delete(path, found[1])
        except PreconditionFailedError:
            pass  # another process tries the same
        except CleverLandingError as error:
            missing.append(f"to remove objects: {error}")
        history = self._objects.history
        try:
            for one in history.old_versions(f"{self._objects.root}/{path}"):
                history.delete(one)
        except Exception as error:  # noqa: BLE001 - each store's library raises its own kinds
            missing.append(f"to list or remove older versions, {history.delete_right} ({type(error).__name__})")
        return tuple(missing)

    def _preview(self, rule: Rule) -> Preview:
        sweeper = Sweeper(self._objects, self.district_id, rule, is_rehearsal=True, tables=self._tables())
        found = sweeper.everything()
        try:
            missing = self.missing_rights()
        except CleverLandingError as error:
            missing = (f"to write objects: {error}",)
        return Preview(district_id=self.district_id, found=found, missing_rights=missing)

    def _request(self, kind: str, **facts: object) -> Request:
        now = self._clock()
        return Request(
            kind=kind,  # type: ignore[arg-type]  # one of three, above
            asked_at=moment_text(now),
            final_after=moment_text(now + self._longest_task),
            **facts,  # type: ignore[arg-type]  # as above
        )

    def _ask(self, id_: str, request: Request, student_ids: Collection[str] = ()) -> ForgetReceipt:
        """Keep older versions of this package out, write the request, then sweep."""
        self.missing_rights()  # if nothing can be written, it raises before anything is changed
        key = self._key if request.kind == "students" else None
        with_request(read_forgotten(self._objects, self.district_id), id_, request, key)  # a wrong key raises here, too
        preflight.keep_older_versions_out(self._objects, self.district_id)
        written = update_forgotten(self._objects, self.district_id, lambda now: with_request(now, id_, request, key))
        return self._sweep(id_, written.requests[id_], student_ids)

    def _sweep(self, id_: str, request: Request, student_ids: Collection[str]) -> ForgetReceipt:
        known = read_receipt(self._objects, self.district_id, id_)
        journal = Journal(self._objects, known or new_receipt(self.district_id, id_, request))
        started_at = moment_text(self._clock())
        sweeper = Sweeper(
            self._objects,
            self.district_id,
            self._rule(request, student_ids),
            steps=journal,
            feed=self._feed(id_, request),
            tables=self._tables(),
            learned=lambda entries: self._learn(id_, entries),
        )
        found = sweeper.everything()
        kept = self._objects.history.kept(self._objects.root)
        unreached = [*found.unreached, *(Unreached(what=one.what, next_step=one.next_step) for one in kept)]
        is_final = request.is_final or moment_from_text(started_at) >= moment_from_text(request.final_after)
        sweep = Sweep(
            started_at=started_at,
            ended_at=moment_text(self._clock()),
            command=self._command,
            versions=_versions(),
            read=found.read,
        )
        receipt = journal.end(request, sweep, found.changes, unreached, is_final=is_final)
        if is_final and not request.is_final:
            update_forgotten(self._objects, self.district_id, lambda now: _final(now, id_, request.asked_at))
        return receipt

    def _tables(self) -> FedTables:
        return FedTables(
            self._objects,
            self.district_id,
            open_table=self._open_table,
            secret=self._secret,
            today=self._clock().date(),
        )

    def _rule(self, request: Request, student_ids: Collection[str]) -> Rule:
        if request.kind == "district":
            return WholeDistrict()
        if request.kind == "days":
            return Days(str(request.before))
        # Only the hashes of this request: its receipt counts what belongs to it.
        entries = frozenset(entry for found in request.students.values() for entry in found)
        return Students(Denied(self._checked_key(), frozenset(request.students), entries), student_ids)

    def _learn(self, id_: str, entries: Mapping[str, frozenset[str]]) -> None:
        def taught(now: Forgotten) -> Forgotten:
            request = now.requests[id_]
            students = {
                student: tuple(sorted({*known, *entries.get(student, ())}))
                for student, known in request.students.items()
            }
            return replace(now, requests={**now.requests, id_: replace(request, students=students)})

        update_forgotten(self._objects, self.district_id, taught)

    def _feed(self, id_: str, request: Request) -> IdempotencyKey | None:
        if request.kind != "students" or not self._objects.names(layout.our_path(self.district_id, "changes")):
            return None
        return IdempotencyKey(id_, request.asked_at[:7])

    def _needed_key(self) -> Key:
        if self._key is None:
            raise CleverSettingsError(_NO_KEY)
        return self._key

    def _checked_key(self) -> Key:
        key = self._needed_key()
        read_forgotten(self._objects, self.district_id).denied(key)
        return key

    def _old_enough(self, before: str) -> str:
        layout.checked_date(before)
        latest = first_kept_day(SHORTEST_AGE_YEARS, self._clock())
        if before > latest:
            raise CleverSettingsError(
                f"Days are forgotten for their age once they are {SHORTEST_AGE_YEARS} year old, so before {latest} at "
                "the latest: Clever keeps them for six months, and pulls would bring them back."
            )
        return before


def _final(forgotten: Forgotten, id_: str, asked_at: str) -> Forgotten:
    """Make a request final, unless it has been asked again since."""
    request = forgotten.requests[id_]
    if request.asked_at != asked_at:
        return forgotten
    return replace(forgotten, requests={**forgotten.requests, id_: replace(request, is_final=True)})


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("airflow-provider-clever", "pyarrow"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
