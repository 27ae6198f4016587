"""What is forgotten is gone from every kind of store, and the receipt says what is not."""

import gzip
import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pytest

from airflow_provider_clever.attendance.rows import RejectedRow
from airflow_provider_clever.exceptions import CleverLandingError, CleverSettingsError
from airflow_provider_clever.forget.receipts import ForgetReceipt, read_receipt
from airflow_provider_clever.forget.requests import Forgetting
from airflow_provider_clever.forget.rules import first_kept_day
from airflow_provider_clever.forget.student_lists import pending_among, student_ids_in
from airflow_provider_clever.lake import layout
from airflow_provider_clever.lake.forgotten import Key, Request, read_forgotten, update_forgotten, with_request
from airflow_provider_clever.lake.formats import FORMATS
from airflow_provider_clever.lake.idempotency_key import IdempotencyKey
from airflow_provider_clever.lake.preflight import marker_path
from airflow_provider_clever.lake.store import Destination
from airflow_provider_clever.storage.objects import Objects
from airflow_provider_clever.storage.versions import ABSENT
from tests.lake.builders import DISTRICT, SCHOOL, TODAY, context, day, row
from tests.lake.emulators import Store

SECRET = "a made-up key that is long enough to be one"
WANTED, OTHER = "66aaaaaaaaaaaaaaaaaaaaaa", "66bbbbbbbbbbbbbbbbbbbbbb"
DAYS = tuple(f"2026-04-{number:02}" for number in range(1, 6))
OWN_SIS_ID = "D1-2026"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEVER_FORGET_SECRET", SECRET)


def destination(store: Store, file_format: str = "parquet") -> Destination:
    return Destination(store.filesystem(), store.root, district_id=DISTRICT, file_format=file_format)


def fill(store: Store, file_format: str = "parquet") -> Destination:
    """A lake that holds the student wherever a lake can hold one."""
    lake = destination(store, file_format)
    lake.check()
    knows = context(idempotency_key=IdempotencyKey.of("a night", month="2026-04"), write_changes=True)
    for number, attendance_date in enumerate(DAYS):
        rows = [row(OTHER, sis_id=f"D2-{number}"), row("66cccccccccccccccccccccc")]
        if number % 2 == 0:
            rows.append(row(WANTED, sis_id=OWN_SIS_ID, _extra='{"note":"x"}'))
        if number == 1:
            rows[0]["_extra"] = json.dumps({"friend": WANTED}, separators=(",", ":"))
        lake.land(day(rows, attendance_date=attendance_date), context=knows)
    raws: list[dict[str, Any]] = [
        {"student_id": WANTED, "attendance_date": "unreal"},
        {"student_id": f"{WANTED} ", "attendance_date": DAYS[0]},
        {"student_id": WANTED[:15], "attendance_date": DAYS[0]},
        {"student_id": None, "school_id": SCHOOL, "sis_id": OWN_SIS_ID},
        {"student_id": OTHER, "school_id": SCHOOL, "sis_id": OWN_SIS_ID, "why": "the other's own"},
        {"student_id": OTHER, "deep": [{"of": {"id": WANTED}}]},
    ]
    lake.quarantine([RejectedRow("made up", 1, 1, json.dumps(one)) for one in raws], today=TODAY)
    return lake


def forgetting(lake: Destination, **options: Any) -> Forgetting:
    return Forgetting(lake.objects, DISTRICT, **options)


def texts(objects: Objects) -> Iterator[tuple[str, str]]:
    """Every object, decompressed and decoded."""
    for path in objects.names_below(""):
        found = objects.read(path)
        assert found is not None
        data = found[0]
        name = layout.parse_partition_path(path)
        text = (gzip.decompress(data) if path.endswith(".gz") and data else data).decode("utf-8", "replace")
        yield (
            path,
            text + (json.dumps(FORMATS[name.file_format].read(data).rows.to_pylist(), default=str) if name else ""),
        )


