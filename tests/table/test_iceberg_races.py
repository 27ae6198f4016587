"""Updates of the Iceberg table are killed, and race each other and sweeps: nothing is lost, doubled or half there.

More rounds than a change is tried with: ``CLEVER_TABLE_ROUNDS=100 python -m pytest tests/table/test_iceberg_races.py``.
"""

import os
import random
import threading
import time

import pytest
from pyiceberg.table import StaticTable

from airflow_provider_clever.table.iceberg.files import needed_files, plain
from tests.lake.builders import DISTRICT
from tests.lake.emulators import Store
from tests.table.iceberg_lakes import bring_up_to_date, embedded, folder, in_catalog, landed, newest, read
from tests.table.iceberg_worker import Running, sweep, update
from tests.table.lakes import OTHER_SCHOOL, land

ROUNDS = int(os.environ.get("CLEVER_TABLE_ROUNDS", "4"))
OTHER = "65e000000000000000000002"
DAYS = ("2026-03-31", "2026-04-01", "2026-05-01")


def land_version(store: Store, version: int, *, districts: tuple[str, ...] = (DISTRICT, OTHER)) -> None:
    """Every row of every month says which version it is of."""
    for district in districts:
        for day in DAYS:
            land(store, day, "abc", district=district, excuse_code=f"v{version}", modified=version)
        land(store, DAYS[1], "de", school=OTHER_SCHOOL, district=district, excuse_code=f"v{version}", modified=version)


def nothing_lies_about(store: Store) -> None:
    """Every file below the table's folder is one that its present state leads to."""
    needed = {plain(one) for one in needed_files(in_catalog(store))}
    assert {str(path) for path in folder(store).rglob("*") if path.is_file()} == needed


class Reader(threading.Thread):
    """Reads the whole table all the while, and keeps what it must not have seen."""

    def __init__(self, store: Store) -> None:
        super().__init__(daemon=True)
        self.store, self.reads, self.bad = store, 0, list[str]()
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.is_set():
            try:
                rows = StaticTable.from_metadata(newest(self.store)).scan().to_arrow()
            except Exception as error:  # noqa: BLE001 - whatever it is, no reader should see it
                self.bad.append(repr(error))
                continue
            self.reads += 1
            if len(seen := {*rows["excuse_code"].to_pylist()}) != 1 or rows.num_rows != 22:
                self.bad.append(f"{rows.num_rows} rows of versions {sorted(seen)}")
            time.sleep(0.02)


def test_an_update_killed_at_any_moment_and_run_elsewhere_is_whole(local: Store) -> None:
    land_version(local, 0)
    both = (DISTRICT, OTHER)
    began = time.monotonic()
    first = Running(update, local, both, 0, 24.0)
    assert first.has_ended(60)
    seconds, chance = time.monotonic() - began, random.Random()
    reader = Reader(local)
    reader.start()
    killed = 0
    for version in range(1, ROUNDS + 1):
        land_version(local, version)
        running = Running(update, local, both, version, 24.0)
        killed += not running.has_ended(chance.uniform(0, seconds))
        running.kill()
        elsewhere = Running(update, local, both, version, 24.0)
        assert elsewhere.has_ended(60)
        assert read("pyiceberg", local) == [landed(local)]
    reader.stop.set()
    reader.join(30)
    assert reader.bad == []
    assert reader.reads > ROUNDS
    assert killed or ROUNDS < 10
    bring_up_to_date(local, embedded(local, keep_hours=0, orphan_hours=0), is_rebuilt=True)
    nothing_lies_about(local)


@pytest.mark.parametrize("pair", [(DISTRICT, OTHER), (DISTRICT, DISTRICT)], ids=["two districts", "the same district"])
def test_two_updates_and_a_sweep_at_once_lose_nothing_and_leave_nothing(local: Store, pair: tuple[str, str]) -> None:
    """Both updates take away whatever no commit has taken in yet, however new: harder than any that a user has."""
    land_version(local, 0)
    bring_up_to_date(local, embedded(local))
    for version in range(1, ROUNDS + 1):
        land_version(local, version, districts=tuple(dict.fromkeys(pair)))
        racing = [Running(update, local, (one,), 2 * version + n, 0.0) for n, one in enumerate(pair)]
        racing.append(Running(sweep, local, DISTRICT, 3 * version))
        assert [one.has_ended(120) for one in racing] == [True] * 3
        assert read("pyiceberg", local) == [landed(local)]
    bring_up_to_date(local, embedded(local, keep_hours=0, orphan_hours=0), is_rebuilt=True)
    assert read("pyiceberg", local) == [landed(local)]
    nothing_lies_about(local)
