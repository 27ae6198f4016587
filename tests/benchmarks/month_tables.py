"""What a table saves a reader, and what it costs: the landed files of a school year, and monthly Parquet of them.

DuckDB asks both the same question by way of a file system that counts what is opened and read, in the same run.
"""

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import duckdb
import fsspec
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_clever.lake.layout import objects_at
from airflow_provider_clever.table.monthly_parquet import MonthlyParquet
from airflow_provider_clever.table.updating import TableUpdate, UpdateRules
from tests.benchmarks.school_year import DISTRICT, land_school_day, land_year, weekdays

HEAP: Final = "attendance/*/*/*.parquet"
MONTHS: Final = "attendance_by_month/*/*.parquet"
COUNT: Final = "SELECT school_id, attendance_date, attendance_status, count(*) FROM read_parquet('{}') {} GROUP BY ALL"
ONE_MONTH: Final = "WHERE attendance_date BETWEEN DATE '2026-03-01' AND DATE '2026-03-31'"
RULES: Final = UpdateRules(today=date(2026, 7, 1))
PULLED_DAYS: Final = 11

BOUNDS: Final = {
    "all: times as fast": (4.0, True),
    "all: share of the bytes": (1 / 20, False),
    "all: share of the files": (1 / 100, False),
    "one month: times as fast": (3.0, True),
    "build: peak MB": (300.0, False),
    "night: parquet, times the pull": (1.5, False),
    "night: iceberg, times the pull": (1.5, False),
}
"""What is promised of 40 schools and 120 days, and of nights; True: at least that, False: at most."""


class CountedFile:
    """A file that counts what is read, and keeps a position for each thread.

    DuckDB seeks and then reads, and does so from several threads on one file: with one position they would read each
    other's bytes.
    """

    def __init__(self, path: str) -> None:
        self._file = Path(path).open("rb", buffering=0)  # noqa: SIM115 - DuckDB closes it
        self._position = threading.local()

    def seek(self, offset: int) -> None:
        self._position.offset = offset

    def read(self, size: int) -> bytes:
        data = os.pread(self._file.fileno(), size, self._position.offset)
        self._position.offset += len(data)
        with CountingFileSystem.counting:
            CountingFileSystem.read += len(data)
        return data

    def close(self) -> None:
        self._file.close()


class CountingFileSystem(LocalFileSystem):
    """Local files, and how many were opened and how many bytes read."""

    protocol = "counted"
    counting = threading.Lock()
    opened = 0
    read = 0

    def open(self, path: str, *_: Any, **__: Any) -> CountedFile:
        with self.counting:
            type(self).opened += 1
        return CountedFile(self._strip_protocol(path))


@dataclass(frozen=True, slots=True)
class Read:
    """What an answer cost."""

    seconds: float
    files: int
    bytes: int


def measured(folder: Path, *, is_quick: bool) -> Iterator[tuple[str, float]]:
    """Measure, figure by figure."""
    schools, days = (10, 44) if is_quick else (40, 120)
    land_year(folder, schools=schools, days=days)
    peak, cpu_seconds = _built(folder)
    yield "build: CPU seconds", cpu_seconds
    yield "build: peak MB", peak
    for name, where in (("all", ""), ("one month", ONE_MONTH)):
        heap, months = (_asked(folder, glob, where) for glob in (HEAP, MONTHS))
        yield f"{name}: times as fast", heap.seconds / months.seconds
        yield f"{name}: share of the bytes", months.bytes / heap.bytes
        yield f"{name}: share of the files", months.files / heap.files
    yield "stored: share of the bytes", _size(folder, MONTHS) / _size(folder, HEAP)
    yield "night: CPU seconds", _night(folder, schools, days)


def table(found: list[tuple[str, float]]) -> str:
    """The figures as a table in Markdown."""
    lines = [f"| {name} | {figure:.3g} | {_bound(name)} |" for name, figure in found]
    return "\n".join(["| what | measured | promised |", "|---|---|---|", *lines, ""])


def broken(found: list[tuple[str, float]], *, is_loose: bool) -> list[str]:
    """The promises that do not hold; loosely, half of each is enough."""
    problems = []
    for name, figure in found:
        if name not in BOUNDS:
            continue
        bound, is_least = BOUNDS[name]
        slack = 1.0 if not is_loose else 0.5 if is_least else 5.0 if "share" in name else 1.0
        if (figure < bound * slack) if is_least else (figure > bound * slack):
            problems.append(f"{name}: {figure:.3g}, promised {_bound(name)}")
    return problems


def _bound(name: str) -> str:
    bound, is_least = BOUNDS.get(name, (None, False))
    return "" if bound is None else f"{'at least' if is_least else 'at most'} {bound:.3g}"


def _built(folder: Path) -> tuple[float, float]:
    """Build all months in a process of its own; its peak of memory, and its CPU time."""
    told = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.month_tables", str(folder)], check=True, capture_output=True, text=True
    )
    peak, cpu_seconds = map(float, told.stdout.split())
    return peak, cpu_seconds


def _update(folder: Path) -> None:
    objects = objects_at(fsspec.filesystem("file"), str(folder))
    report = TableUpdate(objects, MonthlyParquet(objects), RULES).run([DISTRICT])
    assert report.problem() is None
    assert report.written


def _night(folder: Path, schools: int, days: int) -> float:
    """Change a few rows in the last days that a night pulls, and bring the table up to date."""
    for number, day in enumerate(list(weekdays(days))[-PULLED_DAYS:]):
        for school in range(0, schools, 10):
            land_school_day(folder, (school + number) % schools, day, edits=1)
    start = time.process_time()
    _update(folder)
    return time.process_time() - start


def _asked(folder: Path, glob: str, where: str) -> Read:
    plain = COUNT.format(folder / glob, where)
    seconds = []
    with duckdb.connect() as connection:
        for _ in range(5):
            start = time.perf_counter()
            connection.execute(plain).fetchall()
            seconds.append(time.perf_counter() - start)
    CountingFileSystem.opened = CountingFileSystem.read = 0
    with duckdb.connect() as connection:
        connection.register_filesystem(CountingFileSystem(skip_instance_cache=True))
        connection.execute(COUNT.format(f"counted://{folder / glob}", where)).fetchall()
    return Read(min(seconds), CountingFileSystem.opened, CountingFileSystem.read)


def _size(folder: Path, glob: str) -> int:
    return sum(path.stat().st_size for path in folder.glob(glob))


if __name__ == "__main__":
    _update(Path(sys.argv[1]))
    used = resource.getrusage(resource.RUSAGE_SELF)
    sys.stdout.write(f"{used.ru_maxrss / 1024} {used.ru_utime + used.ru_stime}\n")
