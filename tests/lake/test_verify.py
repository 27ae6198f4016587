"""Verify: each kind of damage, done on purpose, is found; and nothing is found where nothing is wrong."""

import random
from dataclasses import replace
from datetime import date
from pathlib import Path
from threading import Barrier
from typing import Any

import pyarrow as pa
import pytest

from airflow_provider_clever.attendance.rows import RejectedRow
from airflow_provider_clever.dates import DateRange
from airflow_provider_clever.lake.findings import HARMLESS, KINDS, Finding, VerifyReport
from airflow_provider_clever.lake.formats import FORMATS
from airflow_provider_clever.lake.idempotency_key import IdempotencyKey
from airflow_provider_clever.lake.outcomes import school_receipt
from airflow_provider_clever.lake.receipt_files import read_receipts, write_receipt
from airflow_provider_clever.lake.receipts import Asked, Receipt
from airflow_provider_clever.lake.store import Destination
from airflow_provider_clever.lake.verify import Choice, verify
from tests.lake.builders import DISTRICT, TODAY, context, day, land_and_mark, landed, row, written
from tests.lake.emulators import Store

BOTH = pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
SCHOOLS = ("111111111111111111111111", "222222222222222222222222")
DAYS = ("2026-04-01", "2026-04-02", "2026-04-03")
WORK = IdempotencyKey("a" * 32, "2026-04")


class Lake:
    """Two schools with three days, landed and with their receipt."""

    def __init__(self, store: Store, file_format: str) -> None:
        self.store, self.file_format = store, file_format
        self.destination = Destination(store.filesystem(), store.root, district_id=DISTRICT, file_format=file_format)
        self.destination.check()
        self.pull(WORK)

    def pull(
        self, key: IdempotencyKey, days: tuple[str, ...] = DAYS, *, covered: list[DateRange] | None = None
    ) -> None:
        schools = {}
        for school_id in SCHOOLS:
            outcomes = [
                land_and_mark(
                    self.destination,
                    day(
                        [row(f"{school_id[0]}{student}") for student in range(3)],
                        school_id=school_id,
                        attendance_date=attendance_date,
                    ),
                    context(write_changes=True, idempotency_key=key),
                )
                for attendance_date in days
            ]
            schools[school_id] = school_receipt(
                outcomes, state="landed", covered=covered or [DateRange.from_json((days[0], days[-1]))]
            )
        self.receipt(
            Receipt(
                district_id=DISTRICT,
                idempotency_key=key,
                asked=Asked(date_range_start=days[0], date_range_end=days[-1]),
                file_format=self.file_format,
                finished_at=f"2026-04-20T{ord(key.id[0]) % 24:02}:00:00Z",
                sync_before=None,
                sync_after=None,
                settled=True,
                schools=schools,
                changes=(),
            )
        )

    def receipt(self, receipt: Receipt) -> None:
        write_receipt(self.destination.objects, receipt)

    def path(self, school: int, number: int) -> Path:
        end = {"parquet": "parquet", "jsonl": "jsonl.gz"}[self.file_format]
        name = f"attendance/district={DISTRICT}/date={DAYS[number]}/school-{SCHOOLS[school]}.{end}"
        return Path(self.store.root) / name

    def forge(self, school: int, number: int, rows: pa.RecordBatch) -> None:
        """Put rows of one's own into a partition, well written."""
        self.path(school, number).write_bytes(written(self.file_format, rows))

    def verify(self, **options) -> VerifyReport:
        return verify(self.store.filesystem(), self.store.root, **options)

    def found(self) -> dict[str, int]:
        return {kind: count for kind, count in self.verify().counts.items() if count}


@pytest.fixture
def lake(local: Store, file_format: str) -> Lake:
    return Lake(local, file_format)


def mine(school: int, number: int, *students: str, **values: str) -> pa.RecordBatch:
    return landed(
        [
            row(student, **{"school_id": SCHOOLS[school], "attendance_date": DAYS[number], **values})
            for student in students
        ]
    )


