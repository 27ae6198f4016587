"""Reads from a receipt which days a pull covered, when, at which sync, and how it ended. No I/O."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Final, NamedTuple

from airflow_provider_clever.attendance.values import moment_from_text
from airflow_provider_clever.dates import ONE_DAY, DateRange
from airflow_provider_clever.lake.answers import Withheld
from airflow_provider_clever.lake.receipts import Receipt, SchoolReceipt, Try
from airflow_provider_clever.syncs import moment_text, sync_moment

_TOO_SHORT_WEEKDAYS: Final = 5
"""A pull of fewer weekdays may have met a holiday, and says little about how many rows a school has."""


class RowCounts(NamedTuple):
    """How many rows receipts counted, by what became of them."""

    missing: int = 0
    returned: int = 0
    quarantined: int = 0

    @classmethod
    def sum(cls, counts: Iterable["RowCounts"]) -> "RowCounts":
        """Add them up."""
        return cls(*(sum(column) for column in zip(*counts, strict=True)))


class WithheldDays(NamedTuple):
    """Days of which landed rows did not come back, and nothing was concluded. Of two, the later one counts.

    :param at: when the pull ended that found it.
    :param rows: how many rows did not come back.
    :param of: of how many.
    :param since: when a pull first found it.
    :param days: the days of these rows, which are still in the lake.
    """

    at: str
    rows: int
    of: int
    since: str
    days: tuple[DateRange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SchoolPull:
    """What one pull did for one school.

    :param covered: the stretches of days that came out complete.
    :param rows_per_weekday: how many rows a weekday has; None: the pull was too short to tell.
    :param name: as the pull saw it.
    :param failure: why the rest of what was asked for is missing; empty: nothing is.
    :param is_bare: Clever had no row, and none stood in the lake.
    :param has_rows: Clever had rows, or some stood in the lake.
    :param is_open: nothing was concluded, because rows that had landed did not come back.
    :param withheld: which rows these are, if enough is known to call it withheld.
    """

    school_id: str
    covered: tuple[DateRange, ...] = ()
    rows_per_weekday: float | None = None
    name: str = ""
    failure: str = ""
    is_bare: bool = False
    has_rows: bool = False
    is_open: bool = False
    withheld: WithheldDays | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PullFacts:
    """What one pull did; instants are UTC text as ``syncs.moment_text`` writes it.

    :param sync_before: the district's last sync before the first page, None if it had none.
    :param sync_after: the same after the last page.
    :param is_settled: whether no sync landed in between.
    :param tries: if it took several, what each of them covered, as pulls of their own; then ``schools`` cover nothing.
    :param counts: what it counted.
    """

    finished_at: str
    sync_before: str | None
    sync_after: str | None
    is_settled: bool
    schools: tuple[SchoolPull, ...]
    newest_day: date | None = None
    tries: tuple["PullFacts", ...] = ()
    counts: RowCounts = RowCounts()  # noqa: RUF009 - immutable


def pull_facts(receipt: Receipt, today: date) -> PullFacts:
    """Give what a receipt says about coverage.

    :param today: the date in the district.
    """
    days = [school.written.keys() | school.unchanged.keys() for school in receipt.schools.values()]
    newest = max((max(found) for found in days if found), default=None)
    finished_at = _pulled_at(receipt, today)
    return PullFacts(
        finished_at=finished_at,
        sync_before=_canonical(receipt.sync_before),
        sync_after=_canonical(receipt.sync_after),
        is_settled=receipt.settled,
        schools=tuple(
            _school_pull(school_id, school, finished_at, is_whole=receipt.asked.whole, has_tries=bool(receipt.tries))
            for school_id, school in receipt.schools.items()
            if receipt.asked.section_ids is None
        ),
        newest_day=date.fromisoformat(newest) if newest else None,
        tries=tuple(_try_facts(one, today) for one in receipt.tries) if receipt.asked.whole else (),
        counts=RowCounts(*(int(receipt.totals.get(name, 0)) for name in RowCounts._fields)),
    )


def _try_facts(one: Try, today: date) -> PullFacts:
    return PullFacts(
        finished_at=_pulled_at(one, today),
        sync_before=_canonical(one.sync_before),
        sync_after=None,
        is_settled=one.settled,
        schools=tuple(SchoolPull(school_id=school_id, covered=days) for school_id, days in one.covered.items()),
    )


def _pulled_at(pull: Receipt | Try, today: date) -> str:
    """When a pull ended, as far as its worker's clock can be trusted.

    It cannot have ended after the present day, or a day before the sync that it saw. A moment from the future would
    outdo every later pull; one from long ago would count days as lost that Clever had forgotten before we came.
    """
    moment, sync = moment_from_text(pull.finished_at), sync_moment(pull.sync_before)
    # A calendar day ends last on the islands of UTC-12.
    latest = datetime.combine(today + ONE_DAY, time(12), UTC)
    if sync is not None and sync <= latest and sync - moment > ONE_DAY:
        moment = sync
    return moment_text(min(moment, latest))


def _school_pull(
    school_id: str, school: SchoolReceipt, finished_at: str, *, is_whole: bool, has_tries: bool
) -> SchoolPull:
    covered = school.covered
    partitions = bool(school.written or school.unchanged)
    return SchoolPull(
        school_id=school_id,
        covered=covered if is_whole and not has_tries else (),
        rows_per_weekday=_rows_per_weekday(school, sum(span.weekdays for span in covered)),
        name=school.name,
        # "gone" is what version 0.1.0 called a school that had landed before and was refused.
        failure=school.error or "it failed" if school.state in ("failed", "gone") else "",
        is_bare=school.state == "empty" and not partitions,
        has_rows=partitions,
        is_open=school.state in ("withheld", "unsettled"),
        withheld=_withheld(school.withheld, finished_at) if school.state == "withheld" else None,
    )


def _withheld(found: Withheld | None, finished_at: str) -> WithheldDays | None:
    if found is None:
        return None
    return WithheldDays(finished_at, found.rows, found.of, found.since, found.days)


def _rows_per_weekday(school: SchoolReceipt, weekdays: int) -> float | None:
    if weekdays < _TOO_SHORT_WEEKDAYS:
        return None
    if school.state == "empty":
        return 0.0
    # Of unchanged partitions a receipt does not say how many rows they hold; they are taken for average ones.
    rows = [partition.rows for partition in school.written.values()]
    partitions = len(rows) + len(school.unchanged)
    return partitions * sum(rows) / len(rows) / weekdays if rows else None


def _canonical(instant: str | None) -> str | None:
    moment = sync_moment(instant)
    return None if moment is None else moment_text(moment)
