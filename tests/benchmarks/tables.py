"""How fast landed files and tables are read: ``make table-engines``, then ``python -m tests.benchmarks.tables``.

A school year of a district is landed and made into tables by the command that users type. DuckDB then counts rows by
school, day and status: the best of five times; bytes and files by its system calls, for which ``strace`` is needed.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from tests.benchmarks.school_year import land_year, weekdays

ROOT: Final = Path(__file__).parents[2]
ENGINE: Final = ROOT / ".venvs/table-engines/bin/python"
SOURCES: Final = {
    "landed files": "read_parquet('{lake}/attendance/*/*/*.parquet')",
    "monthly Parquet": "read_parquet('{lake}/attendance_by_month/*/*.parquet')",
    "Iceberg": "iceberg_scan('{lake}/iceberg/clever.attendance')",
}
QUERY: Final = """
import sys, time, duckdb, duckdb_ext
with duckdb.connect() as connection:
    duckdb_ext.init(connection)
    connection.execute("LOAD avro; LOAD iceberg; SET threads = 2; SET enable_external_file_cache = false; "
                       "SET enable_progress_bar = false")
    best = 1e9
    for _ in range(int(sys.argv[2])):
        began = time.perf_counter()
        connection.execute(sys.argv[1]).fetchall()
        best = min(best, time.perf_counter() - began)
print(best * 1000)
"""
_READ: Final = re.compile(r"^\d+ +(?:pread64|read)\(\d+<([^>]+)>.*?(?: = (\d+))?$")
_RESUMED: Final = re.compile(r"^(\d+) +<\.\.\. (?:pread64|read) resumed>.* = (\d+)$")


class Reading(NamedTuple):
    """What a question has cost."""

    milliseconds: float
    megabytes: float
    files: int


def asked(lake: Path, source: str, where: str, scratch: Path) -> Reading:
    """Put the question, five times for its time, once more for its system calls."""
    table = SOURCES[source].format(lake=lake)
    question = f"SELECT school_id, attendance_date, attendance_status, count(*) FROM {table} {where} GROUP BY ALL"
    trace = scratch / "trace"
    command = [str(ENGINE), "-c", QUERY, question]
    best = subprocess.run([*command, "5"], capture_output=True, text=True, check=True, timeout=600).stdout
    traced = ("strace", "-f", "-y", "-qq", "-s", "0", "-e", "trace=pread64,read", "-o", str(trace))
    subprocess.run([*traced, *command, "1"], capture_output=True, check=True, timeout=600)
    found, files, underway = 0, set[str](), set[str]()
    for line in trace.read_text(errors="replace").splitlines():
        if (read := _READ.match(line)) and read[1].startswith(str(lake)):
            files.add(read[1])
            found += int(read[2] or 0)
            if read[2] is None:
                underway.add(line.split()[0])
        elif (resumed := _RESUMED.match(line)) and resumed[1] in underway:
            underway.remove(resumed[1])
            found += int(resumed[2])
    return Reading(float(best), found / 1e6, len(files))


def made(lake: Path, kind: str) -> tuple[float, float]:
    """Make a table; its processor seconds and its peak in MB."""
    program = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
        "used = resource.getrusage(resource.RUSAGE_CHILDREN); print(used.ru_utime + used.ru_stime, used.ru_maxrss)"
    )
    command = [str(Path(sys.executable).with_name("clever-attendance")), "table", str(lake), "--table", kind]
    ended = subprocess.run([sys.executable, "-c", program, *command], capture_output=True, text=True, check=True)
    seconds, kilobytes = map(float, ended.stdout.split())
    return seconds, kilobytes / 1024


def main() -> int:
    """Measure, print, and say whether what the tables promise holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schools", type=int, default=40)
    parser.add_argument("--days", type=int, default=120)
    parser.add_argument("--landed", type=Path, help="such a lake, if there is one already; tables are made in it")
    options = parser.parse_args()
    last = list(weekdays(options.days))[-1]
    month = f"WHERE attendance_date >= DATE '{last:%Y-%m}-01' AND attendance_date <= DATE '{last}'"
    with tempfile.TemporaryDirectory() as folder:
        lake = options.landed or Path(folder, "lake")
        if not options.landed:
            land_year(lake, schools=options.schools, days=options.days)
        for kind in ("parquet", "iceberg"):
            seconds, megabytes = made(lake, kind)
            print(f"{kind}: made in {seconds:.1f} s of processor time, at most {megabytes:.0f} MB")
        holds = True
        for name, where, times in (("all", "", 4), ("last month", month, 3)):
            heap, *tables = (asked(lake, source, where, Path(folder)) for source in SOURCES)
            for source, one in zip(SOURCES, (heap, *tables), strict=True):
                print(f"{name:10} {source:16} {one.milliseconds:8.0f} ms {one.megabytes:8.2f} MB {one.files:6} files")
            for one in tables:
                holds &= heap.milliseconds >= times * one.milliseconds
                holds &= name != "all" or (heap.megabytes >= 20 * one.megabytes and heap.files >= 100 * one.files)
    print("All-time 4 x, 1/20 of the bytes, 1/100 of the files; one month 3 x: " + ("yes" if holds else "NO"))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
