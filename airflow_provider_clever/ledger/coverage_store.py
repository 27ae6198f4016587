"""Keeps one ``coverage.json`` per district: computed from receipts, read by the planner and the sensor.

Receipts are the source. Coverage remembers which receipts it includes, so a night reads only its own; if coverage is
lost, one call computes it again.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, TypeAlias

from airflow_provider_clever.dates import months_later
from airflow_provider_clever.exceptions import CleverLandingError
from airflow_provider_clever.lake import layout
from airflow_provider_clever.lake.receipt_files import read_receipts
from airflow_provider_clever.lake.receipts import Receipt
from airflow_provider_clever.ledger.coverage import Coverage
from airflow_provider_clever.ledger.coverage_json import (
    CoverageFile,
    CoverageFormatError,
    FoldedMonth,
    NewerCoverageError,
    from_json,
    to_json,
)
from airflow_provider_clever.ledger.receipt_facts import PullFacts, RowCounts, pull_facts
from airflow_provider_clever.ledger.watermark import CorrectionRules, watermark
from airflow_provider_clever.storage.objects import Objects

log = logging.getLogger(__name__)

_NAMED_MONTHS: Final = 2
"""For how many of the newest months coverage keeps receipts by name; for older ones it keeps sums."""

_WATCHED_DAYS: Final = 250
"""No run lists receipts of older months: they are about days that Clever has long deleted.

A run of such a month that is cleared names its own receipts, and those are read."""

_REBUILD: Final = "make it again from the receipts with `clever-attendance status DESTINATION --rebuild`"


FactsByMonth: TypeAlias = dict[str, dict[str, PullFacts]]
"""Facts of receipts, by the month of their folder and their name in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What coverage is computed from besides receipts.

    :param today: the date in the district.
    :param timezone: IANA name of the district's zone; empty: as recorded before.
    :param schools: names of the schools that the district shares, by id; None: the list was not fetched.
    :param is_doubted: whether the list leaves out so many schools that nothing follows from it for those
        (attendance/absence.py). Default False.
    :param rules: how long a day may still change; decides what the watermark may promise.
    """

    today: date
    timezone: str = ""
    schools: Mapping[str, str] | None = None
    is_doubted: bool = False
    rules: CorrectionRules = CorrectionRules()  # noqa: RUF009 - immutable


def coverage_path(district_id: str) -> str:
    """Give the path of a district's coverage, relative to the destination."""
    return layout.our_path(district_id, "coverage.json")


def read_coverage(objects: Objects, district_id: str) -> CoverageFile:
    """Read a district's coverage; it is empty if nothing has been recorded yet.

    If the file is damaged, coverage is computed from all receipts; the next :func:`record_coverage` writes it again.

    :raises CleverLandingError: it cannot be read, a newer version wrote it, or it is that of another district.
    """
    data = _data(objects, district_id)
    try:
        return _parsed(data, district_id)
    except _DamagedCoverageError as error:
        log.error("%s", error)  # noqa: TRY400 - the traceback says nothing more
        return _rebuilt(objects, None, district_id, Listing(today=datetime.now(UTC).date()))


def record_coverage(
    objects: Objects, district_id: str, listing: Listing, *, receipts: Iterable[str] = ()
) -> CoverageFile:
    """Add the new receipts to coverage, and write it.

    :param objects: the destination.
    :param receipts: paths, relative to the destination, of receipts to read again: a task that was cleared has written
        its receipt again.
    :raises CleverLandingError: the destination, or its coverage, cannot be read or written.
    """
    again = set(receipts)
    return _updated(objects, district_id, lambda data: _current(objects, data, district_id, listing, again))


def current_coverage(objects: Objects, district_id: str, listing: Listing) -> CoverageFile:
    """Give what :func:`record_coverage` would write, without writing it.

    :raises CleverLandingError: the destination, or its coverage, cannot be read.
    """
    return _current(objects, _data(objects, district_id), district_id, listing, set())


def rebuild_coverage(objects: Objects, district_id: str, listing: Listing) -> CoverageFile:
    """Rebuild coverage from all receipts, after it was lost or damaged, or to check it.

    Coverage keeps what it knew from receipts that were removed since, for example by a lifecycle rule of the store.

    :raises CleverLandingError: the destination cannot be read or written; a newer version wrote the coverage; or no
        receipt can be read although coverage has taken some in, so that all it knows would be gone.
    """
    return _updated(objects, district_id, lambda data: _rebuilt(objects, data, district_id, listing))


def receipts_at(objects: Objects, district_id: str, paths: Iterable[str]) -> list[Receipt]:
    """Read the receipts at these paths, without those that cannot be used.

    :param paths: relative to the destination.
    :raises CleverLandingError: the destination cannot be read.
    """
    return list(read_receipts(objects, district_id, paths, damaged=_leave_out))


def _data(objects: Objects, district_id: str) -> bytes | None:
    found = objects.read(coverage_path(district_id))
    return found and found[0]


def _updated(objects: Objects, district_id: str, next_file: Callable[[bytes | None], CoverageFile]) -> CoverageFile:
    """Write what is made of the present bytes; again if another process has written in between."""
    written: list[CoverageFile] = []

    def next_data(data: bytes | None) -> bytes | None:
        written[:] = [next_file(data)]
        after = to_json(written[0])
        return None if after == data else after

    objects.update(coverage_path(district_id), next_data)
    return written[0]


def _current(objects: Objects, data: bytes | None, district_id: str, listing: Listing, again: set[str]) -> CoverageFile:
    try:
        file = _parsed(data, district_id)
    except _DamagedCoverageError as error:
        log.error("%s", error)  # noqa: TRY400 - the traceback says nothing more
        return _rebuilt(objects, None, district_id, listing)
    return _folded(file, _new_receipts(objects, file, listing.today, again), listing)


