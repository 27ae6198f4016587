"""A page in Arrow is the page that the plain way reads, or none; and usual pages are read."""

from __future__ import annotations

import json
import random
import sys
from itertools import groupby
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_clever.api import usual_pages
from airflow_provider_clever.api.rows import decode_page
from airflow_provider_clever.api.usual_pages import UsualPage, can_read, decode_usual_page
from airflow_provider_clever.attendance.batches import as_columns, length
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

no_stopwatch = settings(deadline=None, max_examples=60)  # the first example pays for loading pyarrow


def read_both_ways(body: bytes) -> UsualPage | None:
    """The page in Arrow, seen to be what the plain way reads; None if it is not read in Arrow."""
    usual = decode_usual_page(body)
    try:
        plain = decode_page(body)
    except CleverProtocolError:
        assert usual is None
        return None
    if usual is not None:
        assert as_columns(usual.columns) == plain.columns
        assert (list(plain.rejected), list(usual.rejected), plain.surrogates_replaced) == ([], [], 0)
        assert dict(usual.unknown_values) == dict(plain.unknown_values)
        days = plain.columns["attendance_date"]
        assert days == sorted(days, key=str)
        assert [(start, end, day) for start, end, day in usual.days] == list(stretches(days))
        assert usual.district_ids == set(plain.columns["district_id"])
        assert usual.school_ids == set(plain.columns["school_id"])
    return usual


def stretches(days: list[str | None]) -> Any:
    start = 0
    for day, found in groupby(days):
        end = start + len(list(found))
        yield start, end, day
        start = end


def taken(*rows: Any, **envelope: Any) -> UsualPage:
    usual = read_both_ways(page_of(*rows, **envelope))
    assert usual is not None
    return usual


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


# --- the two ways are one -------------------------------------------------------------------------------------------


@no_stopwatch
@given(st.data(), st.lists(USUAL | ONE_ODD | ROWS | GARBAGE, max_size=4))
def test_a_page_of_any_rows_is_read_alike_or_not_in_arrow(data: st.DataObject, rows: list[Any]) -> None:
    read_both_ways(data.draw(spelled(rows)))


@no_stopwatch
@given(st.data(), PAGES_IN_ORDER)
def test_a_documented_page_is_read_in_arrow_however_it_is_spelled(data: st.DataObject, rows: list[Any]) -> None:
    assert read_both_ways(data.draw(spelled(rows))) is not None


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


