"""Assembles the rows of one walk into days, and gives each day as soon as it is complete."""

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

from airflow_provider_clever.attendance.batches import joined, pulled_schema
from airflow_provider_clever.attendance.rows import PulledDay
from airflow_provider_clever.dates import ONE_DAY, DateRange
from airflow_provider_clever.pull.chains import Chain

if TYPE_CHECKING:
    import pyarrow as pa

_FOR_NOW = "9999-12-31"
"""Until the next page says on which day it begins."""

_NEVER = "9999-12-32"
"""Until the end of the walk."""


class DayAssembler:
    """Assembles one walk's rows into days.

    A day is complete once a later date was seen or the walk has ended; never because of an error. A row that comes
    after its day was closed reopens the day: it is given again, as an addition that marks nothing. A day to which a
    rejected row may belong marks nothing either: Clever still has that row, although we cannot read it.

    :param chain: the walk.
    """

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._first = chain.query.start
        self._last = chain.query.end
        self._open = self._first
        self._parts: list[pa.RecordBatch] = []
        self._doubtful_until = ""
        self.newest_date: str | None = None
        self.asked_at = ""
        """When the walk's first page was asked for, canonical UTC text; empty: not known."""

    def add(self, rows: "pa.RecordBatch", *, has_rejected: bool = False) -> Iterator[PulledDay]:
        """Add a page's rows, and give the days that they complete.

        :param rows: a page's rows.
        :param has_rejected: True if the page had rows besides that were rejected. Default False.
        """
        by_day = list(_by_day(rows))
        if has_rejected:
            self._doubtful_until = max(self._doubtful_until, _FOR_NOW)
        elif self._doubtful_until == _FOR_NOW and by_day:
            self._doubtful_until = by_day[0][0]
        for day, part in by_day:
            self.newest_date = max(day, self.newest_date or day)
            if day < self._open:
                yield from self._by_school(day, part, whole=False)
                continue
            yield from self._close_until(day)
            self._parts.append(part)

    def doubt(self) -> None:
        """Conclude nothing from rows that this walk does not bring: one of its pages may answer another question."""
        self._doubtful_until = _NEVER

    @property
    def is_doubted(self) -> bool:
        """Whether nothing is concluded from rows that this walk does not bring."""
        return self._doubtful_until == _NEVER

    def finish(self) -> Iterator[PulledDay]:
        """End the walk, and give the days that this completes: the open one and the empty ones after it."""
        return self._close_until(_next_day(self._last))

    @property
    def complete_days(self) -> DateRange | None:
        """The days that were complete so far; None before the first."""
        if self._open <= self._first:
            return None
        return DateRange(date.fromisoformat(self._first), date.fromisoformat(self._open) - ONE_DAY)

    def _close_until(self, day: str) -> Iterator[PulledDay]:
        while self._open < day:
            parts, self._parts = self._parts, []
            whole = self._chain.whole and self._open > self._doubtful_until
            yield from self._by_school(self._open, joined(parts, pulled_schema()), whole=whole)
            self._open = _next_day(self._open)

    def _by_school(self, day: str, rows: "pa.RecordBatch", *, whole: bool) -> Iterator[PulledDay]:
        """A school's day is one partition; a section's rows lie in the partitions of the schools that they name."""
        if self._chain.query.school_id:
            yield PulledDay(self._chain.query.school_id, day, rows, whole, self.asked_at)
            return
        import pyarrow.compute as pc

        for school_id in sorted(rows["school_id"].unique().to_pylist()):
            yield PulledDay(school_id, day, rows.filter(pc.equal(rows["school_id"], school_id)), whole, self.asked_at)


def _by_day(rows: "pa.RecordBatch") -> "Iterator[tuple[str, pa.RecordBatch]]":
    """The rows of each day, in the order of the days."""
    import pyarrow.compute as pc

    runs = pc.run_end_encode(rows["attendance_date"])
    days, ends = runs.values.to_pylist(), runs.run_ends.to_pylist()
    if days != sorted(set(days)):
        yield from _by_day(rows.take(pc.array_sort_indices(rows["attendance_date"])))  # a stable order
        return
    for day, start, end in zip(days, [0, *ends], ends, strict=False):
        yield day.isoformat(), rows.slice(start, end - start)


def _next_day(day: str) -> str:
    return (date.fromisoformat(day) + ONE_DAY).isoformat()
