"""Make the golden lake of the present schema: once, when the schema has been raised, before it is released.

    python -m tests.golden.make

What stands there already is never written again: a golden lake is what a version wrote, and every later one reads it.
"""

import hashlib
import json
import logging
import shutil
import sys
from pathlib import Path

import duckdb

from airflow_provider_clever.attendance.schema import SCHEMA_VERSION
from tests.golden.pulling import pull
from tests.golden.recorded import night

log = logging.getLogger(__name__)

LAKES = Path(__file__).parent / "lakes"
FORMATS = ("parquet", "jsonl")
NIGHTS = ("1", "2", "3")
SUMS = "sha256.json"
"""Of every file of a golden lake, so that a test notices when one is touched."""
ROWS = "rows.json"
"""Every landed row as DuckDB, which is none of ours, read it on the day on which the lake was made."""


def make(lake: Path) -> None:
    """Land the recorded nights, and write down what then stood there."""
    for file_format in FORMATS:
        for name in NIGHTS:
            answer = pull(night(name), lake / file_format, file_format, work=f"night {name}")
            log.info("%s, night %s: %s", file_format, name, answer.problem or "green")
        for folder in (lake / file_format).glob("_clever/*/local"):
            shutil.rmtree(folder)
    (lake / ROWS).write_text(rows_in(lake / "parquet"))
    (lake / SUMS).write_text(json.dumps(sums_of(lake), indent=1, sort_keys=True) + "\n")


def sums_of(lake: Path) -> dict[str, str]:
    """The SHA-256 of every file but the list of them."""
    return {
        path.relative_to(lake).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(lake.rglob("*"))
        if path.is_file() and path.name != SUMS
    }


def rows_in(lake: Path) -> str:
    """The landed rows of a Parquet lake, one a line, sorted, dates and instants as text."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    found = connection.execute(
        f"SELECT * REPLACE (attendance_date::VARCHAR AS attendance_date, created::VARCHAR AS created, "
        f"last_modified::VARCHAR AS last_modified, missing_since::VARCHAR AS missing_since) "
        f"FROM read_parquet('{lake}/attendance/**/*.parquet', hive_partitioning = false)"
    )
    names = [column[0] for column in found.description]
    lines = sorted(
        json.dumps(dict(zip(names, values, strict=True)), ensure_ascii=False, sort_keys=True)
        for values in found.fetchall()
    )
    return "[\n" + ",\n".join(lines) + "\n]\n"


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    target = LAKES / f"schema-{SCHEMA_VERSION}"
    if target.exists():
        sys.exit(f"{target} stands there, and is never written again.")
    make(target)