@settings(no_stopwatch, max_examples=100)
@given(st.sampled_from(TO_DAMAGE), st.integers(0, 2**32))
def test_a_damaged_page_is_read_alike_or_not_in_arrow(body: bytes, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(20):
        read_both_ways(damaged(body, chance))


# --- what is usual --------------------------------------------------------------------------------------------------


def test_a_page_of_one_row_is_read_in_arrow() -> None:
    usual = taken(row())
    assert as_columns(usual.columns) == {
        "attendance_date": ["2026-01-05"],
        "student_id": [STUDENT],
        "section_id": [SECTION],
        "attendance_type": ["section"],
        "attendance_status": ["absent"],
        "excuse_code": ["ILL"],
        "sis_id": ["A-1"],
        "school_id": [SCHOOL],
        "district_id": [DISTRICT],
        "created": ["2026-01-06T01:02:03.456000Z"],
        "last_modified": ["2026-01-06T01:02:03.456000Z"],
        "_extra": [None],
    }


def test_a_page_of_a_thousand_rows_over_several_days_is_read_in_arrow() -> None:
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
    usual = taken(*rows, links=[{"rel": "next", "uri": "/v3.1/schools/x/attendance?limit=1000&starting_after=abc=="}])
    assert length(usual.columns) == 1000
    assert usual.unknown_values == {"attendance_status": sum(one["attendance_status"] == "excused" for one in rows)}


@pytest.mark.parametrize("everywhere", [True, False], ids=["in every row", "in one of three"])
@pytest.mark.parametrize("nothing", [..., None, ""], ids=["missing", "null", "empty"])
@pytest.mark.parametrize("field", ["section_id", "excuse_code", "sis_id", "created", "last_modified"])
def test_optional_fields_without_a_value_are_usual(field: str, nothing: Any, everywhere: bool) -> None:
    empty = row(**{field: nothing})
    rows = [empty] * 3 if everywhere else [row(), empty, row()]
    assert as_columns(taken(*rows).columns)[field].count(None) == rows.count(empty)


def test_no_optional_field_at_all_is_usual() -> None:
    taken(*[row(section_id=..., excuse_code=..., sis_id=..., created=..., last_modified=...)] * 2)
    taken(row(section_id="", excuse_code="", sis_id="", created="", last_modified=""))


@pytest.mark.parametrize("field", ["student_id", "section_id", "school_id", "district_id"])
def test_ids_of_every_length_up_to_the_longest_are_usual(field: str) -> None:
    rows = [row(**{field: "x" * count}) for count in (1, 24, 64)]
    assert as_columns(taken(*rows).columns)[field] == ["x", "x" * 24, "x" * 64]
    assert decode_usual_page(page_of(*rows, row(**{field: "x" * 65}))) is None


@pytest.mark.parametrize("field", ["excuse_code", "sis_id", "attendance_status"])
@pytest.mark.parametrize(
    "text",
    [
        *("é", "😀", "\u202eright to left", "O'Brien", "%s {} %", "\x7f", "\ufffd", " ", "null", "/", "\u2028"),
        *('quote "', "back\\slash", "\x00", "\n\r\t\b\f", "a\x1eb\x1fc"),
    ],
)
def test_every_text_is_usual_where_text_is_free(field: str, text: str) -> None:
    for ensure_ascii in (True, False):
        body = json.dumps({"data": [row(**{field: text}), row()]}, ensure_ascii=ensure_ascii).encode()
        usual = read_both_ways(body)
        assert usual is not None
        assert as_columns(usual.columns)[field][0] == text


def test_a_status_that_is_not_documented_is_usual_and_counted() -> None:
    usual = taken(*[row(attendance_status=status) for status in ("late", "absent", "late", "sick")])
    assert usual.unknown_values == {"attendance_status": 3}
    assert taken(row()).unknown_values == {}


@pytest.mark.parametrize("links", [None, [], [{"rel": "self", "uri": "/x"}], [{"rel": "next", "uri": "/x?y=\\"}]])
def test_links_that_are_documented_are_usual(links: Any) -> None:
    taken(row(), links=links)
    assert read_both_ways(json.dumps({"data": [row()]}).encode()) is not None


@pytest.mark.parametrize("others", [0, 1])
def test_a_text_of_more_than_255_bytes_is_unusual(others: int) -> None:
    rows = [row(sis_id="short")] * others
    taken(*rows, row(student_id="b", sis_id="x" * 255))
    assert read_both_ways(page_of(*rows, row(student_id="b", sis_id="x" * 256))) is None
    assert read_both_ways(page_of(*rows, row(student_id="b", sis_id="x" * 100_000))) is None


def test_nothing_of_a_row_is_in_the_representation_of_a_page() -> None:
    assert repr(taken(row(), row(excuse_code="secret"))) == "UsualPage(2 rows)"
    assert str(taken(row())) == "UsualPage(1 rows)"


def test_pyarrow_is_found_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert can_read()
    monkeypatch.setitem(sys.modules, "pyarrow.json", None)
    assert not can_read.__wrapped__()


def test_the_bytes_of_a_part_of_a_column_are_those_of_the_part() -> None:
    whole = pa.array(["a", None, "é", "", "bc", "d"])
    for start, end in ((0, 6), (0, 4), (2, 5), (3, 4)):
        part = usual_pages._Column.of(whole.slice(start, end - start))
        assert part.letters == "".join(filter(None, whole.to_pylist()[start:end])).encode()
        assert list(part.lengths) == [len((text or "").encode()) for text in whole.to_pylist()[start:end]]


# --- what is unusual ------------------------------------------------------------------------------------------------

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
ESCAPES = [letters for name, letters in VALUES.items() if name.startswith(("an escape", "escapes"))]
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


@pytest.mark.parametrize("letters", IN_TEXT.values(), ids=IN_TEXT)
@pytest.mark.parametrize("field", OF_A_ROW)
def test_broken_text_is_unusual_in_each_column(field: str, letters: bytes) -> None:
    assert read_both_ways(with_value(field, OF_A_ROW[field][:-1] + letters + b'"')) is None
    assert read_both_ways(with_value(field, b'"' + letters + b"x" + OF_A_ROW[field][1:])) is None


@pytest.mark.parametrize("letters", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("field", OF_A_ROW)
def test_odd_text_is_read_alike_in_each_column(field: str, letters: bytes) -> None:
    is_free = field in ("attendance_status", "excuse_code", "sis_id")
    for body in (with_value(field, b'"' + letters + b'"'), with_value(field, OF_A_ROW[field][:-1] + letters + b'"')):
        usual = read_both_ways(body)
        assert is_free or usual is None
        assert not is_free or usual is not None or letters in ESCAPES


@pytest.mark.parametrize(
    "value", [b"5", b"-0.5", b"1e400", b"true", b"false", b"NaN", b"{}", b"[]", b'["x"]', b"[null]"]
)
@pytest.mark.parametrize("field", OF_A_ROW)
def test_what_is_no_text_is_unusual_in_each_column(field: str, value: bytes) -> None:
    assert read_both_ways(with_value(field, value)) is None


REQUIRED = ["attendance_date", "student_id", "attendance_type", "attendance_status", "school_id", "district_id"]


@pytest.mark.parametrize("nothing", [..., None, ""], ids=["missing", "null", "empty"])
@pytest.mark.parametrize("field", REQUIRED)
def test_a_required_field_without_a_value_is_unusual(field: str, nothing: Any) -> None:
    assert read_both_ways(page_of(row(), row(**{field: nothing}), row())) is None
    assert read_both_ways(page_of(row(**{field: nothing}))) is None


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
    *("2026-01-06T01:02:03.4\x003Z", "2026-01-06T01:02:03.4é6Z", "2026-01-06", " ", "2", "Z", "now"),
]


@pytest.mark.parametrize("field", ["created", "last_modified"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_timestamps_that_are_written_in_another_way_are_unusual(field: str, moment: str) -> None:
    for rows in ([row(**{field: moment})], [row(), row(**{field: moment}), row(**{field: None})]):
        assert read_both_ways(page_of(*rows)) is None


def test_two_odd_timestamps_that_are_as_long_as_two_usual_ones_are_unusual() -> None:
    whole = "2026-01-06T01:02:03.456Z" * 2
    for cut in range(len(whole)):
        rows = [row(created=whole[:cut]), row(created=whole[cut:])]
        assert (read_both_ways(page_of(*rows)) is not None) == (cut == 24)


@pytest.mark.parametrize("moment", ["2000-01-01T00:00:00.000Z", "2024-02-29T12:00:00.001Z", "2999-12-31T23:59:59.999Z"])
def test_the_instants_of_a_thousand_years_are_usual(moment: str) -> None:
    assert as_columns(taken(row(created=moment)).columns)["created"] == [moment.replace("Z", "000Z")]


@pytest.mark.parametrize(
    "days",
    [
        ["2026-01-06", "2026-01-05"],
        ["2026-01-05", "2026-01-06", "2026-01-05"],
        ["2026-01-05", "2026-01-06", "2026-01-05", "2026-01-06"],
        ["2026-02-29"],
        ["2026-01-05", "2026-02-31"],
        ["2026-13-01"],
        ["0000-01-01"],
        ["2026-1-5"],
        ["20260105"],
        ["2026-W02-1"],
        ["2026-01-05", "2026-01-5"],
        ["2026-01-0", "52026-01-05"],
        ["2026-01-05 "],
        ["2026-01-05T00:00:00Z"],
        ["٢026-01-05"],
        ["٢٢٢٢٢"],
        ["1111111111", "1111111111"],
        ["today"],
    ],
    ids=str,
)
def test_days_out_of_order_and_what_is_no_day_are_unusual(days: list[str]) -> None:
    assert read_both_ways(page_of(*[row(attendance_date=day) for day in days])) is None


@given(st.lists(st.sampled_from(["2026-01-05", "2026-01-06", "2020-20-20", "2026-01-5", "6-01-052026"]), min_size=1))
@no_stopwatch
def test_days_in_any_order_are_read_alike_or_not_in_arrow(days: list[str]) -> None:
    read_both_ways(page_of(*[row(attendance_date=day) for day in days]))


@pytest.mark.parametrize("day", ["0001-01-01", "1999-12-31", "2024-02-29", "9999-12-31"])
def test_every_day_of_the_calendar_is_usual(day: str) -> None:
    taken(row(attendance_date=day), row(attendance_date=day))


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


@pytest.mark.parametrize("body", ODD_BODIES.values(), ids=ODD_BODIES)
def test_odd_pages_are_unusual(body: bytes) -> None:
    assert read_both_ways(body) is None


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" + GOOD,
        b"\n\n" + GOOD,
        GOOD + b"\r\n\r\n",
        json.dumps(json.loads(GOOD), indent="\t").encode(),
        GOOD.replace(b"{", b"{\n").replace(b"}", b"\n}"),
        GOOD.replace(b'"data"', b'"d\\u0061ta"'),
        GOOD.replace(LINK, b'"links":[{"rel":"a","uri":null}]'),
    ],
    ids=[
        "byte order mark",
        "line breaks before",
        "line breaks after",
        "pretty",
        "in lines",
        "escaped name",
        "no address",
    ],
)
def test_a_page_that_is_spelled_oddly_is_read_alike_or_not_in_arrow(body: bytes) -> None:
    read_both_ways(body)
