"""A destination on every kind of store: preflight, landing, quarantine, and what stands where."""

import gzip
import json
import random
from datetime import date
from pathlib import Path

import pytest
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_clever.attendance.rows import PulledDay, RejectedRow
from airflow_provider_clever.exceptions import CleverDataError, CleverLandingError, CleverSettingsError
from airflow_provider_clever.lake.formats import FORMATS
from airflow_provider_clever.lake.store import Destination
from tests.lake import emulators
from tests.lake.builders import DAY, DISTRICT, SCHOOL, TODAY, context, day, land_and_mark, listed, pulled, row
from tests.lake.emulators import Store

PATH = f"attendance/district={DISTRICT}/date={DAY}/school-{SCHOOL}"


def destination(store: Store, file_format: str = "parquet", **options: bool) -> Destination:
    return Destination(store.filesystem(), store.root, district_id=DISTRICT, file_format=file_format, **options)


def everything(store: Store) -> dict[str, bytes]:
    fs = store.filesystem()
    fs.invalidate_cache()
    return {path.partition(store.root)[2].lstrip("/"): fs.cat_file(path) for path in fs.find(store.root)}


@pytest.mark.parametrize(("file_format", "end"), [("parquet", ".parquet"), ("jsonl", ".jsonl.gz")])
def test_a_day_lands_once_is_merged_and_is_not_written_again(any_store: Store, file_format: str, end: str) -> None:
    lake = destination(any_store, file_format)
    lake.check()
    first = lake.land(day([row("b"), row("a")]), context=context())
    assert (first.outcome, first.rows, first.received, first.path) == ("written", 2, 2, PATH + end)
    before = everything(any_store)
    assert lake.land(day([row("a"), row("b")]), context=context()).outcome == "unchanged"
    assert everything(any_store) == before
    second = land_and_mark(lake, day([row("b", attendance_status="tardy", modified=1), row("c")]), context())
    assert (second.outcome, second.rows) == ("written", 3)
    assert (second.counts.added, second.counts.changed, second.counts.missing) == (1, 1, 1)
    rows = listed(FORMATS[file_format].read(everything(any_store)[PATH + end]).rows)
    assert [(one["student_id"], one["attendance_status"], one["missing_since"] is None) for one in rows] == [
        ("a", "present", False),
        ("b", "tardy", True),
        ("c", "present", True),
    ]
    assert lake.land(day([], attendance_date="2026-04-02"), context=context()).outcome == "absent"


def test_preflight_passes_twice_and_refuses_another_format(any_store: Store) -> None:
    destination(any_store, "jsonl").check()
    destination(any_store, "jsonl").check()
    with pytest.raises(CleverSettingsError, match=r"holds this district as 'jsonl'.*set file_format='jsonl'"):
        destination(any_store, "parquet").check()


def test_preflight_finds_the_landed_format_without_its_own_marker(local: Store) -> None:
    destination(local, "jsonl").land(day([row()]), context=context())
    with pytest.raises(CleverSettingsError, match="holds this district as 'jsonl'"):
        destination(local, "parquet").check()
    destination(local, "jsonl").check()


@pytest.mark.parametrize("damage", [b"", b"{}", b"null", b"\xff", b'{"file_format": "parquet"}'])
def test_a_damaged_marker_is_written_again_as_the_landed_files_say(local: Store, damage: bytes) -> None:
    lake = destination(local)
    lake.check()
    lake.land(day([row()]), context=context())
    (marker,) = Path(local.root).glob("_clever/*/destination.json")
    whole = marker.read_bytes()
    marker.write_bytes(damage)
    with pytest.raises(CleverSettingsError, match="holds this district as 'parquet'"):
        destination(local, file_format="jsonl").check()
    assert marker.read_bytes() == damage
    destination(local).check()
    assert marker.read_bytes() == whole


def test_a_marker_of_a_newer_layout_is_refused_and_left_alone(local: Store) -> None:
    destination(local).check()
    (marker,) = Path(local.root).glob("_clever/*/destination.json")
    marker.write_text('{"file_format": "parquet", "layout_version": 3}')
    with pytest.raises(CleverSettingsError, match=r"newer version.*Upgrade"):
        destination(local).check()
    assert "3" in marker.read_text()


def test_a_store_that_overwrites_although_told_not_to_is_refused_unless_there_is_one_writer() -> None:
    with emulators.gcs(as_published=True) as store:  # ignores ifGenerationMatch, and sends no generation
        with pytest.raises((CleverSettingsError, CleverLandingError)):
            destination(store).check()
        alone = destination(store.below("alone"), single_writer=True)
        alone.check()
        assert alone.land(day([row()]), context=context()).outcome == "written"
        assert alone.land(day([row()]), context=context()).outcome == "unchanged"


def test_an_unknown_kind_of_store_is_refused_unless_there_is_one_writer() -> None:
    fs = DirFileSystem("/somewhere", MemoryFileSystem())
    with pytest.raises(CleverSettingsError, match=r"dir:// cannot write .*single_writer=True"):
        Destination(fs, "lake", district_id=DISTRICT).check()
    alone = Destination(fs, "lake", district_id=DISTRICT, single_writer=True)
    alone.check()
    assert alone.land(day([row()]), context=context()).outcome == "written"


