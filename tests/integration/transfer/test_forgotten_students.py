"""A student or a district that was forgotten stays so, whatever is pulled, and nobody else loses a row."""

import gzip
import io
import json
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.parquet as pq
import pytest

from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.forget.requests import Forgetting
from airflow_provider_clever.lake import changes, layout
from airflow_provider_clever.lake.formats import FORMATS
from airflow_provider_clever.lake.receipt_files import read_receipts
from airflow_provider_clever.lake.verify import verify
from airflow_provider_clever.sandbox.testing import Sandbox
from airflow_provider_clever.storage.objects import Objects
from airflow_provider_clever.transfer.result import TransferResult
from tests.support import asking
from tests.support.asking import FIELDS, landed

SECRET = "a made-up key that is long enough to be one"
STUDENT, SCHOOL, SIS_ID = (FIELDS.index(name) for name in ("student_id", "school_id", "sis_id"))
LATER = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEVER_FORGET_SECRET", SECRET)


FIRST_DAY = date(2026, 11, 2)


def ask(sandbox: Sandbox, lake: Path, **options: Any) -> TransferResult:
    """Pull three weeks."""
    return asking.ask(sandbox, lake, **{"first_day": FIRST_DAY, **options})


def objects_in(lake: Path) -> Objects:
    return layout.objects_at(fsspec.filesystem("file"), str(lake))


def forgetting(sandbox: Sandbox, lake: Path, **options: Any) -> Forgetting:
    return Forgetting(objects_in(lake), sandbox.district("small").id, **options)


def everything_in(lake: Path) -> Iterator[tuple[str, str]]:
    """The path and the decoded content of every file: decompressed; Parquet's rows, statistics and bytes."""
    for file in sorted(lake.rglob("*")):
        if file.is_file():
            data = file.read_bytes()
            text = (gzip.decompress(data) if file.suffix == ".gz" else data).decode("utf-8", "replace")
            if file.suffix == ".parquet":
                parquet = pq.ParquetFile(io.BytesIO(data))
                groups = [parquet.metadata.row_group(number) for number in range(parquet.metadata.num_row_groups)]
                chunks = [group.column(number) for group in groups for number in range(group.num_columns)]
                statistics = [one.statistics.to_dict() for one in chunks if one.statistics is not None]
                text += json.dumps([parquet.read().to_pylist(), statistics], default=str)
            yield str(file.relative_to(lake)), text


def holding(lake: Path, wanted: str) -> list[str]:
    return [path for path, text in everything_in(lake) if wanted in text or wanted in path]


def most_frequent_student(lake: Path) -> str:
    students = [str(row[STUDENT]) for row in landed(lake)]
    return max(sorted(set(students)), key=students.count)


