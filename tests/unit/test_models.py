"""Clever's objects: strict about dates and ids, lenient about what is optional, silent about students."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from airflow_provider_clever.attendance.batches import batch_of, pulled_schema
from airflow_provider_clever.attendance.rows import PulledDay, RejectedRow
from airflow_provider_clever.attendance.values import is_clever_id
from airflow_provider_clever.models import AttendanceRecord, District, DistrictToken

ROW = {
    "attendance_date": "2026-01-05",
    "attendance_status": "absent",
    "attendance_type": "daily",
    "district_id": "d1",
    "school_id": "s1",
    "student_id": "canary-student",
    "excuse_code": "canary-code",
    "zz_new": "canary-field",
}


def test_a_record_shows_its_school_and_day_only() -> None:
    record = AttendanceRecord.model_validate(ROW)
    assert repr(record) == "AttendanceRecord(school_id='s1', attendance_date='2026-01-05')"
    assert "canary" not in str(record)
    assert record.model_extra == {"zz_new": "canary-field"}


def test_a_record_may_be_made_of_typed_values() -> None:
    eastern = datetime(2026, 1, 5, 19, tzinfo=timezone(timedelta(hours=-5)))
    record = AttendanceRecord.model_validate({**ROW, "attendance_date": date(2026, 1, 5), "created": eastern})
    assert record.attendance_date == date(2026, 1, 5)
    assert record.created == datetime(2026, 1, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    "bad", [1767571200, "2026-13-01", "2026-01-05T00:00:00", datetime(2026, 1, 5, tzinfo=UTC), None]
)
def test_only_a_day_is_a_date_and_the_error_quotes_nothing(bad: object) -> None:
    with pytest.raises(ValidationError) as caught:
        AttendanceRecord.model_validate({**ROW, "attendance_date": bad})
    assert "canary" not in str(caught.value)
    assert "2026" not in str(caught.value)


def test_a_district_keeps_nobodys_contact_data() -> None:
    contact = {"name": "Ms. Canary", "email": "canary@example.org"}
    district = District.model_validate(
        {"id": "d1", "district_contact": contact, "pause_end": "2026-08-01", "state": ""}
    )
    assert "anary" not in repr(district)
    assert (district.state, district.pause_end, district.last_attendance_sync) == (None, date(2026, 8, 1), None)


def test_no_repr_holds_a_token_or_a_row() -> None:
    token = DistrictToken.model_validate({"district_id": "d1", "access_token": "canary"})
    rejected = RejectedRow("student_id is missing", 1, 2, '{"excuse_code":"canary"}')
    day = PulledDay(
        "s1", "2026-01-05", batch_of([("2026-01-05", *["canary"] * 8, None, None, None)], pulled_schema()), whole=True
    )
    assert "canary" not in repr([token, rejected, day])


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("5f0c", True), ("a-b_C", True), ("", False), ("a\n", False), ("../x", False), ("x" * 65, False), (5, False)],
)
def test_what_may_enter_a_url_as_an_id(text: object, is_one: bool) -> None:
    assert is_clever_id(text) is is_one
