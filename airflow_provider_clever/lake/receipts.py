"""Defines receipts: what one task run asked, covered and changed. A receipt is written last, so it is always true.

docs/reference/receipt.md documents every field. A receipt holds no student data.
"""

from dataclasses import dataclass, field, replace
from functools import cache
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError

from airflow_provider_clever.attendance.values import moment_from_text
from airflow_provider_clever.dates import DateRange, date_from_text
from airflow_provider_clever.lake import layout
from airflow_provider_clever.lake.answers import JsonRange, Withheld
from airflow_provider_clever.lake.changes import short_hash
from airflow_provider_clever.lake.idempotency_key import IdempotencyKey

SCHEMA_VERSION: Final = 1

SchoolState: TypeAlias = Literal["landed", "empty", "failed", "gone", "withheld", "unsettled"]

Count: TypeAlias = Annotated[int, Field(ge=0, le=2**53)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The question of a run to Clever.

    :param school_ids: the schools that were asked for; None: every school the district shares.
    :param section_ids: the sections that were asked for, instead of schools.
    :param whole: True if schools were walked whole and unfiltered, so that their days could be covered.
    """

    date_range_start: str
    date_range_end: str
    school_ids: tuple[str, ...] | None = None
    section_ids: tuple[str, ...] | None = None
    whole: bool = True

    @property
    def days(self) -> DateRange:
        """The days that were asked for.

        :raises ValueError: they are no dates.
        """
        return DateRange.from_json((self.date_range_start, self.date_range_end))


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenPartition:
    """A partition that the run has changed.

    :param path: relative to the destination.
    :param rows: how many rows it holds now, with marked ones.
    :param content_hash: of these rows.
    :param counts: what changed, zeros left out.
    """

    path: str
    rows: Count
    content_hash: str
    counts: dict[str, Count]


@dataclass(frozen=True, slots=True, kw_only=True)
class SchoolReceipt:
    """The result for one school.

    :param state: ``landed``; ``empty``: covered, but Clever has no attendance in the range; ``failed``: see ``error``;
        ``gone``: refused, and the ledger knows that the district no longer shares it; ``withheld`` and ``unsettled``:
        rows that had landed did not come back, and nothing was concluded from it (see ``withheld``); of the latter too
        little is known to judge.
    :param covered: the days that a complete, unfiltered walk of the whole school has covered and landed, as ranges.
    :param written: changed partitions by attendance date.
    :param unchanged: the other partitions that were compared, by attendance date: first 16 digits of the content hash.
    :param error: why it failed, without student data.
    :param withheld: the rows that did not come back.
    """

    state: SchoolState
    name: str = ""
    covered: tuple[JsonRange, ...] = ()
    written: dict[str, WrittenPartition] = field(default_factory=dict)
    unchanged: dict[str, str] = field(default_factory=dict)
    error: str | None = None
    withheld: Withheld | None = None

    def then(self, later: "SchoolReceipt") -> "SchoolReceipt":
        """Add the partitions that were written or compared later."""
        # A day that one try wrote and a later one found unchanged counts as written. If its hash differs, another
        # writer wrote it in between, and the later try counts.
        kept = {
            day: entry
            for day, entry in self.written.items()
            if later.unchanged.get(day) in (None, short_hash(entry.content_hash))
        }
        written = kept | {day: _joined(self.written.get(day), entry) for day, entry in later.written.items()}
        unchanged = {day: mark for day, mark in (self.unchanged | later.unchanged).items() if day not in written}
        return replace(self, written=dict(sorted(written.items())), unchanged=dict(sorted(unchanged.items())))


def _joined(earlier: WrittenPartition | None, later: WrittenPartition) -> WrittenPartition:
    if earlier is None:
        return later
    names = sorted({*earlier.counts, *later.counts})
    return replace(later, counts={name: earlier.counts.get(name, 0) + later.counts.get(name, 0) for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """What one of several tries covered, and when.

    :param covered: the days that it covered itself, by school.
    """

    finished_at: str
    sync_before: str | None
    settled: bool
    covered: dict[str, tuple[JsonRange, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What one task run did, all its tries together.

    :param settled: True if no sync came in between: what was covered is what the sync ``sync_before`` brought.
    :param changes: paths of the change records of all tries, relative to the destination; None: no feed was written.
    :param totals: figures of the run, as in its summary.
    :param versions: of what wrote the files.
    :param tries: what each try covered by itself, if that makes a difference; empty: the last one covered everything.
    :param try_number: which try it was that wrote it last, from 1.
    :param changed_days: the days of which this try or an earlier one changed a partition, or may have.
    """

    district_id: str
    idempotency_key: IdempotencyKey
    asked: Asked
    file_format: str
    finished_at: str
    sync_before: str | None
    sync_after: str | None
    settled: bool
    schools: dict[str, SchoolReceipt]
    changes: tuple[str, ...] | None = None
    totals: dict[str, int | Annotated[float, Field(allow_inf_nan=False)]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    tries: tuple[Try, ...] = ()
    try_number: Count = 1
    changed_days: tuple[JsonRange, ...] = ()
    schema_version: int = SCHEMA_VERSION

    @property
    def path(self) -> str:
        """The receipt's path, relative to the destination; every try of a run has the same one."""
        return receipt_path(self.district_id, self.idempotency_key)

    def check(self) -> None:
        """Check that its instants and days can be read.

        :raises ValueError: one of them cannot.
        """
        syncs = (self.sync_before, self.sync_after, *(one.sync_before for one in self.tries))
        for moment in (self.finished_at, *(one.finished_at for one in self.tries), *filter(None, syncs)):
            if moment_from_text(moment).year < _FIRST_YEAR:
                msg = f"it speaks of a moment before {_FIRST_YEAR}"
                raise ValueError(msg)
        _ = self.asked.days
        for school in self.schools.values():
            for day in (*school.written, *school.unchanged):
                date_from_text(day)
        if self.file_format not in layout.EXTENSIONS:
            msg = "it names a file format that there is not"
            raise ValueError(msg)

    def to_json(self) -> dict[str, Any]:
        """Give the receipt as values that can be written as JSON."""
        document: dict[str, Any] = _adapter().dump_python(self, mode="json", warnings=False)
        del document["idempotency_key"]
        key = self.idempotency_key
        document["work"] = {"id": key.id, "month": key.month}
        return document | ({"task": key.task._asdict()} if key.task else {})

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Receipt":
        """Read what :meth:`to_json` gave.

        :raises ValueError: it is no receipt, or that of a newer version.
        """
        try:
            if document["schema_version"] > SCHEMA_VERSION:
                msg = "a newer version of airflow-provider-clever wrote it; upgrade this one"
                raise ValueError(msg)
        except (KeyError, TypeError):
            raise ValueError(_NO_RECEIPT) from None
        try:
            work = document.get("work")
            key = {**work, "task": document.get("task")} if isinstance(work, dict) else work
            return _adapter().validate_python({**document, "idempotency_key": key})
        except ValidationError:  # its text quotes what it found
            raise ValueError(_NO_RECEIPT) from None


_NO_RECEIPT: Final = "it is not a receipt"
_FIRST_YEAR: Final = 1970
"""The year on a machine without a clock; no pull has written an earlier one."""


@cache
def _adapter() -> TypeAdapter[Receipt]:
    return TypeAdapter(Receipt)


def receipt_path(district_id: str, idempotency_key: IdempotencyKey) -> str:
    """Give the path of a run's receipt, relative to the destination."""
    key = idempotency_key.checked()
    return layout.our_path(district_id, "receipts", key.month, f"{key.id}.json.gz")
