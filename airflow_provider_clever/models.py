"""What Clever sends, typed; and the columns that attendance is carried in between a pull and a destination."""

from datetime import date, datetime
from typing import Annotated, Final, NamedTuple, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

ID_PATTERN: Final = r"^[0-9A-Za-z_-]{1,64}$"
"""What may enter a URL or a path as an id. Clever's own are 24 hex digits (clever-api.md 2.1)."""

CleverId: TypeAlias = Annotated[str, StringConstraints(pattern=ID_PATTERN)]


def _text_or_none(value: object) -> object:
    return None if value == "" else value


OptionalText: TypeAlias = Annotated[str | None, BeforeValidator(_text_or_none)]

ATTENDANCE_STATUSES: Final = frozenset({"present", "absent", "tardy"})
ATTENDANCE_TYPES: Final = frozenset({"daily", "section"})


class _CleverModel(BaseModel):
    # Messages of pydantic quote the input, which is an education record; hide it even if one escapes.
    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)


class AttendanceRecord(_CleverModel):
    """One statement by a district about one student, one day and one section or the whole day.

    Fields as in clever-api.md 2.2. Fields that Clever adds later are kept in ``model_extra``.
    """

    attendance_date: date
    attendance_status: str
    attendance_type: str
    created: datetime | None = None
    last_modified: datetime | None = None
    district_id: CleverId
    school_id: CleverId
    student_id: CleverId
    section_id: OptionalText = None
    excuse_code: OptionalText = None
    sis_id: OptionalText = None


class District(_CleverModel):
    """A district that shares its data with the app (clever-api.md 2.3)."""

    id: CleverId
    name: str = ""
    state: OptionalText = None
    last_sync: datetime | None = None
    last_attendance_sync: datetime | None = None
    pause_start: date | datetime | None = None
    pause_end: date | datetime | None = None


class School(_CleverModel):
    """A school that a district shares (clever-api.md 2.4)."""

    id: CleverId
    name: str = ""
    sis_id: OptionalText = None
    school_number: OptionalText = None


class Section(_CleverModel):
    """A class of a school (clever-api.md 2.4)."""

    id: CleverId
    name: str = ""
    school: OptionalText = None
    sis_id: OptionalText = None


class DistrictToken(_CleverModel):
    """The token by which one district lets the app in (clever-api.md 1.3)."""

    district_id: CleverId
    access_token: Annotated[str, Field(repr=False)]
    created: datetime | None = None


# --- attendance in columns ------------------------------------------------------------------------------------------

Columns: TypeAlias = dict[str, list[str | None]]
"""Attendance rows as one list per column, all of one length, every value text or None.

Dates are ``YYYY-MM-DD``; timestamps are UTC with six digits, ``YYYY-MM-DDTHH:MM:SS.ffffffZ``, so that comparing the
text compares the instants; empty optional text is None; ``_extra`` is None or an object as canonical JSON.
"""

PULLED_COLUMNS: Final = (
    "attendance_date",
    "student_id",
    "section_id",
    "attendance_type",
    "attendance_status",
    "excuse_code",
    "sis_id",
    "school_id",
    "district_id",
    "created",
    "last_modified",
    "_extra",
)
"""What a pull fills."""

LANDED_COLUMNS: Final = (*PULLED_COLUMNS[:-1], "missing_since", "_extra")
"""What a partition holds: the pulled columns and the mark that only merging sets."""

TIMESTAMP_COLUMNS: Final = frozenset({"created", "last_modified", "missing_since"})


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
    :param columns: the rows, in :data:`PULLED_COLUMNS`; possibly none.
    :param whole: True if a complete, unfiltered walk of the whole school has covered this day, so that a landed row
        which is not among ``columns`` is missing at Clever.
    """

    school_id: str
    attendance_date: str
    columns: Columns
    whole: bool

    def __repr__(self) -> str:
        rows = len(self.columns["student_id"])
        return f"PulledDay({self.school_id}, {self.attendance_date}, {rows} rows, whole={self.whole})"
