"""The rows that are due for a query, worked out row by row and without the paging code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from .query import STATUSES
from .rows import with_clever_id
from .world import District, School, World


@dataclass(frozen=True, slots=True)
class Due:
    """A question to the world itself; None and empty mean no restriction."""

    school_ids: tuple[str, ...] = ()
    section_id: str | None = None
    start: str | None = None
    end: str | None = None
    status: str | None = None


def days_due(world: World, district: District, due: Due) -> Iterator[tuple[School, str, list[bytes]]]:
    """Walk the days that are due, school by school, with their rows in key order."""
    for school in district.shared_schools():
        if due.school_ids and school.id not in due.school_ids:
            continue
        if due.section_id and due.section_id not in {section.id for section in school.roster.sections}:
            continue
        for day in world.visible_dates(school):
            if (due.start is None or day >= due.start) and (due.end is None or day <= due.end):
                yield school, day, _rows_due(world, school, day, due)


def _rows_due(world: World, school: School, day: str, due: Due) -> list[bytes]:
    rows = world.block(school, day).rows
    if world.knobs.include_clever_id:
        rows = [with_clever_id(key, row) for key, row in world.block(school, day).pairs()]
    if due.section_id is None and due.status is None:
        return rows
    return [row for row in rows if _is_due(json.loads(row), due)]


def _is_due(fields: dict[str, object], due: Due) -> bool:
    right_section = due.section_id in (None, fields.get("section_id"))
    return right_section and due.status in (None, fields["attendance_status"])


def count_by_status(rows: list[bytes]) -> dict[str, int]:
    """Count a day's rows by status."""
    together = b"\n".join(rows)
    counts = {status: together.count(b'"attendance_status":"%b"' % status.encode()) for status in STATUSES}
    counts = {status: count for status, count in counts.items() if count}
    if sum(counts.values()) == len(rows):
        return counts
    counts = {}
    for row in rows:
        status = row.split(b'"attendance_status":"', 1)[1].split(b'"', 1)[0].decode()
        counts[status] = counts.get(status, 0) + 1
    return counts
