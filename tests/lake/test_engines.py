"""Both formats, read back by engines that are not ours, with ``**`` globs and Hive partitioning on.

Spark is tried by a command of its own: ``CLEVER_SPARK=1 python -m pytest tests/lake/test_engines.py`` with pyspark
installed.
"""

import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_clever.attendance.schema import LANDED_COLUMNS, TIMESTAMP_COLUMNS
from airflow_provider_clever.lake.store import Destination
from tests.lake.builders import SYNC, context, day, land_and_mark, listed, row
from tests.lake.emulators import Store

DISTRICTS = ("65e000000000000000000001", "000000000000000000000123")  # both read as numbers where a path is trusted
SCHOOL = "6500e0000000000000000002"
NASTY = ("\"quoted\", 'too'", "two\nlines\r\n", "😀", "\u202eright to left", "tab\t\\n", "\u2028", None, "0123", "1e5")


@pytest.fixture(params=["parquet", "jsonl"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str, list[tuple[Any, ...]]]:
    """A landed destination, its format, and the rows that stand in it, as an engine should give them."""
    root, expected = tmp_path / "lake", []
    for district in DISTRICTS:
        lake = Destination(Store("file", "").filesystem(), str(root), district_id=district, file_format=request.param)
        lake.check()
        for attendance_date in ("2026-04-01", "2026-04-02"):
            found = [
                row(f"{number:024}", excuse_code=code, district_id=district, _extra='{"a":[1,"é"]}' if number else None)
                for number, code in enumerate(NASTY)
            ]
            for pull in (found, found[1:]):
                pulled = day(pull, school_id=SCHOOL, attendance_date=attendance_date)
                outcome = land_and_mark(lake, pulled, context(write_changes=False))
            assert outcome.counts.missing == 1
            for number, one in enumerate(listed(day(found, school_id=SCHOOL, attendance_date=attendance_date).rows)):
                expected.append(_typed({**one, "missing_since": None if number else SYNC}, request.param))
        lake.quarantine([], today=date(2026, 4, 1))
    return root, request.param, sorted(expected, key=repr)


def _typed(one: dict[str, Any], file_format: str) -> tuple[Any, ...]:
    if file_format == "jsonl":
        return tuple(one[name] for name in LANDED_COLUMNS)
    one = {**one, "attendance_date": date.fromisoformat(one["attendance_date"])}
    for name in TIMESTAMP_COLUMNS:
        one[name] = one[name] and datetime.fromisoformat(one[name]).astimezone(UTC)
    return tuple(one[name] for name in LANDED_COLUMNS)


def _same(rows: list[tuple[Any, ...]], expected: list[tuple[Any, ...]]) -> None:
    in_utc = [tuple(v.astimezone(UTC) if isinstance(v, datetime) else v for v in values) for values in rows]
    assert sorted(in_utc, key=repr) == expected


def test_duckdb_reads_what_landed(lake) -> None:
    import duckdb

    root, file_format, expected = lake
    columns = ", ".join(f'"{name}"' for name in LANDED_COLUMNS)
    text = "{" + ", ".join(f"{name}: 'VARCHAR'" for name in LANDED_COLUMNS) + "}"
    lines = f"hive_partitioning=true, format='newline_delimited', columns={text}"
    source = {
        "parquet": f"read_parquet('{root}/**/*.parquet', hive_partitioning=true)",
        "jsonl": f"read_json('{root}/**/*.jsonl.gz', {lines})",
    }[file_format]
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone='America/Denver'")
        _same(connection.execute(f"SELECT {columns} FROM {source}").fetchall(), expected)
        live = connection.execute(f"SELECT count(*) FROM {source} WHERE missing_since IS NULL").fetchone()
        assert live == (len(expected) - 4,)
        days = connection.execute(f"SELECT count(DISTINCT date) FROM {source}").fetchone()
        assert days == (2,)


def test_pyarrow_reads_what_landed(lake) -> None:
    import pyarrow as pa
    import pyarrow.dataset as ds

    root, file_format, expected = lake
    schema = None
    if file_format == "jsonl":
        partitions = [("district", pa.string()), ("date", pa.string())]
        schema = pa.schema([(name, pa.string()) for name in LANDED_COLUMNS] + partitions)
    dataset = ds.dataset(
        str(root / "attendance"),
        format={"parquet": "parquet", "jsonl": "json"}[file_format],
        partitioning="hive",
        schema=schema,
    )
    table = dataset.to_table(columns=list(LANDED_COLUMNS))
    _same([tuple(one.values()) for one in table.to_pylist()], expected)
    assert dataset.count_rows() == len(expected)


def test_polars_reads_what_landed(lake) -> None:
    import polars as pl

    root, file_format, expected = lake
    if file_format == "parquet":
        frame = pl.scan_parquet(f"{root}/attendance/**/*.parquet", hive_partitioning=True)
    else:
        frame = pl.scan_ndjson(f"{root}/attendance/**/*.jsonl.gz", schema=dict.fromkeys(LANDED_COLUMNS, pl.String))
    _same(frame.select(LANDED_COLUMNS).collect().rows(), expected)


def test_a_glob_over_the_whole_destination_finds_partitions_only(lake) -> None:
    root, file_format, _ = lake
    end = {"parquet": "*.parquet", "jsonl": "*.jsonl.gz"}[file_format]
    assert {path.relative_to(root).parts[0] for path in root.glob(f"**/{end}")} == {"attendance"}
    assert all(path.name.endswith(end[1:]) for path in (root / "attendance").glob("**/*") if path.is_file())


@pytest.mark.skipif(not os.environ.get("CLEVER_SPARK"), reason="needs pyspark and Java; set CLEVER_SPARK=1")
def test_spark_reads_what_landed(lake) -> None:
    from pyspark.sql import SparkSession

    root, file_format, expected = lake
    spark = SparkSession.builder.master("local[1]").config("spark.sql.session.timeZone", "UTC").getOrCreate()
    if file_format == "parquet":
        frame = spark.read.parquet(f"{root}/attendance")
    else:
        frame = spark.read.schema(", ".join(f"`{name}` STRING" for name in LANDED_COLUMNS)).json(f"{root}/attendance")
    _same([tuple(one) for one in frame.select(*LANDED_COLUMNS).collect()], expected)
