"""Students are forgotten by processes that are killed at any moment, beside pulls that are killed too.

A student who is forgotten stays so, and nobody else loses a row. A hundred kills:
``CLEVER_CRASH_ROUNDS=100 python -m pytest tests/lake/test_forget_crash.py``.
"""

import gzip
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_clever.lake import layout
from airflow_provider_clever.lake.formats import FORMATS
from airflow_provider_clever.lake.verify import verify
from tests.lake import lander
from tests.lake.builders import listed
from tests.lake.emulators import Store
from tests.lake.forgetting import forgetter, night
from tests.support.forked import processes

ROUNDS = int(os.environ.get("CLEVER_CRASH_ROUNDS", "8"))


class Run:
    """A process that says when it has begun and when it is done."""

    def __init__(self, target: Any, *arguments: Any) -> None:
        self._here, there = processes.Pipe(duplex=False)
        self._process = processes.Process(target=target, args=(*arguments, there))
        self._process.start()
        there.close()
        assert self._here.recv() == "started"

    def ended(self, seconds: float) -> bool:
        """Let it run for so long, then kill it; whether it had ended by itself."""
        try:
            is_done = self._here.poll(seconds) and self._here.recv() == "done"
        except EOFError:
            is_done = False
        self._process.kill()
        self._process.join(10)
        return is_done


def state_of(store: Store, file_format: str) -> dict[tuple[int, int], dict[str, Any]]:
    found = {}
    for path, data in lander.partitions(store):
        name = layout.parse_partition_path(path)
        assert name is not None, path
        rows = FORMATS[file_format].read(data).rows
        key = lander.SCHOOLS.index(name.school_id), lander.DAYS.index(name.attendance_date)
        found[key] = {str(one["student_id"]): (one["attendance_status"], one["missing_since"]) for one in listed(rows)}
    return found


def holding(store: Store, file_format: str, students: set[str]) -> list[str]:
    objects = lander.destination_at(store, file_format).objects
    found = []
    for path in objects.names_below(""):
        read = objects.read(path)
        assert read is not None
        data = gzip.decompress(read[0]) if path.endswith(".gz") and read[0] else read[0]
        found += [f"{student} in {path}" for student in students if student.encode() in data]
    return found


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_students_who_are_forgotten_stay_so_whatever_is_killed(
    disk_or_s3: Store, file_format: str, tmp_path: Path
) -> None:
    store, chance = disk_or_s3, random.Random()
    assert Run(night, store, file_format, 0, str(tmp_path)).ended(300)
    killed, forgotten = 0, set[str]()
    forget_seconds = pull_seconds = 1.0  # what each took in the round before, so that a kill comes in time
    rounds = max(2, ROUNDS // 4)
    for version in range(1, 5 * rounds):
        if version > rounds and killed:
            break
        student = f"student{version:03}"
        forgotten.add(student)
        pull = Run(night, store, file_format, version, str(tmp_path))
        forget = Run(forgetter, store, file_format, student, False)
        killed += not forget.ended(chance.uniform(0, forget_seconds))
        killed += not pull.ended(chance.uniform(0, pull_seconds))

        pull = Run(night, store, file_format, version, str(tmp_path))
        forget = Run(forgetter, store, file_format, student, False)
        began = time.monotonic()
        assert forget.ended(300)
        forget_seconds = time.monotonic() - began
        assert pull.ended(300)
        pull_seconds = time.monotonic() - began - forget_seconds + 0.1
        assert Run(forgetter, store, file_format, student, True).ended(300)

        assert holding(store, file_format, forgotten) == []
        due = {
            (school, number): lander.due(version, school, number)
            for school in range(len(lander.SCHOOLS))
            for number in range(len(lander.DAYS))
        }
        others = {
            key: {student: row for student, row in rows.items() if student not in forgotten}
            for key, rows in due.items()
        }
        assert state_of(store, file_format) == others
        report = verify(store.filesystem(), store.root)
        assert report.ok, report.counts
    assert killed
