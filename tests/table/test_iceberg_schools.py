"""The schools in Iceberg: as the ledger knows them, committed when they change, forgotten with a district."""

import json
from collections.abc import Collection
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from pyiceberg.table import StaticTable
from pyiceberg.table import Table as PyIcebergTable

from airflow_provider_clever.cli.main import main
from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.forget.requests import Forgetting
from airflow_provider_clever.hooks.destinations import open_destination
from airflow_provider_clever.hooks.iceberg import iceberg_catalog
from airflow_provider_clever.hooks.tables import open_registered
from airflow_provider_clever.ledger.coverage_store import Listing, read_coverage, record_coverage
from airflow_provider_clever.ledger.schools import school_table, write_schools
from airflow_provider_clever.storage.destination_url import destination_url
from airflow_provider_clever.table.iceberg.catalogs import embedded_catalog, open_catalog
from airflow_provider_clever.table.iceberg.table import IcebergTable
from airflow_provider_clever.table.landed_months import MonthName
from airflow_provider_clever.table.monthly_parquet import MonthlyParquet, month_path
from airflow_provider_clever.table.registry import registrations
from airflow_provider_clever.table.schools import SCHOOL_COLUMNS
from airflow_provider_clever.table.updating import TableUpdate, UpdateRules
from tests.lake.builders import DISTRICT
from tests.lake.emulators import Store
from tests.table.iceberg_lakes import bring_up_to_date, embedded
from tests.table.lakes import at, land
from tests.table.rest_catalog import CREDENTIAL, rest_catalog

OTHER = "65e000000000000000000002"
NAMES = {"s1": "Lincoln High", "s2": "École Élémentaire", "s3": "Adams"}
BY_SCHOOL = ["district_id", "school_id"]


def listed(store: Store, names: dict[str, str], day: str = "2026-09-01", *, district: str = DISTRICT) -> None:
    """Record what the district's list of schools says on a date."""
    record_coverage(at(store), district, Listing(today=date.fromisoformat(day), schools=names))


def known(store: Store) -> pa.Table:
    return school_table(DISTRICT, read_coverage(at(store), DISTRICT).coverage)


def written(store: Store, *districts: str, **options: Any) -> None:
    assert write_schools(at(store), districts or (DISTRICT, OTHER), embedded(store, **options)) == []


def folder(store: Store) -> Path:
    return Path(store.root, "iceberg", "clever.schools")


def in_catalog(store: Store) -> PyIcebergTable:
    return open_catalog(embedded_catalog(destination_url(f"file://{store.root}"))).load_table("clever.schools")


def newest(store: Store) -> str:
    metadata = folder(store) / "metadata"
    return str(metadata / f"{(metadata / 'version-hint.text').read_text()}.metadata.json")


def rows(store: Store) -> list[dict[str, Any]]:
    """What pyiceberg and polars read, which must be the same."""
    by_polars = pl.scan_iceberg(newest(store)).collect().sort(BY_SCHOOL).to_dicts()
    found = StaticTable.from_metadata(newest(store)).scan().to_arrow()
    assert found.sort_by([(one, "ascending") for one in BY_SCHOOL]).to_pylist() == by_polars
    return by_polars


def names_of(store: Store, district: str = DISTRICT) -> list[str]:
    return [row["name"] for row in rows(store) if row["district_id"] == district]


def in_files(store: Store) -> list[dict[str, Any]]:
    """The rows of the files that stand at the destination, as DuckDB reads them."""
    names = [one.name for one in SCHOOL_COLUMNS]
    files = f"read_parquet('{store.root}/schools/*/*.parquet', hive_partitioning = false)"
    found = duckdb.execute(f"SELECT {', '.join(names)} FROM {files} ORDER BY ALL").fetchall()
    return [dict(zip(names, row, strict=True)) for row in found]


def snapshots(store: Store) -> int:
    return len(in_catalog(store).metadata.snapshots)


def forgotten(store: Store) -> Any:
    place = open_destination(f"file://{store.root}")
    opener = partial(open_registered, place)
    return Forgetting(place.objects, DISTRICT, secret=None, longest_task_hours=0, open_table=opener).district()


