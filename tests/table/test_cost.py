"""What an update costs: it follows what changed, at the store and in memory."""

import subprocess
import sys
import uuid
from collections import Counter
from pathlib import Path
from textwrap import dedent

import pytest

from airflow_provider_clever.table.monthly_parquet import MonthlyParquet
from airflow_provider_clever.table.updating import TableUpdate, UpdateReport, UpdateRules
from tests.benchmarks.school_year import land_year
from tests.lake.builders import DISTRICT, SCHOOL, TODAY
from tests.lake.emulators import Store
from tests.table.lakes import OTHER_SCHOOL, at, land

MONTHS = ["2025-11", "2025-12", "2026-01", "2026-03", "2026-04"]
DAYS = [f"{month}-{day:02}" for month in MONTHS for day in (3, 4)]


def kind_of(method: str, path: str) -> str:
    where, _, query = path.partition("?")
    if "list-type=2" in query:
        return "LIST"
    kind = "partition" if "/attendance/" in where else "month" if "by_month" in where else "ours"
    return f"{method} {kind}"


def update(store: Store, districts: list[str], **rules: bool) -> tuple[UpdateReport, Counter[str]]:
    """Bring the months up to date, and count the requests that it took."""
    store.requests()
    objects = at(store)
    report = TableUpdate(objects, MonthlyParquet(objects), UpdateRules(today=TODAY, **rules)).run(districts)
    return report, Counter(kind_of(method, path) for method, path in store.requests())


@pytest.fixture
def lake(s3: Store) -> Store:
    store = s3.below(uuid.uuid4().hex)
    for day in DAYS:
        for school in (SCHOOL, OTHER_SCHOOL):
            land(store, day, "ab", school=school)
    return store


def test_each_partition_is_read_once_and_then_only_those_of_a_month_that_changed(lake: Store) -> None:
    report, calls = update(lake, [DISTRICT])
    assert len(report.written) == len(MONTHS)
    assert (calls["GET partition"], calls["PUT month"], calls["GET month"]) == (2 * len(DAYS), len(MONTHS), 0)

    _, calls = update(lake, [DISTRICT])
    assert calls["GET partition"] == calls["PUT month"] == calls["PUT ours"] == 0
    assert calls["GET ours"] <= 2, "the cursor, and what is forgotten"
    assert calls["LIST"] <= 5, "days, notes, files, and the partitions of two months"

    land(lake, DAYS[3], "abc")
    land(lake, DAYS[-1], "abc")
    report, calls = update(lake, [DISTRICT])
    assert sorted(name.month for name in report.written) == [MONTHS[1], MONTHS[-1]]
    assert calls["GET partition"] == 2 * 4
    assert calls["GET ours"] + calls["PUT ours"] <= 8
    assert calls["LIST"] <= 12


def test_comparing_every_month_reads_no_partition_that_is_noted(lake: Store) -> None:
    update(lake, [DISTRICT])
    report, calls = update(lake, [DISTRICT], is_checked=True)
    assert report.written == {}
    assert calls["GET partition"] == 0
    assert calls["GET ours"] <= len(MONTHS) + 3


def test_what_is_not_noted_is_read_once_and_noted(lake: Store) -> None:
    update(lake, [DISTRICT])
    fs = lake.filesystem()
    fs.rm(f"{lake.root}/_clever/district={DISTRICT}/partitions", recursive=True)
    _, calls = update(lake, [DISTRICT], is_checked=True)
    assert calls["GET partition"] == 2 * len(DAYS)
    _, calls = update(lake, [DISTRICT], is_checked=True)
    assert calls["GET partition"] == 0


BUILD = dedent(
    """
    import re, sys
    from datetime import date
    from pathlib import Path
    from airflow_provider_clever.memory import spare_memory
    spare_memory()
    import fsspec
    from airflow_provider_clever.lake.layout import objects_at
    from airflow_provider_clever.table.monthly_parquet import MonthlyParquet
    from airflow_provider_clever.table.updating import TableUpdate, UpdateRules
    from tests.benchmarks.school_year import DISTRICT
    objects = objects_at(fsspec.filesystem("file"), sys.argv[1])
    report = TableUpdate(objects, MonthlyParquet(objects), UpdateRules(today=date(2026, 7, 1))).run([DISTRICT])
    assert report.problem() is None
    # Not ru_maxrss, which begins with the memory of the process that started this one.
    peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
    print(sum(report.written.values()), peak)
    """
)


def test_memory_does_not_grow_with_the_months(tmp_path: Path) -> None:
    peaks = []
    for days in (22, 22 * 3):
        land_year(tmp_path / f"{days}", schools=4, days=days, students=1000)
        told = subprocess.run(
            [sys.executable, "-c", BUILD, str(tmp_path / f"{days}")],
            check=True,
            capture_output=True,
            text=True,
            timeout=300,
        )
        rows, megabytes = map(float, told.stdout.split())
        assert rows == 4 * days * 1000
        peaks.append(megabytes)
    assert peaks[1] <= peaks[0] * 1.25
    assert peaks[1] <= 300
