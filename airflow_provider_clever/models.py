"""What Clever sends, typed; and the columns that attendance is carried in between a pull and a destination."""

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from airflow_provider_clever.attendance import schema
from airflow_provider_clever.attendance.values import CleverId, date_from_text, moment_from_text
from airflow_provider_clever.printable import printable

if TYPE_CHECKING:
    import pyarrow as pa

AttendanceRecord = schema.AttendanceRecord


def _name(value: object) -> str:
    return printable(value) if isinstance(value, str) else ""


def _text_or_nothing(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _moment_or_nothing(value: object) -> datetime | None:
    try:
        return moment_from_text(value)
    except ValueError:
        return value if isinstance(value, datetime) and value.tzinfo is not None else None


def _day_or_moment(value: object) -> date | datetime | None:
    if isinstance(value, date):
        return value
    for read in (date_from_text, moment_from_text):
        try:
            return read(value)
        except ValueError:
            continue
    return None


# A district is pulled by ids alone, so no other field of a roster may stop it: what cannot be read counts as not given.
Name: TypeAlias = Annotated[str, BeforeValidator(_name)]
RosterText: TypeAlias = Annotated[str | None, BeforeValidator(_text_or_nothing)]
RosterMoment: TypeAlias = Annotated[datetime | None, BeforeValidator(_moment_or_nothing)]
RosterDay: TypeAlias = Annotated[date | datetime | None, BeforeValidator(_day_or_moment)]


class _CleverModel(BaseModel):
    # Messages of pydantic quote the input, which is an education record; hide it even if one escapes.
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class District(_CleverModel):
    """A district that shares its data with the app (clever-api.md 2.3)."""

    id: CleverId
    name: Name = ""
    state: RosterText = None
    last_sync: RosterMoment = None
    last_attendance_sync: RosterMoment = None
    pause_start: RosterDay = None
    pause_end: RosterDay = None


class School(_CleverModel):
    """A school that a district shares (clever-api.md 2.4)."""

    id: CleverId
    name: Name = ""
    sis_id: RosterText = None
    school_number: RosterText = None


class Section(_CleverModel):
    """A class of a school (clever-api.md 2.4)."""

    id: CleverId
    name: Name = ""
    school: RosterText = None
    sis_id: RosterText = None


class DistrictToken(_CleverModel):
    """The token by which one district lets the app in (clever-api.md 1.3)."""

    district_id: CleverId
    access_token: Annotated[str, StringConstraints(pattern="^[!-~]+$"), Field(repr=False)]
    created: RosterMoment = None


# --- attendance in columns ------------------------------------------------------------------------------------------

Columns: TypeAlias = dict[str, list[str | None]]
"""Attendance rows as one list per column, all of one length, every value text or None.

Dates are ``YYYY-MM-DD``; timestamps are UTC with six digits, ``YYYY-MM-DDTHH:MM:SS.ffffffZ``, so that comparing the
text compares the instants; empty optional text is None; ``_extra`` is None or an object as canonical JSON.
"""

Rows: TypeAlias = "Columns | pa.RecordBatch"
"""Attendance rows in one of their two forms: plain columns, which hold anything, or an Arrow batch (batches.py)."""

PULLED_COLUMNS: Final = schema.PULLED_COLUMNS
"""What a pull fills."""

LANDED_COLUMNS: Final = schema.LANDED_COLUMNS
"""What a partition holds: the pulled columns and the mark that only merging sets."""

TIMESTAMP_COLUMNS: Final = schema.TIMESTAMP_COLUMNS


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
    :param columns: the rows, possibly none: plain columns, or a batch of rows with nothing unusual about them.
    :param whole: True if a complete, unfiltered walk of the whole school has covered this day, so that a landed row
        which is not among ``columns`` did not come back.
    :param asked_at: when the first page of that walk was asked for, canonical UTC text; a row that Clever has touched
        since may be missing for that reason alone. Empty: not known, so nothing follows from an absence.
    """

    school_id: str
    attendance_date: str
    columns: Rows
    whole: bool
    asked_at: str = ""

    def __repr__(self) -> str:
        rows = len(self.columns["student_id"])
        return f"PulledDay({self.school_id}, {self.attendance_date}, {rows} rows, whole={self.whole})"
