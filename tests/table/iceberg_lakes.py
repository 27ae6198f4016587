"""Iceberg tables made of small lakes, and what each engine reads of them."""

import json
import os
import subprocess
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyiceberg import expressions as iceberg
from pyiceberg.table import StaticTable
from pyiceberg.table import Table as PyIcebergTable

from airflow_provider_clever.attendance.schema import LANDED_COLUMNS
from airflow_provider_clever.lake import layout
from airflow_provider_clever.storage.destination_url import destination_url
from airflow_provider_clever.table.iceberg.catalogs import embedded_catalog, open_catalog
from airflow_provider_clever.table.iceberg.table import IcebergTable
from airflow_provider_clever.table.updating import TableUpdate, UpdateReport, UpdateRules
from tests.lake.emulators import Store
from tests.table.lakes import at

Rows = list[tuple[Any, ...]]
"""Rows with every column, in an order that follows from them alone."""

os.environ.setdefault("POLARS_ICEBERG_PLANNER", "pyiceberg")  # its own is another package

ENGINES_PYTHON: Final = os.environ.get("CLEVER_TABLE_ENGINES", "")
"""The interpreter of the environment with DuckDB's extension and chDB: make table-engines."""
ENGINES: Final = ("pyiceberg", "polars", *(("duckdb", "chdb") if ENGINES_PYTHON else ()))


def embedded(store: Store, **options: Any) -> IcebergTable:
    """The embedded table of a lake, through a connection of its own."""
    return IcebergTable(embedded_catalog(destination_url(f"file://{store.root}")), **options)


def districts_at(store: Store) -> list[str]:
    """Whose partitions have landed."""
    return sorted(path.rpartition("district=")[2] for path in at(store).names("attendance"))


def bring_up_to_date(
    store: Store, table: IcebergTable, districts: Collection[str] | None = None, **rules: Any
) -> UpdateReport:
    """Update a table as its task does, and fail as it does."""
    known = {*districts_at(store), *table.cursors(None)} if districts is None else districts
    report = TableUpdate(at(store), table, UpdateRules(today=date(2026, 11, 20), **rules)).run(sorted(known))
    if problem := report.problem():
        raise problem
    return report


def folder(store: Store) -> Path:
    """Where the embedded table lies."""
    return Path(store.root, "iceberg", "clever.attendance")


def newest(store: Store) -> str:
    """The metadata file that readers of the folder are led to."""
    metadata = folder(store) / "metadata"
    return str(metadata / f"{(metadata / 'version-hint.text').read_text()}.metadata.json")


def in_catalog(store: Store) -> PyIcebergTable:
    """The table as the catalog has it."""
    return open_catalog(embedded_catalog(destination_url(f"file://{store.root}"))).load_table("clever.attendance")


# --- rows -------------------------------------------------------------------------------------------------------------


def in_order(rows: Sequence[dict[str, Any]]) -> Rows:
    """Rows as an engine gives them, every instant in UTC."""
    found = [
        tuple(
            value.astimezone(UTC) if isinstance(value, datetime) else value
            for value in (one[name] for name in LANDED_COLUMNS)
        )
        for one in rows
    ]
    return sorted(found, key=repr)


def landed(store: Store) -> Rows:
    """The rows that stand landed, live ones and marked ones, as pyarrow reads them."""
    parts = [path for path in at(store).names_below("attendance") if layout.parse_partition_path(path)]
    files = [f"{store.root}/{path}" for path in parts]
    tables = [pq.read_table(pa.BufferReader(store.filesystem().cat_file(path))) for path in files]
    return in_order([row for table in tables for row in table.to_pylist()])


# --- filters ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Filter:
    """One condition; several are joined by AND."""

    column: str
    operator: str
    value: Any = None


Filters = tuple[Filter, ...]

