"""A page to rows: what lands is what the model AttendanceRecord accepts, however the page is written."""

from __future__ import annotations

import json
import random
import re
from datetime import date, datetime
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from airflow_provider_clever.api.bodies import UnreadableBodyError, page_object, read_json
from airflow_provider_clever.api.links import links_of
from airflow_provider_clever.api.pages import AttendancePage, decode_page, decode_page_to_land
from airflow_provider_clever.attendance.batches import pulled_schema, rows_of
from airflow_provider_clever.attendance.schema import ATTENDANCE_STATUSES, FIELD_NAMES, PULLED_COLUMNS, AttendanceRecord
from airflow_provider_clever.attendance.values import canonical_json
from airflow_provider_clever.exceptions import CleverProtocolError
from tests.unit.api.drawn import (
    DISTRICT,
    GARBAGE,
    ONE_ODD,
    PAGES_IN_ORDER,
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


def columns(page: AttendancePage) -> dict[str, list[str | None]]:
    """The rows of a page by column, as canonical text."""
    rows = rows_of(page.batch())
    return {name: [row[place] for row in rows] for place, name in enumerate(PULLED_COLUMNS)}


def test_a_page_becomes_typed_columns() -> None:
    page = read(row())
    assert page.batch().schema == pulled_schema()
    assert {name: column[0] for name, column in columns(page).items()} == dict.fromkeys(PULLED_COLUMNS) | {
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
        assert columns(page)[field] == [None]


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
        assert columns(page)["created"] == [canonical]


def test_unknown_fields_are_kept_as_canonical_json() -> None:
    page = read(row(), row(zz={"b": [1, "é"], "a": None}, clever_id="c"))
    assert columns(page)["_extra"] == [None, '{"clever_id":"c","zz":{"a":null,"b":[1,"é"]}}']


def test_numbers_too_large_for_a_float_are_kept_as_text_that_every_engine_reads() -> None:
    body = json.dumps({"data": [row(odd="HERE", id="65e400")], "links": []}).encode()
    for number, kept in [(b"1e400", '"Infinity"'), (b"[-1e400]", '["-Infinity"]'), (b"1e300", "1e+300")]:
        for decode in (decode_page, decode_page_to_land):
            page = decode(body.replace(b'"HERE"', number))
            (extra,) = columns(page)["_extra"]
            assert extra == f'{{"id":"65e400","odd":{kept}}}'
            assert duckdb.execute("SELECT json_valid(?)", [extra]).fetchall() == [(True,)]


def test_unknown_values_are_kept_and_counted() -> None:
    page = read(row(attendance_status="excused"), row(attendance_status="excused"), row(attendance_type="meeting"))
    assert columns(page)["attendance_status"] == ["excused", "excused", "absent"]
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
    assert columns(page)["sis_id"] == ["A-1", "A-2"]
    assert page.rows == [row(), row(sis_id="A-2")]
    (rejected,) = page.rejected
    assert (rejected.reason, rejected.page, rejected.row) == (reason, 3, 2)
    assert json.loads(rejected.raw) == bad
    assert STUDENT not in repr(rejected) + repr(page)


def test_broken_letters_are_replaced_and_the_rows_kept() -> None:
    page = decode_page(json.dumps({"data": [row(excuse_code="half \ud83d"), row()]}).encode())
    assert columns(page)["excuse_code"] == ["half \ufffd", "ILL"]
    assert (len(page.rows), page.surrogates_replaced) == (2, 1)


def test_an_empty_page_is_a_page() -> None:
    for body in (b'{"data":null,"links":[]}', b'{"data":[]}', b'{"links":[{"rel":"self","uri":"/x"}]}'):
        page = decode_page(body)
        assert columns(page) == {name: [] for name in PULLED_COLUMNS}
        assert repr(page) == "AttendancePage(0 rows, 0 rejected, last)"


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


def test_an_unusable_value_behind_a_new_one_is_noticed_too() -> None:
    page = read(row(student_id="never-seen-before"), row(student_id=["x"]), row())
    assert columns(page)["student_id"] == ["never-seen-before", STUDENT]
    assert page.rejected[0].reason == "student_id is not text"


@st.composite
def spelled(draw: st.DrawFn, rows: list[Any]) -> bytes:
    """One of the many ways to write the same page."""
    shuffled = draw(st.randoms(use_true_random=False))

    def in_some_order(item: Any) -> Any:
        return dict(shuffled.sample(list(item.items()), len(item))) if isinstance(item, dict) else item

    links = draw(st.sampled_from([[], None, [{"rel": "next", "uri": "/v3.1/x?limit=1"}, {"uri": "/é", "rel": "self"}]]))
    page = in_some_order({"data": [in_some_order(sent(item)) for item in rows], "links": links})
    text = json.dumps(
        page,
        ensure_ascii=draw(st.booleans()),
        indent=draw(st.sampled_from([None, None, 0, 2])),
        separators=draw(st.sampled_from([None, (",", ":"), (" ,\t", " :\r\n ")])),
    )
    blanks = st.sampled_from(["", " ", "\n", "\r\n\t"])
    return (draw(blanks) + text + draw(blanks)).encode("utf-8", "surrogatepass")


# --- the model is the oracle ----------------------------------------------------------------------------------------

some_examples = settings(deadline=None, max_examples=60)  # the first example pays for loading pyarrow
WORDS = {
    "missing": "is missing",
    "string_type": "is not text",
    "string_too_short": "is empty",
    "string_pattern_mismatch": "is not a usable id",
    "clever_date": "is not a date",
    "clever_moment": "is not a timestamp",
}


def text(value: object) -> str | None:
    """A value of the model as canonical text."""
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value  # type: ignore[return-value]  # text or None


def by_the_model(rows: list[Any]) -> tuple[list[Any], list[tuple[str | None, ...]], list[tuple[str, int, str]]]:
    """The rows that may land, as they came and as canonical text; and those that may not, with the reasons."""
    usable, texts, rejected = [], [], []
    for number, sent_row in enumerate(rows, start=1):
        try:
            record = AttendanceRecord.model_validate(sent_row)
        except ValidationError as error:
            found = [(one["loc"], WORDS[one["type"]]) for one in error.errors() if one["loc"]]
            reason = "; ".join(f"{loc[0]} {words}" for loc, words in found) or "not an object"
            rejected.append((reason, number, canonical_json(sent_row)))
            continue
        usable.append(sent_row)
        extra = {name: value for name, value in sent_row.items() if name not in FIELD_NAMES}
        values = (text(getattr(record, name)) for name in FIELD_NAMES)
        texts.append((*values, canonical_json(extra) if extra else None))
    return usable, texts, rejected


def read_as_the_model(body: bytes) -> AttendancePage | None:
    """The page, seen to be what the model makes of its rows; None if it is none, seen by the general parser too."""
    try:
        value, replaced = read_json(body)
        rows = page_object(value).get("data") or []
        links = links_of(value.get("links"))
    except CleverProtocolError as error:
        for decode in (decode_page, decode_page_to_land):
            with pytest.raises(CleverProtocolError, match=re.escape(str(error))):
                decode(body)
        return None
    page, to_land = decode_page(body), decode_page_to_land(body)
    assert (to_land.extent, to_land.rows, to_land.unknown_values) == (page.extent, page.rows, page.unknown_values)
    assert (list(to_land.rejected), to_land.surrogates_replaced) == (list(page.rejected), page.surrogates_replaced)
    assert to_land.batch() == page.batch()
    assert to_land.links == page.links
    usable, texts, rejected = by_the_model(rows)
    assert (rows_of(page.batch()), page.rows, len(page)) == (texts, usable, len(usable))
    assert [(one.reason, one.row, one.raw) for one in page.rejected] == rejected
    assert (page.links, page.surrogates_replaced) == (links, replaced)
    odd = sum(one["attendance_status"] not in ATTENDANCE_STATUSES for one in usable)
    assert page.unknown_values.get("attendance_status", 0) == odd
    return page


@some_examples
@given(st.data(), st.lists(USUAL | ONE_ODD | ROWS | GARBAGE, max_size=4))
def test_any_page_is_read_as_the_model_reads_its_rows(data: st.DataObject, rows: list[Any]) -> None:
    read_as_the_model(data.draw(spelled(rows)))


@some_examples
@given(st.data(), PAGES_IN_ORDER)
def test_a_documented_page_lands_whole_however_it_is_spelled(data: st.DataObject, rows: list[Any]) -> None:
    page = read_as_the_model(data.draw(spelled(rows)))
    assert page is not None
    assert not page.rejected


# --- pages as bytes -------------------------------------------------------------------------------------------------


PIECES = [
    *(b"null", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\\u", b"\xff", b"\xed\xa0\x80", b"\n", b" ", b"\0"),
    *(b"0", b"-", b"true", b'""', b"\\ud83d", b"\\udc00", b"\xef\xbb\xbf", b"1e5", b"Z", b'"zz":null,', b'"sis_id":'),
]


TO_DAMAGE = [
    page_of(
        row(),
        row(excuse_code='é "😀', section_id=None),
        row(attendance_date="2026-01-06", created="", sis_id=None),
        links=[{"rel": "next", "uri": "/v3.1/x?limit=1"}],
    ),
    json.dumps({"data": [row(), row(excuse_code="é😀")], "links": []}, ensure_ascii=False, indent=1).encode(),
    page_of(row()).replace(b": ", b":"),
]


def damaged(body: bytes, chance: random.Random) -> bytes:
    """The body with slices replaced, left out, repeated or moved."""
    for _ in range(chance.randint(1, 3)):
        start, origin = chance.randrange(len(body)), chance.randrange(len(body))
        end = start + chance.choice([0, 1, 2, 5, 30])
        moved = body[origin : origin + 20]
        middle = chance.choice([*PIECES, bytes([chance.randrange(256)]), b"", b"", b"", body[start:end] * 2, moved])
        body = body[:start] + middle + body[end:]
    return body


@settings(some_examples, max_examples=100)
@given(st.sampled_from(TO_DAMAGE), st.integers(0, 2**32))
def test_a_damaged_page_is_read_as_the_model_reads_what_is_left_of_it(body: bytes, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(20):
        read_as_the_model(damaged(body, chance))


GOOD = page_of(row(), row(student_id="b"))
IN_TEXT = {
    "half a pair, high": b"\\ud83d",
    "half a pair, low": b"\\udc00",
    "a pair the wrong way round": b"\\ude00\\ud83d",
    "a surrogate as bytes": b"\xed\xa0\x80",
    "an overlong letter": b"\xc0\xaf",
    "a letter cut short": b"\xc3",
    "no letter": b"\xff",
    "latin 1": b"\xe9",
    "beyond unicode": b"\xf4\x90\x80\x80",
    "a raw control character": b"\x01",
    "a raw line break": b"\n",
    "a raw nul": b"\x00",
    "an escape that is none": b"\\x41",
    "an escape cut short": b"\\u00e",
    "a quote": b'"',
    "a backslash": b"\\",
}
VALUES = {
    "a pair": b"\\ud83d\\ude00",
    "an escaped nul": b"\\u0000",
    "an escaped control character": b"\\u001f",
    "escapes of every kind": b'\\"\\\\\\/\\b\\f\\n\\r\\t\\u00E9',
    "a letter of two bytes": "é".encode(),
    "delete": b"\x7f",
    "a noncharacter": "\uffff".encode(),
}
OF_A_ROW = {
    "attendance_date": b'"2026-01-05"',
    "attendance_status": b'"absent"',
    "attendance_type": b'"section"',
    "created": b'"2026-01-06T01:02:03.456Z"',
    "district_id": b'"' + DISTRICT.encode() + b'"',
    "excuse_code": b'"ILL"',
    "school_id": b'"' + SCHOOL.encode() + b'"',
    "section_id": b'"' + SECTION.encode() + b'"',
    "sis_id": b'"A-1"',
    "student_id": b'"' + STUDENT.encode() + b'"',
}


def with_value(field: str, value: bytes) -> bytes:
    """The good page with this for the value of a field of its first row."""
    name = b'"' + field.encode() + b'": '
    assert name + OF_A_ROW[field] in GOOD
    return GOOD.replace(name + OF_A_ROW[field], name + value, 1)


ODD_VALUES = [b"5", b"-0.5", b"1e400", b"true", b"false", b"NaN", b"{}", b"[]", b'["x"]', b"[null]", b"null", b'""']


@pytest.mark.parametrize("letters", [*IN_TEXT.values(), *VALUES.values()], ids=[*IN_TEXT, *VALUES])
@pytest.mark.parametrize("field", OF_A_ROW)
def test_odd_text_is_read_as_the_model_reads_it_in_each_column(field: str, letters: bytes) -> None:
    for value in (
        OF_A_ROW[field][:-1] + letters + b'"',
        b'"' + letters + b"x" + OF_A_ROW[field][1:],
        b'"' + letters + b'"',
    ):
        read_as_the_model(with_value(field, value))


@pytest.mark.parametrize("value", ODD_VALUES)
@pytest.mark.parametrize("field", OF_A_ROW)
def test_what_is_no_text_is_judged_as_the_model_judges_it_in_each_column(field: str, value: bytes) -> None:
    read_as_the_model(with_value(field, value))


MOMENTS = [
    *("0000-01-01T00:00:00.000Z", "0001-01-01T00:00:00.000Z", "1999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
    *("2026-12-31T23:59:60.000Z", "2026-12-31T24:00:00.000Z", "2026-12-31T23:60:00.000Z", "2026-02-29T00:00:00.000Z"),
    *("2026-00-10T00:00:00.000Z", "2026-13-10T00:00:00.000Z", "2026-01-00T00:00:00.000Z", "2026-01-06T01:02:03+0000"),
    *("2026-01-06T01:02:03.+00Z", "2026-01-06T01:02:03.1 3Z", "2026-01-06T01:02:03.-12Z", "2026-01-06T01:02:+3.456Z"),
    *("2026-01-06T01-02-03.456Z", "2026-1-006T01:02:03.456Z", "2026-01-06t01:02:03.456Z", "2026-01-06T01:02:03.456z"),
    *("2026-01-06 01:02:03.456Z", "2026-01-06T01:02:03,456Z", "20260106TT01:02:03..456Z", "2026/01/06T01:02:03.456Z"),
    *(
        "2026-01-06T0102:03:.456Z",
        "2026-01-06T01:02+0000.0Z",
        "2\u06600-01-06T01:02:03.45Z",
        "2026-W02-2T01:02:03.456Z",
    ),
    *("2026-01-06T01:02:03.45678", "2026-01-06T01:02:03.456", "2026-01-06T01:02:03.4567Z", "2026-01-06T01:02:03Z"),
    *("2026-01-06T01:02:03.4+01", "2026-01-06T01:02:03.4-00", "3000-01-06T01:02:03.456Z", "1000-01-06T01:02:03.456Z"),
    *("2026-01-06T01:02:03.4\x003Z", "2026-01-06T01:02:03.4é6Z", "2026-01-06", " ", "2", "Z", "now"),
]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_timestamp_is_read_as_the_model_reads_it_however_it_is_written(moment: str) -> None:
    for rows in ([row(created=moment)], [row(), row(last_modified=moment), row(created=None)]):
        read_as_the_model(page_of(*rows))


DAYS_OF_ALL_KINDS = [
    *("2026-01-06", "2026-02-29", "2026-13-01", "0000-01-01", "0001-01-01", "9999-12-31", "2026-1-5", "20260105"),
    *("2026-W02-1", "2026-01-05 ", "2026-01-05T00:00:00Z", "٢026-01-05", "1111111111", "today", "52026-01-05"),
]


@some_examples
@given(st.lists(st.sampled_from(DAYS_OF_ALL_KINDS), min_size=1, max_size=5))
def test_days_in_any_order_are_read_as_the_model_reads_them(days: list[str]) -> None:
    read_as_the_model(page_of(*[row(attendance_date=day) for day in days]))


LINK = b'"links": []'
ODD_BODIES = {
    "nothing": b"",
    "blanks": b" \n ",
    "null": b"null",
    "a null before the page": b"null" + GOOD,
    "a null behind a byte order mark": b"\xef\xbb\xbfnull" + GOOD,
    "a null behind a line break": b"\n null\n" + GOOD,
    "a null after the page": GOOD + b"null",
    "a list": b"[" + GOOD + b"]",
    "a number": b"5",
    "text": b'"x"',
    "an empty object": b"{}",
    "html": b"<html></html>",
    "two pages": GOOD + GOOD,
    "two pages on two lines": GOOD + b"\n" + GOOD,
    "two pages in a list without its brackets": GOOD + b"," + GOOD,
    "an empty page and a page": b'{"data":[]}' + GOOD,
    "a page and an empty object": GOOD + b"{}",
    "a page and a comma": GOOD + b",",
    "a page and a nul": GOOD + b"\0",
    "a page and what a nul hides": GOOD + b"\0garbage",
    "a nul before the page": b"\0" + GOOD,
    "a page and garbage": GOOD + b"garbage",
    "a page and a comment": GOOD + b"/* */",
    "a page in utf-16": GOOD.decode().encode("utf-16"),
    "a page in utf-32": GOOD.decode().encode("utf-32-le"),
    "single quotes": GOOD.replace(b'"', b"'"),
    "a form feed": GOOD + b"\x0c",
    "a blank that is none": GOOD + "\u00a0".encode(),
    "a comma before the end": GOOD[:-1] + b",}",
    "no data": b'{"links":[]}',
    "null for data": b'{"data":null,"links":[]}',
    "empty data": b'{"data":[],"links":[]}',
    "an object for data": b'{"data":{},"links":[]}',
    "text for data": b'{"data":"x","links":[]}',
    "a list in data": page_of([row()]),
    "null rows": page_of(None, None),
    "one null row": page_of(row(), None, row()),
    "one empty row": page_of(row(), {}),
    "a number for a row": page_of(row(), 5),
    "text for a row": page_of("canary", row()),
    "data twice": GOOD[:-1] + b',"data":[]}',
    "data twice, null last": GOOD[:-1] + b',"data":null}',
    "data twice, null first": b'{"data":null,' + GOOD[1:],
    "links twice": GOOD[:-1] + b',"links":[]}',
    "a field twice": GOOD.replace(b'"sis_id"', b'"student_id":"zz","sis_id"'),
    "a field twice, null last": GOOD.replace(b'"student_id": "b"', b'"student_id":"b","student_id":null'),
    "a field twice, null first": GOOD.replace(b'"student_id": "b"', b'"student_id":null,"student_id":"b"'),
    "an optional field twice": GOOD.replace(b'"sis_id"', b'"sis_id":null,"sis_id"'),
    "an unknown field": page_of(row(), row(zz="x")),
    "an unknown field that is null": page_of(row(), row(zz=None)),
    "an unknown field in every row": page_of(row(zz={"a": [1]}), row(zz={"a": [2]})),
    "an unknown field without a name": page_of(row(**{"": "x"})),
    "a field that only begins like a known one": GOOD.replace(b'"sis_id"', b'"sis_id\\u0000"', 1),
    "an unknown field of the page": page_of(row(), paging={"total": 1}),
    "an unknown field of the page that is null": page_of(row(), paging=None),
    "an unknown type": page_of(row(), row(attendance_type="meeting")),
    "an object for links": GOOD.replace(LINK, b'"links": {}'),
    "text for links": GOOD.replace(LINK, b'"links": "x"'),
    "a null for a link": page_of(row(), links=[None]),
    "a list for a link": page_of(row(), links=[[]]),
    "text for a link": page_of(row(), links=["next"]),
    "an empty link": page_of(row(), links=[{}]),
    "a next link without an address": page_of(row(), links=[{"rel": "next"}]),
    "a next link with null for its address": page_of(row(), links=[{"rel": "next", "uri": None}]),
    "a next link with a number for its address": page_of(row(), links=[{"rel": "next", "uri": 5}]),
    "a link that is called twice": GOOD.replace(LINK, b'"links":[{"rel":"self","rel":"next","uri":"/x"}]'),
    "a link with an unknown field": page_of(row(), links=[{"rel": "self", "uri": "/x", "method": "GET"}]),
    "a link that is not utf-8": GOOD.replace(LINK, b'"links": [{"rel":"self","uri":"/\xff"}]'),
    "a link with half a pair": GOOD.replace(LINK, b'"links": [{"rel":"self","uri":"/\\udc00"}]'),
    "a page that is cut short": GOOD[:-1],
    "a page that is cut in a text": GOOD[: GOOD.index(b"ILL") + 1],
    "lists without an end": b"[" * 100_000,
    "lists deep in a row": GOOD.replace(b'"ILL"', b"[" * 100_000 + b"]" * 100_000, 1),
    "objects without an end": b'{"data":[' * 50_000,
}


SPELLINGS = {
    "byte order mark": b"\xef\xbb\xbf" + GOOD,
    "line breaks before": b"\n\n" + GOOD,
    "line breaks after": GOOD + b"\r\n\r\n",
    "pretty": json.dumps(json.loads(GOOD), indent="\t").encode(),
    "in lines": GOOD.replace(b"{", b"{\n").replace(b"}", b"\n}"),
    "escaped name": GOOD.replace(b'"data"', b'"d\\u0061ta"'),
    "no address": GOOD.replace(LINK, b'"links":[{"rel":"a","uri":null}]'),
}


@pytest.mark.parametrize("body", [*ODD_BODIES.values(), *SPELLINGS.values()], ids=[*ODD_BODIES, *SPELLINGS])
def test_an_odd_page_is_read_as_the_general_parser_and_the_model_read_it(body: bytes) -> None:
    read_as_the_model(body)


def test_a_page_of_a_thousand_rows_over_several_days_is_read_as_the_model_reads_it() -> None:
    chance = random.Random(5)
    rows = [
        row(
            attendance_date=f"2026-01-{5 + number // 300:02}",
            student_id=f"{number:024x}"[: chance.choice([24, 24, 30])],
            section_id=chance.choice([SECTION, "short", None]),
            excuse_code=chance.choice(["ILL", "é 😀", "O'Brien", "", None, ...]),
            attendance_status=chance.choice(["present", "absent", "tardy", "excused"]),
            created=f"2026-01-06T{number % 24:02}:02:03.{number:03}Z",
        )
        for number in range(1000)
    ]
    page = read_as_the_model(page_of(*rows))
    assert page is not None
    assert len(page) == 1000


def test_more_values_than_are_remembered_are_read_all_the_same() -> None:
    for hour in range(24):
        rows = [row(created=f"2026-01-06T{hour:02}:02:03.{number:03}Z") for number in range(1000)]
        page = read_as_the_model(page_of(*rows))
        assert page is not None
        assert not page.rejected
