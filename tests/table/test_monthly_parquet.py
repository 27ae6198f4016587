"""The months at a destination equal what stands landed, whatever has become of it; read by DuckDB and polars."""

import random
import shutil
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from airflow_provider_clever.exceptions import CleverLandingError, CleverPartitionError
from airflow_provider_clever.forget.requests import Forgetting
from airflow_provider_clever.lake import layout
from airflow_provider_clever.lake.verify import districts_at
from airflow_provider_clever.table.landed_months import MonthName
from airflow_provider_clever.table.monthly_parquet import MonthlyParquet, cursor_path, month_path
from airflow_provider_clever.table.updating import TableUpdate, UpdateReport, UpdateRules
from tests.lake.builders import DAY, DISTRICT, SCHOOL
from tests.lake.emulators import Store
from tests.table import engines
from tests.table.lakes import OTHER_SCHOOL, at, land, settle

TODAY = date(2026, 4, 20)
TWIN = f"{DISTRICT[:-1]}2"
"""A district whose id shares 23 characters with the other's."""
SECRET = "0123456789abcdef0123456789abcdef"


def update(store: Store, districts: Iterable[str] | None = None, **rules: Any) -> UpdateReport:
    """Bring the months up to date."""
    objects = at(store)
    chosen = list(districts or districts_at(objects))
    return TableUpdate(objects, MonthlyParquet(objects), UpdateRules(**{"today": TODAY, **rules})).run(chosen)


def written(report: UpdateReport) -> list[str]:
    assert report.problem() is None
    return sorted(name.month for name in report.written)


def month_file(store: Store, month: str, district: str = DISTRICT) -> Path:
    return Path(store.root) / month_path(MonthName(district, month))


@pytest.fixture
def lake(local: Store) -> Store:
    """Two districts, two months, rows that are marked, and text that formats stumble over."""
    for district in (DISTRICT, TWIN):
        for day in ("2026-03-30", "2026-03-31", "2026-04-01"):
            land(local, day, {"a": "present", "b": "absent"}, district=district, excuse_code='"é"\n', sis_id="7")
            land(local, day, "cd", school=OTHER_SCHOOL, district=district, _extra='{"x":[1]}')
        land(local, "2026-04-01", "a", district=district)
    return local


def test_the_months_equal_what_landed(lake: Store) -> None:
    report = update(lake)
    assert report.to_json() == {
        "districts": 2,
        "districts_changed": 2,
        "months_written": 4,
        "months_removed": 0,
        "rows_written": 24,
        "failures": [],
    }
    assert engines.differences(Path(lake.root)) == []
    found = sorted(str(path.relative_to(lake.root)) for path in Path(lake.root, "attendance_by_month").rglob("*.*"))
    assert found == [month_path(MonthName(d, m)) for d in (DISTRICT, TWIN) for m in ("2026-03", "2026-04")]


def test_lines_of_json_make_the_same_months(local: Store) -> None:
    for day in ("2026-03-31", "2026-04-01"):
        land(local, day, "ab", file_format="jsonl", excuse_code="\u2028")
    update(local)
    assert engines.differences(Path(local.root)) == []


def test_a_second_update_writes_nothing_and_a_change_its_month_alone(lake: Store) -> None:
    update(lake)
    assert written(update(lake)) == []
    land(lake, "2026-04-01", {"a": "tardy"}, modified=1)
    assert written(update(lake)) == ["2026-04"]
    assert engines.differences(Path(lake.root)) == []


def test_a_rebuild_writes_every_month_and_the_same_rows(lake: Store) -> None:
    update(lake)
    assert written(update(lake, [DISTRICT], is_rebuilt=True)) == ["2026-03", "2026-04"]
    assert engines.differences(Path(lake.root)) == []


def test_fifty_nights_leave_one_file_for_each_month_and_the_landed_rows(local: Store) -> None:
    generator = random.Random(50)
    days = [f"{date(2026, 1, 12) + timedelta(days=number)}" for number in range(50)]
    for night, day in enumerate(days):
        for past in days[max(0, night - 10) : night + 1]:
            if past == day or generator.random() < 0.2:
                students = {
                    one: generator.choice(("present", "absent")) for one in "abcdef" if generator.random() < 0.8
                }
                land(local, past, students or "a", school=generator.choice((SCHOOL, OTHER_SCHOOL)), modified=night)
        update(local)
        if night % 7 == 0:
            assert engines.differences(Path(local.root)) == []
    assert engines.differences(Path(local.root)) == []
    assert len(list(Path(local.root).glob(engines.MONTHS))) == 3


@pytest.mark.parametrize("rules", [{"is_checked": True}, {"today": TODAY + timedelta(days=7)}])
def test_what_changed_without_a_trace_is_found_each_week_or_when_asked_for(lake: Store, rules: dict[str, Any]) -> None:
    settle(lake)
    update(lake)
    path = Path(lake.root) / layout.partition_path(DISTRICT, DAY, SCHOOL, "parquet")
    path.write_bytes(path.with_name(f"school-{OTHER_SCHOOL}.parquet").read_bytes())  # in place: no folder changes
    assert written(update(lake)) == []
    assert written(update(lake, **rules)) == ["2026-04"]


