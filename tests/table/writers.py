"""A pull that lands without end, and updates of a table without end, as processes of their own: to be killed."""

import random
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess

from airflow_provider_clever.dates import DateRange, date_from_text
from airflow_provider_clever.lake.store import Destination
from airflow_provider_clever.table.monthly_parquet import MonthlyParquet
from airflow_provider_clever.table.updating import TableUpdate, UpdateRules
from tests.lake.builders import DISTRICT, TODAY, context, day, land_and_mark, row
from tests.lake.emulators import Store
from tests.support.forked import processes
from tests.table.lakes import OTHER_SCHOOL, at

DAYS = ("2026-03-30", "2026-03-31", "2026-04-01", "2026-04-02")
SCHOOLS = ("555555555555555555555555", OTHER_SCHOOL)
STUDENTS = 40


def pulling(store: Store, seed: int, told: Connection) -> None:
    """Land school days, each row of which says by its excuse code which landing it is of."""
    chance, number = random.Random(seed), seed * 10_000
    told.send("started")
    while True:
        lake = Destination(store.filesystem(), store.root, district_id=DISTRICT)
        lake.known.look_up(DateRange(date_from_text(DAYS[0]), date_from_text(DAYS[-1])), None)
        for _ in range(3):
            number += 1
            rows = [row(f"s{one:03}", excuse_code=f"{number}", modified=None) for one in range(STUDENTS)]
            pulled = day(rows, attendance_date=chance.choice(DAYS), school_id=chance.choice(SCHOOLS))
            land_and_mark(lake, pulled, context())
        lake.known.keep()


def updating(store: Store, seed: int, told: Connection) -> None:
    """Bring the months up to date, again and again."""
    objects = at(store)
    told.send("started")
    while True:
        rules = UpdateRules(today=TODAY, is_checked=random.Random(seed).random() < 0.5)
        TableUpdate(objects, MonthlyParquet(objects), rules).run([DISTRICT])


def started(target: object, store: Store, seed: int) -> ForkServerProcess:
    """A process that does one of these."""
    here, there = processes.Pipe(duplex=False)
    process = processes.Process(target=target, args=(store, seed, there))  # type: ignore[arg-type]
    process.start()
    there.close()
    assert here.poll(60)
    assert here.recv() == "started"
    return process
