"""The Iceberg table equals what stands landed, row by row and filter by filter, in engines that are not ours."""

import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq
import pytest
from pyiceberg.schema import Schema
from pyiceberg.table.update import SetSnapshotRefUpdate

from airflow_provider_clever.attendance.schema import LANDED_COLUMNS
from airflow_provider_clever.exceptions import CleverLandingError, CleverSettingsError
from airflow_provider_clever.forget.requests import Forgetting
from airflow_provider_clever.storage.destination_url import destination_url
from airflow_provider_clever.table.cursors import Cursor
from airflow_provider_clever.table.iceberg.catalogs import embedded_catalog, open_catalog
from airflow_provider_clever.table.iceberg.columns import ATTENDANCE
from airflow_provider_clever.table.iceberg.table import IcebergTable
from tests.lake.builders import DISTRICT, SCHOOL
from tests.lake.emulators import Store
from tests.table.iceberg_lakes import (
    ENGINES,
    Filter,
    Filters,
    bring_up_to_date,
    embedded,
    folder,
    in_catalog,
    in_order,
    landed,
    matching,
    read,
)
from tests.table.lakes import OTHER_SCHOOL, at, land

TWIN: Final = f"{DISTRICT[:16]}99999999"
"""A district whose id begins with the same 16 characters."""


def fill(store: Store) -> None:
    """Two districts, two schools and three months; some rows marked, some values null."""
    for district in (DISTRICT, TWIN):
        for day in ("2026-03-31", "2026-04-01", "2026-04-02", "2026-05-01"):
            land(store, day, {"a": "present", "b": "absent", "c": "tardy"}, district=district)
            land(store, day, "de", school=OTHER_SCHOOL, district=district, excuse_code="Ill, 'at home'", sis_id="S-1")
        land(store, "2026-04-02", {"a": "present", "b": "absent"}, district=district)  # c is marked


QUESTIONS: Final[tuple[Filters, ...]] = (
    (),
    (Filter("attendance_date", "=", date(2026, 4, 1)),),
    (Filter("attendance_date", "=", date(2026, 4, 3)),),
    (Filter("attendance_date", "<", date(2026, 4, 1)),),
    (Filter("attendance_date", ">=", date(2026, 4, 1)), Filter("attendance_date", "<", date(2026, 5, 1))),
    (Filter("attendance_date", "IN", (date(2026, 3, 31), date(2026, 5, 1))),),
    (Filter("attendance_date", "!=", date(2026, 4, 1)),),
    (Filter("district_id", "=", DISTRICT),),
    (Filter("district_id", "=", TWIN), Filter("attendance_date", ">=", date(2026, 4, 2))),
    (Filter("district_id", "IN", (DISTRICT, "nobody's")),),
    (Filter("district_id", "=", DISTRICT[:16]),),
    (Filter("school_id", "=", SCHOOL), Filter("attendance_date", "=", date(2026, 4, 2))),
    (Filter("school_id", "!=", SCHOOL),),
    (Filter("student_id", "=", "d"),),
    (Filter("student_id", "IN", ("a", "e")), Filter("attendance_date", ">=", date(2026, 4, 1))),
    (Filter("student_id", "STARTS", "c"),),
    (Filter("student_id", "IS NULL"),),
    (Filter("attendance_status", "=", "absent"),),
    (Filter("excuse_code", "IS NULL"),),
    (Filter("excuse_code", "IS NOT NULL"),),
    (Filter("missing_since", "IS NULL"),),
    (Filter("missing_since", "IS NOT NULL"), Filter("district_id", "=", TWIN)),
    (Filter("section_id", "IS NOT NULL"),),
    (Filter("last_modified", ">=", datetime(2026, 4, 2, tzinfo=UTC)),),
    (Filter("created", "<", datetime(2026, 4, 2, tzinfo=UTC)),),
)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_filter_gives_what_stands_landed(engine: str, local: Store) -> None:
    fill(local)
    bring_up_to_date(local, embedded(local))
    expected = [matching(landed(local), one) for one in QUESTIONS]
    assert len(expected[0]) == 40
    assert len({len(one) for one in expected}) > 5  # the filters tell rows apart
    assert read(engine, local, QUESTIONS) == expected


def test_a_month_is_one_sorted_file_and_a_night_leaves_few_manifests(local: Store) -> None:
    fill(local)
    table = embedded(local)
    bring_up_to_date(local, table)
    for night in range(6):
        land(local, "2026-05-01", {"a": "present", "b": "absent", "c": ("absent", "tardy")[night % 2]})
        assert list(bring_up_to_date(local, table).written) == [(DISTRICT, "2026-05")]
    found = in_catalog(local)
    head = found.current_snapshot()
    assert head is not None
    files = [task.file for task in found.scan().plan_files()]
    assert len(files) == 6
    assert len(head.manifests(found.io)) <= len(files) + 2
    for file in files:
        rows = pq.read_table(
            file.file_path.removeprefix("file://"), columns=["attendance_date", "school_id", "student_id"]
        )
        keys = list(zip(*(column.to_pylist() for column in rows.columns), strict=True))
        assert keys == sorted(keys)


def _same_in_every_engine(store: Store) -> None:
    expected = landed(store)
    for engine in ENGINES:
        assert read(engine, store) == [expected], engine


