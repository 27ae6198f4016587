"""The schools beside the table: named from the ledger, swapped when they change, forgotten with a district."""

from datetime import date
from pathlib import Path

import duckdb
import pytest
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_clever.forget.requests import Forgetting
from airflow_provider_clever.lake.layout import objects_at, schools_path
from airflow_provider_clever.ledger.coverage import Coverage
from airflow_provider_clever.ledger.coverage_store import Listing, record_coverage
from airflow_provider_clever.ledger.schools import school_table, write_schools
from airflow_provider_clever.storage.objects import Objects
from airflow_provider_clever.table.schools import SCHOOL_COLUMNS

DISTRICT, OTHER = "65e000000000000000000001", "65e000000000000000000002"
NAMES = {"s1": "Lincoln High", "s2": "École Élémentaire", "s3": "Adams"}


@pytest.fixture
def lake(tmp_path: Path) -> Objects:
    return objects_at(LocalFileSystem(), str(tmp_path / "lake"))


def listed(lake: Objects, day: str, names: dict[str, str], district_id: str = DISTRICT) -> None:
    """Record what the district's list of schools says on a date."""
    record_coverage(lake, district_id, Listing(today=date.fromisoformat(day), schools=names))


def read(lake: Objects) -> list[tuple[object, ...]]:
    found = duckdb.execute(
        f"SELECT school_id, name, first_seen, last_seen FROM read_parquet('{lake.root}/schools/**/*.parquet', "
        f"hive_partitioning = false) WHERE district_id = '{DISTRICT}' ORDER BY school_id"
    )
    return [*found.fetchall()]


def test_schools_have_their_names_and_the_dates_on_which_they_were_seen(lake: Objects) -> None:
    listed(lake, "2026-09-01", {"s1": NAMES["s1"], "s2": NAMES["s2"]})
    listed(lake, "2026-10-01", NAMES)
    listed(lake, "2026-10-02", {"s2": "École", "s3": NAMES["s3"]})
    assert write_schools(lake, [DISTRICT]) == []
    assert [row[3] for row in read(lake)] == [None, None, None]  # one list may be wrong

    listed(lake, "2026-10-03", {"s2": "École", "s3": NAMES["s3"]})
    assert write_schools(lake, [DISTRICT, DISTRICT]) == []
    assert read(lake) == [
        ("s1", "Lincoln High", date(2026, 9, 1), date(2026, 10, 1)),
        ("s2", "École", date(2026, 9, 1), None),
        ("s3", "Adams", date(2026, 10, 1), None),
    ]


def test_the_file_is_swapped_when_a_row_changes_and_at_no_other_time(lake: Objects) -> None:
    path = Path(lake.root) / schools_path(DISTRICT)
    listed(lake, "2026-09-01", NAMES)
    write_schools(lake, [DISTRICT])
    bytes_, inode = path.read_bytes(), path.stat().st_ino
    listed(lake, "2026-09-02", NAMES)
    write_schools(lake, [DISTRICT])
    assert path.stat().st_ino == inode

    path.write_bytes(b"no Parquet")
    write_schools(lake, [DISTRICT])
    assert path.read_bytes() == bytes_


def test_a_district_of_which_nothing_is_known_has_no_file_and_a_ledger_that_is_broken_is_named(lake: Objects) -> None:
    listed(lake, "2026-09-01", NAMES)
    newer = Path(lake.root) / f"_clever/district={OTHER}/coverage.json"
    newer.parent.mkdir(parents=True)
    newer.write_text('{"schema_version": 99}')
    (failure,) = write_schools(lake, ["unknown", OTHER, DISTRICT])
    assert failure.district_id == OTHER
    assert len(read(lake)) == 3
    assert lake.names("schools") == [f"schools/district={DISTRICT}"]


def test_a_forgotten_district_has_no_schools_and_gets_none_again(lake: Objects) -> None:
    for district_id in (DISTRICT, OTHER):
        listed(lake, "2026-09-01", NAMES, district_id)
    write_schools(lake, [DISTRICT, OTHER])
    Forgetting(lake, DISTRICT, secret=None, longest_task_hours=0.0, command="test").district()
    write_schools(lake, [DISTRICT, OTHER])
    assert lake.names("schools") == [f"schools/district={OTHER}"]


def test_the_columns_explain_themselves() -> None:
    schema = school_table(DISTRICT, Coverage(DISTRICT)).schema
    assert {field.name: field.metadata[b"comment"].decode() for field in schema} == {
        one.name: one.meaning for one in SCHOOL_COLUMNS
    }