def holding(objects: Objects, wanted: str) -> list[str]:
    return [path for path, text in texts(objects) if wanted in text or wanted in path]


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_nothing_of_a_forgotten_student_is_left_in_any_object(any_store: Store, file_format: str) -> None:
    lake = fill(any_store, file_format)
    assert len(holding(lake.objects, WANTED)) > 10
    receipt = forgetting(lake).students([WANTED])
    assert holding(lake.objects, WANTED[:12]) == []
    assert [path for path in holding(lake.objects, OWN_SIS_ID) if "quarantine" not in path] == []
    raws = [entry["raw"] for _, text in texts(lake.objects) if '"raw"' in text for entry in json.loads(text).values()]
    assert [json.loads(raw)["why"] for raw in raws] == ["the other's own"]
    assert receipt.counts["partitions"] == {"objects": 4, "rows": 3}
    assert receipt.counts["quarantine"]["rows"] == 5


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
@pytest.mark.parametrize("ids_at_hand", [True, False])
@pytest.mark.parametrize(
    "mention",
    [
        {"_extra": json.dumps({"note": f"siblings:\n{WANTED}"}, separators=(",", ":"))},
        {"_extra": json.dumps({"note": f"of{WANTED}and"}, separators=(",", ":"))},
        {"_extra": json.dumps({"sent": json.dumps({WANTED: "\n"})}, separators=(",", ":"))},
        {"excuse_code": f"sibling of {WANTED}"},
        {"attendance_status": WANTED},
        {"sis_id": f"{WANTED}-7", "attendance_type": "section"},
        {"section_id": f"S{WANTED}", "attendance_type": "section"},
    ],
    ids="-".join,
)
def test_no_column_of_another_row_keeps_a_mention_and_later_pulls_find_nothing_new(
    memory: Store, request: pytest.FixtureRequest, file_format: str, mention: dict[str, str], *, ids_at_hand: bool
) -> None:
    store = memory.below(re.sub(r"\W", "-", request.node.name))
    lake = destination(store, file_format)
    lake.check()
    section = {"attendance_type": "section", "sis_id": "a-7"}  # before the mention; behind what replaces it
    pulled = day([row(OTHER, **mention), row(OTHER, **section), row("66cccccccccccccccccccccc")])
    knows = context(write_changes=True, idempotency_key=IdempotencyKey.of("a night", month="2026-04"))
    lake.land(pulled, context=knows)
    lake.quarantine([RejectedRow("made up", 1, 1, json.dumps({"student_id": OTHER, **mention}))], today=TODAY)
    if ids_at_hand:
        receipt = forgetting(lake).students([WANTED])
    else:  # as a later sweep, which has hashes alone
        key, asked_at = Key(SECRET, DISTRICT), "2026-04-20T00:00:00.000000Z"
        students = {key.student(WANTED): ()}
        asked = Request(kind="students", asked_at=asked_at, final_after=asked_at, students=students)
        update_forgotten(lake.objects, DISTRICT, lambda now: with_request(now, "a" * 32, asked, key))
        (receipt,) = forgetting(lake).go_on()
    assert (receipt.unreached, holding(lake.objects, WANTED[:12])) == ((), [])
    again = destination(store, file_format)
    again.check()
    assert again.land(pulled, context=knows).outcome == "unchanged"


def test_an_id_that_others_begin_with_removes_nothing_of_theirs(memory: Store) -> None:
    lake = fill(memory.below("a slip"))
    lake.quarantine([RejectedRow("made up", 1, 1, json.dumps({"student_id": "66aaaaaaaaaabbbbbbbbbbbb"}))], today=TODAY)
    before = {path: text for path, text in texts(lake.objects) if "forgotten" not in path}
    forgetting(lake).students([WANTED[:12]])
    after = dict(texts(lake.objects))
    changed = {path for path, text in before.items() if after.get(path) != text}
    assert {path for path in changed if "quarantine" not in path and "destination.json" not in path} == set()
    assert any("66aaaaaaaaaabbbbbbbbbbbb" in text for path, text in after.items() if "quarantine" in path)


