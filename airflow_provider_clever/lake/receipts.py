"""Receipts: what one task run asked, covered and changed. Written last, so what a receipt says has happened.

docs/reference/receipt.md documents every field. A receipt holds no student data.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError

from airflow_provider_clever.attendance.merge import COUNT_NAMES, Counts
from airflow_provider_clever.attendance.values import moment_from_text
from airflow_provider_clever.dates import DateRange, covers, date_from_text, joined
from airflow_provider_clever.lake import changes, layout
from airflow_provider_clever.lake.answers import JsonRange, Withheld
from airflow_provider_clever.lake.idempotency_key import IdempotencyKey

if TYPE_CHECKING:
    from airflow_provider_clever.lake.store import PartitionOutcome

SCHEMA_VERSION: Final = 1

SchoolState: TypeAlias = Literal["landed", "empty", "failed", "gone", "withheld", "unsettled"]

Count: TypeAlias = Annotated[int, Field(ge=0, le=2**53)]

_SUMMED: Final = frozenset({"added", "changed", "missing", "returned", "quarantined", "requests", "seconds"})
"""Totals that are effects or costs of a try, so that those of two tries add up; the others describe what was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The question that a run has put to Clever.

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
    :param rows: how many rows it holds since, marked ones among them.
    :param content_hash: of these rows.
    :param counts: what changed, zeros left out.
    """

    path: str
    rows: Count
    content_hash: str
    counts: dict[str, Count]


@dataclass(frozen=True, slots=True, kw_only=True)
class SchoolReceipt:
    """What became of one school.

    :param state: ``landed``; ``empty``: covered, but Clever has no attendance in the range; ``failed``: see ``error``;
        ``gone``: refused, and the ledger knows that the district no longer shares it; ``withheld`` and ``unsettled``:
        rows that had landed did not come back, and nothing was concluded from it (see ``withheld``); of the latter too
        little is known to judge.
    :param covered: the days that a complete, unfiltered walk of the whole school has covered and landed, as ranges.
    :param written: changed partitions by attendance date.
    :param unchanged: the other partitions that were compared, by attendance date: first 16 digits of the content hash.
    :param error: what went wrong, without student data.
    :param withheld: the rows that did not come back.
    """

    state: SchoolState
    name: str = ""
    covered: tuple[JsonRange, ...] = ()
    written: dict[str, WrittenPartition] = field(default_factory=dict)
    unchanged: dict[str, str] = field(default_factory=dict)
    error: str | None = None
    withheld: Withheld | None = None


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
    schema_version: int = SCHEMA_VERSION

    @property
    def path(self) -> str:
        """Where it is kept, relative to the destination; the same for every try of the same run."""
        return receipt_path(self.district_id, self.idempotency_key)

    def check(self) -> None:
        """See that its moments and days can be read.

        :raises ValueError: one cannot.
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
        """The receipt as values that JSON has a form for."""
        document: dict[str, Any] = _adapter().dump_python(self, mode="json", warnings=False)
        del document["idempotency_key"]
        return document | {"work": self.idempotency_key._asdict()}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Receipt":
        """The receipt that :meth:`to_json` gave.

        :raises ValueError: if this is none, or a newer version's.
        """
        try:
            if document["schema_version"] > SCHEMA_VERSION:
                msg = "a newer version of airflow-provider-clever wrote it; upgrade this one"
                raise ValueError(msg)
        except (KeyError, TypeError):
            raise ValueError(_NO_RECEIPT) from None
        try:
            return _adapter().validate_python({**document, "idempotency_key": document.get("work")})
        except ValidationError:  # its text quotes what it found
            raise ValueError(_NO_RECEIPT) from None


_NO_RECEIPT: Final = "it is not a receipt"
_FIRST_YEAR: Final = 1970
"""What a machine without a clock takes the year for; what lies before it was written by no pull."""


@cache
def _adapter() -> TypeAdapter[Receipt]:
    return TypeAdapter(Receipt)


def receipt_path(district_id: str, idempotency_key: IdempotencyKey) -> str:
    """Where the receipt of a run is kept, relative to the destination."""
    key = idempotency_key.checked()
    return layout.our_path(district_id, "receipts", key.month, f"{key.id}.json.gz")


def school_receipt(
    outcomes: Iterable["PartitionOutcome"],
    *,
    state: SchoolState,
    name: str = "",
    covered: Sequence[JsonRange] = (),
    error: str | None = None,
    withheld: Withheld | None = None,
) -> SchoolReceipt:
    """Sum up what landing one school's days has done.

    :param outcomes: in the order in which they happened; a day may occur more than once.
    """
    receipt = SchoolReceipt(state=state, name=name, covered=joined(covered), error=error, withheld=withheld)
    for outcome in outcomes:
        receipt = _with_later(receipt, _one(outcome))
    return receipt


def _one(outcome: "PartitionOutcome") -> SchoolReceipt:
    day = outcome.attendance_date
    if outcome.content_hash is None:
        return SchoolReceipt(state="landed")
    if outcome.outcome == "unchanged":
        return SchoolReceipt(state="landed", unchanged={day: changes.short_hash(outcome.content_hash)})
    written = WrittenPartition(
        path=outcome.path, rows=outcome.rows, content_hash=outcome.content_hash, counts=_nonzero(outcome.counts)
    )
    return SchoolReceipt(state="landed", written={day: written})


