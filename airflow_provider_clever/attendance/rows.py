"""Attendance rows on their way from a page to a file."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa


class RejectedRow(NamedTuple):
    """A row that cannot land, on its way to quarantine.

    :param reason: why, in words that quote nothing of the row.
    :param page: number of the page in its walk, from 1.
    :param row: number of the row in its page, from 1.
    :param raw: the row as canonical JSON text. An education record: it goes to quarantine and nowhere else.
    """

    reason: str
    page: int
    row: int
    raw: str

    def __repr__(self) -> str:
        return f"RejectedRow(reason={self.reason!r}, page={self.page}, row={self.row})"


class PulledDay(NamedTuple):
    """Attendance of one school on one day, as one walk found it.

    :param school_id: the school.
    :param attendance_date: the day, ``YYYY-MM-DD``.
    :param rows: what was found, possibly nothing, in PULLED_COLUMNS.
    :param whole: True if a complete, unfiltered walk of the whole school has covered this day, so that a landed row
        which is not among ``rows`` did not come back.
    :param asked_at: when the first page of that walk was asked for, canonical UTC text; a row that Clever has touched
        since may be missing for that reason alone. Empty: not known, so nothing follows from an absence.
    """

    school_id: str
    attendance_date: str
    rows: "pa.RecordBatch"
    whole: bool
    asked_at: str = ""

    def __repr__(self) -> str:
        return f"PulledDay({self.school_id}, {self.attendance_date}, {self.rows.num_rows} rows, whole={self.whole})"
