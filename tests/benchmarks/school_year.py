"""A district's landed attendance as it is after a school year: daily rows of some schools on their weekdays."""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import pyarrow as pa

from airflow_provider_clever.attendance.batches import landed_schema
from airflow_provider_clever.attendance.content import content_hash
from airflow_provider_clever.lake.formats import FORMATS
from airflow_provider_clever.lake.layout import partition_path

DISTRICT: Final = "65e000000000000000000001"
FIRST_DAY: Final = date(2026, 1, 5)
STUDENTS: Final = 800


def weekdays(count: int) -> Iterator[date]:
    """So many school days."""
    day = FIRST_DAY
    while count:
        if day.weekday() < 5:
            yield day
            count -= 1
        day += timedelta(days=1)


def student_ids(school: int, students: int = STUDENTS) -> list[str]:
    """The students of a school, in order."""
    generator = random.Random(school)
    return sorted(f"{generator.getrandbits(96):024x}" for _ in range(students))


def school_day(
    school: int, day: date, students: int = STUDENTS, *, district_id: str = DISTRICT, edits: int = 0
) -> bytes:
    """One school's day as a landed file, a few of its rows changed."""
    ids = student_ids(school, students)
    generator = random.Random(f"{school} {day}")
    statuses = generator.choices(["present", "absent", "tardy"], [92, 6, 2], k=len(ids))
    came = datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC) + timedelta(hours=3)
    modified = [came] * len(ids)
    for number in range(edits):
        statuses[number], modified[number] = "absent", came + timedelta(days=1)
    codes = [("S" if generator.random() < 0.5 else None) if status == "absent" else None for status in statuses]
    columns = {
        "attendance_date": [day] * len(ids),
        "student_id": ids,
        "attendance_type": ["daily"] * len(ids),
        "attendance_status": statuses,
        "excuse_code": codes,
        "school_id": [f"5e{school:022x}"] * len(ids),
        "district_id": [DISTRICT] * len(ids),
        "created": [came] * len(ids),
        "last_modified": modified,
    }
    schema = landed_schema()
    rows = pa.record_batch(
        [pa.array(columns.get(field.name, [None] * len(ids)), field.type) for field in schema], schema=schema
    )
    return FORMATS["parquet"].write(rows, content_hash(rows))


def land_school_day(lake: Path, school: int, day: date, students: int = STUDENTS, *, edits: int = 0) -> None:
    """Put a school's day where a pull would."""
    path = lake / partition_path(DISTRICT, day.isoformat(), f"5e{school:022x}", "parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = lake / "temporary"
    temporary.write_bytes(school_day(school, day, students, edits=edits))
    temporary.rename(path)


def land_year(lake: Path, *, schools: int = 40, days: int = 120, students: int = STUDENTS) -> None:
    """Land a district's school days."""
    for day in weekdays(days):
        for school in range(schools):
            land_school_day(lake, school, day, students)