def test_nothing_that_runs_write_counts_as_a_stranger(memory: Store) -> None:
    lake = fill(memory.below("whole"))
    for name in ("coverage.json", "status.json", "answers.json", "alerts.json", "partitions/2026-04.json.gz"):
        lake.objects.write(layout.our_path(DISTRICT, name), b"{}", ABSENT)
    assert forgetting(lake).students([WANTED]).unreached == ()


def test_what_was_learned_of_a_student_outlives_that_another_was_lifted(memory: Store) -> None:
    lake = fill(memory.below("learned"))
    forgetting(lake).students([WANTED, "66eeeeeeeeeeeeeeeeeeeeee"])
    forgetting(lake).lift_students(["66eeeeeeeeeeeeeeeeeeeeee"])
    forgetting(lake).students([WANTED, "66eeeeeeeeeeeeeeeeeeeeee"])
    lake.check()
    nameless = json.dumps({"student_id": None, "school_id": SCHOOL, "sis_id": OWN_SIS_ID})
    assert lake.forgotten.admitted_rejects([RejectedRow("made up", 1, 1, nameless)]) == []


def test_all_other_rows_stay_as_they_are_for_duckdb(local: Store) -> None:
    lake = fill(local)
    query = (
        "SELECT * EXCLUDE (_extra, filename, date, district) "
        f"FROM read_parquet('{local.root}/attendance/**/*.parquet', filename=true, hive_partitioning=true) "
        f"WHERE student_id != '{WANTED}' ORDER BY ALL"
    )
    before = duckdb.sql(query).fetchall()
    untouched = {path: text for path, text in texts(lake.objects) if path.startswith("attendance/") and DAYS[3] in path}
    forgetting(lake).students([WANTED])
    assert duckdb.sql(query.replace(f"WHERE student_id != '{WANTED}'", "")).fetchall() == before
    after = dict(texts(lake.objects))
    assert {path: after[path] for path in untouched} == untouched


def test_only_partitions_that_hold_the_student_are_written(local: Store) -> None:
    lake = fill(local)
    stamps = {file: file.stat().st_mtime_ns for file in Path(local.root, "attendance").rglob("*.parquet")}
    receipt = forgetting(lake).students([WANTED])
    touched = {path for path in receipt.touched if path.startswith("attendance/")}
    changed = {file for file, stamp in stamps.items() if file.stat().st_mtime_ns != stamp}
    assert {str(file.relative_to(local.root)) for file in changed} == touched
    (sweep,) = receipt.sweeps
    objects_read = sum(1 for path in lake.objects.names_below("") if "/local/" not in path)
    assert sweep.read <= objects_read  # each once, and of our bookkeeping none


def test_what_a_killed_writer_left_behind_goes_too(local: Store) -> None:
    lake = fill(local)
    left = Path(local.root, f"_clever/district={DISTRICT}/local/07.tmp")
    left.write_text(WANTED)
    receipt = forgetting(lake).students([WANTED])
    assert not left.exists()
    assert receipt.counts["temporary_files"]["objects"] == 1


def test_a_rehearsal_changes_nothing_and_counts_the_same(disk_or_s3: Store) -> None:
    lake = fill(disk_or_s3)
    before = dict(texts(lake.objects))
    preview = forgetting(lake).preview_students([WANTED])
    assert dict(texts(lake.objects)) == before
    receipt = forgetting(lake).students([WANTED])
    assert {path: (one,) for path, one in preview.found.touched.items()} == receipt.touched


