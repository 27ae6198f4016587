"""A page to columns: the fast way accepts exactly what the model accepts, and gives the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clever.api import rows as rows_module
from airflow_provider_clever.api.bodies import UnreadableBodyError
from airflow_provider_clever.api.rows import AttendancePage, decode_page
from airflow_provider_clever.attendance.schema import PULLED_COLUMNS
from airflow_provider_clever.exceptions import CleverProtocolError
from airflow_provider_clever.models import AttendanceRecord
from tests.unit.api.drawn import (
    DISTRICT,
    GARBAGE,
    ONE_ODD,
    ROWS,
    SCHOOL,
    SECTION,
    STUDENT,
    USUAL,
    page_of,
    row,
    sent,
)


def read(*rows: Any, **envelope: Any) -> AttendancePage:
    return decode_page(page_of(*rows, **envelope), page=3)


def test_a_page_becomes_canonical_columns() -> None:
    page = read(row())
    assert list(page.columns) == list(PULLED_COLUMNS)
    assert {name: column[0] for name, column in page.columns.items()} == {
        "attendance_date": "2026-01-05",
        "student_id": STUDENT,
        "section_id": SECTION,
        "attendance_type": "section",
        "attendance_status": "absent",
        "excuse_code": "ILL",
        "sis_id": "A-1",
        "school_id": SCHOOL,
        "district_id": DISTRICT,
        "created": "2026-01-06T01:02:03.456000Z",
        "last_modified": "2026-01-06T01:02:03.456000Z",
        "_extra": None,
    }
    assert page.rows == [row()]
    assert (list(page.rejected), dict(page.unknown_values), page.surrogates_replaced) == ([], {}, 0)


@pytest.mark.parametrize("nothing", [..., None, ""])
@pytest.mark.parametrize("field", ["section_id", "excuse_code", "sis_id", "created", "last_modified"])
def test_missing_null_and_empty_are_one(field: str, nothing: Any) -> None:
    for page in (read(row(**{field: nothing})), read(row(**{field: nothing}), "not a row")):
        assert page.columns[field] == [None]


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("2026-01-06T01:02:03.456Z", "2026-01-06T01:02:03.456000Z"),
        ("2026-01-06T01:02:03Z", "2026-01-06T01:02:03.000000Z"),
        ("2026-01-06T01:02:03", "2026-01-06T01:02:03.000000Z"),
        ("2026-01-06 01:02:03.1234567Z", "2026-01-06T01:02:03.123456Z"),
        ("2026-01-06T01:02:03.5+02:00", "2026-01-05T23:02:03.500000Z"),
    ],
)
def test_every_spelling_of_an_instant_becomes_one(text: str, canonical: str) -> None:
    for page in (read(row(created=text)), read(row(created=text), "not a row")):
        assert page.columns["created"] == [canonical]


def test_unknown_fields_are_kept_as_canonical_json() -> None:
    page = read(row(), row(zz={"b": [1, "é"], "a": None}, clever_id="c"))
    assert page.columns["_extra"] == [None, '{"clever_id":"c","zz":{"a":null,"b":[1,"é"]}}']


def test_unknown_values_are_kept_and_counted() -> None:
    page = read(row(attendance_status="excused"), row(attendance_status="excused"), row(attendance_type="meeting"))
    assert page.columns["attendance_status"] == ["excused", "excused", "absent"]
    assert page.unknown_values == {"attendance_status": 2, "attendance_type": 1}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row(student_id=...), "student_id is missing"),
        (row(student_id=None), "student_id is not text"),
        (row(student_id=""), "student_id is not a usable id"),
        (row(student_id="../x"), "student_id is not a usable id"),
        (row(student_id="abc\n"), "student_id is not a usable id"),
        (row(school_id=5), "school_id is not text"),
        (row(district_id=["x"]), "district_id is not text"),
        (row(section_id="a b"), "section_id is not a usable id"),
        (row(section_id=0), "section_id is not text"),
        (row(section_id=False), "section_id is not text"),
        (row(attendance_date=20260105), "attendance_date is not a date"),
        (row(attendance_date=1767571200), "attendance_date is not a date"),
        (row(attendance_date="2026-13-01"), "attendance_date is not a date"),
        (row(attendance_date="2026-02-31"), "attendance_date is not a date"),
        (row(attendance_date="2026-01-05T00:00:00Z"), "attendance_date is not a date"),
        (row(attendance_date=None), "attendance_date is not a date"),
        (row(attendance_date=["2026-01-05"]), "attendance_date is not a date"),
        (row(attendance_status={"a": 1}), "attendance_status is not text"),
        (row(attendance_status=""), "attendance_status is empty"),
        (row(attendance_type=1), "attendance_type is not text"),
        (row(created="yesterday"), "created is not a timestamp"),
        (row(created="2026-02-31T00:00:00.000Z"), "created is not a timestamp"),
        (row(last_modified=1767571200), "last_modified is not a timestamp"),
        (row(last_modified="0001-01-01T00:00:00+02:00"), "last_modified is not a timestamp"),
        (row(excuse_code=7), "excuse_code is not text"),
        (row(sis_id={"a": 1}), "sis_id is not text"),
        (row(student_id=..., created="x"), "student_id is missing; created is not a timestamp"),
        ("canary", "not an object"),
        (None, "not an object"),
        ([], "not an object"),
    ],
)
def test_an_unusable_row_is_rejected_alone_and_not_quoted(bad: Any, reason: str) -> None:
    page = read(row(), bad, row(sis_id="A-2"))
    assert page.columns["sis_id"] == ["A-1", "A-2"]
    assert page.rows == [row(), row(sis_id="A-2")]
    (rejected,) = page.rejected
    assert (rejected.reason, rejected.page, rejected.row) == (reason, 3, 2)
    assert json.loads(rejected.raw) == bad
    assert STUDENT not in repr(rejected) + repr(page)


def test_broken_letters_are_mended_and_the_rows_kept() -> None:
    page = decode_page(json.dumps({"data": [row(excuse_code="half \ud83d"), row()]}).encode())
    assert page.columns["excuse_code"] == ["half \ufffd", "ILL"]
    assert (len(page.rows), page.surrogates_replaced) == (2, 1)


def test_an_empty_page_is_a_page() -> None:
    for body in (b'{"data":null,"links":[]}', b'{"data":[]}', b'{"links":[{"rel":"self","uri":"/x"}]}'):
        page = decode_page(body)
        assert page.columns == {name: [] for name in PULLED_COLUMNS}
        assert repr(page) == "AttendancePage(0 rows, 0 rejected, last)"


def test_the_columns_of_a_page_are_lists_of_their_own() -> None:
    columns = read().columns
    assert len({id(column) for column in columns.values()}) == len(PULLED_COLUMNS)


def test_the_next_link_and_its_cursor() -> None:
    page = read(row(), links=[{"rel": "next", "uri": "/v3.1/x?limit=1&starting_after=abc=="}])
    assert (page.next_link, page.next_cursor) == ("/v3.1/x?limit=1&starting_after=abc==", "abc==")
    assert "abc==" not in repr(page)
    assert read(row()).next_cursor is None


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"data":"x"}', b'{"data":{}}', b'{"maintenance":true}', b"null"])
def test_json_that_is_no_page_is_an_error(body: bytes) -> None:
    with pytest.raises(CleverProtocolError):
        decode_page(body)


def test_what_is_not_json_is_an_error() -> None:
    with pytest.raises(UnreadableBodyError):
        decode_page(b"<html>")


def test_what_was_checked_is_forgotten_when_it_is_too_much() -> None:
    checked = rows_module._Checked(str.upper, most=3)
    assert checked.column(["a", "b"]) == ["A", "B"]
    assert checked.column(["c", "b", "d"]) == ["C", "B", "D"]
    assert checked.column(["a", "b", "d"]) == ["A", "B", "D"]
    assert len(checked._known) <= 3


def test_an_unusable_value_behind_a_new_one_is_noticed_too() -> None:
    page = read(row(student_id="never-seen-before"), row(student_id=["x"]), row())
    assert page.columns["student_id"] == ["never-seen-before", STUDENT]
    assert page.rejected[0].reason == "student_id is not text"


def test_an_error_of_the_models_without_a_name_here_still_quotes_nothing() -> None:
    page = read(row(excuse_code="x"), row(student_id="x" * 65))
    assert page.rejected[0].reason == "student_id is not a usable id"


# --- the two ways are one -------------------------------------------------------------------------------------------


@given(st.lists(USUAL | ONE_ODD | ROWS | GARBAGE, max_size=4))
def test_the_fast_way_and_the_model_agree(drawn: list[Any]) -> None:
    rows = [sent(item) for item in drawn]
    good, columns, rejected = rows_module._columns_row_by_row(rows, 1)
    try:
        at_once = rows_module._columns_at_once(rows)
    except (KeyError, ValueError):
        assert rejected
    else:
        assert not rejected
        assert at_once == columns
        assert good == rows
    for index, item in enumerate(good):
        record = AttendanceRecord.model_validate(item)
        assert columns["attendance_date"][index] == record.attendance_date.isoformat()


@given(st.lists(USUAL, min_size=1, max_size=5))
def test_usual_pages_take_the_fast_way(drawn: list[dict[str, Any]]) -> None:
    rows = [sent(item) for item in drawn]
    assert len(rows_module._columns_at_once(rows)["student_id"]) == len(rows)
