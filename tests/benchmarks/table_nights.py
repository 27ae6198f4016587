"""What bringing a table up to date costs beside the pull that changed it: processor time of both, in one run.

A district uploads a few corrections; a pull asks for the last two weeks again, and each kind of table takes in what has
changed. Clever's side runs in a process of its own. The first pull and the first update, which import and build, do not
count.
"""

import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import fsspec

from airflow_provider_clever.lake.layout import objects_at
from airflow_provider_clever.sandbox.testing import Sandbox, running_sandbox
from airflow_provider_clever.storage.destination_url import destination_url
from airflow_provider_clever.table.iceberg.catalogs import embedded_catalog
from airflow_provider_clever.table.iceberg.table import IcebergTable
from airflow_provider_clever.table.monthly_parquet import MonthlyParquet
from airflow_provider_clever.table.table import Table
from airflow_provider_clever.table.updating import TableUpdate, UpdateRules
from tests.support.asking import ask

TODAY: Final = date(2026, 11, 23)
SCHOOL_DAYS: Final = 40
LOOKBACK: Final = timedelta(days=14)
NIGHTS: Final = 3
EDITS_A_SCHOOL: Final = 2


def measured(folder: Path, *, is_quick: bool) -> Iterator[tuple[str, float]]:
    """Measure, figure by figure; the figures are of all nights together, but for the number of rows."""
    schools, students = (4, 100) if is_quick else (20, 250)
    with running_sandbox(today=TODAY.isoformat(), rate_limit=1_000_000) as sandbox:
        sandbox.reset(
            today=TODAY.isoformat(),
            districts=["large"],
            large_schools=schools,
            large_students=students,
            large_school_days=SCHOOL_DAYS,
        )
        objects = objects_at(fsspec.filesystem("file"), str(folder))
        tables: dict[str, Table] = {
            "parquet": MonthlyParquet(objects),
            "iceberg": IcebergTable(embedded_catalog(destination_url(folder.as_uri()))),
        }

        def updated(table: Table) -> None:
            report = TableUpdate(objects, table, UpdateRules(today=TODAY)).run([sandbox.district("large").id])
            assert report.problem() is None
            assert report.written

        rows = _pulled(sandbox, folder, first_day=TODAY - timedelta(days=120))
        yield "landed: rows", rows
        for table in tables.values():
            updated(table)
        seconds = dict.fromkeys(["pull", *tables], 0.0)
        for _ in range(NIGHTS):
            sandbox.sync("large", edits=EDITS_A_SCHOOL * schools, weeks=2)
            used, rows = _timed(lambda: _pulled(sandbox, folder, first_day=TODAY - LOOKBACK))
            seconds["pull"] += used
            for kind, table in tables.items():
                used, _ = _timed(partial(updated, table))
                seconds[kind] += used
    yield "night: rows pulled", rows
    yield "night: CPU seconds of the pull", seconds["pull"] / NIGHTS
    for kind in tables:
        yield f"night: {kind}, times the pull", seconds[kind] / seconds["pull"]


def _pulled(sandbox: Sandbox, folder: Path, *, first_day: date) -> int:
    work = f"from {first_day} at {time.monotonic_ns()}"
    answer = ask(sandbox, folder, district="large", first_day=first_day, last_day=TODAY, today=TODAY, work=work)
    assert answer.problem is None
    return int(answer.summary["rows"])


def _timed(act: Callable[[], int | None]) -> tuple[float, int]:
    start = time.process_time()
    found = act()
    return time.process_time() - start, found or 0
