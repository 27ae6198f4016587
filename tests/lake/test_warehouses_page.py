"""docs/how-to/warehouses.md: each block that is marked as run here is run, and reads the rows that landed."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pyarrow as pa
import pytest

from airflow_provider_clever.lake.layout import objects_at
from airflow_provider_clever.sandbox.testing import Sandbox
from airflow_provider_clever.storage.destination_url import destination_url
from airflow_provider_clever.table.iceberg.catalogs import embedded_catalog
from airflow_provider_clever.table.iceberg.table import IcebergTable
from airflow_provider_clever.table.monthly_parquet import MonthlyParquet
from airflow_provider_clever.table.updating import TableUpdate, UpdateRules
from tests.lake.test_analysis_page import TODAY
from tests.support.asking import ask

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/warehouses.md").read_text()
BLOCK = re.compile(r"^```(\w+)\n(?:--|#) ([^\n]+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
ELSEWHERE = "run here, in an environment of its own (make table-engines): iceberg"
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## )", PAGE, re.MULTILINE | re.DOTALL))
RUN_HERE = [
    (engine, mark.removeprefix("run here: "), language, block)
    for engine, text in SECTIONS.items()
    for language, mark, block in BLOCK.findall(text)
    if mark.startswith("run here: ")
]
COLUMNS = ("district_id", "school_id", "attendance_date", "student_id", "attendance_status", "last_modified")


def test_every_block_says_where_it_was_run_and_every_warehouse_has_a_page_to_follow() -> None:
    marks = [mark for _, mark, _ in BLOCK.findall(PAGE)]
    assert len(marks) == len(re.findall(r"^```\w+$", PAGE, re.MULTILINE))
    assert [
        mark for mark in marks if mark not in ("from their documents", ELSEWHERE) and not mark.startswith("run here: ")
    ] == []
    assert {"DuckDB", "polars", "Snowflake", "BigQuery", "Athena", "Redshift", "Databricks"} <= SECTIONS.keys()
    for name in ("Snowflake", "BigQuery", "Athena", "Redshift", "Databricks"):
        assert all(word in SECTIONS[name] for word in ("**Table**", "**Months**", "**files**", "](https://")), name


def in_duckdb(block: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as database:
        database.execute(f"SET TimeZone = 'UTC'; {block}")
        return [
            *database.execute(f"SELECT {', '.join(COLUMNS)} FROM attendance WHERE missing_since IS NULL").fetchall()
        ]


def in_python(block: str) -> list[tuple[Any, ...]]:
    names: dict[str, Any] = {}
    exec(block, names)
    import polars as pl

    found = names["attendance"].filter(pl.col("missing_since").is_null()).select(COLUMNS).collect()
    return [*found.rows()]


RUN: dict[str, Callable[[str], list[tuple[Any, ...]]]] = {"sql": in_duckdb, "python": in_python}


@pytest.mark.parametrize(("engine", "source", "language", "block"), RUN_HERE, ids=lambda value: str(value)[:9].strip())
def test_each_block_that_is_run_here_reads_what_landed(
    sandbox: Sandbox, tmp_path: Path, engine: str, source: str, language: str, block: str
) -> None:
    lake = tmp_path / "lake"
    ask(sandbox, lake, file_format="jsonl" if source == "jsonl" else "parquet")
    objects = objects_at(fsspec.filesystem("file"), str(lake))
    district = sandbox.district("small")
    if source == "months":
        TableUpdate(objects, MonthlyParquet(objects), UpdateRules(today=TODAY)).run([district.id])
    if source == "iceberg":
        table = IcebergTable(embedded_catalog(destination_url(lake.as_uri())))
        TableUpdate(objects, table, UpdateRules(today=TODAY)).run([district.id])

    found = RUN[language](block.replace("/lake", str(lake)))

    due = sandbox.expected("small", date_range_start="2026-06-01", date_range_end=str(TODAY))
    assert len(found) == len(due)
    days = pa.array([row[2] for row in found], pa.date32()).cast(pa.string()).to_pylist()
    assert sorted((row[0], row[1], day, row[3], row[4]) for row, day in zip(found, days, strict=True)) == sorted(
        tuple(row[name] for name in COLUMNS[:5]) for row in due
    )
    assert max(row[5] for row in found).isoformat()[:19] == max(row["last_modified"] for row in due)[:19]