@BOTH
def test_nothing_is_found_where_nothing_is_wrong(lake: Lake) -> None:
    lake.destination.quarantine([RejectedRow("bad", 1, 1, "{}")], today=TODAY)
    steps: list[tuple[int, int]] = []
    report = lake.verify(progress=lambda done, total: steps.append((done, total)))
    assert report.ok
    assert (report.districts, report.partitions, report.rows, report.receipts) == ((DISTRICT,), 6, 18, 1)
    assert set(report.counts) == set(KINDS)
    assert not any(report.counts.values())
    assert steps == [(1, 3), (2, 3), (3, 3)]


def test_nothing_is_found_on_any_kind_of_store(any_store: Store) -> None:
    assert Lake(any_store, "parquet").found() == {}


@BOTH
def test_one_flipped_byte_anywhere_is_damage(lake: Lake) -> None:
    whole = lake.path(0, 1).read_bytes()
    for position in random.Random(1).sample(range(len(whole)), 40):
        flipped = bytearray(whole)
        flipped[position] ^= 0x55
        lake.path(0, 1).write_bytes(flipped)
        found = lake.found()
        # Some bytes say nothing of the rows: a library's version, a statistic, a time. The rows are then as written.
        assert found in ({"damaged": 1}, {"disagreeing": 1}, {}), position
        if not found:
            read = FORMATS[lake.file_format].read
            assert read(bytes(flipped)).rows == read(whole).rows


@BOTH
def test_a_partition_cut_short_is_damaged(lake: Lake) -> None:
    lake.path(0, 1).write_bytes(lake.path(0, 1).read_bytes()[:-20])
    lake.path(1, 1).write_bytes(b"")
    assert lake.found() == {"damaged": 2}
    assert not lake.verify().ok


@BOTH
def test_keys_that_stand_twice_are_counted(lake: Lake) -> None:
    lake.forge(0, 0, mine(0, 0, "10", "10", "11", "12"))
    assert lake.found() == {"duplicate_keys": 1, "disagreeing": 1}


@BOTH
@pytest.mark.parametrize("values", [{"school_id": "x"}, {"attendance_date": "2026-05-05"}, {"district_id": "y"}])
def test_rows_in_the_wrong_partition_are_counted(lake: Lake, values: dict[str, str]) -> None:
    lake.forge(0, 0, mine(0, 0, "10", "11", **values))
    assert lake.found() == {"misplaced_rows": 2, "disagreeing": 1}


@BOTH
def test_a_partition_that_somebody_put_back_or_removed_is_found(lake: Lake) -> None:
    old = lake.path(0, 0).read_bytes()
    more = day([row("13")], school_id=SCHOOLS[0], attendance_date=DAYS[0], whole=False)
    lake.destination.land(more, context=context())
    assert lake.found() == {"disagreeing": 1}  # no receipt speaks of it yet
    lake.pull(IdempotencyKey("b" * 32, "2026-04"))
    assert lake.found() == {"missing_at_clever": 1}
    assert lake.verify().ok
    lake.path(0, 0).write_bytes(old)
    lake.path(1, 2).unlink()
    assert lake.found() == {"disagreeing": 1, "lost": 1}


@BOTH
def test_a_partition_without_a_receipt_is_of_an_unfinished_run(lake: Lake) -> None:
    later = day([row("10")], school_id=SCHOOLS[0], attendance_date="2026-04-04")
    lake.destination.land(later, context=context())
    assert lake.found() == {"unfinished": 1}
    assert not lake.verify().ok


@BOTH
def test_days_that_no_complete_pull_covered_are_counted_per_school(lake: Lake) -> None:
    lake.pull(IdempotencyKey("c" * 32, "2026-04"), ("2026-04-06", "2026-04-07"))
    assert lake.found() == {"uncovered_days": 4}  # the 4th and 5th, of two schools


