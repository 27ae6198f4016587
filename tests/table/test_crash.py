"""Updates of a table are killed at any moment beside pulls, raced, and run again elsewhere: it ends equal, never torn.

A hundred rounds: ``CLEVER_CRASH_ROUNDS=100 python -m pytest tests/table/test_crash.py``.
"""

import os
import random
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from airflow_provider_clever.table.landed_months import MonthName
from airflow_provider_clever.table.month_rows import MonthRows
from airflow_provider_clever.table.monthly_parquet import MonthlyParquet, month_path
from airflow_provider_clever.table.table import StagedMonth
from airflow_provider_clever.table.updating import TableUpdate, UpdateRules
from tests.lake.builders import DISTRICT, TODAY
from tests.lake.emulators import Store
from tests.table import engines
from tests.table.lakes import at, land
from tests.table.writers import pulling, started, updating

ROUNDS = int(os.environ.get("CLEVER_CRASH_ROUNDS", "6"))
RULES = UpdateRules(today=TODAY)


class Reader(threading.Thread):
    """Reads the months all the while, and keeps what nobody may see: half a file, or half a school's day."""

    def __init__(self, store: Store) -> None:
        super().__init__(daemon=True)
        self._fs, self._root = store.filesystem(), store.root
        self.reads, self.bad = 0, []  # type: ignore[var-annotated]
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.wait(0.05):
            for month in ("2026-03", "2026-04"):
                try:
                    data = self._fs.cat_file(f"{self._root}/{month_path(MonthName(DISTRICT, month))}")
                except FileNotFoundError:
                    continue
                self.reads += 1
                try:
                    table = pq.read_table(pa.BufferReader(data), page_checksum_verification=True)
                except (pa.ArrowException, OSError) as error:
                    self.bad.append(f"{month}: {error}")
                    continue
                days = table.group_by(["attendance_date", "school_id"]).aggregate([("excuse_code", "count_distinct")])
                if pc.max(days["excuse_code_count_distinct"]).as_py() > 1:
                    self.bad.append(f"{month}: half a landing")


def local_copy(store: Store, folder: Path) -> Path:
    """What stands in a store, on this machine's disk."""
    if store.protocol == "file":
        return Path(store.root)
    folder.mkdir(parents=True)
    store.filesystem().get(f"{store.root}/", str(folder), recursive=True)
    return folder


def test_updates_that_are_killed_beside_pulls_end_equal_and_no_reader_sees_half_of_one(
    disk_or_s3: Store, tmp_path: Path
) -> None:
    chance = random.Random()
    land(disk_or_s3, "2026-04-01", "ab")
    longest_seconds = 1.0 if disk_or_s3.protocol == "file" else 3.0
    reader = Reader(disk_or_s3)
    reader.start()
    killed = 0
    for number in range(max(2, ROUNDS if disk_or_s3.protocol == "file" else ROUNDS // 2)):
        running = [
            started(pulling, disk_or_s3, 2 * number),
            started(updating, disk_or_s3, number),
            started(updating, disk_or_s3, number + 1),
        ]
        time.sleep(chance.uniform(0.05, longest_seconds))
        for process in chance.sample(running, k=3):
            killed += process.is_alive()
            process.kill()
            process.join(20)
            time.sleep(chance.uniform(0, 0.1))
        again = at(disk_or_s3)
        assert TableUpdate(again, MonthlyParquet(again), RULES).run([DISTRICT]).problem() is None
        assert engines.differences(local_copy(disk_or_s3, tmp_path / f"copy{number}")) == [], f"round {number}"
    reader.stop.set()
    reader.join(60)
    assert reader.bad == []
    assert reader.reads
    assert killed >= ROUNDS


class Slow(MonthlyParquet):
    """Monthly Parquet of which another process gets ahead between its reading of a month and its writing."""

    def __init__(self, store: Store, ahead: Any) -> None:
        super().__init__(at(store))
        self._ahead = ahead

    def stage(self, month: MonthRows) -> StagedMonth[str | None]:
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            read = month.batches

            def batches() -> Any:
                yield from list(read())
                month.batches = read  # type: ignore[method-assign]
                ahead()

            month.batches = batches  # type: ignore[method-assign]
        return super().stage(month)


@pytest.mark.parametrize("lands", [True, False])
def test_an_update_that_was_overtaken_does_not_put_older_rows_back(
    disk_or_s3: Store, lands: bool, tmp_path: Path
) -> None:
    land(disk_or_s3, "2026-04-01", "ab")

    def ahead() -> None:
        if lands:
            land(disk_or_s3, "2026-04-01", "abc")
        objects = at(disk_or_s3)
        TableUpdate(objects, MonthlyParquet(objects), RULES).run([DISTRICT])

    report = TableUpdate(at(disk_or_s3), Slow(disk_or_s3, ahead), RULES).run([DISTRICT])
    assert report.written == {MonthName(DISTRICT, "2026-04"): 3 if lands else 2}
    assert engines.differences(local_copy(disk_or_s3, tmp_path / "copy")) == []


@pytest.mark.parametrize("ahead_lands", [1, 2])
def test_what_lands_while_a_month_is_read_is_due_afterwards(
    disk_or_s3: Store, ahead_lands: int, tmp_path: Path
) -> None:
    land(disk_or_s3, "2026-04-01", "ab")
    ahead = [lambda: land(disk_or_s3, f"2026-04-0{ahead_lands}", "abc")]
    objects = at(disk_or_s3)
    TableUpdate(objects, Slow(disk_or_s3, ahead[0]), RULES).run([DISTRICT])
    again = TableUpdate(objects, MonthlyParquet(objects), RULES).run([DISTRICT])
    assert list(again.written) == [(DISTRICT, "2026-04")]
    assert engines.differences(local_copy(disk_or_s3, tmp_path / "copy")) == []
