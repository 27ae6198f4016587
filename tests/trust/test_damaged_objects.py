"""One object that cannot be read, or that its store will not give, spoils only itself; the run is red and names it."""

import errno
import gzip
import json
import os
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pytest_mock import MockerFixture

from airflow_provider_clever.cli.main import main
from airflow_provider_clever.exceptions import CleverLandingError
from airflow_provider_clever.sandbox.testing import Sandbox
from airflow_provider_clever.storage.compressed import read_gzipped_json
from airflow_provider_clever.transfer.result import TransferResult
from tests.support.airflow import AirflowHome
from tests.support.asking import ask, due, files, landed

FIRST, LAST = date(2026, 11, 16), date(2026, 11, 20)
SPOILED = date(2026, 11, 18)
RANGE = {"date_range_start": FIRST.isoformat(), "date_range_end": LAST.isoformat()}
ENDS = {"parquet": ".parquet", "jsonl": ".jsonl.gz"}


def pull(sandbox: Sandbox, lake: Path, file_format: str, work: str = "the work") -> TransferResult:
    return ask(sandbox, lake, first_day=FIRST, last_day=LAST, file_format=file_format, work=work)


def receipt_of(lake: Path, answer: TransferResult) -> dict:
    return read_gzipped_json((lake / answer.summary["receipt"]).read_bytes())


# --- partitions -------------------------------------------------------------------------------------------------------


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _in_the_middle(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:100] + bytes(len(data) - 200) + data[-100:])


def _html(path: Path) -> None:
    path.write_text("<html>maintenance</html>")


def _a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _a_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _of_a_newer_schema(path: Path) -> None:
    if path.suffix == ".parquet":
        table = pq.ParquetFile(path).read()
        pq.write_table(table.replace_schema_metadata({**table.schema.metadata, b"clever.schema_version": b"99"}), path)
    else:
        rows = [json.loads(line) | {"minutes": None} for line in gzip.decompress(path.read_bytes()).splitlines()]
        path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))


def _of_somebody_else(path: Path) -> None:
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"a": [1]}), path)
    else:
        path.write_bytes(gzip.compress(b'{"a":1}\n'))


def _with_a_number_for_text(path: Path) -> None:
    if path.suffix == ".parquet":
        table = pq.ParquetFile(path).read()
        place = table.schema.get_field_index("sis_id")
        numbers = table.set_column(place, "sis_id", pa.array(range(len(table)), pa.int64()))
        pq.write_table(numbers.replace_schema_metadata(table.schema.metadata), path)
    else:
        rows = [json.loads(line) | {"sis_id": 5} for line in gzip.decompress(path.read_bytes()).splitlines()]
        path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))


def _without_a_student(path: Path) -> None:
    if path.suffix == ".parquet":
        table = pq.ParquetFile(path).read()
        place = table.schema.get_field_index("student_id")
        pq.write_table(table.set_column(place, "student_id", pa.nulls(len(table), pa.string())), path)
    else:
        rows = [json.loads(line) | {"student_id": None} for line in gzip.decompress(path.read_bytes()).splitlines()]
        path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))


DAMAGES: dict[str, Callable[[Path], None]] = {
    "empty": _empty,
    "cut_short": _cut_short,
    "zeros_in_the_middle": _in_the_middle,
    "html": _html,
    "a_folder_in_its_place": _a_folder,
    "a_link_to_itself": _a_loop,
    "of_a_newer_schema": _of_a_newer_schema,
    "of_somebody_else": _of_somebody_else,
    "a_number_for_text": _with_a_number_for_text,
    "no_student": _without_a_student,
}
NEXT_STEP = {
    "of_a_newer_schema": "Upgrade airflow-provider-clever here",
    "a_folder_in_its_place": "something else stands at this path",
    "a_link_to_itself": "something else stands at this path",
}


