"""What tells one attendance row from another, and one partition's content from another's."""

import json
from collections.abc import Iterable
from itertools import repeat
from typing import TypeAlias

from airflow_provider_clever.attendance.batches import length
from airflow_provider_clever.attendance.rows import Columns
from airflow_provider_clever.attendance.schema import LANDED_COLUMNS, PULLED_COLUMNS

Row: TypeAlias = tuple[str | None, ...]
"""One row, its values in the order of the columns it was taken from."""

Key: TypeAlias = tuple[str, ...]
"""What no partition holds twice: student, attendance type, section or '', and sis id or '' where that is needed.

The attendance date is part of the key too, but a partition has only one.
"""


def keys(columns: Columns) -> list[Key]:
    """The key of every row.

    A section row is told apart by its section; without one (clever-api.md 2.2: it "may" be there), by its ``sis_id``.
    """
    students, types = columns["student_id"], columns["attendance_type"]
    sections = [section or "" for section in columns["section_id"]]
    sis_ids: Iterable[str] = repeat("")
    if ("section", "") in zip(types, sections, strict=True):
        sis_ids = [
            (sis_id or "") if (kind, section) == ("section", "") else ""
            for kind, section, sis_id in zip(types, sections, columns["sis_id"], strict=True)
        ]
    # Student and type are never None: a row without them has no usable key and goes to quarantine before this.
    return list(zip(students, types, sections, sis_ids, strict=False))  # type: ignore[arg-type]  # as said above


def reorder(columns: Columns, order: list[int]) -> Columns:
    """The rows with these positions, in this order."""
    return {name: [values[position] for position in order] for name, values in columns.items()}


def with_marks(pulled: Columns) -> Columns:
    """Pulled columns as a partition holds them, no row marked missing."""
    unmarked: list[str | None] = [None] * length(pulled)
    return {name: unmarked if name == "missing_since" else pulled[name] for name in LANDED_COLUMNS}


def mended(text: str) -> str:
    """The text with surrogate pairs joined and every lone surrogate replaced by U+FFFD: UTF-8 cannot hold one."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def without_surrogates(columns: Columns) -> Columns:
    """The rows with every broken character replaced."""
    return {name: [value and mended(value) for value in values] for name, values in columns.items()}


def canonical_json(names: tuple[str, ...], row: Row) -> str:
    """One row as JSON with sorted keys and without nulls, so that equal rows give equal text."""
    present = {name: value for name, value in zip(names, row, strict=True) if value is not None}
    return json.dumps(present, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def pulled_rows(columns: Columns) -> list[Row]:
    """Every row as a tuple in the order of PULLED_COLUMNS."""
    return list(zip(*(columns[name] for name in PULLED_COLUMNS), strict=True))