def test_a_month_of_which_nothing_is_landed_any_more_goes(lake: Store) -> None:
    update(lake)
    for folder in Path(lake.root, layout.landed_prefix(DISTRICT)).glob("date=2026-03*"):
        shutil.rmtree(folder)
    report = update(lake)
    assert (report.removed, written(report)) == ({MonthName(DISTRICT, "2026-03")}, [])
    assert not month_file(lake, "2026-03").exists()
    assert engines.differences(Path(lake.root)) == []


@pytest.mark.parametrize("lost", ["cursor", "month", "both"])
def test_what_is_lost_of_the_table_is_made_again(disk_or_s3: Store, lost: str) -> None:
    land(disk_or_s3, "2026-03-31", "a")
    land(disk_or_s3, "2026-04-01", "ab")
    update(disk_or_s3)
    fs, root = disk_or_s3.filesystem(), disk_or_s3.root
    paths = {"cursor": cursor_path(DISTRICT), "month": month_path(MonthName(DISTRICT, "2026-04"))}
    before = fs.cat_file(f"{root}/{paths['month']}")
    for name, path in paths.items():
        if lost in (name, "both"):
            fs.rm_file(f"{root}/{path}")
    update(disk_or_s3)
    assert fs.cat_file(f"{root}/{paths['month']}") == before
    assert written(update(disk_or_s3)) == []


def test_a_file_that_another_hand_put_there_is_replaced(disk_or_s3: Store) -> None:
    land(disk_or_s3, "2026-04-01", "ab")
    update(disk_or_s3)
    fs, path = disk_or_s3.filesystem(), f"{disk_or_s3.root}/{month_path(MonthName(DISTRICT, '2026-04'))}"
    before = fs.cat_file(path)
    fs.pipe_file(path, before[:-1])
    assert written(update(disk_or_s3)) == ["2026-04"]
    assert fs.cat_file(path) == before


def test_a_damaged_partition_holds_nothing_else_up_and_is_named(lake: Store) -> None:
    update(lake)
    land(lake, "2026-04-01", "ax", modified=2)
    land(lake, "2026-03-31", "ax", modified=2)
    land(lake, "2026-04-01", "ax", district=TWIN, modified=2)
    path = Path(lake.root) / layout.partition_path(DISTRICT, DAY, OTHER_SCHOOL, "parquet")
    whole, before = path.read_bytes(), month_file(lake, "2026-04").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    report = update(lake)
    assert sorted(report.written) == [(DISTRICT, "2026-03"), (TWIN, "2026-04")]
    problem = report.problem()
    assert isinstance(problem, CleverPartitionError)
    assert problem.permanent
    assert str(path) in str(problem)
    assert DISTRICT in str(problem)
    assert month_file(lake, "2026-04").read_bytes() == before
    assert update(lake).problem() is not None, "it is red until somebody has seen to it"
    path.write_bytes(whole)
    assert written(update(lake)) == ["2026-04"]
    assert engines.differences(Path(lake.root)) == []


def test_a_newer_versions_table_is_refused(lake: Store) -> None:
    update(lake)
    path = Path(lake.root) / cursor_path(DISTRICT)
    path.write_bytes(path.read_bytes().replace(b'"cursor_version":1', b'"cursor_version":2'))
    with pytest.raises(CleverLandingError, match="Upgrade"):
        update(lake)


def test_a_copied_lake_is_not_all_due(lake: Store, s3: Store) -> None:
    update(lake)
    copied = Path(f"{lake.root}-copy")
    shutil.copytree(lake.root, copied)
    assert written(update(Store("file", str(copied)))) == []
    there = s3.below("copied")
    there.filesystem().put(f"{lake.root}/", there.root, recursive=True)
    assert sorted(update(there).written) == sorted(update(lake, is_rebuilt=True).written)  # versions are the store's
    assert written(update(there)) == []


def test_the_rows_of_a_day_can_be_skipped_to(local: Store) -> None:
    for number in range(3):
        land(local, f"2026-04-0{number + 1}", [f"{one:05}" for one in range(25_000)])
    update(local)
    file = pq.ParquetFile(month_file(local, "2026-04"))
    dates = file.schema_arrow.names.index("attendance_date")
    groups = [file.metadata.row_group(number).column(dates).statistics for number in range(file.num_row_groups)]
    assert [f"{one.min} {one.max}" for one in groups] == ["2026-04-01 2026-04-03"]
    assert file.metadata.row_group(0).sorting_columns


@pytest.mark.parametrize("what", ["student", "district"])
def test_nothing_of_what_is_forgotten_comes_back_with_an_update(lake: Store, what: str) -> None:
    update(lake)
    forgetting = Forgetting(at(lake), DISTRICT, secret=SECRET, longest_task_hours=0)
    if what == "student":
        forgetting.students(["a"])
    elif what == "district":
        forgetting.district()
    report = update(lake, [DISTRICT, TWIN])
    assert report.problem() is None
    assert engines.differences(Path(lake.root)) == []