@BOTH
def test_what_the_district_did_is_reported_and_is_not_wrong(lake: Lake) -> None:
    school = school_receipt(
        [
            land_and_mark(
                lake.destination,
                day([row("10"), row("20")], school_id=SCHOOLS[0], attendance_date=DAYS[0]),
                context(),
            )
        ],
        state="landed",
    )
    (first,) = read_receipts(lake.destination.objects, DISTRICT)
    lake.receipt(
        replace(
            first,
            idempotency_key=IdempotencyKey("d" * 32, "2026-04"),
            finished_at="2026-05-01T00:00:00Z",
            schools={SCHOOLS[0]: school},
        )
    )
    assert lake.found() == {"missing_at_clever": 2, "in_two_schools": 1}
    assert set(lake.found()) == HARMLESS - {"stale_months"}
    assert lake.verify().ok


@BOTH
def test_other_objects_among_the_partitions_and_damage_to_ours_are_found(lake: Lake) -> None:
    lake.path(0, 0).with_name("copy of school.parquet").write_bytes(b"x")
    for pattern in ("receipts/*/*", "changes/*/*/*"):
        damaged = min(Path(lake.store.root).glob(f"_clever/*/{pattern}"))
        damaged.write_bytes(damaged.read_bytes()[:-3])
    found = lake.found()
    assert (found["strange"], found["damaged"]) == (1, 2)


@BOTH
def test_details_name_what_the_counts_do_not(lake: Lake) -> None:
    lake.path(1, 2).unlink()
    findings: list[Finding] = []
    lake.verify(details=findings.append)
    (lost,) = findings
    assert (lost.kind, lost.school_id, lost.attendance_date) == ("lost", SCHOOLS[1], DAYS[2])
    assert lake.verify(districts=["nobody"]).partitions == 0


@BOTH
def test_since_a_day_reads_that_day_and_later_ones(lake: Lake) -> None:
    lake.path(0, 0).write_bytes(b"")
    lake.path(1, 0).unlink()
    report = lake.verify(choice=Choice(since=date.fromisoformat(DAYS[1])))
    assert (report.ok, report.partitions) == (True, 4)
    lake.path(1, 2).unlink()
    assert lake.verify(choice=Choice(since=date.fromisoformat(DAYS[1]))).counts["lost"] == 1


@BOTH
def test_samples_are_the_same_for_a_seed_and_find_what_is_lost_among_them(lake: Lake) -> None:
    every = [lake.path(school, number) for school in range(2) for number in range(3)]
    sizes = {seed: lake.verify(choice=Choice(share=0.5, seed=str(seed))).partitions for seed in range(12)}
    assert sizes == {seed: lake.verify(choice=Choice(share=0.5, seed=str(seed))).partitions for seed in range(12)}
    assert 20 <= sum(sizes.values()) <= 52  # of 72
    assert len(set(sizes.values())) > 1
    for path in every:
        path.unlink()
    assert lake.verify(choice=Choice(share=0.5, seed="3")).counts["lost"] == sizes[3]
    assert lake.found() == {"lost": 6}


def test_partitions_of_several_days_are_read_at_once(memory: Store) -> None:
    lake = Lake(memory.below("at-once"), "jsonl")
    fs, lock, at_once = memory.filesystem(), Barrier(4), []

    class Slow(type(fs)):  # type: ignore[misc]  # fsspec is untyped
        """A store that answers once four readers wait."""

        def cat_file(self, path: str, **options: Any) -> bytes:
            if "/attendance/" in path:
                at_once.append(lock.wait(60))
            return super().cat_file(path, **options)

    lake.pull(IdempotencyKey("e" * 32, "2026-04"), ("2026-04-04",))
    assert verify(Slow(skip_instance_cache=True), lake.store.root).ok  # two schools: four partitions lie in two days
    assert len(at_once) == 8