def test_the_table_says_what_the_files_say_and_its_columns_explain_themselves(local: Store) -> None:
    listed(local, NAMES)
    listed(local, {"s1": "Bowie"}, district=OTHER)
    written(local)
    assert [(row["name"], row["first_seen"], row["last_seen"]) for row in rows(local)] == [
        ("Lincoln High", date(2026, 9, 1), None),
        ("École Élémentaire", date(2026, 9, 1), None),
        ("Adams", date(2026, 9, 1), None),
        ("Bowie", date(2026, 9, 1), None),
    ]
    assert rows(local) == in_files(local)
    found = in_catalog(local)
    assert {one.name: one.doc for one in found.schema().fields} == {one.name: one.meaning for one in SCHOOL_COLUMNS}
    assert [task.file.record_count for task in found.scan().plan_files()] == [4]
    assert registrations(at(local), OTHER) == [{"kind": "iceberg", "catalog": "embedded", "table": "clever.attendance"}]


def test_a_run_is_one_commit_where_a_row_has_changed_and_none_where_nothing_has(local: Store) -> None:
    for district in (DISTRICT, OTHER):
        listed(local, NAMES, district=district)
    written(local)
    before = newest(local)
    for day in ("2026-09-02", "2026-09-03"):
        listed(local, NAMES, day)
        written(local)
    assert newest(local) == before

    for district in (DISTRICT, OTHER):
        listed(local, NAMES | {"s3": "John Adams"}, "2026-09-04", district=district)
    written(local, DISTRICT)
    assert (names_of(local)[2], names_of(local, OTHER)[2]) == ("John Adams", "Adams")
    written(local)
    assert names_of(local) == names_of(local, OTHER)
    assert snapshots(local) == 3

    listed(local, NAMES, "2026-09-05")
    written(local, keep_hours=0, orphan_hours=0)
    assert rows(local) == in_files(local)
    assert snapshots(local) == 2
    assert len([*folder(local).rglob("*.parquet")]) == 2


def test_a_forgotten_district_is_gone_from_every_file_and_does_not_come_back(local: Store) -> None:
    land(local, "2026-04-01", "ab")
    land(local, "2026-04-01", "ab", district=OTHER)
    bring_up_to_date(local, embedded(local))
    for day, name in (("2026-09-01", "Adams"), ("2026-09-02", "John Adams")):
        for district in (DISTRICT, OTHER):
            listed(local, NAMES | {"s3": name}, day, district=district)
        written(local)
    shown = "table:embedded/iceberg/clever.attendance/schools"
    receipt = forgotten(local)
    assert (receipt.unreached, len(receipt.touched[shown]), receipt.underway) == ((), 1, {})
    (left,) = folder(local).rglob("*.parquet")
    assert {row["district_id"] for row in pl.read_parquet(left).to_dicts()} == {OTHER}
    assert not [path for path in folder(local).rglob("*") if path.is_file() and DISTRICT.encode() in path.read_bytes()]
    assert {row["district_id"] for row in rows(local)} == {OTHER}
    written(local)
    assert {row["district_id"] for row in rows(local)} == {OTHER}


def test_a_run_that_read_a_district_before_it_was_forgotten_is_undone_by_the_next_sweep(local: Store) -> None:
    listed(local, NAMES)
    written(local)
    late = known(local)
    forgotten(local)
    embedded(local).schools.replace({DISTRICT: late}, before_new=lambda _: None)
    assert names_of(local) != []
    assert forgotten(local).unreached == ()
    assert rows(local) == []
    assert [*folder(local).rglob("*.parquet")] == []