def test_a_student_who_is_forgotten_is_in_no_file_and_does_not_come_back(sandbox: Sandbox, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    ask(sandbox, lake, write_changes=True)
    before, student = landed(lake), most_frequent_student(lake)
    others = [row for row in before if row[STUDENT] != student]
    own_sis_ids = {row[SIS_ID] for row in before if row[STUDENT] == student} - {row[SIS_ID] for row in others}
    assert len(others) < len(before)

    receipt = forgetting(sandbox, lake).students([student])

    assert receipt.state == "pending"
    assert receipt.is_complete
    assert receipt.counts["partitions"]["rows"] == len(before) - len(others)
    assert landed(lake) == others
    for wanted in (student, student[:12], *filter(None, own_sis_ids)):
        assert holding(lake, wanted) == []
    assert verify(fsspec.filesystem("file"), str(lake)).ok

    sandbox.sync("small", edits=40, late_rows=10, weeks=20)
    for work in ("sweep", "backfill"):
        answer = ask(sandbox, lake, work=work, write_changes=True)
        assert answer.summary["forgotten"] > 0
        assert answer.summary["schools_withheld"] == []
        assert holding(lake, student) == []
    (final,) = forgetting(sandbox, lake, clock=lambda: LATER).go_on()
    assert (final.state, final.counts) == ("final", receipt.counts)
    assert verify(fsspec.filesystem("file"), str(lake)).ok


def test_only_partitions_changes_and_quarantine_ever_hold_anything_of_a_student(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    sandbox.fault("malformed_row", family="attendance", defect="other_school", row=3, times=0)
    ask(sandbox, lake, write_changes=True)
    forgetting(sandbox, lake).students([most_frequent_student(lake)])
    sandbox.sync("small", edits=40, late_rows=10, weeks=20)
    ask(sandbox, lake, work="night", write_changes=True)
    rows = landed(lake)
    personal = {str(row[STUDENT]) for row in rows} | {str(row[SIS_ID]) for row in rows if row[SIS_ID]}
    folders = ("attendance/", "/changes/", "/quarantine/")
    silent = {path: text for path, text in everything_in(lake) if not any(folder in path for folder in folders)}
    assert {Path(path).name for path in silent} >= {"destination.json", "forgotten.json.gz"}
    assert [(path, one) for path, text in silent.items() for one in personal if one in text or one in path] == []


def test_the_changes_of_a_lake_that_has_forgotten_still_lead_to_its_rows(sandbox: Sandbox, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    ask(sandbox, lake, work="first", write_changes=True)
    sandbox.sync("small", edits=40, late_rows=10, weeks=20)
    ask(sandbox, lake, work="second", write_changes=True)
    student = most_frequent_student(lake)
    receipt = forgetting(sandbox, lake).students([student])
    sandbox.sync("small", edits=40, late_rows=10, weeks=20)
    ask(sandbox, lake, work="third", write_changes=True)

    objects, district_id = objects_in(lake), sandbox.district("small").id
    listed = {path for one in read_receipts(objects, district_id) for path in one.changes or ()}
    documents = [changes.read_change(objects, path) for path in sorted({*listed, *receipt.changes})]
    for path in receipt.touched:
        name = layout.parse_partition_path(path)
        if name is not None:
            _assert_replayed(lake, path, [one for one in documents if _is_of(one, name)])


def _is_of(document: dict[str, Any], name: layout.PartitionName) -> bool:
    return (document["school_id"], document["attendance_date"]) == (name.school_id, name.attendance_date)


def _assert_replayed(lake: Path, path: str, documents: list[dict[str, Any]]) -> None:
    landed_now = FORMATS["parquet"].read((lake / path).read_bytes())
    nothing = landed_now.rows.slice(0, 0)
    assert changes.replay(nothing, documents, changes.short_hash(landed_now.content_hash)).equals(landed_now.rows)


def test_a_pull_beside_which_a_student_is_forgotten_takes_out_what_it_wrote(sandbox: Sandbox, tmp_path: Path) -> None:
    lake, other = tmp_path / "lake", tmp_path / "other"
    ask(sandbox, other)
    student = most_frequent_student(other)
    ask(sandbox, lake, first_day=date(2026, 11, 20))  # something has to have landed
    sandbox.knobs(latency_ms=300)
    done = []
    pull = threading.Thread(target=lambda: done.append(ask(sandbox, lake, work="night", write_changes=True)))
    pull.start()
    while pull.is_alive() and not any(lake.glob("attendance/*/date=2026-11-0*")):
        pull.join(0.005)
    receipt = forgetting(sandbox, lake).students([student])
    pull.join(120)
    assert done
    assert holding(lake, student) == []
    assert receipt.state == "pending"
    assert verify(fsspec.filesystem("file"), str(lake)).ok
    assert landed(lake) == [row for row in landed(other) if row[STUDENT] != student]


@pytest.mark.parametrize(("secret", "reason"), [("", "no key was given"), ("x" * 40, "another one")])
def test_a_pull_without_the_key_refuses_before_it_writes(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str, reason: str
) -> None:
    lake = tmp_path / "lake"
    ask(sandbox, lake)
    forgetting(sandbox, lake).students([most_frequent_student(lake)])
    before = dict(everything_in(lake))
    monkeypatch.setenv("CLEVER_FORGET_SECRET", secret)
    with pytest.raises(CleverSettingsError, match=reason):
        ask(sandbox, lake, work="another")
    assert dict(everything_in(lake)) == before


def test_a_district_that_is_forgotten_is_refused_until_that_is_lifted(sandbox: Sandbox, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    ask(sandbox, lake, write_changes=True)
    before = landed(lake)
    receipt = forgetting(sandbox, lake, longest_task_hours=0).district()
    assert (receipt.state, receipt.is_complete) == ("final", True)
    assert receipt.counts["partitions"]["rows"] == len(before)
    left = {path.partition("/district=")[2].partition("/")[2] for path, _ in everything_in(lake)}
    assert {path for path in left if not path.startswith("local/")} == {
        "destination.json",
        "forgotten.json.gz",
        f"forgotten/{receipt.id}.json.gz",
    }
    with pytest.raises(CleverSettingsError, match="was forgotten here"):
        ask(sandbox, lake, work="another")
    assert verify(fsspec.filesystem("file"), str(lake)).ok
    assert forgetting(sandbox, lake).lift_district()
    ask(sandbox, lake, work="once more")
    assert landed(lake) == before


def test_rows_that_cannot_land_and_are_about_the_student_stay_out_of_quarantine(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    ask(sandbox, lake)
    student = most_frequent_student(lake)
    forgetting(sandbox, lake).students([student])
    sandbox.fault("duplicate_keys", row=3)
    ask(sandbox, lake, work="night")
    assert holding(lake, student) == []


def test_a_day_of_which_nobody_is_left_is_pulled_again_in_peace(sandbox: Sandbox, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    ask(sandbox, lake)
    before = landed(lake)
    bare = min(lake.glob("attendance/**/*.parquet"), key=lambda file: pq.read_metadata(file).num_rows)
    students = set(pq.read_table(bare, columns=["student_id"])["student_id"].to_pylist())
    forgetting(sandbox, lake).students(students)
    for work in ("next night", "the night after"):
        answer = ask(sandbox, lake, work=work)
        assert (answer.problem, answer.summary["schools_withheld"]) == (None, [])
        assert landed(lake) == [row for row in before if row[STUDENT] not in students]
        assert pq.read_metadata(bare).num_rows == 0
        assert verify(fsspec.filesystem("file"), str(lake)).ok
