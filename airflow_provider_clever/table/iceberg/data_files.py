"""One file of a table: a district's month, written as its rows come, or the whole of a small table."""

import re
from collections.abc import Mapping
from typing import Any, Final
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.conversions import from_bytes, to_bytes
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.schema import Schema
from pyiceberg.table import Table as PyIcebergTable
from pyiceberg.table.locations import load_location_provider
from pyiceberg.typedef import Record
from pyiceberg.types import DateType, PrimitiveType

from airflow_provider_clever.table.iceberg.columns import WITH_BOUNDS
from airflow_provider_clever.table.landed_months import MonthName
from airflow_provider_clever.table.month_file import write_month
from airflow_provider_clever.table.month_rows import MonthRows

_DATE: Final = "attendance_date"
_WHOLE: Final = "rows"
_OURS_WHOLE: Final = re.compile(rf"/{_WHOLE}-[0-9a-f]{{32}}\.parquet$", re.ASCII)
_OURS: Final = re.compile(r"/(?P<district>[\w-]+)-(?P<month>\d{4}-\d{2})-[0-9a-f]{32}\.parquet$", re.ASCII)


def write_file(table: PyIcebergTable, month: MonthRows) -> DataFile | None:
    """Write a month to a new file, which no reader sees before it is committed. None: the month has no row.

    If it fails, the file is removed, as far as the store allows.
    """
    location = _new_location(table, f"{month.name.district_id}-{month.name.month}")
    try:
        file = _written(table, month, location)
    except BaseException:
        remove(table, location)
        raise
    if not month.rows:
        remove(table, location)
        return None
    return file


def write_rows(table: PyIcebergTable, rows: pa.Table) -> DataFile:
    """Write the rows of a small table to a file; if it fails, the file is removed, as far as the store allows.

    :param rows: in the table's columns, or some of them; at least one row.
    """
    location = _new_location(table, _WHOLE)
    columns = schema_to_pyarrow(table.schema())
    found = _with_all_columns(rows, columns).cast(columns)
    footers: list[pq.FileMetaData] = []
    try:
        with table.io.new_output(location).create() as sink:
            pq.write_table(found, sink, compression="zstd", write_page_checksum=True, metadata_collector=footers)
            size = sink.tell()
    except BaseException:
        remove(table, location)
        raise
    nulls = {name: found.column(name).null_count for name in columns.names}
    return _described(table, location, footers[0], size=size, partition=Record(), nulls=nulls)


def is_whole(location: str) -> bool:
    """Whether the file of a location may be one that :func:`write_rows` wrote."""
    return _OURS_WHOLE.search(location) is not None


def remove(table: PyIcebergTable, location: str) -> bool:
    """Remove a file, and give whether it is gone."""
    try:
        table.io.delete(location)
    except FileNotFoundError:
        return True
    except Exception:  # noqa: BLE001 - each store's library raises its own kinds
        return False
    return True


def name_in(location: str) -> MonthName | None:
    """Give the month of a file by its name. None: no file of ours has such a name."""
    found = _OURS.search(location)
    return found and MonthName(found["district"], found["month"])


def months_in(table: PyIcebergTable, file: DataFile) -> tuple[str, str] | None:
    """Give the first and the last month in a file, from its statistics. None: they do not contain it."""
    number = table.schema().find_field(_DATE).field_id
    bounds = [found[number] for found in (file.lower_bounds, file.upper_bounds) if number in (found or {})]
    if len(bounds) < 2:
        return None
    first, last = (str(pa.scalar(from_bytes(DateType(), one), pa.date32()).as_py())[:7] for one in bounds)
    return first, last


def _written(table: PyIcebergTable, month: MonthRows, location: str) -> DataFile:
    columns = schema_to_pyarrow(table.schema())
    nulls = dict.fromkeys(columns.names, 0)

    def completed(group: pa.Table) -> pa.Table:
        found = _with_all_columns(group, columns)
        for name in nulls:
            nulls[name] += found.column(name).null_count
        return found

    with table.io.new_output(location).create() as sink:
        with_bounds = [name for name in columns.names if name in WITH_BOUNDS]
        footer = write_month(month, sink, columns, completed=completed, with_bounds=with_bounds)
        size = sink.tell()
    return _described(table, location, footer, size=size, partition=Record(month.name.district_id), nulls=nulls)


def _new_location(table: PyIcebergTable, name: str) -> str:
    provider = load_location_provider(table.location(), table.properties)
    return provider.new_data_location(f"{name}-{uuid4().hex}.parquet")


def _described(
    table: PyIcebergTable,
    location: str,
    footer: pq.FileMetaData,
    *,
    size: int,
    partition: Record,
    nulls: Mapping[str, int],
) -> DataFile:
    schema = table.schema()
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=location,
        file_format=FileFormat.PARQUET,
        partition=partition,
        record_count=footer.num_rows,
        file_size_in_bytes=size,
        value_counts={one.field_id: footer.num_rows for one in schema.fields},
        null_value_counts={schema.find_field(name).field_id: count for name, count in nulls.items()},
        nan_value_counts={},
        sort_order_id=table.sort_order().order_id,
        spec_id=table.spec().spec_id,
        equality_ids=None,
        key_metadata=None,
        **_said_by(footer, schema),
    )


def _with_all_columns(rows: pa.Table, columns: pa.Schema) -> pa.Table:
    """Give the rows with all columns of the table; columns that others have added are null."""
    found = [
        rows.column(one.name) if one.name in rows.column_names else pa.nulls(rows.num_rows, one.type) for one in columns
    ]
    return pa.Table.from_arrays(found, names=columns.names)


def _said_by(footer: pq.FileMetaData, schema: Schema) -> dict[str, Any]:
    """Read sizes, bounds and the offsets of row groups from a footer."""
    sizes: dict[int, int] = {}
    lower: dict[int, Any] = {}
    upper: dict[int, Any] = {}
    begins = []
    for group in (footer.row_group(number) for number in range(footer.num_row_groups)):
        first = group.column(0)
        begins.append(
            min(filter(None, (first.dictionary_page_offset, first.data_page_offset)), default=first.data_page_offset)
        )
        for column in (group.column(number) for number in range(footer.num_columns)):
            number = schema.find_field(column.path_in_schema).field_id
            sizes[number] = sizes.get(number, 0) + column.total_compressed_size
            found = column.statistics
            if found is not None and found.has_min_max:
                lower[number] = min(lower.get(number, found.min), found.min)
                upper[number] = max(upper.get(number, found.max), found.max)
    return {
        "column_sizes": sizes,
        "lower_bounds": _encoded(lower, schema),
        "upper_bounds": _encoded(upper, schema),
        "split_offsets": begins,
    }


def _encoded(bounds: dict[int, Any], schema: Schema) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for number, value in bounds.items():
        kind = schema.find_field(number).field_type
        assert isinstance(kind, PrimitiveType)  # noqa: S101 - every column of ours is
        found[number] = to_bytes(kind, value)
    return found