def test_forgetting_students_leaves_the_schools_as_they_are(local: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEVER_FORGET_SECRET", "a made-up key that is long enough to be one")
    land(local, "2026-04-01", "ab")
    bring_up_to_date(local, embedded(local))
    listed(local, NAMES)
    written(local)
    before = newest(local)
    place = open_destination(f"file://{local.root}")
    opener = partial(open_registered, place)
    Forgetting(place.objects, DISTRICT, longest_task_hours=0, open_table=opener).students(["a"])
    assert newest(local) == before


@pytest.mark.parametrize("what", ["students", "district", "days"])
def test_a_rehearsal_names_exactly_what_is_touched_then(
    local: Store, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEVER_FORGET_SECRET", "a made-up key that is long enough to be one")
    for day in ("2025-03-31", "2025-04-01", "2025-04-02", "2025-05-01"):
        land(local, day, "ab")
    bring_up_to_date(local, embedded(local))
    TableUpdate(at(local), MonthlyParquet(at(local)), UpdateRules(today=date(2026, 11, 20))).run([DISTRICT])
    lost = "2025-03" if what == "days" else "2025-04"
    Path(local.root, month_path(MonthName(DISTRICT, lost))).unlink()  # by hand
    listed(local, NAMES)
    written(local)
    place = open_destination(f"file://{local.root}")
    opener = partial(open_registered, place)
    request = Forgetting(place.objects, DISTRICT, longest_task_hours=0, open_table=opener)
    arguments = {"students": [["a"]], "district": [], "days": ["2025-04-01"]}[what]
    rehearsed = getattr(request, f"preview_{what}")(*arguments).found.touched
    assert {*rehearsed} == {*getattr(request, what)(*arguments).touched}
    assert sum(path.startswith("table:") for path in rehearsed) == {"students": 3, "district": 4, "days": 1}[what]


def test_two_writers_at_once_do_not_take_away_what_the_other_wrote(local: Store) -> None:
    listed(local, NAMES)
    listed(local, {"s1": "Bowie"}, district=OTHER)
    overtaken: list[Collection[str]] = []

    def overtake(new: Collection[str]) -> None:
        if not overtaken:
            written(local, OTHER)
        overtaken.append(new)

    embedded(local).schools.replace({DISTRICT: known(local)}, before_new=overtake)
    assert [sorted(one) for one in overtaken] == [[DISTRICT], [DISTRICT]]
    assert names_of(local) == [*NAMES.values()]
    assert names_of(local, OTHER) == ["Bowie"]
    assert len([*folder(local).rglob("*.parquet")]) == 2  # of the other's state and of this one; of no lost try


def test_a_district_that_cannot_be_read_stays_as_it_was_and_one_without_schools_makes_no_table(local: Store) -> None:
    written(local)
    assert not folder(local).exists()
    listed(local, NAMES)
    listed(local, {"s1": "Bowie"}, district=OTHER)
    written(local)
    listed(local, {"s1": "David Bowie"}, "2026-09-02", district=OTHER)
    Path(local.root, f"_clever/district={DISTRICT}/coverage.json").write_text('{"schema_version": 99}')
    (failure,) = write_schools(at(local), [DISTRICT, OTHER], embedded(local))
    assert failure.district_id == DISTRICT
    assert names_of(local) == [*NAMES.values()]
    assert names_of(local, OTHER) == ["David Bowie"]


def test_a_table_of_others_that_is_called_the_same_is_left_alone_with_the_next_step(local: Store) -> None:
    catalog = open_catalog(embedded_catalog(destination_url(f"file://{local.root}")))
    catalog.create_namespace("clever")
    catalog.create_table("clever.schools", pa.schema([("id", pa.string())]), location=f"file://{folder(local)}")
    listed(local, NAMES)
    with pytest.raises(CleverSettingsError, match="name one in another namespace"):
        written(local)


def test_the_command_makes_them_beside_the_attendance(local: Store) -> None:
    land(local, "2026-04-01", "ab")
    listed(local, NAMES)
    assert main(["table", local.root, "--table", "iceberg"]) == 0
    assert names_of(local) == [*NAMES.values()]


def test_in_a_catalog_they_stand_in_the_namespace_of_the_attendance_and_leftovers_go_with_a_district(
    local: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with rest_catalog(tmp_path / "served") as rest:
        fields = {"conn_type": "iceberg", "host": rest.url, "login": CREDENTIAL[0], "password": CREDENTIAL[1]}
        monkeypatch.setenv("AIRFLOW_CONN_CATALOG", json.dumps(fields))
        settings = iceberg_catalog(destination_url(f"file://{local.root}"), "catalog", "school.attendance")
        listed(local, NAMES)
        assert write_schools(at(local), [DISTRICT], IcebergTable(settings)) == []
        table = open_catalog(settings).load_table("school.schools")
        assert sorted(table.scan().to_arrow()["name"].to_pylist()) == sorted(NAMES.values())
        (file,) = (Path(task.file.file_path.removeprefix("file://")) for task in table.scan().plan_files())
        killed, foreign = file.with_name(f"rows-{'0' * 32}.parquet"), file.with_name("of-another-program.parquet")
        for left in (killed, foreign):
            left.write_bytes(file.read_bytes())
        assert forgotten(local).unreached == ()
        assert [path.name for path in file.parent.iterdir()] == [foreign.name]
        rest.lose_answers = 1
        assert IcebergTable(settings).schools.forget(DISTRICT) == []


def test_what_cannot_be_forgotten_in_a_catalog_is_said(local: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {"conn_type": "iceberg", "host": "http://127.0.0.1:1", "password": "a-made-up-token"}
    monkeypatch.setenv("AIRFLOW_CONN_CATALOG", json.dumps(fields))
    settings = iceberg_catalog(destination_url(f"file://{local.root}"), "catalog", "school.attendance")
    (said,) = IcebergTable(settings).schools.forget(DISTRICT)
    assert "school.schools" in said
    assert "a-made-up" not in said
