"""Attendance rows in Arrow: a batch of the same text as plain columns hold (rows.Columns).

Rows that came exactly as documented are a batch of :data:`BATCH_COLUMNS` from the page on, so that none becomes Python
objects (docs/explanation/decisions/0020-usual-pages-stay-in-arrow.md). Whatever is unusual about rows sends them the
way of plain columns, which hold anything, until they are merged.
"""

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from airflow_provider_clever.attendance.rows import Columns, Rows
from airflow_provider_clever.attendance.schema import FIELD_NAMES, PULLED_COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_COLUMNS: Final = FIELD_NAMES
"""What a batch of a page holds. Never ``_extra``: a row with a field that nobody documents is unusual."""


def length(rows: Rows) -> int:
    """How many rows these are."""
    return len(rows["student_id"])


def as_columns(rows: Rows) -> Columns:
    """The rows in plain columns."""
    if isinstance(rows, dict):
        return rows
    columns: Columns = {name: rows[name].to_pylist() for name in rows.schema.names}
    return columns if "_extra" in columns else {**columns, "_extra": [None] * length(rows)}


def as_batch(columns: Columns) -> "pa.RecordBatch":
    """Plain columns in a batch.

    :raises UnicodeEncodeError: if a text holds a lone surrogate.
    """
    import pyarrow as pa

    return pa.record_batch([pa.array(values, pa.string()) for values in columns.values()], names=list(columns))


def has_only(rows: Rows, name: str, value: str) -> bool:
    """Whether a column holds no other value."""
    if isinstance(rows, dict):
        return set(rows[name]) <= {value}
    import pyarrow as pa

    return bool(rows[name].equals(pa.repeat(value, length(rows))))


def is_repeated(column: "pa.StringArray") -> bool:
    """Whether a column, which has rows, holds one text throughout."""
    import pyarrow as pa

    return not column.null_count and bool(column.equals(pa.repeat(column[0], len(column))))


def ends_and_letters(column: "pa.StringArray") -> tuple[bytes, bytes]:
    """Where the texts end in what follows, as int32, beginning with a 0; and all texts in UTF-8, one after another.

    A null is an empty text here.
    """
    _, ends, letters = column.buffers()
    if not len(column):
        return bytes(4), b""
    places = memoryview(ends).cast("i")[column.offset : column.offset + len(column) + 1]
    start, end = places[0], places[-1]
    found = bytes(places) if not start else array("i", [place - start for place in places]).tobytes()
    return found, bytes(memoryview(letters or b"")[start:end])


def value(rows: Rows, name: str, row: int) -> str | None:
    """One value; a negative row counts from the end."""
    if isinstance(rows, dict):
        return rows[name][row]
    found: str | None = rows[name][row].as_py()
    return found


def part(rows: Rows, start: int, end: int) -> Rows:
    """The rows from ``start`` up to ``end``, which is not among them."""
    if isinstance(rows, dict):
        return {name: column[start:end] for name, column in rows.items()}
    return rows.slice(start, end - start)


def joined(parts: Sequence[Rows]) -> Rows:
    """The rows of all parts in their order: a batch if all parts are batches, otherwise plain columns."""
    if not parts or any(isinstance(rows, dict) for rows in parts):
        columns: Columns = {name: [] for name in PULLED_COLUMNS}
        for rows in parts:
            for name, column in as_columns(rows).items():
                columns[name].extend(column)
        return columns
    if len(parts) == 1:
        return parts[0]
    import pyarrow as pa

    (batch,) = pa.Table.from_batches(parts).combine_chunks().to_batches()
    return batch