_TRUE_OF: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": lambda found, value: found is not None and found == value,
    "!=": lambda found, value: found is not None and found != value,
    "<": lambda found, value: found is not None and found < value,
    ">=": lambda found, value: found is not None and found >= value,
    "IN": lambda found, value: found in value,
    "IS NULL": lambda found, _: found is None,
    "IS NOT NULL": lambda found, _: found is not None,
    "STARTS": lambda found, value: found is not None and found.startswith(value),
}
_ICEBERG: Final[dict[str, Callable[[str, Any], Any]]] = {
    "=": iceberg.EqualTo,
    "!=": lambda name, value: iceberg.And(iceberg.NotEqualTo(name, value), iceberg.NotNull(name)),
    "<": iceberg.LessThan,
    ">=": iceberg.GreaterThanOrEqual,
    "IN": iceberg.In,
    "IS NULL": lambda name, _: iceberg.IsNull(name),
    "IS NOT NULL": lambda name, _: iceberg.NotNull(name),
    "STARTS": iceberg.StartsWith,
}
_POLARS: Final[dict[str, Callable[[pl.Expr, Any], pl.Expr]]] = {
    "=": lambda column, value: column == value,
    "!=": lambda column, value: column != value,
    "<": lambda column, value: column < value,
    ">=": lambda column, value: column >= value,
    "IN": lambda column, value: column.is_in(value),
    "IS NULL": lambda column, _: column.is_null(),
    "IS NOT NULL": lambda column, _: column.is_not_null(),
    "STARTS": lambda column, value: column.str.starts_with(value),
}


def matching(rows: Rows, filters: Filters) -> Rows:
    """What a filter should leave of the landed rows."""
    places = {name: place for place, name in enumerate(LANDED_COLUMNS)}
    return [row for row in rows if all(_TRUE_OF[one.operator](row[places[one.column]], one.value) for one in filters)]


def _in_iceberg(filters: Filters) -> Any:
    found: Any = iceberg.AlwaysTrue()
    for one in filters:
        value = one.value.isoformat() if isinstance(one.value, date | datetime) else one.value
        found = iceberg.And(found, _ICEBERG[one.operator](one.column, value))
    return found


def _literal(value: Any, engine: str) -> str:
    if isinstance(value, datetime):
        text = f"{value:%Y-%m-%d %H:%M:%S}"
        return f"TIMESTAMPTZ '{text}+00'" if engine == "duckdb" else f"toDateTime64('{text}', 6, 'UTC')"
    if isinstance(value, date):
        return f"DATE '{value}'" if engine == "duckdb" else f"toDate32('{value}')"
    if isinstance(value, tuple):
        return f"({', '.join(_literal(one, engine) for one in value)})"
    return "'" + str(value).replace("'", "''") + "'"


def _in_sql(filters: Filters, engine: str) -> str:
    found = ["1 = 1"]
    for one in filters:
        if one.operator == "STARTS":
            found.append(f"{one.column} LIKE '{one.value}%'")
        else:
            found.append(f"{one.column} {one.operator} {'' if one.value is None else _literal(one.value, engine)}")
    return " AND ".join(found)


# --- engines ----------------------------------------------------------------------------------------------------------


def read(engine: str, store: Store, questions: Sequence[Filters] = ((),)) -> list[Rows]:
    """The answers of an engine to each of these questions, put to the folder or its newest metadata."""
    return {"pyiceberg": _by_pyiceberg, "polars": _by_polars}.get(engine, _by_another_process(engine))(store, questions)


def _by_pyiceberg(store: Store, questions: Sequence[Filters]) -> list[Rows]:
    table = StaticTable.from_metadata(newest(store))
    return [in_order(table.scan(row_filter=_in_iceberg(one)).to_arrow().to_pylist()) for one in questions]


def _by_polars(store: Store, questions: Sequence[Filters]) -> list[Rows]:
    found = []
    for filters in questions:
        frame = pl.scan_iceberg(newest(store))
        for one in filters:
            frame = frame.filter(_POLARS[one.operator](pl.col(one.column), one.value))
        found.append(in_order(frame.collect().to_dicts()))
    return found


def _by_another_process(engine: str) -> Callable[[Store, Sequence[Filters]], list[Rows]]:
    def found(store: Store, questions: Sequence[Filters]) -> list[Rows]:
        answers = Path(store.root).parent / f"answers-of-{engine}"
        answers.mkdir(exist_ok=True)
        wanted = [_in_sql(one, engine) for one in questions]
        subprocess.run(
            [ENGINES_PYTHON, str(Path(__file__).with_name("ask_engine.py")), engine, str(folder(store)), str(answers)],
            input=json.dumps(wanted),
            text=True,
            check=True,
            timeout=300,
            cwd=answers.parent,  # chDB reads nothing outside of where it runs
        )
        return [
            in_order(ds.dataset(answers / f"{number}.parquet").to_table().to_pylist()) for number in range(len(wanted))
        ]

    return found
