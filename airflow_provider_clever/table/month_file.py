"""Writes one month of a district as a Parquet file: sorted, streamed, with statistics that let engines skip rows.

A row group ends with a day, so a query about some days reads only those. It is at most a few megabytes, so memory does
not grow with the month.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_clever.attendance.schema import names
from airflow_provider_clever.storage.objects import Objects
from airflow_provider_clever.table.month_rows import MonthRows

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_FEW_ROWS: Final = 65_536
"""A row group with fewer rows takes the next day, too: a small group costs more than skipping it saves, and the ids of
students are written once for each group."""
_MOST_ROWS: Final = 131_072

ORDER: Final = ("attendance_date", "school_id", "student_id")
"""How the rows of a month are sorted."""
_DICTIONARY: Final = list(names(lambda column: column.repeats != "hardly" or column.name == "student_id"))
"""Columns whose values repeat within a row group; a student's id repeats with every section and day."""

_FOOTER_END: Final = 8
"""How many bytes follow a file's footer: its length, and the format's name (the Parquet format, "File Format")."""

FINGERPRINT_MARK: Final = b"clever.month_fingerprint"
"""The key of the fingerprint in a file's own metadata."""


def write_month(
    month: MonthRows,
    sink: Any,
    schema: "pa.Schema | None" = None,
    *,
    completed: "Callable[[pa.Table], pa.Table]" = lambda group: group,
    with_bounds: Sequence[str] | None = None,
) -> "pq.FileMetaData":
    """Write a month into a file, and give its footer.

    :param month: the rows.
    :param sink: a path, or a file that pyarrow can write to.
    :param schema: the columns with their metadata. Default: the month's own.
    :param completed: turns each group of rows into these columns. Default: the month has them.
    :param with_bounds: the columns with smallest and largest values in the statistics. Default: all.
    :raises CleverPartitionError: a partition of it is damaged.
    :raises CleverLandingError: the destination cannot be read.
    """
    import pyarrow.parquet as pq

    schema = schema or month.schema
    footers: list[pq.FileMetaData] = []
    with pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        use_dictionary=_DICTIONARY,
        write_statistics=True if with_bounds is None else list(with_bounds),
        write_page_index=True,
        write_page_checksum=True,
        sorting_columns=[pq.SortingColumn(schema.get_field_index(name)) for name in ORDER],
        metadata_collector=footers,
    ) as writer:
        for group in _groups(month):
            writer.write_table(completed(group).cast(schema), row_group_size=_MOST_ROWS)
        writer.add_key_value_metadata({FINGERPRINT_MARK.decode(): month.fingerprint})
    return footers[0]


def _groups(month: MonthRows) -> "Iterator[pa.Table]":
    import pyarrow as pa

    parts: list[pa.RecordBatch] = []
    rows, day = 0, None
    for batch in month.batches():
        next_day = batch["attendance_date"][0]
        is_full = rows + batch.num_rows > _MOST_ROWS
        if parts and (is_full or (next_day != day and rows >= _FEW_ROWS)):
            yield pa.Table.from_batches(parts)
            parts, rows = [], 0
        parts.append(batch)
        rows, day = rows + batch.num_rows, next_day
    if parts:
        yield pa.Table.from_batches(parts)


def fingerprint_in(objects: Objects, path: str) -> str:
    """Read the fingerprint from a month's file; empty: it has none, so something else wrote it.

    Of a file on this machine only the end is read.

    :param path: relative to the destination.
    :raises OSError: it is gone.
    :raises pyarrow.ArrowException: it is not a whole Parquet file; some such errors are OSErrors.
    :raises CleverLandingError: the destination cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    local = objects.local_path(path)
    if local is None:
        found = objects.read(path)
        data = found[0] if found else b""
    else:
        with Path(local).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _FOOTER_END))
            length = int.from_bytes(file.read(4), "little")
            file.seek(max(0, size - _FOOTER_END - length))
            data = file.read()
    marks = pq.read_metadata(pa.BufferReader(data)).metadata or {}
    return str(marks.get(FINGERPRINT_MARK, b"").decode())
