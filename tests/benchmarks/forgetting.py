"""What it costs to forget one student in a year's lake, beside a ``verify`` of the same lake in the same run.

``python -m tests.benchmarks.forgetting`` (40 schools and 120 days; ``SCHOOLS DAYS`` for others). It ends with 1 if a
bound does not hold.
"""

import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final

from airflow_provider_clever.forget.requests import Forgetting
from airflow_provider_clever.lake.layout import parse_partition_path
from airflow_provider_clever.lake.verify import verify
from airflow_provider_clever.storage.versions import Version
from tests.benchmarks.growth_curves import CountedObjects
from tests.benchmarks.school_year import DISTRICT, land_year, student_ids

CPU_OF_A_VERIFY: Final = 1.0
"""The most that forgetting may take of a processor, beside ``verify``."""


class WatchedObjects(CountedObjects):
    """Objects that also count, partition by partition, what is read and written."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.reads: Counter[str] = Counter()
        self.writes: Counter[str] = Counter()

    def read(self, path: str) -> tuple[bytes, Version] | None:
        """Read, and count it."""
        self.reads[path] += 1
        return super().read(path)

    def write(self, path: str, data: bytes, expected: Version) -> None:
        """Write, and count it."""
        self.writes[path] += 1
        super().write(path, data, expected)


def main(schools: int = 40, days: int = 120) -> int:
    """Measure, and say what was measured."""
    os.environ["CLEVER_FORGET_SECRET"] = "made up for a measurement, and long enough"
    with tempfile.TemporaryDirectory(prefix="clever-forgetting-") as name:
        folder = Path(name)
        land_year(folder, schools=schools, days=days)
        objects = WatchedObjects(folder)
        began = time.process_time()
        report = verify(objects.fs, objects.root)
        verify_seconds = time.process_time() - began
        assert report.partitions == schools * days
        began = time.process_time()
        Forgetting(objects, DISTRICT).students([student_ids(0)[0]])
        forget_seconds = time.process_time() - began
    read, written = (
        {path: count for path, count in counted.items() if parse_partition_path(path)}
        for counted in (objects.reads, objects.writes)
    )
    ratio = forget_seconds / verify_seconds
    sys.stdout.write(
        f"{schools * days:,} partitions, {days} of them with the student: verify {verify_seconds:.2f} CPU s, "
        f"forget {forget_seconds:.2f} CPU s ({ratio:.2f} times; at most {CPU_OF_A_VERIFY:g})\n"
        f"read {len(read):,} partitions, each at most {max(read.values())} times; wrote {len(written):,}\n"
    )
    return int(ratio > CPU_OF_A_VERIFY or len(written) != days or len(read) != schools * days)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
