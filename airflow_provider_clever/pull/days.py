"""The rows of one walk, in the order in which they come -> complete days, as soon as they are complete."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import date

from airflow_provider_clever.attendance import batches
from airflow_provider_clever.attendance.rows import Columns, PulledDay, Rows
from airflow_provider_clever.dates import ONE_DAY, DateRange
from airflow_provider_clever.pull.chains import Chain

_FOR_NOW = "9999-12-31"
"""Until the next page says on which day it begins."""

_NEVER = "9999-12-32"
"""Until the end of the walk."""


class DayAssembler:
    """One walk's rows in, its days out.

    A day is complete once a later date was seen or the walk has ended; never because of an error. A row that comes
    after its day was closed reopens the day: it comes out again, as an addition that marks nothing. Nor does a day
    mark anything that a rejected row may belong to: Clever still has that row, we only cannot read it.

    :param chain: the walk.
    """

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._first = chain.query.start
        self._last = chain.query.end
        self._open = self._first
        self._parts: list[Rows] = []
        self._doubtful_until = ""
        self.newest_date: str | None = None
        self.asked_at = ""
        """When the walk's first page was asked for, canonical UTC text; empty: not known."""

    def add(
        self, rows: Rows, days: Iterable[tuple[int, int, str]] | None = None, *, has_rejected: bool = False
    ) -> Iterator[PulledDay]:
        """The days that these rows complete.

        :param rows: a page's rows.
        :param days: start, end and date of each day's rows, in ascending order, if that is known; None: plain columns
            in any order.
        :param has_rejected: True if the page had rows besides that were rejected. Default False.
        """
        if days is None:
            rows = _sorted_by_date(batches.as_columns(rows))
            days = _stretches(rows["attendance_date"])
        if has_rejected:
            self._doubtful_until = max(self._doubtful_until, _FOR_NOW)
        elif self._doubtful_until == _FOR_NOW and batches.length(rows):
            self._doubtful_until = str(batches.value(rows, "attendance_date", 0))
        for start, end, day in days:
            self.newest_date = max(day, self.newest_date or day)
            part = batches.part(rows, start, end)
            if day < self._open:
                yield from self._by_school(day, part, whole=False)
                continue
            yield from self._close_until(day)
            self._parts.append(part)

    def doubt(self) -> None:
        """Conclude nothing from what this walk does not bring: a page of it may answer another question."""
        self._doubtful_until = _NEVER

    @property
    def is_doubted(self) -> bool:
        """Whether nothing is concluded from what this walk does not bring."""
        return self._doubtful_until == _NEVER

    def finish(self) -> Iterator[PulledDay]:
        """The days that the end of the walk completes: the open one and the empty ones behind it."""
        return self._close_until(_next_day(self._last))

    @property
    def complete_days(self) -> DateRange | None:
        """The days that have come out complete so far; None before the first."""
        if self._open <= self._first:
            return None
        return DateRange(date.fromisoformat(self._first), date.fromisoformat(self._open) - ONE_DAY)

    def _close_until(self, day: str) -> Iterator[PulledDay]:
        while self._open < day:
            parts, self._parts = self._parts, []
            whole = self._chain.whole and self._open > self._doubtful_until
            yield from self._by_school(self._open, batches.joined(parts), whole=whole)
            self._open = _next_day(self._open)

    def _by_school(self, day: str, rows: Rows, *, whole: bool) -> Iterator[PulledDay]:
        """A school's day is one partition; a section's rows lie in the partitions of the schools that they name."""
        if self._chain.query.school_id:
            yield PulledDay(self._chain.query.school_id, day, rows, whole, self.asked_at)
            return
        columns = batches.as_columns(rows)
        schools = columns["school_id"]
        for school_id in sorted({str(school) for school in schools}):
            own = [row for row, school in enumerate(schools) if school == school_id]
            picked = {name: [column[row] for row in own] for name, column in columns.items()}
            yield PulledDay(school_id, day, picked, whole, self.asked_at)


def _sorted_by_date(columns: Columns) -> Columns:
    dates = [str(day) for day in columns["attendance_date"]]
    if dates == sorted(dates):
        return columns
    order = sorted(range(len(dates)), key=dates.__getitem__)
    return {name: [column[row] for row in order] for name, column in columns.items()}


def _stretches(dates: list[str | None]) -> Iterator[tuple[int, int, str]]:
    """Start, end and date of each stretch of equal dates in a sorted list."""
    start = 0
    while start < len(dates):
        day = str(dates[start])
        end = bisect_right(dates, day, start, key=str)
        yield start, end, day
        start = end


def _next_day(day: str) -> str:
    return (date.fromisoformat(day) + ONE_DAY).isoformat()