def test_the_table_equals_what_landed_whatever_has_happened(local: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEVER_FORGET_SECRET", "a made-up key that is long enough to be one")
    table = embedded(local)
    assert bring_up_to_date(local, table, []).written == {}
    assert table.cursors(None) == {}

    fill(local)
    assert len(bring_up_to_date(local, table).written) == 6
    _same_in_every_engine(local)

    land(local, "2026-05-04", "abc")  # a night
    land(local, "2026-04-01", {"a": "tardy", "b": "absent", "c": "tardy"}, modified=1)  # a correction
    assert {*bring_up_to_date(local, table).written} == {(DISTRICT, "2026-04"), (DISTRICT, "2026-05")}
    _same_in_every_engine(local)

    assert bring_up_to_date(local, table).written == {}  # a withheld school: what stood there stands there
    for night in range(2, 50):
        land(local, "2026-05-04", {"a": ("absent", "tardy")[night % 2]}, modified=night)
        bring_up_to_date(local, table)
    _same_in_every_engine(local)

    Forgetting(at(local), DISTRICT).students(["a"])
    bring_up_to_date(local, table)
    assert read("pyiceberg", local, ((Filter("student_id", "=", "a"), Filter("district_id", "=", DISTRICT)),)) == [[]]
    _same_in_every_engine(local)

    Forgetting(at(local), TWIN).district()
    assert len(bring_up_to_date(local, table).removed) == 3
    _same_in_every_engine(local)
    assert {*table.cursors(None)} == {DISTRICT}

    assert len(bring_up_to_date(local, table, is_rebuilt=True).written) == 3
    _same_in_every_engine(local)
    assert len(list(in_catalog(local).scan().plan_files())) == 3


def test_a_column_that_is_new_is_added_and_null_in_older_files(local: Store) -> None:
    """A table as a version made it that did not know two of today's columns."""
    older = [one for one in ATTENDANCE.schema().fields if one.name not in ("excuse_code", "_extra")]
    schema = Schema(*older)
    table = embedded(local)
    catalog = open_catalog(embedded_catalog(destination_url(f"file://{local.root}")))
    catalog.create_namespace("clever")
    known = catalog.create_table(
        "clever.attendance",
        schema,
        location=f"file://{folder(local)}",
        partition_spec=ATTENDANCE.partition_spec(schema),
        sort_order=ATTENDANCE.sort_order(schema),
        properties=ATTENDANCE.properties,
    )
    ids = {one.name: one.field_id for one in known.schema().fields}
    land(local, "2026-04-01", "a")
    land(local, "2026-05-01", "a", excuse_code="Ill")
    bring_up_to_date(local, table)
    found = in_catalog(local).schema()
    assert tuple(one.name for one in found.fields) == LANDED_COLUMNS
    assert {one.name: one.field_id for one in found.fields if one.name in ids} == ids
    assert found.find_field("student_id").doc == "Clever's id of the student; personal"
    _same_in_every_engine(local)


def test_a_table_that_was_rolled_back_is_made_again(local: Store) -> None:
    fill(local)
    table = embedded(local)
    bring_up_to_date(local, table)
    land(local, "2026-05-04", "abc")
    bring_up_to_date(local, table)
    found = in_catalog(local)
    first, _ = found.history()
    with found.manage_snapshots() as change:
        change.create_tag(first.snapshot_id, "kept")
    catalog = found.catalog
    catalog.commit_table(
        found.refresh(),
        (),
        (SetSnapshotRefUpdate(snapshot_id=first.snapshot_id, ref_name="main", type="branch"),),
    )
    assert table.cursors(None) == {DISTRICT: Cursor(), TWIN: Cursor()}
    bring_up_to_date(local, table)
    _same_in_every_engine(local)


def test_what_another_program_has_compacted_is_replaced_with_the_whole_district(local: Store) -> None:
    fill(local)
    table = embedded(local)
    bring_up_to_date(local, table)
    found = in_catalog(local)
    found.overwrite(found.scan(row_filter=f"district_id = '{DISTRICT}'").to_arrow(), f"district_id = '{DISTRICT}'")
    land(local, "2026-05-04", "abc")
    with pytest.raises(CleverLandingError, match="Another program has put several months"):
        bring_up_to_date(local, table)
    bring_up_to_date(local, table, is_rebuilt=True)
    _same_in_every_engine(local)
    assert len(list(in_catalog(local).scan().plan_files())) == 6


def test_a_table_of_others_and_one_that_was_moved_are_left_alone(local: Store, tmp_path: Path) -> None:
    fill(local)
    bring_up_to_date(local, embedded(local))
    moved = Store("file", str(tmp_path / "moved"))
    shutil.copytree(local.root, moved.root)
    with pytest.raises(CleverSettingsError, match="was made at another path"):
        bring_up_to_date(moved, embedded(moved))
    found = in_catalog(local)
    with found.transaction() as change:
        change.remove_properties("clever.table")
    with pytest.raises(CleverSettingsError, match="not made by airflow-provider-clever"):
        bring_up_to_date(local, embedded(local))


def test_two_embedded_tables_do_not_sweep_each_other(local: Store) -> None:
    fill(local)
    first, second = (
        IcebergTable(embedded_catalog(destination_url(f"file://{local.root}"), name), keep_hours=0, orphan_hours=0)
        for name in ("clever.attendance", "clever.attendance.again")
    )
    for table in (first, second, first, second):
        bring_up_to_date(local, table, is_rebuilt=True)
    assert first.forget_past(DISTRICT) == second.forget_past(DISTRICT) == []
    catalog = open_catalog(embedded_catalog(destination_url(f"file://{local.root}")))
    for name in ("clever.attendance", "clever.attendance.again"):
        assert in_order(catalog.load_table(name).scan().to_arrow().to_pylist()) == landed(local)