def _with_later(earlier: SchoolReceipt, later: SchoolReceipt) -> SchoolReceipt:
    written = {day: _later_partition(earlier.written.get(day), entry) for day, entry in later.written.items()}
    # A day that one try wrote and a later one found unchanged was written; if its hash differs, somebody else wrote it
    # in between, and the later try speaks.
    kept = {
        day: entry
        for day, entry in earlier.written.items()
        if later.unchanged.get(day) in (None, changes.short_hash(entry.content_hash))
    }
    written = kept | written
    unchanged = {day: mark for day, mark in (earlier.unchanged | later.unchanged).items() if day not in written}
    return replace(earlier, written=dict(sorted(written.items())), unchanged=dict(sorted(unchanged.items())))


def _later_partition(earlier: WrittenPartition | None, later: WrittenPartition) -> WrittenPartition:
    if earlier is None:
        return later
    names = sorted({*earlier.counts, *later.counts})
    return replace(later, counts={name: earlier.counts.get(name, 0) + later.counts.get(name, 0) for name in names})


def _nonzero(counts: Counts) -> dict[str, int]:
    return {name: getattr(counts, name) for name in COUNT_NAMES if getattr(counts, name)}


def totals(outcomes: Iterable["PartitionOutcome"], later: Iterable["PartitionOutcome"] = ()) -> dict[str, float]:
    """The figures of a run that landing knows: rows, partitions, written, unchanged, and all counts.

    :param outcomes: of landing each day.
    :param later: what was done to partitions that were landed already: a second walk, marks. It adds to what was
        counted, and a partition that it writes is written, but none of them is one partition more.
    """
    sums: dict[str, float] = dict.fromkeys(("rows", "partitions", "written", "unchanged", *COUNT_NAMES), 0)
    stands: dict[str, str] = {}
    for outcome in outcomes:
        _count(sums, outcome)
        if outcome.content_hash is not None:
            sums["partitions"] += 1
            sums[outcome.outcome] += 1
            stands[outcome.path] = outcome.outcome
    for outcome in later:
        _count(sums, outcome)
        before = stands.get(outcome.path)
        if outcome.outcome == "written" and before != "written":
            sums["partitions"] += before is None
            sums["unchanged"] -= before == "unchanged"
            sums["written"] += 1
            stands[outcome.path] = "written"
    return sums


def _count(sums: dict[str, float], outcome: "PartitionOutcome") -> None:
    sums["rows"] += outcome.received
    for name, value in _nonzero(outcome.counts).items():
        sums[name] += value


def unite(earlier: Receipt, later: Receipt) -> Receipt:
    """One receipt for two tries of the same run.

    The later try decides, except that what the earlier one changed is not forgotten; and where it covered a day that
    the later one did not, the day stays covered and the older of the two syncs counts.
    """
    schools = {
        school_id: _united_school(earlier.schools.get(school_id), later.schools.get(school_id))
        for school_id in sorted({*earlier.schools, *later.schools})
    }
    united = replace(
        later,
        schools=schools,
        changes=_united_changes(earlier.changes, later.changes),
        tries=_united_tries(earlier, later),
        totals=later.totals | {name: earlier.totals.get(name, 0) + later.totals.get(name, 0) for name in _SUMMED},
    )
    if not all(
        covers(later.schools[school_id].covered if school_id in later.schools else (), school.covered)
        for school_id, school in earlier.schools.items()
    ):
        syncs = [receipt.sync_before for receipt in (earlier, later)]
        oldest = None if None in syncs else min(filter(None, syncs))
        return replace(united, sync_before=oldest, settled=earlier.settled and later.settled and len(set(syncs)) == 1)
    return united


def _united_tries(earlier: Receipt, later: Receipt) -> tuple[Try, ...]:
    """What each try covered, but for tries that a later one has outdone; none if that leaves the later one alone.

    A task may be cleared months later: what its first try covered, its last one can no longer see at Clever, and days
    that a try did not cover itself must not count as covered at its sync.
    """
    last = _one_try(later)
    kept = tuple(one for one in earlier.tries or (_one_try(earlier),) if any(one.covered.values()))
    kept = tuple(one for one in kept if not _outdoes(last, one))
    if not kept:
        return ()
    return (*kept, last) if any(last.covered.values()) else kept


def _one_try(receipt: Receipt) -> Try:
    return Try(
        finished_at=receipt.finished_at,
        sync_before=receipt.sync_before,
        settled=receipt.settled,
        covered={school_id: school.covered for school_id, school in receipt.schools.items() if school.covered},
    )


def _outdoes(later: Try, earlier: Try) -> bool:
    # Of one date, for Clever forgets a day with each: what the earlier try still saw, the later one might not.
    return (
        later.settled
        and later.finished_at[:10] == earlier.finished_at[:10]
        and all(covers(later.covered.get(school_id, ()), days) for school_id, days in earlier.covered.items())
    )


def _united_school(earlier: SchoolReceipt | None, later: SchoolReceipt | None) -> SchoolReceipt:
    if earlier is None or later is None:
        only = earlier or later
        assert only is not None  # noqa: S101 - the id came from one of the two
        return only
    both = _with_later(earlier, later)
    covered = joined([*earlier.covered, *later.covered])
    return replace(
        both,
        state=later.state,
        name=later.name or earlier.name,
        covered=covered,
        error=later.error,
        withheld=later.withheld,
    )


def _united_changes(earlier: tuple[str, ...] | None, later: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if earlier is None and later is None:
        return None
    return tuple(sorted({*(earlier or ()), *(later or ())}))