def test_landing_leaves_only_partitions_among_the_partitions(any_store: Store) -> None:
    lake = destination(any_store)
    lake.check()
    lake.land(day([row()]), context=context())
    lake.quarantine([RejectedRow("bad", 1, 2, "{}")], today=TODAY)
    names = set(everything(any_store))
    assert {name for name in names if name.startswith("attendance/") or name.endswith(".parquet")} == {
        PATH + ".parquet"
    }
    assert all(name.startswith(f"_clever/district={DISTRICT}/") for name in names - {PATH + ".parquet"})


@pytest.mark.parametrize("name", ["district_id", "school_id", "attendance_date"])
def test_a_row_of_another_partition_is_refused_before_anything_is_written(memory: Store, name: str) -> None:
    lake = destination(memory.below(name))
    other = "2026-04-02" if name == "attendance_date" else "somebody-else"
    mixed = PulledDay(SCHOOL, DAY, pulled([row("a"), row("b", **{name: other})]), whole=True)
    with pytest.raises(CleverDataError, match=f"another {name}") as caught:
        lake.land(mixed, context=context())
    assert "somebody-else" not in str(caught.value)
    assert everything(memory.below(name)) == {}


def test_ids_never_leave_their_folder(memory: Store) -> None:
    with pytest.raises(CleverDataError):
        Destination(memory.filesystem(), memory.root, district_id="../other")
    with pytest.raises(CleverDataError):
        destination(memory).land(day([row()], school_id="../other"), context=context())


def test_conflicting_rows_go_to_quarantine_once(any_store: Store) -> None:
    lake = destination(any_store)
    pull = [row("a", excuse_code="old", modified=1), row("a", excuse_code="new", modified=2), row("b")]
    for expected in (1, 0):
        outcome = lake.land(day(pull), context=context())
        assert (outcome.counts.conflicts, outcome.rows, len(outcome.rejected)) == (1, 2, 1)
        assert json.loads(outcome.rejected[0].raw)["excuse_code"] == "old"
        assert "old" not in repr(outcome)
        assert lake.quarantine(outcome.rejected, today=TODAY) == expected


def test_quarantine_keeps_the_first_reason_page_row_and_date_of_each_row(memory: Store) -> None:
    store = memory.below("quarantine")
    lake = destination(store)
    rejected = [RejectedRow("no student", 3, 17, '{"a":"é"}'), RejectedRow("no student", 3, 18, '{"a":2}')]
    assert lake.quarantine(rejected, today=TODAY) == 2
    assert lake.quarantine([rejected[0]._replace(page=9), RejectedRow("x", 1, 1, "{}")], today=date(2027, 1, 1)) == 1
    assert lake.quarantine([], today=TODAY) == 0
    entries = [
        entry
        for path, data in everything(store).items()
        if "/quarantine/" in path
        for entry in json.loads(gzip.decompress(data)).values()
    ]
    assert len(entries) == 3
    assert {
        "reason": "no student",
        "page": 3,
        "row": 17,
        "raw": '{"a":"é"}',
        "first_seen": "2026-04-20",
    } in entries


def test_without_a_sync_rows_are_marked_with_the_first_instant_of_today() -> None:
    assert context(sync_before=None).missing_since == "2026-04-20T00:00:00.000000Z"


@pytest.mark.parametrize("sync", ["2026-04-19", "2026-04-19T03:00:00Z", "2026-04-19T03:00:00.000000+00:00"])
def test_a_sync_that_is_not_written_canonically_never_becomes_a_mark(sync: str) -> None:
    with pytest.raises(ValueError, match="sync_before must be written"):
        context(sync_before=sync)


def test_a_pull_of_a_range_that_clever_has_emptied_keeps_every_row(any_store: Store) -> None:
    lake = destination(any_store)
    lake.land(day([row("a"), row("b")]), context=context())
    marked = land_and_mark(lake, day([]), context())
    assert (marked.rows, marked.counts.missing) == (2, 2)
    assert land_and_mark(lake, day([]), context()).outcome == "unchanged"


def test_past_the_retention_edge_an_empty_pull_changes_nothing(memory: Store) -> None:
    lake = destination(memory.below("edge"))
    lake.land(day([row("a")]), context=context())
    late = land_and_mark(lake, day([]), context(today=date(2026, 9, 17)))
    assert (late.outcome, late.counts.expired) == ("unchanged", 1)
    assert land_and_mark(lake, day([]), context(today=date(2026, 9, 16))).counts.missing == 1


def test_it_works_with_airflows_own_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    from airflow.sdk import ObjectStoragePath

    path = ObjectStoragePath(f"file://{tmp_path}/lake")
    lake = Destination(path.fs, path.path, district_id=DISTRICT)
    lake.check()
    lake.land(day([row()]), context=context())
    assert (tmp_path / "lake" / f"{PATH}.parquet").is_file()


def test_landing_a_month_in_any_order_gives_the_same_bytes(tmp_path: Path) -> None:
    pulls = [
        [row("a", modified=1), row("b", modified=2)],
        [row("a", modified=3, attendance_status="tardy")],
        [row("c", modified=2), row("b", modified=1)],
    ]
    seen = set()
    for number in range(6):
        lake = destination(Store("file", str(tmp_path / str(number))))
        for pull in random.Random(number).sample(pulls, 3):
            lake.land(day(pull, whole=False), context=context())
        seen.add((tmp_path / str(number) / f"{PATH}.parquet").read_bytes())
    assert len(seen) == 1
