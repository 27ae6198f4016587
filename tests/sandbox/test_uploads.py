"""Uploads over a moving clock: new days, late corrections, outages, pauses, and what is left after six months."""

from __future__ import annotations

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.sandbox.wire import attendance, key, school, walk


def by_key(rows: list[dict[str, str]]) -> dict[tuple[str, ...], dict[str, str]]:
    return {key(row): row for row in rows}


def test_new_days_appear_only_with_a_sync(sandbox: Sandbox) -> None:
    sandbox.advance(days=2)
    assert not sandbox.expected(date_range_start="2026-11-24")
    done = sandbox.sync("small")
    assert done["days"] == ["2026-11-24", "2026-11-25"]
    days = {row["attendance_date"] for row in sandbox.expected(date_range_start="2026-11-24")}
    assert days == {"2026-11-24", "2026-11-25"}
    assert sandbox.district("small").last_attendance_sync == done["stamp"] == "2026-11-25T23:05:00.000Z"


def test_a_sync_edits_adds_and_deletes_older_rows(sandbox: Sandbox) -> None:
    before = by_key(sandbox.expected())
    done = sandbox.sync("small", edits=12, late_rows=4, deletes=3, weeks=2)
    assert (done["edited"], done["added"], done["deleted"]) == (12, 4, 3)
    after = by_key(sandbox.expected())
    assert len(after.keys() - before.keys()) == 4
    assert len(before.keys() - after.keys()) == 3
    changed = [after[k] for k in after.keys() & before.keys() if after[k] != before[k]]
    assert 12 - 3 <= len(changed) <= 12
    for row in changed:
        old = before[key(row)]
        assert row["created"] == old["created"]
        assert row["last_modified"] > old["last_modified"]
        assert (row["attendance_status"], row.get("excuse_code")) != (
            old["attendance_status"],
            old.get("excuse_code"),
        )
    assert min(row["attendance_date"] for row in changed) >= "2026-11-09"


def test_rows_after_a_sync_are_walked_as_they_are_due(sandbox: Sandbox) -> None:
    sandbox.sync("both", edits=40, late_rows=20, deletes=10)
    district = sandbox.district("both")
    for school_id in district.school_ids:
        for limit in (1000, 9):
            start = {"date_range_start": "2026-11-02", "date_range_end": "2026-11-23"}
            found, _ = walk(sandbox, attendance(school_id), district.token, limit=limit, **start)
            assert found == sandbox.expected("both", school_id=school_id, **start)


def test_an_outage_leaves_stamp_and_rows_and_the_backlog_comes_afterwards(sandbox: Sandbox) -> None:
    before = sandbox.district("small").last_attendance_sync
    sandbox.knobs(sftp_outage_districts=[sandbox.district("small").id])
    sandbox.advance(days=21, sync=["small", "both"])
    assert sandbox.district("small").last_attendance_sync == before
    assert sandbox.district("both").synced_through == "2026-12-14"
    sandbox.knobs(sftp_outage_districts=[])
    assert len(sandbox.sync("small")["days"]) == 13


def test_a_paused_district_does_not_upload(sandbox: Sandbox) -> None:
    assert sandbox.sync("paused")["loaded"] is False
    sandbox.pause("paused", paused=False)
    assert sandbox.sync("paused")["loaded"] is True
    assert sandbox.district("paused").synced_through == "2026-11-23"


def test_a_first_upload_brings_six_months(sandbox: Sandbox) -> None:
    assert sandbox.expected_count("no_attendance")["total"] == 0
    assert len(sandbox.sync("no_attendance")["days"]) == 120
    assert sandbox.expected_count("no_attendance")["total"] == 120 * 2 * 60


def test_the_stamp_can_go_back_and_to_null(sandbox: Sandbox) -> None:
    sandbox.set_stamp("small", "2026-11-01T00:00:00Z")
    assert sandbox.district("small").last_attendance_sync == "2026-11-01T00:00:00.000Z"
    sandbox.set_stamp("small", None)
    assert sandbox.district("small").last_attendance_sync is None


def test_seven_months_pass_and_old_rows_go(sandbox: Sandbox) -> None:
    sandbox.reset(districts=["small"])
    elm = school(sandbox, "Elm")
    sandbox.advance(days=210, sync=True, edits=6, late_rows=2, deletes=1, weeks=4)
    assert sandbox.today == "2027-06-21"
    days = sorted({row["attendance_date"] for row in sandbox.expected(school_id=elm)})
    assert days[0] == "2026-12-22"
    assert days[-1] == "2027-06-21"
    found, _ = walk(sandbox, attendance(elm), limit=1000)
    assert found == sandbox.expected(school_id=elm)
    sandbox.knobs(retention="off")
    assert min(row["attendance_date"] for row in sandbox.expected(school_id=elm)) < "2026-11-23"


def test_the_clock_can_be_set_back(sandbox: Sandbox) -> None:
    sandbox.set_now("2026-11-01T10:00:00Z")
    assert (sandbox.now, sandbox.today) == ("2026-11-01T10:00:00.000Z", "2026-11-01")
    sandbox.advance(hours=15)
    assert sandbox.today == "2026-11-02"


def test_single_rows_can_be_put_and_changed(sandbox: Sandbox) -> None:
    elm = school(sandbox, "Elm")
    first = sandbox.expected(school_id=elm)[0]
    own = {"school_id": elm, "attendance_date": first["attendance_date"], "student_id": first["student_id"]}
    sandbox.put_rows({**own, "excuse_code": "CANARY"})
    changed = sandbox.expected(school_id=elm)[0]
    assert changed["excuse_code"] == "CANARY"
    assert changed["created"] == first["created"]
    assert changed["last_modified"] > first["last_modified"]
    sandbox.put_rows({**own, "excuse_code": None})
    assert "excuse_code" not in sandbox.expected(school_id=elm)[0]


def test_a_put_row_may_lie_on_a_day_without_school(sandbox: Sandbox) -> None:
    elm = school(sandbox, "Elm")
    sunday = {"date_range_start": "2026-11-22", "date_range_end": "2026-11-22"}
    sandbox.put_rows({"school_id": elm, "attendance_date": "2026-11-22", "student_id": "6" * 24})
    found, _ = walk(sandbox, attendance(elm), limit=10, **sunday)
    assert found == sandbox.expected(school_id=elm, **sunday)
    assert len(found) == 1


def test_the_count_of_rows_due_agrees_with_the_rows(sandbox: Sandbox) -> None:
    counted = sandbox.expected_count()
    rows = sandbox.expected()
    assert counted["total"] == len(rows)
    alder = school(sandbox, "Alder")
    absent = [r for r in rows if r["school_id"] == alder and r["attendance_status"] == "absent"]
    assert sum(day.get("absent", 0) for day in counted["schools"][alder].values()) == len(absent)


def test_several_schools_can_be_asked_for_at_once(sandbox: Sandbox) -> None:
    wanted = [school(sandbox, "Elm"), school(sandbox, "Cedar")]
    assert {row["school_id"] for row in sandbox.expected(school_id=wanted)} == set(wanted)
