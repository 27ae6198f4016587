"""Two engines that are not ours, and what each reads of a table and of the landed files that it was made of."""

from pathlib import Path

import duckdb
import polars as pl

from airflow_provider_clever.attendance.schema import LANDED_COLUMNS

MONTHS = "attendance_by_month/*/*.parquet"
HEAP = "attendance/*/*/*"
COLUMNS = ", ".join(f'"{name}"' for name in LANDED_COLUMNS)


def landed(root: Path) -> pl.DataFrame:
    """Every landed row, in today's columns, in order; read by polars."""
    parts = [
        pl.read_parquet(path)
        if path.suffix == ".parquet"
        else pl.read_ndjson(path, schema=dict.fromkeys(LANDED_COLUMNS, pl.String()))
        for path in sorted(root.glob(HEAP))
    ]
    if not parts:
        return pl.DataFrame()
    return _ordered(pl.concat([_typed(part) for part in parts], how="diagonal"))


def differences(root: Path) -> list[str]:
    """In which ways the months differ from what stands landed, as each engine sees them; none: they are equal."""
    heap = landed(root)
    if not any(root.glob(MONTHS)):
        return [] if heap.is_empty() else ["there are no months"]
    found = []
    months = _ordered(pl.read_parquet(root / MONTHS, glob=True, hive_partitioning=False))
    if not heap.equals(months):
        found.append(f"polars reads {months.height} rows and not the {heap.height} landed ones")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone='UTC'")
        connection.register("heap", heap.to_arrow())
        table = f"(SELECT {COLUMNS} FROM read_parquet('{root / MONTHS}'))"
        for one, other in (("heap", table), (table, "heap")):
            rows = connection.sql(
                f"SELECT count(*) FROM (SELECT {COLUMNS} FROM {one} EXCEPT ALL SELECT {COLUMNS} FROM {other})"
            ).fetchall()
            if rows != [(0,)]:
                found.append(f"DuckDB finds {rows} rows of {one} that the other has not")
    return found


def _typed(part: pl.DataFrame) -> pl.DataFrame:
    schema = {
        "attendance_date": pl.Date(),
        **{name: pl.Datetime("us", "UTC") for name in ("created", "last_modified", "missing_since")},
    }
    missing = [pl.lit(None, pl.String).alias(name) for name in LANDED_COLUMNS if name not in part.columns]
    texts = part.with_columns(missing)
    return texts.with_columns(
        *(
            pl.col(name).str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", time_zone="UTC")
            if isinstance(kind, pl.Datetime)
            else pl.col(name).str.to_date()
            for name, kind in schema.items()
            if texts.schema[name] == pl.String
        )
    ).select(LANDED_COLUMNS)


def _ordered(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(LANDED_COLUMNS).sort(LANDED_COLUMNS, nulls_last=True)