@pytest.mark.parametrize("file_format", ENDS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_one_unreadable_partition_spoils_its_school_for_its_day_and_nothing_else(
    sandbox: Sandbox, tmp_path: Path, damage: str, file_format: str
) -> None:
    lake, first = tmp_path / "lake", tmp_path / "first"
    pull(sandbox, first, file_format)
    school_id = sandbox.district("small").school_ids[0]
    name = f"attendance/district={sandbox.district('small').id}/date={SPOILED}/school-{school_id}{ENDS[file_format]}"
    # Nothing else has landed yet, so whatever the damage keeps from landing is missed.
    target = lake / name
    target.parent.mkdir(parents=True)
    target.write_bytes((first / name).read_bytes())
    (lake / "_clever").mkdir()
    DAMAGES[damage](target)
    before = target.read_bytes() if damage not in NEXT_STEP or "newer" in damage else None
    _row_that_changes_the_partition(sandbox, school_id)

    answer = pull(sandbox, lake, file_format)

    assert isinstance(answer.problem, CleverLandingError)
    assert str(target) in str(answer.problem)
    assert NEXT_STEP.get(damage, "Restore an earlier version of it, or move it away") in str(answer.problem)
    assert before is None or target.read_bytes() == before
    _rest(target, tmp_path)
    assert landed(lake, file_format) == due(
        row
        for row in sandbox.expected("small", **RANGE)
        if (row["school_id"], row["attendance_date"]) != (school_id, SPOILED.isoformat())
    )
    assert answer.summary["schools_failed"] == [school_id]
    receipt = receipt_of(lake, answer)
    assert receipt["schools"][school_id]["covered"] == [
        [FIRST.isoformat(), (SPOILED - timedelta(days=1)).isoformat()],
        [(SPOILED + timedelta(days=1)).isoformat(), LAST.isoformat()],
    ]
    assert str(target) in receipt["schools"][school_id]["error"]
    others = [school for other, school in receipt["schools"].items() if other != school_id]
    assert {tuple(map(tuple, school["covered"])) for school in others} == {((FIRST.isoformat(), LAST.isoformat()),)}

    healed = pull(sandbox, lake, file_format, work="after it was moved away")

    assert healed.problem is None
    assert landed(lake, file_format) == due(sandbox.expected("small", **RANGE))
    assert receipt_of(lake, healed)["schools"][school_id]["covered"] == [[FIRST.isoformat(), LAST.isoformat()]]


def _row_that_changes_the_partition(sandbox: Sandbox, school_id: str) -> None:
    row = sandbox.expected("small", school_id=school_id, date_range_start=str(SPOILED), date_range_end=str(SPOILED))[0]
    sandbox.put_rows(row | {"attendance_status": "absent", "excuse_code": "corrected"})


def _rest(target: Path, aside: Path) -> None:
    """Move the damaged object away, as the message says."""
    target.rename(aside / "moved-away")


def test_many_unreadable_partitions_spoil_only_themselves(sandbox: Sandbox, tmp_path: Path) -> None:
    """However many there are: that the files are damaged says nothing about the store."""
    pull(sandbox, tmp_path, "parquet")
    spoiled = sorted(tmp_path.glob("attendance/**/*.parquet"))
    kept, spoiled = spoiled[-3:], spoiled[:-3]
    assert len(spoiled) > 16
    for path in spoiled:
        path.write_bytes(b"")
    for path in kept:
        path.unlink()

    answer = pull(sandbox, tmp_path, "parquet", work="again")

    assert isinstance(answer.problem, CleverLandingError)
    assert all(path.stat().st_size for path in kept)
    assert not any(path.stat().st_size for path in spoiled)


def test_a_store_that_refuses_everything_ends_the_pull_soon(sandbox: Sandbox, tmp_path: Path) -> None:
    pull(sandbox, tmp_path, "parquet")
    for path in tmp_path.glob("attendance/**/*.parquet"):
        _a_folder(path)
    sandbox.clear_requests()

    with pytest.raises(CleverLandingError, match="something else stands at this path"):
        pull(sandbox, tmp_path, "parquet", work="again")

    assert not list(tmp_path.glob("attendance/**/*.parquet/*"))


def test_a_task_of_real_airflow_fails_for_good_and_names_the_partition(
    sandbox: Sandbox, airflow_home: AirflowHome, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    pull(sandbox, lake, "parquet")
    spoiled, *others = sorted(lake.glob(f"attendance/*/date={SPOILED}/*.parquet"))
    spoiled.write_bytes(b"")
    for path in others:
        path.unlink()

    outcome = airflow_home.run_dag(
        dedent(
            f"""
            from datetime import timedelta

            from airflow.sdk import DAG

            from airflow_provider_clever.operators.clever import CleverAttendanceOperator

            with DAG("pulls", schedule=None, default_args={{"retries": 2, "retry_delay": timedelta(seconds=1)}}):
                CleverAttendanceOperator(
                    task_id="pull",
                    district_id="{sandbox.district("small").id}",
                    destination="{lake.as_uri()}",
                    date_range_start="{FIRST}",
                    date_range_end="{LAST}",
                )
            """
        ),
        connections={"clever_default": sandbox.connection_json()},
    )

    assert (outcome.tasks["pull", -1], outcome.tries["pull", -1]) == ("failed", 1)
    assert str(spoiled) in outcome.log
    assert "Restore an earlier version of it, or move it away" in outcome.log
    assert all(path.stat().st_size for path in others)
    assert (lake / outcome.xcom("pull", "summary")["receipt"]).exists()


def test_a_store_that_takes_the_rows_of_a_day_but_not_its_mark_spoils_only_that_day(
    sandbox: Sandbox, tmp_path: Path, mocker: MockerFixture
) -> None:
    pull(sandbox, tmp_path, "parquet")
    school_id = sandbox.district("small").school_ids[0]
    gone = [
        sandbox.expected("small", school_id=school_id, date_range_start=str(day), date_range_end=str(day))[0]
        for day in (SPOILED, LAST)
    ]
    sandbox.delete_rows(*gone)
    plain_rename = os.rename

    def refuse(source: str, target: str, **options: Any) -> None:
        if f"date={SPOILED}/school-{school_id}" in str(target):
            raise PermissionError(errno.EACCES, "refused", str(target))
        plain_rename(source, target, **options)

    mocker.patch("os.rename", refuse)
    answer = pull(sandbox, tmp_path, "parquet", work="the next night")
    mocker.stopall()

    assert isinstance(answer.problem, CleverLandingError)
    assert f"date={SPOILED}/school-{school_id}" in str(answer.problem)
    assert (answer.summary["missing"], answer.summary["schools_failed"]) == (1, [school_id])
    covered = receipt_of(tmp_path, answer)["schools"][school_id]["covered"]
    assert covered == [
        [FIRST.isoformat(), (SPOILED - timedelta(days=1)).isoformat()],
        [(SPOILED + timedelta(days=1)).isoformat(), LAST.isoformat()],
    ]
    assert pull(sandbox, tmp_path, "parquet", work="the night after").summary["missing"] == 1


@pytest.mark.parametrize("damage", ["empty", "html", "a_folder_in_its_place"])
def test_answers_that_cannot_be_read_leave_their_rows_unmarked_and_everything_else_lands(
    sandbox: Sandbox, tmp_path: Path, damage: str
) -> None:
    pull(sandbox, tmp_path, "parquet")
    (folder,) = tmp_path.glob("_clever/district=*")
    (folder / "answers.json").write_text("{}")
    DAMAGES[damage](folder / "answers.json")
    loses, corrects, *_ = sandbox.district("small").school_ids
    rows = {
        school_id: sandbox.expected(
            "small", school_id=school_id, date_range_start=str(SPOILED), date_range_end=str(SPOILED)
        )[0]
        for school_id in (loses, corrects)
    }
    sandbox.delete_rows(rows[loses])
    sandbox.put_rows(rows[corrects] | {"attendance_status": "absent", "excuse_code": "corrected"})

    answer = pull(sandbox, tmp_path, "parquet", work="the next night")

    assert isinstance(answer.problem, CleverLandingError)
    assert "answers.json" in str(answer.problem)
    assert (answer.summary["missing"], answer.summary["changed"]) == (0, 1)
    assert answer.summary["schools_failed"] == [loses]
    schools = receipt_of(tmp_path, answer)["schools"]
    assert (schools[loses]["covered"], schools[corrects]["covered"]) == ([], [[FIRST.isoformat(), LAST.isoformat()]])
    (folder / "answers.json").rename(tmp_path / "moved-away")
    healed = pull(sandbox, tmp_path, "parquet", work="the night after")
    assert (healed.problem, healed.summary["missing"]) == (None, 1)


# --- partitions that somebody else has changed ------------------------------------------------------------------------


def test_rows_that_somebody_took_out_of_a_parquet_file_with_its_mark_come_back(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """pyarrow keeps a file's metadata when it rewrites it, and our content hash with it."""
    pull(sandbox, tmp_path, "parquet")
    changed = min(tmp_path.glob("attendance/**/*.parquet"))
    table = pq.ParquetFile(changed).read()
    pq.write_table(table.slice(2), changed)
    mark = b"clever.content_hash"
    assert pq.read_metadata(changed).metadata[mark] == table.schema.metadata[mark]

    summary = pull(sandbox, tmp_path, "parquet", work="again").summary

    assert (summary["written"], summary["added"]) == (1, 2)
    assert landed(tmp_path) == due(sandbox.expected("small", **RANGE))


@pytest.mark.parametrize("edit", ["a_row_less", "another_value", "two_row_groups_one_row_less"])
def test_verify_finds_rows_that_somebody_changed_in_a_parquet_file_with_its_mark(
    sandbox: Sandbox, tmp_path: Path, edit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pull(sandbox, tmp_path, "parquet")
    changed = min(tmp_path.glob("attendance/**/*.parquet"))
    table = pq.ParquetFile(changed).read()
    place = table.schema.get_field_index("attendance_status")
    other = pa.repeat("remote", len(table))
    edited = {
        "a_row_less": lambda: pq.write_table(table.slice(1), changed),
        "another_value": lambda: pq.write_table(table.set_column(place, table.schema.field(place), other), changed),
        "two_row_groups_one_row_less": lambda: pq.write_table(table.slice(1), changed, row_group_size=len(table) // 2),
    }
    edited[edit]()

    assert main(["verify", str(tmp_path), "--json"]) == 1

    assert json.loads(capsys.readouterr().out)["counts"]["damaged"] == 1


def test_a_flipped_bit_is_found_by_the_checksum_of_its_page(sandbox: Sandbox, tmp_path: Path) -> None:
    """In a page that is not compressed nothing but its checksum tells: the flipped byte is another valid text."""
    pull(sandbox, tmp_path, "parquet")
    changed = min(tmp_path.glob("attendance/**/*.parquet"))
    data = changed.read_bytes()
    place = data.index(b"present")
    changed.write_bytes(data[:place] + b"q" + data[place + 1 :])
    assert "qresent" in pq.ParquetFile(changed).read().column("attendance_status").to_pylist()
    school_id = changed.name.removeprefix("school-").removesuffix(".parquet")
    day = changed.parent.name.removeprefix("date=")
    row = sandbox.expected("small", school_id=school_id, date_range_start=day, date_range_end=day)[0]
    sandbox.put_rows(row | {"attendance_status": "absent", "excuse_code": "corrected"})

    answer = pull(sandbox, tmp_path, "parquet", work="again")

    assert isinstance(answer.problem, CleverLandingError)
    assert str(changed) in str(answer.problem)
    assert main(["verify", str(tmp_path)]) == 1


# --- what is ours -----------------------------------------------------------------------------------------------------


def test_a_quarantine_that_cannot_be_read_spoils_only_the_rows_that_belong_in_it(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    first = tmp_path / "first"
    sandbox.fault("malformed_row", family="attendance", defect="missing_student_id", times=0)
    pull(sandbox, first, "parquet")
    shards = sorted(first.glob("_clever/*/quarantine/*.json.gz"))
    assert len(shards) > 1
    lake = tmp_path / "lake"
    target = lake / shards[0].relative_to(first)
    target.parent.mkdir(parents=True)
    target.write_bytes(b"damaged")

    answer = pull(sandbox, lake, "parquet")

    assert isinstance(answer.problem, CleverLandingError)
    assert str(target) in str(answer.problem)
    assert target.read_bytes() == b"damaged"
    assert landed(lake) == landed(first)
    kept = {path.name: path.read_bytes() for path in lake.glob("_clever/*/quarantine/*.json.gz") if path != target}
    assert kept.keys() == {path.name for path in shards[1:]}
    receipt = receipt_of(lake, answer)
    (failed,) = (school for school in receipt["schools"].values() if school["state"] == "failed")
    whole = [[FIRST.isoformat(), LAST.isoformat()]]
    assert failed["covered"] != whole
    assert str(target) in failed["error"]
    assert all(school["covered"] == whole for school in receipt["schools"].values() if school is not failed)


def test_a_change_record_that_a_killed_try_left_damaged_is_written_again_by_the_next(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    def pull_with_feed(lake: Path) -> TransferResult:
        return ask(sandbox, lake, first_day=FIRST, last_day=LAST, write_changes=True)

    first, lake = tmp_path / "first", tmp_path / "lake"
    pull_with_feed(first)
    whole = {path.relative_to(first): path.read_bytes() for path in first.glob("_clever/*/changes/*/*/*.json.gz")}
    for name in whole:
        (lake / name).parent.mkdir(parents=True, exist_ok=True)
        (lake / name).write_bytes(b"")

    assert pull_with_feed(lake).problem is None

    assert {name: (lake / name).read_bytes() for name in whole} == whole


@pytest.mark.parametrize("what", ["attendance", "receipts", "changes", "quarantine"])
@pytest.mark.parametrize("damage", ["empty", "a_folder_in_its_place", "a_link_to_itself"])
def test_verify_counts_what_cannot_be_read_and_goes_on(
    sandbox: Sandbox, tmp_path: Path, what: str, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox.fault("malformed_row", family="attendance", defect="missing_student_id", times=1)
    ask(sandbox, tmp_path, first_day=FIRST, last_day=LAST, write_changes=True)
    found = {
        "attendance": "attendance/*/*/*.parquet",
        "receipts": "_clever/*/receipts/*/*.json.gz",
        "changes": "_clever/*/changes/*/*/*.json.gz",
        "quarantine": "_clever/*/quarantine/*.json.gz",
    }
    DAMAGES[damage](min(tmp_path.glob(found[what])))

    assert main(["verify", str(tmp_path), "--json"]) == 1

    report = json.loads(capsys.readouterr().out)
    assert report["counts"]["damaged"] == 1
    whole = len(files(tmp_path)) - (what == "attendance" and damage == "empty")
    assert report["partitions"] - (what == "attendance") == whole