def test_the_deny_list_and_the_receipt_name_nobody(memory: Store) -> None:
    lake = fill(memory.below("nobody"))
    receipt = forgetting(lake).students([WANTED])
    told = json.dumps(receipt.to_json()) + repr(receipt) + repr(forgetting(lake))
    told += repr(read_forgotten(lake.objects, DISTRICT)) + repr(lake.forgotten.denied)
    assert WANTED not in told
    assert SECRET not in told


def test_a_request_is_pending_until_a_sweep_after_the_longest_task(disk_or_s3: Store) -> None:
    lake = fill(disk_or_s3)
    assert forgetting(lake, longest_task_hours=2).students([WANTED]).state == "pending"
    assert forgetting(lake, longest_task_hours=2).students([WANTED]).state == "pending"
    zombie = destination(disk_or_s3)  # it has not read what is forgotten, and never will
    zombie.land(day([row(WANTED, sis_id="D9-late")], attendance_date="2026-04-09"), context=context())
    later = forgetting(lake, clock=lambda: datetime(2099, 1, 1, tzinfo=UTC))
    (receipt,) = later.go_on()
    assert receipt.state == "final"
    assert len(receipt.sweeps) == 3
    assert holding(lake.objects, WANTED) == []
    assert later.go_on() == []


def test_the_later_sweep_finds_ids_inside_of_texts_if_it_is_given_them_again(memory: Store) -> None:
    lake = fill(memory.below("texts"))
    forgetting(lake).students([WANTED])
    late = {"student_id": None, "school_id": SCHOOL, "note": f"beside:{WANTED}."}
    lake.quarantine([RejectedRow("made up", 1, 1, json.dumps(late))], today=TODAY)
    later = forgetting(lake, clock=lambda: datetime(2099, 1, 1, tzinfo=UTC))
    assert pending_among(lake.objects, DISTRICT, SECRET, [WANTED, OTHER]) == {WANTED}
    (receipt,) = later.go_on([WANTED, OTHER])
    assert (receipt.state, holding(lake.objects, WANTED)) == ("final", [])


