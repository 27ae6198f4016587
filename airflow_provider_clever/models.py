"""What Clever sends, typed; and the columns that attendance is carried in between a pull and a destination."""

import re
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    import pyarrow as pa

ID_PATTERN: Final = r"^[0-9A-Za-z_-]{1,64}$"
"""What may enter a URL or a path as an id. Clever's own are 24 hex digits (clever-api.md 2.1).

For a check use :func:`is_clever_id`: ``re.match`` with this pattern would let a final line break through.
"""

_ID: Final = re.compile(ID_PATTERN)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})?"
)


def is_clever_id(text: object) -> bool:
    """Tell whether this may enter a URL or a path as an id."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def date_from_text(text: object) -> date:
    """Give the day that ``YYYY-MM-DD`` names.

    :raises ValueError: it is not text of this form, or no such day. The message does not quote it.
    """
    if not isinstance(text, str) or not _DATE.fullmatch(text):
        raise ValueError("not a date in the form YYYY-MM-DD")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError("not a day of the calendar") from None


def moment_from_text(text: object) -> datetime:
    """Give the instant, in UTC, that a timestamp of Clever's names; without an offset it is UTC (clever-api.md 2.1).

    :raises ValueError: it is not a timestamp, or no such instant. The message does not quote it.
    """
    if not isinstance(text, str) or not _MOMENT.fullmatch(text):
        raise ValueError("not a timestamp")
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("not an instant of the calendar") from None


def _text_or_none(value: object) -> object:
    return None if value == "" else value


def _date(value: object) -> date:
    if type(value) is date:
        return value
    try:
        return date_from_text(value)
    except ValueError as error:
        raise PydanticCustomError("clever_date", "{reason}", {"reason": str(error)}) from None


def _moment_or_none(value: object) -> datetime | None:
    if value is None or value == "":
        return None
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    try:
        return moment_from_text(value)
    except ValueError as error:
        raise PydanticCustomError("clever_moment", "{reason}", {"reason": str(error)}) from None


# pydantic's own reading of dates would take the integer 1767571200 for one.
CleverDate: TypeAlias = Annotated[date, BeforeValidator(_date)]
CleverMoment: TypeAlias = Annotated[datetime | None, BeforeValidator(_moment_or_none)]
CleverId: TypeAlias = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
Text: TypeAlias = Annotated[str, StringConstraints(min_length=1)]
OptionalId: TypeAlias = Annotated[CleverId | None, BeforeValidator(_text_or_none)]
OptionalText: TypeAlias = Annotated[str | None, BeforeValidator(_text_or_none)]

ATTENDANCE_STATUSES: Final = frozenset({"present", "absent", "tardy"})
ATTENDANCE_TYPES: Final = frozenset({"daily", "section"})


class _CleverModel(BaseModel):
    # Messages of pydantic quote the input, which is an education record; hide it even if one escapes.
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class AttendanceRecord(_CleverModel):
    """One statement by a district about one student, one day and one section or the whole day.

    Fields as in clever-api.md 2.2. Fields that Clever adds later are kept in ``model_extra``. Its ``repr`` names the
    school and the day only.
    """

    model_config = ConfigDict(extra="allow")

    attendance_date: CleverDate
    attendance_status: Text
    attendance_type: Text
    created: CleverMoment = None
    last_modified: CleverMoment = None
    district_id: CleverId
    school_id: CleverId
    student_id: CleverId = Field(repr=False)
    section_id: OptionalId = None
    excuse_code: OptionalText = None
    sis_id: OptionalText = None

    def __repr_args__(self) -> list[tuple[str | None, object]]:
        """Give what a log may hold."""
        return [("school_id", self.school_id), ("attendance_date", self.attendance_date.isoformat())]


class District(_CleverModel):
    """A district that shares its data with the app (clever-api.md 2.3)."""

    id: CleverId
    name: str = ""
    state: OptionalText = None
    last_sync: CleverMoment = None
    last_attendance_sync: CleverMoment = None
    pause_start: Annotated[date | datetime | None, BeforeValidator(_text_or_none)] = None
    pause_end: Annotated[date | datetime | None, BeforeValidator(_text_or_none)] = None


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
    access_token: Annotated[Text, Field(repr=False)]
    created: CleverMoment = None


# --- attendance in columns ------------------------------------------------------------------------------------------

Columns: TypeAlias = dict[str, list[str | None]]
"""Attendance rows as one list per column, all of one length, every value text or None.

Dates are ``YYYY-MM-DD``; timestamps are UTC with six digits, ``YYYY-MM-DDTHH:MM:SS.ffffffZ``, so that comparing the
text compares the instants; empty optional text is None; ``_extra`` is None or an object as canonical JSON.
"""

Rows: TypeAlias = "Columns | pa.RecordBatch"
"""Attendance rows in one of their two forms: plain columns, which hold anything, or an Arrow batch (batches.py)."""

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
