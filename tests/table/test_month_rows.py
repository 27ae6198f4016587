"""The rows of a month as tables take them in."""

import gzip

import pyarrow as pa
import pytest

from airflow_provider_clever.exceptions import CleverPartitionError
from airflow_provider_clever.lake import layout
from airflow_provider_clever.lake.forgotten import Denied, Key
from airflow_provider_clever.table.landed_months import MonthName, landed_fingerprint, landed_months, partitions_of
from airflow_provider_clever.table.month_rows import MonthRows
from tests.lake.builders import DISTRICT, SCHOOL, TODAY
from tests.lake.emulators import Store
from tests.table.lakes import OTHER_SCHOOL, at, land, settle

APRIL = MonthName(DISTRICT, "2026-04")
KEY = Key("0123456789abcdef0123456789abcdef", DISTRICT)


def read(store: Store, denied: Denied | None = None) -> tuple[list[tuple[str, str, str]], str]:
    """Date, school and student of each row, in order; and the fingerprint."""
    rows = MonthRows(at(store), APRIL, denied)
    table = pa.Table.from_batches(rows.batches(), rows.schema)
    assert rows.rows == table.num_rows
    assert landed_fingerprint(at(store), APRIL) == rows.fingerprint
    columns = (table["attendance_date"].cast(pa.string()), table["school_id"], table["student_id"])
    return list(zip(*(column.to_pylist() for column in columns), strict=True)), rows.fingerprint


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_a_month_comes_in_order_whole_and_without_its_neighbours(any_store: Store, file_format: str) -> None:
    for day, school, students in [
        ("2026-04-02", SCHOOL, "ba"),
        ("2026-04-01", SCHOOL, "c"),
        ("2026-04-01", OTHER_SCHOOL, "dc"),
        ("2026-03-31", SCHOOL, "x"),
        ("2026-05-01", SCHOOL, "x"),
    ]:
        land(any_store, day, students, school=school, file_format=file_format)
    land(any_store, "2026-04-01", "x", district=f"{DISTRICT}0", file_format=file_format)
    land(any_store, "2026-04-02", "b", file_format=file_format)  # a is marked, and stays
    assert read(any_store)[0] == [
        ("2026-04-01", OTHER_SCHOOL, "c"),
        ("2026-04-01", OTHER_SCHOOL, "d"),
        ("2026-04-01", SCHOOL, "c"),
        ("2026-04-02", SCHOOL, "a"),
        ("2026-04-02", SCHOOL, "b"),
    ]
    assert list(landed_months(at(any_store), DISTRICT, TODAY)) == ["2026-03", "2026-04", "2026-05"]


def test_a_fingerprint_is_the_same_wherever_the_rows_stand_and_another_once_they_differ(
    any_store: Store, memory: Store
) -> None:
    found = []
    for store in (any_store, memory.below(any_store.root.replace("/", "-"))):
        land(store, "2026-04-01", "ab")
        before = read(store)[1]
        land(store, "2026-04-01", "ab")
        assert read(store)[1] == before
        land(store, "2026-04-01", {"a": "absent", "b": "present"}, modified=1)
        found.append((before, read(store)[1]))
    assert found[0] == found[1]
    assert found[0][0] != found[0][1]


def test_students_who_are_forgotten_are_left_out_before_a_sweep_has_reached_them(local: Store) -> None:
    land(local, "2026-04-01", "ab")
    denied = Denied(KEY, frozenset([KEY.student("a")]))
    assert [student for *_, student in read(local, denied)[0]] == ["b"]


def test_a_damaged_partition_is_named(disk_or_s3: Store) -> None:
    land(disk_or_s3, "2026-04-01", "ab")
    land(disk_or_s3, "2026-04-02", "ab", file_format="jsonl", school=OTHER_SCHOOL)
    fs = disk_or_s3.filesystem()
    path = layout.partition_path(DISTRICT, "2026-04-02", OTHER_SCHOOL, "jsonl")
    fs.pipe_file(f"{disk_or_s3.root}/{path}", gzip.compress(b"{}\n"))
    with pytest.raises(CleverPartitionError, match=f"{path}.*Restore"):
        read(disk_or_s3)


def test_a_file_whose_rows_are_not_those_that_were_written_is_no_part_of_a_table(local: Store) -> None:
    import pyarrow.parquet as pq

    land(local, "2026-04-01", "ab")
    path = f"{local.root}/{layout.partition_path(DISTRICT, '2026-04-01', SCHOOL, 'parquet')}"
    table = pq.read_table(path)
    pq.write_table(table.slice(0, 1).replace_schema_metadata(table.schema.metadata), path)
    with pytest.raises(CleverPartitionError, match="not those"):
        read(local)


def test_a_day_that_landed_in_two_formats_is_refused(local: Store) -> None:
    for file_format in ("parquet", "jsonl"):
        land(local, "2026-04-01", "a", file_format=file_format)
    with pytest.raises(CleverPartitionError, match="two formats"):
        partitions_of(at(local), APRIL)


def test_a_month_that_changes_gets_another_mark(disk_or_s3: Store) -> None:
    land(disk_or_s3, "2026-04-01", "a")
    land(disk_or_s3, "2026-05-01", "a")
    settle(disk_or_s3)
    before = landed_months(at(disk_or_s3), DISTRICT, TODAY)
    assert None not in before.values()
    land(disk_or_s3, "2026-04-01", "a")
    assert landed_months(at(disk_or_s3), DISTRICT, TODAY) == before
    land(disk_or_s3, "2026-04-01", "ab")
    after = landed_months(at(disk_or_s3), DISTRICT, TODAY)
    assert after["2026-05"] == before["2026-05"]
    assert after["2026-04"] != before["2026-04"]


def test_a_folder_that_changed_just_now_has_no_mark_yet(local: Store) -> None:
    land(local, "2026-04-01", "a")
    assert landed_months(at(local), DISTRICT, TODAY) == {"2026-04": None}
