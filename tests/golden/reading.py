"""A lake as other engines read it, each in the way that docs/reference/landed-files.md tells."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds

from airflow_provider_clever.attendance.schema import LANDED_COLUMNS

Row = dict[str, str | None]


def as_text(rows: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Rows in one order, dates and instants as canonical text, whatever an engine made of them.

    A column that none of the files has is null in all rows.
    """
    rows = list(rows)
    found = [{name: _text(name, row.get(name)) for name in LANDED_COLUMNS} for row in rows]
    assert all(row.keys() <= set(LANDED_COLUMNS) for row in rows), "a column that is none of ours"
    return sorted(found, key=lambda row: sorted((name, value or "") for name, value in row.items()))


def _text(name: str, value: Any) -> str | None:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, date):
        return value.isoformat()
    if value is not None and name in {"created", "last_modified", "missing_since"}:
        return _text(name, datetime.fromisoformat(value))
    return None if value is None else str(value)


def with_duckdb(lake: Path, file_format: str) -> list[Row]:
    """Columns by name, so that files of several schemas go together."""
    reader = (
        f"read_parquet('{lake}/attendance/**/*.parquet', union_by_name = true, hive_partitioning = false)"
        if file_format == "parquet"
        else f"read_json('{lake}/attendance/**/*.jsonl.gz', format = 'newline_delimited', "
        f"hive_partitioning = false, columns = "
        f"{dict.fromkeys(LANDED_COLUMNS, 'VARCHAR')})"
    )
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    found = connection.execute(f"SELECT * FROM {reader}")
    names = [column[0] for column in found.description]
    return as_text(dict(zip(names, values, strict=True)) for values in found.fetchall())


def with_pyarrow(lake: Path, file_format: str) -> list[Row]:
    """One schema for all files: that of all of them together."""
    if file_format != "parquet":
        schema = pa.schema([(name, pa.string()) for name in LANDED_COLUMNS])
        files = ds.dataset(f"{lake}/attendance", format="json", schema=schema)
        return as_text(files.to_table(columns=list(LANDED_COLUMNS)).to_pylist())
    files = ds.dataset(f"{lake}/attendance")
    schema = pa.unify_schemas([part.physical_schema.remove_metadata() for part in files.get_fragments()])
    return as_text(files.replace_schema(schema).to_table().to_pylist())


def with_polars(lake: Path, file_format: str) -> list[Row]:
    """The schema is given, and a column that an older file lacks is null in its rows."""
    if file_format != "parquet":
        scan = pl.scan_ndjson(f"{lake}/attendance/**/*.jsonl.gz", schema=dict.fromkeys(LANDED_COLUMNS, pl.String))
        return as_text(scan.select(LANDED_COLUMNS).collect().to_dicts())
    kinds = {"attendance_date": pl.Date, **dict.fromkeys(INSTANTS, pl.Datetime("us", "UTC"))}
    schema = {name: kinds.get(name, pl.String) for name in LANDED_COLUMNS}
    scan = pl.scan_parquet(f"{lake}/attendance/**/*.parquet", schema=schema, missing_columns="insert")
    return as_text(scan.select(LANDED_COLUMNS).collect().to_dicts())


INSTANTS: Final = ("created", "last_modified", "missing_since")
READERS: Final[dict[str, Callable[[Path, str], list[Row]]]] = {
    "duckdb": with_duckdb,
    "pyarrow": with_pyarrow,
    "polars": with_polars,
}
