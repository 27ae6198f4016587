"""Two writers of the same partitions at once, one with older answers: the newest version of every key survives.

A hundred rounds: ``CLEVER_RACE_ROUNDS=100 python -m pytest tests/lake/test_two_writers.py``.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_clever.attendance.keys import keys
from airflow_provider_clever.lake import layout
from airflow_provider_clever.lake.formats import FORMATS
from airflow_provider_clever.lake.store import Destination
from tests.lake import lander
from tests.lake.builders import DISTRICT, context, day, row, texts
from tests.lake.emulators import Store
from tests.support.forked import processes

ROUNDS = int(os.environ.get("CLEVER_RACE_ROUNDS", "6"))


def _race(store: Store, file_format: str, seed: int, *landings: tuple[int, ...]) -> None:
    barrier = processes.Barrier(len(landings))
    racers = [
        processes.Process(target=lander.racer, args=(store, file_format, versions, seed + number, barrier))
        for number, versions in enumerate(landings)
    ]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(60)
        assert racer.exitcode == 0


def test_two_processes_landing_one_schools_days_at_once_lose_no_newest_version(disk_or_s3: Store) -> None:
    for number in range(ROUNDS):
        store = disk_or_s3.below(f"round{number}")
        file_format = "parquet" if number % 2 else "jsonl"
        _race(store, file_format, number, (3, 4), (1, 2))  # the second one's answers are older, from first to last
        found = dict(lander.partitions(store))
        assert len(found) == len(lander.DAYS)
        for path, data in found.items():
            name = layout.parse_partition_path(path)
            assert name is not None
            rows = FORMATS[file_format].read(data).rows
            assert len(set(keys(rows))) == rows.num_rows
            versions = dict(zip(texts(rows, "student_id"), texts(rows, "attendance_status"), strict=True))
            assert versions == _newest(lander.DAYS.index(name.attendance_date))


def _newest(number: int) -> dict[str | None, str | None]:
    newest: dict[str | None, str | None] = {}
    for version in range(1, 5):  # later versions are never older
        newest |= {one["student_id"]: one["attendance_status"] for one in lander.answer(version, 0, number)}
    return newest


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_threads_that_add_to_one_partition_at_once_lose_nothing(any_store: Store, file_format: str) -> None:
    fs = any_store.filesystem()
    destinations = [Destination(fs, any_store.root, district_id=DISTRICT, file_format=file_format) for _ in range(2)]

    def add(number: int) -> str:
        pulled = day([row(f"student{number}")], whole=False)
        return destinations[number % 2].land(pulled, context=context()).outcome

    with ThreadPoolExecutor(6) as writers:
        assert set(writers.map(add, range(12))) == {"written"}
    ((_, data),) = lander.partitions(any_store)
    assert texts(FORMATS[file_format].read(data).rows, "student_id") == sorted(
        f"student{number}" for number in range(12)
    )


def test_a_section_pull_beside_a_whole_pull_marks_nothing(any_store: Store) -> None:
    destination = Destination(any_store.filesystem(), any_store.root, district_id=DISTRICT)
    section = row("a", attendance_type="section", section_id="s1")
    school = [row("a"), row("b"), section]

    def land(number: int) -> str:
        pulled = day([section], whole=False) if number % 2 else day(school)
        return destination.land(pulled, context=context()).outcome

    with ThreadPoolExecutor(4) as writers:
        list(writers.map(land, range(8)))
    ((_, data),) = lander.partitions(any_store)
    rows = FORMATS["parquet"].read(data).rows
    assert (rows.num_rows, texts(rows, "missing_since")) == (3, [None] * 3)