def _rebuilt(objects: Objects, data: bytes | None, district_id: str, listing: Listing) -> CoverageFile:
    receipts = _all_receipts(objects, district_id, listing.today)
    try:
        old = _parsed(data, district_id)
    except (_DamagedCoverageError, _ForeignCoverageError):
        old = CoverageFile(Coverage(district_id))
    months = sorted(month for month, found in receipts.items() if found)
    if not months and any(month.count for month in old.receipts.values()):
        raise CleverLandingError(
            f"No receipt below {layout.our_path(district_id, 'receipts')} can be read, and "
            f"{coverage_path(district_id)} still says what they said, so it was left alone. Restore the receipts, "
            "or move it away, and everything that Clever still has is pulled again"
        )
    file = CoverageFile(old.coverage.lists_alone())
    removed = {month: folded for month, folded in old.receipts.items() if months and month <= months[0]}
    if removed and (min(removed) < months[0] or removed[months[0]].count > len(receipts[months[0]])):
        # The first month may be gone in part. Days after it were pulled in later months too.
        file.coverage.keep(old.coverage, before=months_later(date.fromisoformat(f"{months[0]}-01"), 1))
        file.receipts = removed
    return _folded(file, receipts, listing)


class _DamagedCoverageError(CleverLandingError):
    """Nothing to fix: what the receipts say counts, and the file is written again by the next record."""


class _ForeignCoverageError(CleverLandingError):
    """The file is about another district."""


def _all_receipts(objects: Objects, district_id: str, today: date) -> FactsByMonth:
    folders = objects.names(layout.our_path(district_id, "receipts"))
    return {_last_part(folder): _read_all(objects, objects.names(folder), district_id, today) for folder in folders}


def _parsed(data: bytes | None, district_id: str) -> CoverageFile:
    if data is None:
        return CoverageFile(Coverage(district_id))
    try:
        file = from_json(data)
    except NewerCoverageError as error:
        raise CleverLandingError(
            f"{coverage_path(district_id)} cannot be used: {error}. A newer version of airflow-provider-clever wrote "
            "it. Upgrade this one"
        ) from None
    except CoverageFormatError:
        raise _DamagedCoverageError(
            f"{coverage_path(district_id)} is damaged, so what the receipts say counts instead. The next run that "
            f"records coverage writes it again; or {_REBUILD}"
        ) from None
    if file.coverage.district_id != district_id:
        raise _ForeignCoverageError(
            f"{coverage_path(district_id)} is that of another district, {file.coverage.district_id}: somebody copied "
            f"it. Nothing of it was used; {_REBUILD}"
        )
    return file


def _new_receipts(objects: Objects, file: CoverageFile, today: date, again: set[str]) -> FactsByMonth:
    """Read the receipts to add, by month and name."""
    district_id = file.coverage.district_id
    oldest = (today - timedelta(days=_WATCHED_DAYS)).strftime("%Y-%m")
    months_again = {path.rsplit("/", 2)[-2] for path in again}
    found: FactsByMonth = {}
    for folder in objects.names(layout.our_path(district_id, "receipts")):
        month = _last_part(folder)
        if month < oldest and month not in months_again:
            continue
        paths = objects.names(folder)
        known = file.receipts.get(month)
        if known is not None and known.names is not None:
            paths = [path for path in paths if _last_part(path) not in known.names or path in again]
        elif known is not None and known.count >= len(paths) and month not in months_again:
            paths = []
        found[month] = _read_all(objects, paths, district_id, today)
    return found


def _read_all(objects: Objects, paths: Iterable[str], district_id: str, today: date) -> dict[str, PullFacts]:
    receipts = read_receipts(objects, district_id, paths, damaged=_leave_out)
    return {_last_part(receipt.path): pull_facts(receipt, today) for receipt in receipts}


def _leave_out(path: str, error: Exception) -> None:
    # Without it some days count as not covered and are pulled again, which is safe; verify names it.
    log.warning("Receipt %s cannot be used (%s); what it says does not count", path, error)


def _folded(file: CoverageFile, months: FactsByMonth, listing: Listing) -> CoverageFile:
    file.coverage.timezone = listing.timezone or file.coverage.timezone
    for month, receipts in months.items():
        _fold(file, month, receipts)
    _finish(file, listing)
    return file


def _fold(file: CoverageFile, month: str, receipts: Mapping[str, PullFacts]) -> None:
    file.coverage.fold(*receipts.values())
    known = file.receipts.get(month)
    counts = {name: facts.counts for name, facts in receipts.items()}
    if known is None or known.names is not None:
        file.receipts[month] = FoldedMonth.of({**(known.names or {} if known else {}), **counts})
    elif len(counts) >= known.count:  # an old month was read again, whole
        file.receipts[month] = FoldedMonth(None, len(counts), RowCounts.sum(counts.values()))


def _finish(file: CoverageFile, listing: Listing) -> None:
    coverage = file.coverage
    if listing.schools is not None:
        coverage.list_schools(listing.schools, listing.today, is_trusted=not listing.is_doubted)
    coverage.forget(listing.today)
    coverage.watermark = watermark(coverage, listing.today, listing.rules)
    for month in sorted(file.receipts)[:-_NAMED_MONTHS]:
        folded = file.receipts[month]
        file.receipts[month] = FoldedMonth(None, folded.count, folded.counts)


def _last_part(path: str) -> str:
    return path.rsplit("/", 1)[-1]
