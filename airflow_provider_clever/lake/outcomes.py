"""Sums up the outcomes of landing a run's days, for each school's part of the receipt and for the run's totals."""

from collections.abc import Iterable, Sequence

from airflow_provider_clever.attendance.merge import COUNT_NAMES, Counts
from airflow_provider_clever.dates import DateRange, joined
from airflow_provider_clever.lake.answers import Withheld
from airflow_provider_clever.lake.changes import short_hash
from airflow_provider_clever.lake.receipts import SchoolReceipt, SchoolState, WrittenPartition
from airflow_provider_clever.lake.store import PartitionOutcome


def school_receipt(
    outcomes: Iterable[PartitionOutcome],
    *,
    state: SchoolState,
    name: str = "",
    covered: Sequence[DateRange] = (),
    error: str | None = None,
    withheld: Withheld | None = None,
) -> SchoolReceipt:
    """Sum up what landing one school's days has done.

    :param outcomes: in the order in which they happened; a day may occur more than once.
    """
    by_day: dict[str, SchoolReceipt] = {}
    for outcome in outcomes:
        day, one = outcome.attendance_date, _one(outcome)
        by_day[day] = by_day[day].then(one) if day in by_day else one
    days = [by_day[day] for day in sorted(by_day)]
    return SchoolReceipt(
        state=state,
        name=name,
        covered=joined(covered),
        written={day: entry for one in days for day, entry in one.written.items()},
        unchanged={day: mark for one in days for day, mark in one.unchanged.items()},
        error=error,
        withheld=withheld,
    )


def _one(outcome: PartitionOutcome) -> SchoolReceipt:
    day = outcome.attendance_date
    if outcome.content_hash is None:
        return SchoolReceipt(state="landed")
    if outcome.outcome == "unchanged":
        return SchoolReceipt(state="landed", unchanged={day: short_hash(outcome.content_hash)})
    written = WrittenPartition(
        path=outcome.path, rows=outcome.rows, content_hash=outcome.content_hash, counts=_nonzero(outcome.counts)
    )
    return SchoolReceipt(state="landed", written={day: written})


def _nonzero(counts: Counts) -> dict[str, int]:
    return {name: getattr(counts, name) for name in COUNT_NAMES if getattr(counts, name)}


def totals(outcomes: Iterable[PartitionOutcome], later: Iterable[PartitionOutcome] = ()) -> dict[str, float]:
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


def _count(sums: dict[str, float], outcome: PartitionOutcome) -> None:
    sums["rows"] += outcome.received
    for name, value in _nonzero(outcome.counts).items():
        sums[name] += value