def test_older_versions_refuse_a_lake_that_has_forgotten(memory: Store) -> None:
    lake = fill(memory.below("older"))
    found = lake.objects.read(marker_path(DISTRICT))
    assert found is not None
    assert json.loads(found[0])["layout_version"] == 1
    forgetting(lake).students([WANTED])
    found = lake.objects.read(marker_path(DISTRICT))
    assert found is not None
    assert json.loads(found[0]) == {"file_format": "parquet", "layout_version": 2}
    destination(memory.below("older")).check()


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_what_was_forgotten_before_anything_landed_leaves_the_choice_of_format(
    memory: Store, file_format: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = memory.below(file_format)
    before = Forgetting(destination(store).objects, DISTRICT, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    before.district()
    before.lift_district()
    lake = destination(store, file_format)
    lake.check()
    found = lake.objects.read(marker_path(DISTRICT))
    assert found is not None
    assert json.loads(found[0]) == {"file_format": file_format, "layout_version": 2}
    other = "jsonl" if file_format == "parquet" else "parquet"
    with pytest.raises(CleverSettingsError, match=f"holds this district as '{file_format}'"):
        destination(store, other).check()
    assert "damaged" not in caplog.text


def test_days_that_are_old_enough_go_and_verify_misses_none(disk_or_s3: Store) -> None:
    lake = fill(disk_or_s3)
    knows = context(idempotency_key=IdempotencyKey.of("a night", month="2026-04"), write_changes=True)
    lake.land(day([row(OTHER)], attendance_date="2024-03-01"), context=knows)
    old = forgetting(lake, clock=lambda: datetime(2027, 4, 3, 12, tzinfo=UTC))
    receipt = old.days("2026-04-03")
    assert (receipt.state, receipt.is_complete) == ("final", True)
    days = {
        str(name.attendance_date) for name in map(layout.parse_partition_path, lake.objects.names_below("")) if name
    }
    assert days == set(DAYS[2:])
    assert [path for path in lake.objects.names_below("_clever") if "/changes/" in path and "2026-04-01" in path] == []
    with pytest.raises(CleverSettingsError, match="bring them back"):
        old.days("2027-01-01")


def test_a_request_of_which_everybody_was_lifted_is_not_pending_and_needs_no_key(
    memory: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = fill(memory.below("all lifted"))
    forgetting(lake).students([WANTED])
    forgetting(lake).lift_students([WANTED])
    monkeypatch.delenv("CLEVER_FORGET_SECRET")
    assert forgetting(lake).go_on() == []
    monkeypatch.setenv("CLEVER_FORGET_SECRET", SECRET)
    assert forgetting(lake).students([WANTED]).state == "pending"
    assert [one.state for one in forgetting(lake).go_on()] == ["pending"]


def test_a_row_in_quarantine_is_as_old_as_its_day_or_as_the_first_sight_of_it(memory: Store) -> None:
    lake = destination(memory.below("ages"))
    lake.check()
    for first_seen in (date(2021, 1, 1), date(2026, 4, 20)):
        days = ("2020-12-31", "2126-01-05", "no day", "", None, "2026-04-01")
        raws = [json.dumps({"seen": first_seen.year, "attendance_date": day}) for day in days]
        lake.quarantine([RejectedRow("made up", 1, 1, raw) for raw in raws], today=first_seen)
    assert forgetting(lake).days("2024-01-01").counts["quarantine"]["rows"] == 7
    raws = [entry["raw"] for _, text in texts(lake.objects) if '"raw"' in text for entry in json.loads(text).values()]
    left = [json.loads(raw) for raw in raws]
    assert {one["seen"] for one in left} == {2026}
    assert "2020-12-31" not in {one["attendance_date"] for one in left}
    assert len(left) == 5


def test_a_lifted_student_may_land_again(memory: Store) -> None:
    lake = fill(memory.below("lifted"))
    forgetting(lake).students([WANTED])
    assert forgetting(lake).lift_students([WANTED, OTHER]) == 1
    again = destination(memory.below("lifted"))
    again.check()
    again.land(day([row(WANTED)]), context=context())
    assert holding(lake.objects, WANTED)
    receipt = forgetting(lake).students([WANTED])
    assert receipt.state == "pending"
    assert holding(lake.objects, WANTED) == []


def test_a_district_whose_id_begins_alike_is_left_alone(any_store: Store) -> None:
    lake = fill(any_store)
    neighbours = {layout.our_path(f"{DISTRICT}0", "coverage.json"), f"attendance/district={DISTRICT}0/x"}
    for path in neighbours:
        lake.objects.write(path, b"{}", ABSENT)
    receipt = forgetting(lake, longest_task_hours=0).district()
    assert "partitions" in receipt.counts
    assert neighbours <= set(lake.objects.names_below(""))


@pytest.fixture
def versioned(s3: Store) -> Iterator[tuple[Store, Any]]:
    """A bucket that keeps older versions, and the client of its owner."""
    client = boto3.client(
        "s3", endpoint_url=s3.url, aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1"
    )
    client.create_bucket(Bucket="versioned", ObjectLockEnabledForBucket=True)
    yield Store("s3", "versioned/lake", s3.options, s3.url), client
    versions = client.list_object_versions(Bucket="versioned")
    for one in (*versions.get("Versions", ()), *versions.get("DeleteMarkers", ())):
        client.delete_object(
            Bucket="versioned", Key=one["Key"], VersionId=one["VersionId"], BypassGovernanceRetention=True
        )
    client.delete_bucket(Bucket="versioned")


def versions_holding(client: Any, wanted: str) -> list[str]:
    found = []
    for one in client.list_object_versions(Bucket="versioned").get("Versions", ()):
        data = client.get_object(Bucket="versioned", Key=one["Key"], VersionId=one["VersionId"])["Body"].read()
        name = layout.parse_partition_path(one["Key"].removeprefix("lake/"))
        text = (gzip.decompress(data) if one["Key"].endswith(".gz") and data else data).decode("utf-8", "replace")
        if name:
            text += json.dumps(FORMATS[name.file_format].read(data).rows.to_pylist(), default=str)
        if wanted in text:
            found.append(one["Key"])
    return found


def test_older_versions_in_a_bucket_go_too(versioned: tuple[Store, Any]) -> None:
    store, client = versioned
    lake = fill(store)
    receipt = forgetting(lake).students([WANTED])
    assert versions_holding(client, WANTED[:12]) == []
    assert receipt.is_complete
    assert receipt.counts["old_versions"]["objects"] > 5

    receipt = forgetting(lake, longest_task_hours=0).district()
    left = {one["Key"] for one in client.list_object_versions(Bucket="versioned").get("Versions", ())}
    assert {key for key in left if key.startswith("lake/attendance/")} == set()
    assert receipt.is_complete


def test_a_bucket_that_refuses_to_remove_versions_makes_the_proof_incomplete(versioned: tuple[Store, Any]) -> None:
    store, client = versioned
    lake = fill(store)
    for one in client.list_object_versions(Bucket="versioned")["Versions"]:
        client.put_object_legal_hold(
            Bucket="versioned", Key=one["Key"], VersionId=one["VersionId"], LegalHold={"Status": "ON"}
        )
    receipt = forgetting(lake).students([WANTED])
    assert holding(lake.objects, WANTED) == []
    assert not receipt.is_complete
    (unreached,) = receipt.unreached
    assert "s3:DeleteObjectVersion" in unreached.next_step
    assert unreached.count >= len(versions_holding(client, WANTED[:12])) > 10
    assert all(name.startswith(("attendance/", "_clever/")) for name in unreached.names)
    for one in client.list_object_versions(Bucket="versioned")["Versions"]:
        client.put_object_legal_hold(
            Bucket="versioned", Key=one["Key"], VersionId=one["VersionId"], LegalHold={"Status": "OFF"}
        )
    assert forgetting(lake).students([WANTED]).is_complete
    assert versions_holding(client, WANTED) == []


def test_a_store_that_refuses_to_remove_says_so_before_anything_is_touched(s3: Store) -> None:
    lake = fill(s3.below("refuses"))
    s3.fail_next(10_000, status=403, code="AccessDenied", method="DELETE")
    try:
        preview = forgetting(lake).preview_district()
        receipt = forgetting(lake, longest_task_hours=0).district()
    finally:
        s3.fail_next(0, status=403, code="AccessDenied", method="DELETE")
    assert "remove objects" in preview.missing_rights[0]
    assert not receipt.is_complete
    assert receipt.unreached[0].count > 5
    with pytest.raises(CleverSettingsError, match="was forgotten here"):
        destination(s3.below("refuses")).check()
    again = forgetting(lake).district()
    assert again.is_complete
    assert again.id == receipt.id
    assert again.counts["partitions"]["rows"] == 13


def test_a_partition_that_cannot_be_read_is_named(local: Store) -> None:
    lake = fill(local)
    damaged = next(Path(local.root, "attendance").rglob(f"date={DAYS[0]}/*.parquet"))
    damaged.write_bytes(b"not a partition")
    receipt = forgetting(lake).students([WANTED])
    assert [one.names for one in receipt.unreached] == [(str(damaged.relative_to(local.root)),)]
    assert not receipt.is_complete


def test_a_list_that_cannot_be_read_lets_nothing_land(local: Store) -> None:
    lake = fill(local)
    forgetting(lake).students([WANTED])
    Path(local.root, f"_clever/district={DISTRICT}/forgotten.json.gz").write_bytes(b"{")
    with pytest.raises(CleverLandingError, match="whose rows must not land"):
        destination(local).check()


def test_another_key_cannot_be_mixed_in(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = fill(memory.below("mixed"))
    forgetting(lake).students([WANTED])
    before = dict(texts(lake.objects))
    with pytest.raises(CleverSettingsError, match="another one"):
        forgetting(lake, secret="y" * 40).students([OTHER])
    monkeypatch.delenv("CLEVER_FORGET_SECRET")
    with pytest.raises(CleverSettingsError, match="openssl"):
        forgetting(lake).students([OTHER])
    assert {path: text for path, text in texts(lake.objects) if "rehearsal" not in path} == before


def test_a_receipt_is_read_back_as_it_was_written(memory: Store) -> None:
    lake = fill(memory.below("read back"))
    receipt = forgetting(lake).students([WANTED])
    assert read_receipt(lake.objects, DISTRICT, receipt.id) == receipt


@pytest.mark.parametrize("text", ["", "\n \n", f"{WANTED}\nnot an id!\n"])
def test_a_list_of_students_that_is_none_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(CleverSettingsError) as refused:
        student_ids_in(text.encode())
    assert "not an id" not in str(refused.value)


def test_a_list_of_students_names_each_once() -> None:
    assert student_ids_in(f"{WANTED}\r\n\n {OTHER}\n{WANTED}\n".encode()) == [WANTED, OTHER]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le with mark"])
def test_a_list_may_be_as_editors_and_spreadsheets_save_it(encoding: str) -> None:
    text = f"{WANTED}\r\n\r\n{OTHER}  \r\n"
    data = b"\xff\xfe" + text.encode("utf-16-le") if "with mark" in encoding else text.encode(encoding)
    assert student_ids_in(data) == [WANTED, OTHER]


def test_a_list_that_is_no_text_is_refused_by_what_it_is() -> None:
    with pytest.raises(CleverSettingsError, match="no text in UTF-8"):
        student_ids_in(f"{WANTED}\né".encode("latin-1"))


def test_a_student_who_was_lifted_and_is_forgotten_again_has_a_receipt_with_the_times_of_now(memory: Store) -> None:
    lake = fill(memory.below("again"))
    noon = datetime(2026, 5, 1, 12, tzinfo=UTC)
    first = forgetting(lake, clock=lambda: noon, longest_task_hours=0).students([WANTED, OTHER])
    assert first.state == "final"
    forgetting(lake).lift_students([WANTED])
    later = forgetting(lake, clock=lambda: noon + timedelta(days=9)).students([WANTED, OTHER])
    assert (later.id, later.state) == (first.id, "pending")
    assert (later.asked_at[:10], later.final_after[:10]) == ("2026-05-10", "2026-05-11")
    assert len(later.sweeps) == 2


def test_a_sweep_that_began_too_early_and_ends_last_does_not_take_back_what_is_final(memory: Store) -> None:
    lake = fill(memory.below("overtaken"))
    noon = datetime(2026, 5, 1, 12, tzinfo=UTC)
    times = iter([noon] * 3)  # asked, tables, begun

    def clock() -> datetime:
        if now := next(times, None):
            return now
        if not overtaken:  # the first sweep is about to end
            overtaken.append(forgetting(lake, clock=lambda: noon + timedelta(days=2)).students([WANTED]))
        return noon

    overtaken: list[ForgetReceipt] = []
    receipt = forgetting(lake, clock=clock).students([WANTED])
    assert [one.state for one in overtaken] == ["final"]
    assert receipt.state == "final"
    assert read_forgotten(lake.objects, DISTRICT).pending == {}


@pytest.mark.parametrize(
    ("today", "first"), [("2026-11-30", "2023-11-30"), ("2028-02-29", "2025-02-28"), ("2028-03-01", "2025-03-01")]
)
def test_days_are_older_than_three_years_from_the_same_date_on(today: str, first: str) -> None:
    assert first_kept_day(3, datetime.fromisoformat(f"{today}T23:30:00+00:00")) == first
