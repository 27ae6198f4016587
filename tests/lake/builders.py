"""Attendance rows for tests of landing, in which only what a test is about has to be said."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from typing import Any

from airflow_provider_clever.attendance import batches
from airflow_provider_clever.attendance import content as row_batches
from airflow_provider_clever.attendance.rows import Columns, PulledDay
from airflow_provider_clever.attendance.schema import LANDED_COLUMNS, PULLED_COLUMNS
from airflow_provider_clever.lake.formats import FORMATS
from airflow_provider_clever.lake.store import Destination, PartitionOutcome, PullContext

DISTRICT = "65e000000000000000000001"
SCHOOL = "555555555555555555555555"
DAY = "2026-04-01"
TODAY = date(2026, 4, 20)
SYNC = "2026-04-19T03:00:00.000000Z"
ASKED_AT = "2026-04-20T01:00:00.000000Z"

NASTY = [
    '"quoted"',
    "two\nlines\r\n",
    "😀 emoji",
    "\u202eright to left\u202c",
    "nul \x00 unit \x1f tab \t",
    "% %s {}",
    "\u2028",
]
"""Texts that a file format may stumble over."""


def instant(number: int) -> str:
    """The n-th of a row of instants, canonical."""
    return f"2026-04-{2 + number // 24:02}T{number % 24:02}:00:00.000000Z"


def row(student: str = "a", **values: Any) -> dict[str, str | None]:
    """One row as a pull brings it; ``modified`` is the number of an instant."""
    modified = values.pop("modified", 0)
    return {
        "attendance_date": DAY,
        "student_id": student,
        "section_id": None,
        "attendance_type": "daily",
        "attendance_status": "present",
        "excuse_code": None,
        "sis_id": None,
        "school_id": SCHOOL,
        "district_id": DISTRICT,
        "created": instant(0),
        "last_modified": None if modified is None else instant(modified),
        "_extra": None,
        **values,
    }


def pulled(rows: Iterable[dict[str, str | None]]) -> Columns:
    """Rows as a pull hands them over."""
    rows = list(rows)
    return {name: [one[name] for one in rows] for name in PULLED_COLUMNS}


def landed(rows: Iterable[dict[str, str | None]]) -> Columns:
    """Rows as a partition holds them."""
    rows = [{"missing_since": None, **one} for one in rows]
    return {name: [one[name] for one in rows] for name in LANDED_COLUMNS}


def listed(columns: Columns) -> list[dict[str, str | None]]:
    """Columns as a list of rows."""
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def day(
    rows: Iterable[dict[str, str | None]], *, school_id: str = SCHOOL, attendance_date: str = DAY, whole: bool = True
) -> PulledDay:
    """A pulled day of these rows, all made that school's and that day's."""
    found = [{**one, "school_id": school_id, "attendance_date": attendance_date} for one in rows]
    return PulledDay(school_id, attendance_date, pulled(found), whole, ASKED_AT)


def context(**values: Any) -> PullContext:
    """What a pull knows."""
    return PullContext(**{"today": TODAY, "sync_before": SYNC, **values})


def land_and_mark(lake: Destination, pulled_day: PulledDay, context: PullContext) -> PartitionOutcome:
    """Land a day, and mark at once what did not come back, as if nothing were ever in doubt."""
    landing = lake.land(pulled_day, context=context)
    if landing.evidence is None or not landing.evidence.fresh:
        return landing
    marking = lake.mark(landing.school_id, landing.attendance_date, landing.evidence, context=context)
    return replace(
        marking, received=landing.received, rejected=landing.rejected, counts=landing.counts + marking.counts
    )


def content_hash(columns: Columns) -> str:
    """The content hash of landed rows."""
    return row_batches.content_hash(batches.as_batch(columns))


def written(file_format: str, columns: Columns) -> bytes:
    """Landed rows as a file."""
    return FORMATS[file_format].write(batches.as_batch(columns), content_hash(columns))
