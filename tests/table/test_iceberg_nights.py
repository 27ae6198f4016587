"""Night after night: one file for each month, few manifests, and little more stored than right after a build.

A school year: ``CLEVER_TABLE_NIGHTS=250 python -m pytest tests/table/test_iceberg_nights.py`` (10 minutes).
"""

import os
import shutil
from itertools import pairwise
from pathlib import Path

from pyiceberg.table import Table as PyIcebergTable

from tests.benchmarks.school_year import DISTRICT, land_school_day, weekdays
from tests.lake.emulators import Store
from tests.table.iceberg_lakes import bring_up_to_date, embedded, folder, in_catalog

NIGHTS = int(os.environ.get("CLEVER_TABLE_NIGHTS", "5"))
SCHOOLS, STUDENTS, BEFORE = 4, 400, 30


def stored_bytes(store: Store) -> int:
    """What the warehouse takes up."""
    return sum(path.stat().st_size for path in folder(store).rglob("*") if path.is_file())


def files_and_manifests(table: PyIcebergTable) -> tuple[int, int]:
    """How many of each the table's present state has."""
    head = table.current_snapshot()
    assert head is not None
    return len(list(table.scan().plan_files())), len(head.manifests(table.io))


def test_nights_leave_one_file_for_each_month_and_few_manifests(local: Store) -> None:
    """Each night a day is new, and the one before is corrected; the state before is kept, as after a day."""
    lake, days = Path(local.root), list(weekdays(BEFORE + NIGHTS))
    for day in days[:BEFORE]:
        for school in range(SCHOOLS):
            land_school_day(lake, school, day, STUDENTS)
    table = embedded(local, keep_hours=0)
    bring_up_to_date(local, table)
    for before, today in pairwise(days[BEFORE - 1 :]):
        for school in range(SCHOOLS):
            land_school_day(lake, school, today, STUDENTS)
        land_school_day(lake, 0, before, STUDENTS, edits=3)
        bring_up_to_date(local, table, [DISTRICT])
    found = in_catalog(local)
    files, manifests = files_and_manifests(found)
    assert files == len({day.isoformat()[:7] for day in days})
    assert manifests <= files + 2
    assert len(found.metadata.snapshots) <= 2
    after = stored_bytes(local)
    shutil.rmtree(folder(local).parent)
    bring_up_to_date(local, embedded(local))
    ratio = after / stored_bytes(local)
    print(f"{NIGHTS} nights: {files} files, {manifests} manifests, {ratio:.2f} times the bytes of a build")  # noqa: T201
    assert ratio <= 1.3 or NIGHTS < 100  # of three months one that is kept twice is a third
