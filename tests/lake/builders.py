"""Attendance rows for tests of landing, in which only what a test is about has to be said."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from typing import Any

import pyarrow as pa

from airflow_provider_clever.attendance import content
from airflow_provider_clever.attendance.batches import batch_of, landed_schema, pulled_schema, rows_of
from airflow_provider_clever.attendance.rows import PulledDay
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


def pulled(rows: Iterable[dict[str, str | None]]) -> pa.RecordBatch:
    """Rows as a pull hands them over."""
    return batch_of((tuple(one.get(name) for name in PULLED_COLUMNS) for one in rows), pulled_schema())


def landed(rows: Iterable[dict[str, str | None]]) -> pa.RecordBatch:
    """Rows as a partition holds them."""
    marked = ({"missing_since": None, **one} for one in rows)
    return batch_of((tuple(one.get(name) for name in LANDED_COLUMNS) for one in marked), landed_schema())


def listed(batch: pa.RecordBatch) -> list[dict[str, str | None]]:
    """A batch as a list of rows, every value as canonical text."""
    return [dict(zip(batch.schema.names, values, strict=True)) for values in rows_of(batch)]


def texts(batch: pa.RecordBatch, name: str) -> list[str | None]:
    """One column as canonical text."""
    return [one[name] for one in listed(batch)]


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


def written(file_format: str, rows: pa.RecordBatch) -> bytes:
    """Landed rows as a file."""
    return FORMATS[file_format].write(rows, content.content_hash(rows))
