"""What Clever sends, typed."""

import unicodedata
from datetime import date, datetime
from typing import Annotated, Final, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from airflow_provider_clever.attendance import schema
from airflow_provider_clever.attendance.values import CleverId, moment_from_text
from airflow_provider_clever.dates import date_from_text

AttendanceRecord = schema.AttendanceRecord

_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
"""Unicode's categories of control and format characters, surrogates, private use and unassigned code points."""


def printable(text: str) -> str:
    """Make a text one line without anything that steers a terminal or reverses the direction of writing.

    A school's name is free text: control characters could rewrite what a terminal already shows, a line break could
    forge a line of a log, and direction marks could make one id look like another.

    :param text: any text, such as a name from a roster.
    """
    if text.isascii() and text.isprintable():
        return text
    blanks = "".join(" " if letter.isspace() else letter for letter in text)
    shown = "".join(letter for letter in blanks if unicodedata.category(letter) not in _HIDDEN)
    return " ".join(shown.split())


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


# A pull needs only ids, so no other field of a roster may stop it: a value that cannot be read counts as missing.
Name: TypeAlias = Annotated[str, BeforeValidator(_name)]
RosterText: TypeAlias = Annotated[str | None, BeforeValidator(_text_or_nothing)]
RosterMoment: TypeAlias = Annotated[datetime | None, BeforeValidator(_moment_or_nothing)]
RosterDay: TypeAlias = Annotated[date | datetime | None, BeforeValidator(_day_or_moment)]


class _CleverModel(BaseModel):
    # pydantic's messages quote the input, which is an education record. Hide it, in case a message gets out.
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
    """The token with which the app reads one district's data (clever-api.md 1.3)."""

    district_id: CleverId
    access_token: Annotated[str, StringConstraints(pattern="^[!-~]+$"), Field(repr=False)]
    created: RosterMoment = None
