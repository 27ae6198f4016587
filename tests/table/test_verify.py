"""``verify`` knows the months of a table."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from airflow_provider_clever.cli.main import main
from airflow_provider_clever.lake import layout
from airflow_provider_clever.table.landed_months import MonthName
from airflow_provider_clever.table.month_file import FINGERPRINT_MARK
from airflow_provider_clever.table.monthly_parquet import month_path
from tests.lake.builders import DAY, DISTRICT, SCHOOL
from tests.lake.emulators import Store
from tests.table.lakes import OTHER_SCHOOL, land
from tests.table.test_monthly_parquet import update

Found = Callable[..., dict[str, int]]
OF_PULLS = {"unfinished", "missing_at_clever", "in_two_schools"}  # these lakes have no receipts


@pytest.fixture
def lake(local: Store) -> Store:
    for day in ("2026-03-31", DAY):
        land(local, day, "ab")
        land(local, day, "abc", school=OTHER_SCHOOL)
    update(local)
    return local


@pytest.fixture
def found(lake: Store, capsys: pytest.CaptureFixture[str]) -> Found:
    def found(*options: str) -> dict[str, int]:
        main(["verify", lake.root, "--json", *options])
        counts = json.loads(capsys.readouterr().out)["counts"]
        return {kind: count for kind, count in counts.items() if count and kind not in OF_PULLS}

    return found


def april(lake: Store) -> Path:
    return Path(lake.root, month_path(MonthName(DISTRICT, "2026-04")))


def test_months_that_are_what_landed_are_well(found: Found) -> None:
    assert found() == found("--months") == {}


def test_a_month_that_is_behind_is_stale_until_the_table_is_brought_up_to_date(lake: Store, found: Found) -> None:
    land(lake, DAY, "abc")
    assert found() == {"stale_months": 1}
    assert found("--since", "2026-05-01") == {}
    update(lake)
    assert found() == {}


@pytest.mark.parametrize("damage", [b"", b"PAR1", None])
def test_a_damaged_month_is_named(lake: Store, found: Found, damage: bytes | None, tmp_path: Path) -> None:
    april(lake).write_bytes(april(lake).read_bytes()[:-9] if damage is None else damage)
    assert found("--details", str(tmp_path / "details")) == {"damaged": 1}
    details = [json.loads(line) for line in (tmp_path / "details").read_text().splitlines()]
    assert month_path(MonthName(DISTRICT, "2026-04")) in [one["path"] for one in details if one["kind"] == "damaged"]


def test_a_month_that_something_else_wrote_is_damaged_and_another_file_strange(lake: Store, found: Found) -> None:
    table = pq.read_table(april(lake))
    pq.write_table(table.replace_schema_metadata(None), april(lake))
    april(lake).with_name("notes.txt").write_text("x")
    assert found() == {"damaged": 1, "strange": 1}


@pytest.mark.parametrize("rows", [slice(0, 4), slice(0, 0), slice(0, 9)])
def test_rows_that_differ_are_found_when_rows_are_read(lake: Store, found: Found, rows: slice) -> None:
    file = pq.ParquetFile(april(lake))
    marks = {FINGERPRINT_MARK: file.metadata.metadata[FINGERPRINT_MARK]}
    table = file.read()
    import pyarrow as pa

    twice = pa.concat_tables([table, table])
    pq.write_table(twice.slice(0, rows.stop).replace_schema_metadata(marks), april(lake))
    assert found() == {}
    assert found("--months") == {"damaged": 1}


def test_a_month_of_a_damaged_partition_cannot_be_told_to_be_right(lake: Store, found: Found) -> None:
    Path(lake.root, layout.partition_path(DISTRICT, DAY, SCHOOL, "parquet")).write_bytes(b"")
    assert found() == {"damaged": 1, "stale_months": 1}
