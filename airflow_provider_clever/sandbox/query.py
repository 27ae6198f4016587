"""What an attendance request asks for: its parameters checked, and its cursor read (clever-api.md 2.2, 3.1, 5)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from .answers import RefusalError
from .knobs import Knobs

STATUSES = ("present", "absent", "tardy")
MAX_LIMIT = 1000
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z")


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place between two rows: a date and the ``student_section_school`` of the row it names."""

    day: str
    key: str


@dataclass(frozen=True, slots=True)
class AttendanceQuery:
    """A checked attendance request.

    :param filters: The parameters that links repeat, in the order in which Clever writes them.
    :param is_empty: The range can hold no row (start after end, and the knob allows it).
    """

    start: str | None
    end: str | None
    status: str | None
    limit: int
    after: Cursor | None
    before: Cursor | None
    filters: tuple[tuple[str, str], ...]
    asked_cursor: tuple[str, str] | None
    is_empty: bool = False


def encode_cursor(cursor: Cursor) -> str:
    """Write a cursor: base64 of ``date_student_section_school``."""
    return base64.b64encode(f"{cursor.day}_{cursor.key}".encode()).decode()


def decode_cursor(text: str) -> Cursor:
    """Read a cursor, with or without padding, in either base64 alphabet.

    :raises ValueError: it is not one.
    """
    try:
        padded = text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
        plain = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, UnicodeError):
        raise ValueError("not base64") from None
    day, _, key = plain.partition("_")
    if not _DATE.match(day) or key.count("_") < 2:
        raise ValueError("not date_student_section_school")
    return Cursor(day, key)


def parse_query(params: Mapping[str, str], knobs: Knobs) -> AttendanceQuery:
    """Check an attendance request's parameters; unknown ones are ignored (clever-api.md 5).

    :raises RefusalError: a parameter is wrong.
    """
    start, end = _parse_date(params, "date_range_start"), _parse_date(params, "date_range_end")
    if (start is None) != (end is None) and knobs.one_date == "reject":
        raise RefusalError(400, "date_range_start and date_range_end must be used together")
    is_reversed = start is not None and end is not None and start > end
    if is_reversed and knobs.reversed_range == "reject":
        raise RefusalError(400, "date_range_start must not be after date_range_end")
    _check_span(start, end, knobs.max_span_days)
    status = parse_choice(params, "attendance_status", STATUSES)
    after, before = (_parse_cursor(params, name, knobs) for name in ("starting_after", "ending_before"))
    if after and before:
        if knobs.both_cursors == "reject":
            raise RefusalError(400, "starting_after and ending_before cannot be used together")
        before = None
    names = ("date_range_start", "date_range_end", "attendance_status", "limit")
    cursor_name = "starting_after" if after else "ending_before" if before else None
    return AttendanceQuery(
        start=start.isoformat() if start else None,
        end=end.isoformat() if end else None,
        status=status,
        limit=parse_limit(params, knobs.default_limit, MAX_LIMIT, over=knobs.over_limit),
        after=after,
        before=before,
        filters=tuple((name, params[name]) for name in names if name in params),
        asked_cursor=(cursor_name, params[cursor_name]) if cursor_name else None,
        is_empty=is_reversed,
    )


def parse_choice(params: Mapping[str, str], name: str, choices: Sequence[str]) -> str | None:
    """Read a parameter that takes one of a few texts.

    :raises RefusalError: it has another value.
    """
    value = params.get(name)
    if value is not None and value not in choices:
        raise RefusalError(400, f"{name} in query should be one of [{' '.join(choices)}]")
    return value


def parse_limit(params: Mapping[str, str], default: int, most: int, *, over: str) -> int:
    """Read ``limit``.

    :param over: What a limit above ``most`` becomes: a status, or ``clamp``.
    :raises RefusalError: the limit is no number or out of bounds.
    """
    text = params.get("limit")
    if text is None:
        return default
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise RefusalError(400, f'strconv.ParseInt: parsing "{text}": invalid syntax')
    limit = int(text)
    if limit < 1:
        raise RefusalError(400, "limit in query should be greater than or equal to 1")
    if limit > most and over != "clamp":
        raise RefusalError(int(over), f"limit in query should be less than or equal to {most}")
    return min(limit, most)


def _parse_date(params: Mapping[str, str], name: str) -> date | None:
    text = params.get(name)
    if text is None:
        return None
    if not _DATE.match(text):
        raise RefusalError(400, f'parsing time "{text}" as "2006-01-02": cannot parse "{text}" as "2006"')
    try:
        return date.fromisoformat(text)
    except ValueError:
        part = "month" if not 1 <= int(text[5:7]) <= 12 else "day"
        raise RefusalError(400, f'parsing time "{text}": {part} out of range') from None


def _check_span(start: date | None, end: date | None, most_days: int) -> None:
    if most_days and start and end and (end - start).days >= most_days:
        raise RefusalError(400, f"the date range may span at most {most_days} days")


def _parse_cursor(params: Mapping[str, str], name: str, knobs: Knobs) -> Cursor | None:
    if name not in params:
        return None
    try:
        return decode_cursor(params[name])
    except ValueError:
        if knobs.bad_cursor == "restart":
            return None
        raise RefusalError(400, f"{name} in query is not a valid cursor") from None
