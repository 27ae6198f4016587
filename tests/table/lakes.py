"""Small lakes to make tables of, and their rows read by an engine that is not ours."""

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from airflow_provider_clever.dates import DateRange, date_from_text
from airflow_provider_clever.lake.layout import objects_at
from airflow_provider_clever.lake.store import Destination
from airflow_provider_clever.storage.objects import Objects
from tests.lake.builders import DISTRICT, SCHOOL, context, day, land_and_mark, row
from tests.lake.emulators import Store

_HOUR_NS: Final = 3600 * 10**9
OTHER_SCHOOL = "444444444444444444444444"
Students = Mapping[str, str] | Iterable[str]
"""Students of a school's day; with the status of each, or present."""


def land(
    store: Store,
    attendance_date: str,
    students: Students,
    *,
    school: str = SCHOOL,
    district: str = DISTRICT,
    file_format: str = "parquet",
    **values: Any,
) -> None:
    """Land one school's day, and mark the rows of those who are not there any more; as a pull does, with its notes."""
    lake = Destination(store.filesystem(), store.root, district_id=district, file_format=file_format)
    lake.known.look_up(DateRange(date_from_text(attendance_date), date_from_text(attendance_date)), None)
    statuses = students if isinstance(students, Mapping) else dict.fromkeys(students, "present")
    place = {"attendance_date": attendance_date, "school_id": school, "district_id": district}
    rows = [row(student, attendance_status=status, **place, **values) for student, status in statuses.items()]
    land_and_mark(lake, day(rows, attendance_date=attendance_date, school_id=school), context())
    lake.known.keep()


def at(store: Store) -> Objects:
    """The objects of a lake, through a file system of its own."""
    return objects_at(store.filesystem(), store.root)


def settle(store: Store) -> None:
    """Let the folders of days have changed long before the table was made: a clock ticks seldom, and tests are fast."""
    if store.protocol == "file":
        for folder in Path(store.root).glob("attendance/*/*"):
            changed = folder.stat().st_mtime_ns
            if changed > time.time_ns() - _HOUR_NS // 2:
                os.utime(folder, ns=(changed - _HOUR_NS, changed - _HOUR_NS))
