"""A pull's landing as a process of its own, to be killed or to be raced; and a second opinion on what is due.

The made-up school days come in versions, as if a sync had come between each two: in every version some rows are newer,
one more student is there, and one student's row is gone.
"""

import json
import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from functools import cache
from multiprocessing.connection import Connection
from typing import Any

import pyarrow.parquet  # noqa: F401 - loaded once, in the process that all landers are forked from
import s3fs  # noqa: F401 - as above

from airflow_provider_clever.attendance.rows import PulledDay
from airflow_provider_clever.dates import DateRange
from airflow_provider_clever.forget.cleaning import forget_since
from airflow_provider_clever.lake.idempotency_key import IdempotencyKey
from airflow_provider_clever.lake.outcomes import school_receipt
from airflow_provider_clever.lake.receipt_files import write_receipt
from airflow_provider_clever.lake.receipts import Asked, Receipt
from airflow_provider_clever.lake.store import Destination
from tests.lake.builders import DISTRICT, context, day, instant, land_and_mark, row
from tests.lake.emulators import Store

SCHOOLS = ("111111111111111111111111", "6500e0000000000000000002")
DAYS = tuple((date(2026, 4, 1) + timedelta(days=number)).isoformat() for number in range(6))
STUDENTS = 12


def work(version: int) -> IdempotencyKey:
    """The work that lands a version."""
    return IdempotencyKey.of("crash", version, month="2026-04")


def sync(version: int) -> str:
    """The sync that brought a version."""
    return instant(100 + version)


def answer(version: int, school: int, number: int) -> list[dict[str, str | None]]:
    """What Clever has of one school and day in a version."""
    rows = []
    for student in range(STUDENTS + version):
        if student == (version + number) % STUDENTS and version:
            continue  # gone in this version, back in the next
        changed = max(since for since in range(version + 1) if not since or (student + since + school) % 3 == 0)
        rows.append(row(f"student{student:03}", attendance_status=f"status{changed}", modified=changed))
    return rows


def due(version: int, school: int, number: int) -> dict[str, tuple[str | None, str | None]]:
    """What must stand in the partition after all versions up to this: status and mark by student. No merging code."""
    state: dict[str, tuple[str | None, str | None]] = {}
    for pulled in range(version + 1):
        found = {str(one["student_id"]): one["attendance_status"] for one in answer(pulled, school, number)}
        for student, (status, mark) in list(state.items()):
            if student not in found:
                state[student] = (status, mark or sync(pulled))
        state.update({student: (status, None) for student, status in found.items()})
    return state


def landed_not_marked(version: int, school: int, number: int) -> dict[str, tuple[str | None, str | None]]:
    """What stands in the partition between landing a version and marking what it did not bring."""
    state = due(version - 1, school, number) if version else {}
    found = {str(one["student_id"]): one["attendance_status"] for one in answer(version, school, number)}
    return state | {student: (status, None) for student, status in found.items()}


def days_of(version: int) -> list[PulledDay]:
    """Every school's every day in a version."""
    return [
        day(answer(version, school, number), school_id=school_id, attendance_date=attendance_date)
        for school, school_id in enumerate(SCHOOLS)
        for number, attendance_date in enumerate(DAYS)
    ]


def land(destination: Destination, version: int) -> None:
    """Land a version from four threads, as a pull does, and write its receipt last."""
    knows = context(sync_before=sync(version), idempotency_key=work(version), write_changes=True)
    with ThreadPoolExecutor(4) as writers:
        outcomes = list(writers.map(lambda pulled: land_and_mark(destination, pulled, knows), days_of(version)))
    outcomes += forget_since(destination, outcomes, work(version), forget_secret=None, write_changes=True)
    schools = {
        school_id: school_receipt(
            [outcome for outcome in outcomes if outcome.school_id == school_id],
            state="landed",
            covered=[DateRange.from_json((DAYS[0], DAYS[-1]))],
        )
        for school_id in SCHOOLS
    }
    receipt = Receipt(
        district_id=DISTRICT,
        idempotency_key=work(version),
        asked=Asked(date_range_start=DAYS[0], date_range_end=DAYS[-1]),
        file_format=destination.file_format,
        finished_at=sync(version),
        sync_before=sync(version),
        sync_after=sync(version),
        settled=True,
        schools=schools,
        changes=(),
    )
    write_receipt(destination.objects, receipt)


def destination_at(store: Store, file_format: str) -> Destination:
    """The destination, through a file system of its own."""
    return Destination(store.filesystem(), store.root, district_id=DISTRICT, file_format=file_format)


def lander(store: Store, file_format: str, version: int, folder: str, started: Connection) -> None:
    """Land a version in this working directory; the main function of a process."""
    os.chdir(folder)
    destination = destination_at(store, file_format)
    destination.check()
    started.send("started")
    land(destination, version)
    started.send("done")


def racer(store: Store, file_format: str, versions: tuple[int, ...], seed: int, barrier: Any) -> None:
    """Land some versions of the first school's days in an order of its own; the main function of a process."""
    destination = destination_at(store, file_format)
    chance = random.Random(seed)
    barrier.wait(60)
    for version in versions:
        found = [pulled for pulled in days_of(version) if pulled.school_id == SCHOOLS[0]]
        for pulled in chance.sample(found, len(found)):
            land_and_mark(destination, pulled, context(sync_before=sync(version)))


def adder(root: str, student: str, count: int, barrier: Any) -> None:
    """Add rows to one partition on this machine's disk, one landing each; the main function of a process."""
    destination = destination_at(Store("file", root), "jsonl")
    barrier.wait(60)
    for number in range(count):
        destination.land(day([row(f"{student}{number:03}")], whole=False), context=context())


def partitions(store: Store) -> Iterator[tuple[str, bytes]]:
    """Every object that a data glob finds, as an analyst's engine would find it; paths relative to the root."""
    fs = _watching(store.protocol, store.url, json.dumps(store.options))
    fs.invalidate_cache()
    for path in sorted(fs.find(f"{store.root}/attendance")):
        yield path.partition(store.root)[2].lstrip("/"), fs.cat_file(path)


@cache
def _watching(protocol: str, url: str, options: str) -> Any:
    return Store(protocol, "", json.loads(options), url).filesystem()
