"""A pull is killed at any moment and run again: nothing is lost, doubled or torn, and the correction feed adds up.

A hundred rounds: ``CLEVER_CRASH_ROUNDS=100 python -m pytest tests/lake/test_crash.py``.
"""

import os
import random
import threading
import time
from pathlib import Path

import pyarrow as pa
import pytest

from airflow_provider_clever.attendance.content import content_hash
from airflow_provider_clever.attendance.keys import keys
from airflow_provider_clever.lake import changes, layout, receipts
from airflow_provider_clever.lake.formats import FORMATS
from airflow_provider_clever.lake.store import Destination
from airflow_provider_clever.lake.verify import verify
from airflow_provider_clever.storage.compressed import read_gzipped_json
from tests.lake import lander
from tests.lake.builders import DISTRICT, texts
from tests.lake.emulators import Store
from tests.support.forked import processes

ROUNDS = int(os.environ.get("CLEVER_CRASH_ROUNDS", "12"))


class Reader(threading.Thread):
    """Reads every data object all the while, and keeps what it could not read or must not have seen."""

    def __init__(self, store: Store, file_format: str) -> None:
        super().__init__(daemon=True)
        self.store, self.format = store, FORMATS[file_format]
        self.reads, self.bad = 0, []
        self.allowed: set[str] = set()
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.is_set():
            began = time.monotonic()
            for path, data in lander.partitions(self.store):
                self.reads += 1
                name = layout.parse_partition_path(path)
                try:
                    rows = self.format.read(data).rows
                except ValueError as error:
                    self.bad.append(f"{path}: {error}")
                    continue
                if name is None or _fingerprint(rows) not in self.allowed:
                    self.bad.append(f"{path}: neither the rows before nor the rows after")
            self.stop.wait(3 * (time.monotonic() - began))  # leave most of an emulator's time to the pull


def _fingerprint(rows: pa.RecordBatch) -> str:
    school = lander.SCHOOLS.index(str(texts(rows, "school_id")[0]))
    number = lander.DAYS.index(str(texts(rows, "attendance_date")[0]))
    return _due_fingerprint(school, number, _state(rows))


def _due_fingerprint(school: int, number: int, state: dict) -> str:
    return repr((school, number, sorted(state.items())))


def _state(rows: pa.RecordBatch) -> dict:
    assert len(set(keys(rows))) == rows.num_rows
    marked = zip(texts(rows, "attendance_status"), texts(rows, "missing_since"), strict=True)
    return dict(zip(texts(rows, "student_id"), marked, strict=True))


def _landed(store: Store, file_format: str) -> dict[tuple[str, str], pa.RecordBatch]:
    found = {}
    for path, data in lander.partitions(store):
        name = layout.parse_partition_path(path)
        assert name is not None, path
        found[name.school_id, name.attendance_date] = FORMATS[file_format].read(data).rows
    return found


def _killed_after(
    store: Store, file_format: str, version: int, folder: Path, seconds: float | None
) -> tuple[bool, float]:
    """Land a version; kill it that long after its first write. Whether it had ended by itself, and how long it took."""
    folder.mkdir(exist_ok=True)
    here, there = processes.Pipe(duplex=False)
    process = processes.Process(target=lander.lander, args=(store, file_format, version, str(folder), there))
    process.start()
    there.close()
    assert here.recv() == "started"
    began = time.monotonic()
    ended = here.poll(60 if seconds is None else seconds) and here.recv() == "done"
    took = time.monotonic() - began
    process.kill()
    process.join(10)
    return ended, took


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_a_pull_killed_at_any_moment_and_run_again_lands_exactly_what_is_due(
    disk_or_s3: Store, file_format: str, tmp_path: Path
) -> None:
    store, chance = disk_or_s3, random.Random()
    reader, destination = Reader(store, file_format), lander.destination_at(store, file_format)
    reader.allowed |= _allowed(0)
    ended, seconds = _killed_after(store, file_format, 0, tmp_path / "first", None)
    assert ended
    reader.start()
    killed = 0
    rounds = max(1, ROUNDS // 3 if file_format == "jsonl" else ROUNDS * 2 // 3)
    for version in range(1, rounds + 1):
        before = _landed(store, file_format)
        reader.allowed |= _allowed(version)
        ended, _ = _killed_after(store, file_format, version, tmp_path / f"try{version}", chance.uniform(0, seconds))
        killed += not ended
        ended, seconds = _killed_after(store, file_format, version, tmp_path / f"retry{version}", None)
        assert ended
        after = _landed(store, file_format)
        assert {key: _state(rows) for key, rows in after.items()} == {
            (school_id, day): lander.due(version, school, number)
            for school, school_id in enumerate(lander.SCHOOLS)
            for number, day in enumerate(lander.DAYS)
        }
        _assert_changes_add_up(destination, version, before, after)
    reader.stop.set()
    reader.join(30)
    assert reader.reads
    assert reader.bad == []
    assert killed
    report = verify(store.filesystem(), store.root)
    assert report.ok, report.counts
    assert report.receipts == rounds + 1


def _allowed(version: int) -> set[str]:
    return {
        _due_fingerprint(school, number, state(version, school, number))
        for school in range(len(lander.SCHOOLS))
        for number in range(len(lander.DAYS))
        for state in (lander.landed_not_marked, lander.due)
    }


def _assert_changes_add_up(destination: Destination, version: int, before: dict, after: dict) -> None:
    found = destination.objects.read(receipts.receipt_path(DISTRICT, lander.work(version)))
    assert found is not None
    receipt = receipts.Receipt.from_json(read_gzipped_json(found[0]))
    assert receipt.changes is not None
    documents = [changes.read_change(destination.objects, path) for path in receipt.changes]
    for (school_id, day), rows in after.items():
        mine = [
            document
            for document in documents
            if (document["school_id"], document["attendance_date"]) == (school_id, day)
        ]
        assert 1 <= len(mine) <= 2  # the rows that came; the rows that did not
        expected = changes.short_hash(content_hash(rows))
        assert changes.replay(before[school_id, day], mine, expected) == rows
