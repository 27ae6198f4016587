"""What Clever is asked: the attendance query, and the requests for every endpoint that we read."""

import datetime as dt
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote, urlencode

from airflow_provider_clever.api.messages import Request
from airflow_provider_clever.attendance.schema import ATTENDANCE_STATUSES
from airflow_provider_clever.attendance.values import is_clever_id
from airflow_provider_clever.dates import date_from_text
from airflow_provider_clever.exceptions import CleverSettingsError

ATTENDANCE_LIMIT: Final = 1000
"""Most rows on a page of attendance (clever-api.md 2.6)."""
ROSTER_LIMIT: Final = 1000
"""Rows of a page of schools or sections. Clever allows 10,000, but a section lists all its students: 1,000 of them
are some megabytes already."""


@dataclass(frozen=True, slots=True)
class AttendanceQuery:
    """A question for the attendance of one school or section over a range of days. It is validated when made.

    :param school_id: the school; or
    :param section_id: the section. Exactly one of the two.
    :param date_range_start: first day, included; a date or ``YYYY-MM-DD``.
    :param date_range_end: last day, included; a date or ``YYYY-MM-DD``.
    :param attendance_status: ``present``, ``absent`` or ``tardy``. Default: all of them.
    :param any_day: True for a question without dates. Clever documents it together with a cursor (clever-api.md 2.2),
        so it works only for a single page and with a cursor. Default False: both dates are needed.
    :raises CleverSettingsError: something is wrong; the message names all of it. Nothing was sent.
    """

    school_id: str | None = None
    section_id: str | None = None
    date_range_start: dt.date | str = ""
    date_range_end: dt.date | str = ""
    attendance_status: str | None = None
    any_day: bool = False

    def __post_init__(self) -> None:
        problems = _scope_problems(self.school_id, self.section_id)
        # Clever does not document a single date (clever-api.md O5), so both are needed or neither.
        for name in ("date_range_start", "date_range_end"):
            try:
                object.__setattr__(
                    self, name, _no_date(getattr(self, name)) if self.any_day else _iso_date(getattr(self, name))
                )
            except ValueError as error:
                problems.append(f"{name}: {error}")
        if not problems and self.start > self.end:
            problems.append("date_range_start lies after date_range_end; swap them")
        if self.attendance_status is not None and self.attendance_status not in ATTENDANCE_STATUSES:
            problems.append("attendance_status: must be present, absent or tardy, or left out")
        if problems:
            raise CleverSettingsError("This cannot be asked of Clever. " + "; ".join(problems) + ".")

    @property
    def start(self) -> str:
        """Give the first day, ``YYYY-MM-DD``."""
        return str(self.date_range_start)

    @property
    def end(self) -> str:
        """Give the last day, ``YYYY-MM-DD``."""
        return str(self.date_range_end)

    @property
    def path(self) -> str:
        """Give the path that answers this question."""
        kind, scope = ("schools", self.school_id) if self.school_id is not None else ("sections", self.section_id)
        return f"/v3.1/attendance/{kind}/{scope}"


def _scope_problems(school_id: str | None, section_id: str | None) -> list[str]:
    if (school_id is None) == (section_id is None):
        return ["give either school_id or section_id"]
    name, scope = ("school_id", school_id) if school_id is not None else ("section_id", section_id)
    return [] if is_clever_id(scope) else [f"{name}: not a Clever id (letters, digits, - and _ only)"]


def _no_date(value: object) -> str:
    if value not in (None, ""):
        raise ValueError("given beside any_day; leave one of them out")
    return ""


def _iso_date(value: object) -> str:
    if value is None or value == "":
        raise ValueError("missing; both dates are needed")
    if isinstance(value, dt.datetime):
        # An instant is another day in another time zone; only the caller knows which one is meant.
        return date_from_text(str(value)).isoformat()
    return value.isoformat() if isinstance(value, dt.date) else date_from_text(value).isoformat()


def attendance_request(
    api_base: str,
    query: AttendanceQuery,
    *,
    limit: int = ATTENDANCE_LIMIT,
    starting_after: str | None = None,
    ending_before: str | None = None,
) -> Request:
    """Ask for one page of attendance.

    :param api_base: the API's origin.
    :param query: the question.
    :param limit: most rows on the page, 1 to 1,000. Default 1,000.
    :param starting_after: cursor of the row before the page, escaped or not.
    :param ending_before: cursor of the row after the page. Not both (clever-api.md O7).
    :raises CleverSettingsError: the limit is out of range, both cursors are given, or ``any_day`` comes without a
        cursor: that would ask for everything that Clever still has.
    """
    if isinstance(limit, bool) or not 1 <= limit <= ATTENDANCE_LIMIT:
        raise CleverSettingsError(f"limit: must be 1 to {ATTENDANCE_LIMIT}.")
    if starting_after is not None and ending_before is not None:
        raise CleverSettingsError("Give starting_after or ending_before, not both.")
    if query.any_day and starting_after is None and ending_before is None:
        raise CleverSettingsError("any_day: needs a cursor, and then gives one page. Give both dates instead.")
    parts = [] if query.any_day else [("date_range_start", query.start), ("date_range_end", query.end)]
    if query.attendance_status is not None:
        parts.append(("attendance_status", query.attendance_status))
    parts.append(("limit", str(limit)))
    encoded = urlencode(parts)
    for name, cursor in (("starting_after", starting_after), ("ending_before", ending_before)):
        if cursor is not None:
            encoded += f"&{name}={quote(unquote(cursor), safe='=')}"
    return Request(api_base, query.path, encoded)


def districts_request(api_base: str) -> Request:
    """Ask which district the token belongs to (clever-api.md 2.3)."""
    return Request(api_base, "/v3.1/districts")


def schools_request(api_base: str) -> Request:
    """Ask for the first page of schools (clever-api.md 2.4)."""
    return Request(api_base, "/v3.1/schools", f"limit={ROSTER_LIMIT}")


def sections_request(api_base: str, school_id: str | None = None) -> Request:
    """Ask for the first page of sections: of one school, or of the whole district (clever-api.md 2.4).

    :raises CleverSettingsError: the id is not one.
    """
    if school_id is None:
        return Request(api_base, "/v3.1/sections", f"limit={ROSTER_LIMIT}")
    if not is_clever_id(school_id):
        raise CleverSettingsError("school_id: not a Clever id (letters, digits, - and _ only).")
    return Request(api_base, f"/v3.1/schools/{school_id}/sections", f"limit={ROSTER_LIMIT}")


def tokens_request(auth_base: str, district_id: str | None = None) -> Request:
    """Ask for the tokens of the connected districts, or of one (clever-api.md 1.3)."""
    parts = {"owner_type": "district"} | ({"district": district_id} if district_id is not None else {})
    return Request(auth_base, "/oauth/tokens", urlencode(parts), metered=False)
