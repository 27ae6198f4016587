"""Lands pulled days at a destination, partition by partition, each whole or not at all."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeVar

from airflow_provider_clever.attendance import merge
from airflow_provider_clever.attendance.absence import DayEvidence
from airflow_provider_clever.attendance.batches import Row, holds_only, rows_of
from airflow_provider_clever.attendance.content import content_hash
from airflow_provider_clever.attendance.merge import Counts, Prepared
from airflow_provider_clever.attendance.rows import PulledDay, RejectedRow
from airflow_provider_clever.attendance.schema import PULLED_COLUMNS
from airflow_provider_clever.attendance.values import canonical_json
from airflow_provider_clever.exceptions import CleverDataError, CleverPartitionError
from airflow_provider_clever.lake import changes, layout, preflight, quarantine
from airflow_provider_clever.lake.changes import ChangeRecord
from airflow_provider_clever.lake.denied_rows import DeniedRows
from airflow_provider_clever.lake.formats import (
    FORMATS,
    DamagedPartitionError,
    Landed,
    Mark,
    NewerPartitionError,
    require_libraries,
)
from airflow_provider_clever.lake.idempotency_key import IdempotencyKey
from airflow_provider_clever.lake.known_partitions import Known, KnownPartitions
from airflow_provider_clever.storage.objects import Content, swap_waits, too_contended
from airflow_provider_clever.storage.versions import ABSENT, PreconditionFailedError

if TYPE_CHECKING:
    import pyarrow as pa
    from fsspec import AbstractFileSystem

Found = TypeVar("Found")

_CANONICAL: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z")

CONFLICT_REASON: Final = "another row of the same pull has the same key and is newer; that one landed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PullContext:
    """What a pull knows that its days do not say.

    :param today: the date (UTC) from which the retention edge is computed.
    :param sync_before: the district's last attendance sync before the first page was requested, canonical UTC text;
        None if the district has never synced.
    :param idempotency_key: of the run; None: no correction feed is written.
    :param write_changes: whether to write the correction feed.
    :raises ValueError: if ``sync_before`` is not canonical.
    """

    today: date
    sync_before: str | None = None
    idempotency_key: IdempotencyKey | None = None
    write_changes: bool = False

    def __post_init__(self) -> None:
        if self.sync_before is not None and not _CANONICAL.fullmatch(self.sync_before):
            msg = f"sync_before must be written YYYY-MM-DDTHH:MM:SS.ffffffZ, not {self.sync_before!r}"
            raise ValueError(msg)

    @property
    def missing_since(self) -> str:
        """The mark of rows that Clever no longer has: the sync; without one, the first instant of today."""
        return self.sync_before or f"{self.today.isoformat()}T00:00:00.000000Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionOutcome:
    """The outcome of landing one school's day.

    :param path: the partition's path, relative to the destination.
    :param outcome: ``written``; ``unchanged``: the rows were there already; ``absent``: nothing pulled, nothing there.
    :param rows: how many rows the partition holds now, with marked ones.
    :param received: how many rows the pull brought.
    :param content_hash: of the present rows; None if there is no partition.
    :param rejected: rows set aside for a newer one of the same key; they belong in quarantine.
    :param change: where the rows before and after were kept, if they were.
    :param evidence: how many of the landed rows came back; None: nothing follows from those that did not.
    """

    path: str
    school_id: str
    attendance_date: str
    outcome: Literal["written", "unchanged", "absent"]
    rows: int
    received: int
    content_hash: str | None
    counts: Counts
    rejected: tuple[RejectedRow, ...] = field(default=(), repr=False)
    change: ChangeRecord | None = None
    evidence: DayEvidence | None = field(default=None, repr=False)


class _Decision(NamedTuple):
    """What to do about a partition: the outcome and, if something changes, its new rows."""

    outcome: PartitionOutcome
    rows: "pa.RecordBatch | None" = None
    before: str | None = None
    changes: Sequence[merge.Change] = ()

    def __repr__(self) -> str:
        return f"_Decision({self.outcome.outcome})"


class Destination:
    """One district's place in a lake. Safe to use from several threads.

    :param fs: any fsspec file system; ``hooks.destinations.open_destination(url).fs`` is one.
    :param root: the destination's path on it; ``open_destination(url).root``.
    :param district_id: whose attendance. Rows of another district are refused.
    :param file_format: ``"parquet"`` or ``"jsonl"``.
    :param single_writer: the user promises that never more than one task writes here, so stores without
        compare-and-swap are accepted.
    :raises CleverSettingsError: there is no such format.
    :raises CleverDataError: the district id may not be part of a path.
    """

    def __init__(
        self,
        fs: "AbstractFileSystem",
        root: str,
        *,
        district_id: str,
        file_format: str = "parquet",
        single_writer: bool = False,
    ) -> None:
        self.objects = layout.objects_at(fs, root, single_writer=single_writer)
        self.district_id = layout.checked_id(district_id, "district id")
        self.file_format = layout.checked_format(file_format)
        self._format = FORMATS[self.file_format]
        self.known = KnownPartitions(self.objects, self.district_id, self.file_format)
        self.forgotten = DeniedRows(self.district_id)

    def check(self, forget_secret: str | None = None) -> None:
        """Make sure that the destination can be landed in, before any request to Clever. It takes a few small calls.

        :param forget_secret: makes the keyed hashes of forgotten students. Default: what the environment holds.
        :raises CleverSettingsError: if another format is landed here, a library is missing, or the store cannot compare
            and swap.
        :raises CleverSettingsError: if the district was forgotten, or students were and the key is missing.
        :raises CleverLandingError: if the destination cannot be reached, read or written.
        """
        require_libraries()
        found = self.forgotten.read(self.objects, forget_secret)
        preflight.check(self.objects, self.district_id, self.file_format, forgets=bool(found.requests))

    def land(self, day: PulledDay, *, context: PullContext) -> PartitionOutcome:
        """Merge one school's day into its partition. Rows that did not come back stay as they are: see :meth:`mark`.

        :param day: what was pulled.
        :param context: what the pull knows besides.
        :raises CleverDataError: an id or the date may not be part of a path, or a row belongs to another partition.
        :raises CleverPartitionError: the present partition cannot be read; it is left as it is.
        :raises CleverLandingError: the destination cannot be written; the partition is unchanged.
        """
        path = layout.partition_path(self.district_id, day.attendance_date, day.school_id, self.file_format)
        self._refuse_strangers(day)
        day = self.forgotten.admitted(day)
        pulled = merge.prepare(day.rows)
        mark = Mark(content_hash(pulled.rows), pulled.rows.num_rows)
        if self.known.rely_on(path, mark):
            return _same(_outcome(path, day, pulled), day, mark, context)

        def decide(previous: bytes | None) -> _Decision:
            return self._decide(path, day, pulled, mark, previous, context)

        return self._swap(path, decide, context, self.known.of(path))

    def mark(
        self, school_id: str, attendance_date: str, found: DayEvidence, *, context: PullContext
    ) -> PartitionOutcome:
        """Mark the rows of one school's day that a pull did not return, if they are still as they were then.

        :param found: which rows.
        :param context: as when the day was landed.
        :raises CleverLandingError: the destination cannot be written; the partition is unchanged.
        """
        path = layout.partition_path(self.district_id, attendance_date, school_id, self.file_format)
        outcome = PartitionOutcome(
            path=path,
            school_id=school_id,
            attendance_date=attendance_date,
            outcome="absent",
            rows=0,
            received=0,
            content_hash=None,
            counts=Counts(),
        )

        def decide(previous: bytes | None) -> _Decision:
            if previous is None:
                return _Decision(outcome)
            landed = self._read(path, previous, self._format.read)
            return _merged(outcome, merge.mark(landed.rows, found, missing_since=context.missing_since), landed)

        return self._swap(path, decide, context)

    def _swap(
        self,
        path: str,
        decide: Callable[[bytes | None], "_Decision"],
        context: PullContext,
        known: Known | None = None,
    ) -> PartitionOutcome:
        """Read a partition, decide, and write it if no other process has written it since; otherwise start again.

        :param known: what is known of the partition; one that is known to be absent is not read. Default: nothing.
        """
        made: dict[str | None, PartitionOutcome] = {}
        for wait_seconds in swap_waits():
            found = None if known is not None and known.version == ABSENT else self.objects.read(path)
            known = None
            decision = decide(found and found[0])
            if decision.rows is None:
                if found and decision.outcome.content_hash is not None:
                    self.known.note(path, found[1], Mark(decision.outcome.content_hash, decision.outcome.rows))
                # Our own write may have succeeded although the store's answer was lost.
                return made.get(decision.outcome.content_hash, decision.outcome)
            outcome = self._keep_changes(decision, context)
            made[outcome.content_hash] = outcome
            data = Content(self._format.write(decision.rows, outcome.content_hash or ""))
            try:
                version = self.objects.write(path, data, found[1] if found else ABSENT)
            except PreconditionFailedError:
                time.sleep(wait_seconds)
            else:
                self.known.note(path, version, Mark(outcome.content_hash or "", outcome.rows))
                return outcome
        raise too_contended(f"{self.objects.root}/{path}")

    def quarantine(self, rejected: Sequence[RejectedRow], *, today: date) -> int:
        """Keep rows that cannot land, each once.

        :param rejected: the rows.
        :param today: the date (UTC) noted beside rows that are new.
        :returns: how many of them had not been quarantined before.
        :raises CleverLandingError: the destination cannot be written.
        """
        return quarantine.quarantine(self.objects, self.district_id, rejected, today=today)

    def _refuse_strangers(self, day: PulledDay) -> None:
        expected = {
            "district_id": self.district_id,
            "school_id": day.school_id,
            "attendance_date": date.fromisoformat(day.attendance_date),
        }
        for name, value in expected.items():
            if not holds_only(day.rows[name], value):
                msg = (
                    f"rows with another {name} came with school {day.school_id} on {day.attendance_date}; nothing of "
                    "that day was landed"
                )
                raise CleverDataError(msg)

    def _decide(
        self, path: str, day: PulledDay, pulled: Prepared, mark: Mark, previous: bytes | None, context: PullContext
    ) -> _Decision:
        outcome = _outcome(path, day, pulled)
        if previous is None:
            return _first(outcome, pulled, mark, context)
        if self._read(path, previous, self._format.read_mark) == mark:
            return _Decision(_same(outcome, day, mark, context))
        landed = self._read(path, previous, self._format.read)
        merged = merge.merge(landed.rows, pulled)
        if _is_telling(day, context):
            unseen = self.forgotten.unseen(merged.unseen)
            found = merge.evidence(landed.rows, unseen, missing_since=context.missing_since, asked_at=day.asked_at)
            outcome = replace(outcome, evidence=found)
        elif day.whole:
            counts = replace(merged.counts, expired=merge.unmarked(landed.rows, merged.unseen))
            merged = merged._replace(counts=counts)
        return _merged(outcome, merged, landed)

    def _keep_changes(self, decision: _Decision, context: PullContext) -> PartitionOutcome:
        outcome = decision.outcome
        if not (context.write_changes and context.idempotency_key):
            return outcome
        record = changes.write_change(
            self.objects,
            self.district_id,
            context.idempotency_key,
            (
                outcome.school_id,
                outcome.attendance_date,
                changes.short_hash(decision.before),
                changes.short_hash(outcome.content_hash),
            ),
            decision.changes,
        )
        return replace(outcome, change=record)

    def _read(self, path: str, data: bytes, read: Callable[[bytes], Found]) -> Found:
        try:
            return read(data)
        except DamagedPartitionError as error:
            raise self._damaged(path, error) from None

    def _damaged(self, path: str, error: DamagedPartitionError) -> CleverPartitionError:
        next_step = (
            "Upgrade airflow-provider-clever here, then run again; nothing is wrong with the file"
            if isinstance(error, NewerPartitionError)
            else "Restore an earlier version of it, or move it away (its rows are then lost unless Clever still has "
            "them), and run again"
        )
        return CleverPartitionError(f"{self.objects.root}/{path} cannot be merged into: {error}. {next_step}")


def _outcome(path: str, day: PulledDay, pulled: Prepared) -> PartitionOutcome:
    """Make the outcome of a day before it is compared."""
    return PartitionOutcome(
        path=path,
        school_id=day.school_id,
        attendance_date=day.attendance_date,
        outcome="absent",
        rows=0,
        received=day.rows.num_rows,
        content_hash=None,
        counts=Counts(conflicts=len(pulled.conflicts), duplicates=pulled.duplicates),
        rejected=tuple(_conflict(row) for row in pulled.conflicts),
    )


def _merged(outcome: PartitionOutcome, merged: merge.Merged, landed: Landed) -> _Decision:
    """Decide about a partition that exists."""
    outcome = replace(outcome, rows=merged.rows.num_rows, counts=merged.counts)
    # The rows decide, in today's columns: a newer schema or another hash of the same rows is no reason to write.
    if merged.rows.equals(landed.rows):
        return _Decision(replace(outcome, outcome="unchanged", content_hash=landed.content_hash))
    outcome = replace(outcome, outcome="written", content_hash=content_hash(merged.rows))
    return _Decision(outcome, merged.rows, landed.content_hash, merged.changes)


def _is_telling(day: PulledDay, context: PullContext) -> bool:
    """Whether anything follows from rows that did not come: past the retention edge Clever may have deleted them."""
    return day.whole and not merge.is_past_edge(date.fromisoformat(day.attendance_date), context.today)


def _same(outcome: PartitionOutcome, day: PulledDay, mark: Mark, context: PullContext) -> PartitionOutcome:
    """Make the outcome of a day whose rows are there already; or that has none and no partition."""
    if not mark.rows:
        return outcome
    evidence = DayEvidence(live=mark.rows, asked_at=day.asked_at) if _is_telling(day, context) else None
    return replace(outcome, outcome="unchanged", rows=mark.rows, content_hash=mark.content_hash, evidence=evidence)


def _first(outcome: PartitionOutcome, pulled: Prepared, mark: Mark, context: PullContext) -> _Decision:
    """Decide about a partition that does not exist yet."""
    if not mark.rows:
        return _Decision(outcome)
    outcome = replace(
        outcome,
        outcome="written",
        rows=mark.rows,
        content_hash=mark.content_hash,
        counts=replace(outcome.counts, added=mark.rows),
    )
    new = [merge.Change(None, row) for row in rows_of(pulled.rows)] if context.write_changes else []
    return _Decision(outcome, pulled.rows, None, new)


def _conflict(row: Row) -> RejectedRow:
    present = {name: value for name, value in zip(PULLED_COLUMNS, row, strict=True) if value is not None}
    return RejectedRow(reason=CONFLICT_REASON, page=0, row=0, raw=canonical_json(present))
