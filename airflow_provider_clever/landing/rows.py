"""What tells one attendance row from another, and one partition's content from another's."""

import hashlib
import json
from collections.abc import Iterable
from itertools import repeat
from typing import Final, TypeAlias

from airflow_provider_clever.batches import length
from airflow_provider_clever.models import LANDED_COLUMNS, PULLED_COLUMNS, Columns

SCHEMA_VERSION: Final = 1
"""Version of the landed columns and of their meaning. Raising it makes every partition be written again."""

Row: TypeAlias = tuple[str | None, ...]
"""One row, its values in the order of the columns it was taken from."""

Key: TypeAlias = tuple[str, ...]
"""What no partition holds twice: student, attendance type, section or '', and sis id or '' where that is needed.

The attendance date is part of the key too, but a partition has only one.
"""

BETWEEN_VALUES: Final = "\x1f"

PARTITION_COLUMNS: Final = frozenset({"attendance_date", "school_id", "district_id"})
"""Columns that hold one value throughout a partition."""


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


def content_hash(columns: Columns) -> str:
    """A hash of the rows in their order and of the schema version; the same whatever format and library wrote them.

    :raises UnicodeEncodeError: if a text holds a lone surrogate.
    """
    return digest_of(length(columns), ((name, _hashable(name, columns[name])) for name in LANDED_COLUMNS))


def digest_of(count: int, columns: Iterable[tuple[str, bytes]]) -> str:
    """The content hash of so many rows, out of each column's name and text.

    :param columns: in the order of LANDED_COLUMNS. The text of a column is its values with :data:`BETWEEN_VALUES`
        between them, '' for None; that of a column of :data:`PARTITION_COLUMNS` is its one value.
    """
    digest = hashlib.sha256(f"clever-attendance {SCHEMA_VERSION} {count}".encode())
    for name, text in columns:
        digest.update(f"\n{name}\n".encode())
        digest.update(text)
    return digest.hexdigest()


def _hashable(name: str, values: list[str | None]) -> bytes:
    if name in PARTITION_COLUMNS and len(set(values)) == 1:
        values = values[:1]
    # None is hashed as '': no landed value is ever the empty text (models.Columns).
    try:
        text = BETWEEN_VALUES.join(values)  # type: ignore[arg-type] # raises for None, twice as fast without
    except TypeError:
        text = BETWEEN_VALUES.join([value or "" for value in values])
    if text.count(BETWEEN_VALUES) != max(len(values) - 1, 0):  # a value holds the separator itself
        text = json.dumps(values, ensure_ascii=False)
    return text.encode()


def mended(text: str) -> str:
    """The text with surrogate pairs joined and every lone surrogate replaced by U+FFFD: UTF-8 cannot hold one."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def without_surrogates(columns: Columns) -> Columns:
    """The rows with every text mended."""
    return {name: [value and mended(value) for value in values] for name, values in columns.items()}


def canonical_json(names: tuple[str, ...], row: Row) -> str:
    """One row as JSON with sorted keys and without nulls, so that equal rows give equal text."""
    present = {name: value for name, value in zip(names, row, strict=True) if value is not None}
    return json.dumps(present, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def pulled_rows(columns: Columns) -> list[Row]:
    """Every row as a tuple in the order of PULLED_COLUMNS."""
    return list(zip(*(columns[name] for name in PULLED_COLUMNS), strict=True))
