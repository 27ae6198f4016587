"""A page belongs to its walk, or its strangers are set aside, or it ends the pull."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_clever.api.endpoints import AttendanceQuery
from airflow_provider_clever.api.pages import decode_page
from airflow_provider_clever.exceptions import CleverDataError, CleverProtocolError
from airflow_provider_clever.pull.chains import Chain
from airflow_provider_clever.pull.checks import WalkCheck

DISTRICT, SCHOOL, OTHER, SECTION = (f"65aa0000000000000000000{digit}" for digit in "1234")
DAYS = ("2026-03-02", "2026-03-03", "2026-03-04", "2026-03-05")


def row(student: str = "a", **values: Any) -> dict[str, Any]:
    return {
        "attendance_date": DAYS[1],
        "attendance_status": "absent",
        "attendance_type": "section",
        "district_id": DISTRICT,
        "school_id": SCHOOL,
        "section_id": SECTION,
        "student_id": student,
        **values,
    }


def body(*rows: dict[str, Any]) -> bytes:
    return json.dumps({"data": rows, "links": []}).encode()


def walk(*, section: bool = False) -> WalkCheck:
    """The check of a walk over the two days in the middle."""
    scope = {"section_id": SECTION} if section else {"school_id": SCHOOL}
    query = AttendanceQuery(**scope, date_range_start=DAYS[1], date_range_end=DAYS[2])
    return WalkCheck(Chain(query, whole=not section), DISTRICT)


def kept_and_reasons(check: WalkCheck, *rows: dict[str, Any]) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    """The rows that are left of a page, and which were set aside and why."""
    page = check.check(decode_page(body(*rows), check.pages + 1))
    assert page.batch().num_rows == len(page) == len(page.rows)
    assert all(one.page == check.pages and json.loads(one.raw) in rows for one in page.rejected)
    return page.rows, [(one.row, one.reason) for one in page.rejected]


def test_a_page_of_this_walk_is_taken_and_counted():
    check = walk()
    rows = [row("a"), row("b", attendance_status="sick"), row("a", attendance_date=DAYS[2])]

    assert kept_and_reasons(check, *rows) == (rows, [])

    assert (check.pages, check.received, check.unknown_values) == (1, 3, {"attendance_status": 1})


OUTSIDE = "attendance_date is outside the dates that were asked for"
STRANGERS = {
    "another school": ({"school_id": OTHER}, "school_id is not the school that was asked for"),
    "a day too early": ({"attendance_date": DAYS[0]}, OUTSIDE),
    "a day too late": ({"attendance_date": DAYS[3]}, OUTSIDE),
    "both": ({"attendance_date": DAYS[3], "school_id": OTHER}, OUTSIDE),
}


@pytest.mark.parametrize("place", [0, 1, 2], ids=["first", "between", "last"])
@pytest.mark.parametrize(("stranger", "reason"), STRANGERS.values(), ids=STRANGERS)
def test_a_stranger_is_set_aside_and_counted_and_the_others_stay(stranger: dict[str, str], reason: str, place: int):
    check = walk()
    rows = [row("a"), row("b")]
    rows.insert(place, row("s", **stranger))

    assert kept_and_reasons(check, *rows) == ([row("a"), row("b")], [(place + 1, reason)])

    assert (check.pages, check.received) == (1, 3)


def test_a_row_of_another_district_ends_the_pull():
    for page in ([row("a"), row("s", district_id=OTHER)], [row("s", district_id=OTHER)] * 2):
        with pytest.raises(CleverDataError, match="rows of another district"):
            kept_and_reasons(walk(), *page)


def test_a_sections_page_may_name_any_school_but_no_other_day():
    rows = [row("a"), row("b", school_id=OTHER), row("c", attendance_date=DAYS[0])]
    assert kept_and_reasons(walk(section=True), *rows) == (rows[:2], [(3, OUTSIDE)])


def test_a_walk_that_goes_back_or_round_in_circles_is_noticed():
    for *before, again in (["b", "c", "a"], ["b", "b", "b"]):
        check = walk()
        for student in before:
            kept_and_reasons(check, row(student))
        with pytest.raises(CleverProtocolError, match=r"Page 3 of .* does not come after"):
            kept_and_reasons(check, row(again))
    check = walk()
    for students in ("ab", "b", "bc"):
        kept_and_reasons(check, *map(row, students))
    assert (check.pages, check.received, check.equal_keys) == (3, 5, 2)


def test_a_walk_of_strangers_alone_goes_round_in_circles_too():
    check = walk()
    for _ in range(2):
        kept_and_reasons(check, row("s", school_id=OTHER))
    with pytest.raises(CleverProtocolError, match="does not come after"):
        kept_and_reasons(check, row("s", school_id=OTHER))


ROWS = st.builds(
    row,
    st.sampled_from("abc"),
    attendance_date=st.sampled_from([DAYS[1]] * 3 + [DAYS[2]] * 3 + [DAYS[0], DAYS[3]]),
    district_id=st.sampled_from([DISTRICT] * 12 + [OTHER]),
    school_id=st.sampled_from([SCHOOL] * 6 + [OTHER]),
    section_id=st.sampled_from([SECTION, "a", None, ""]),
    attendance_status=st.sampled_from(["absent", "sick"]),
    attendance_type=st.sampled_from(["section"] * 6 + ["meeting"]),
    excuse_code=st.sampled_from([None, "ILL", "half a pair \ud83d"]),
)


@settings(deadline=None)  # the first example pays for loading pyarrow
@given(rows=st.lists(ROWS, max_size=6), section=st.booleans())
def test_every_row_of_a_page_is_kept_or_set_aside_or_ends_the_pull(rows: list[dict[str, Any]], section: bool):
    check = walk(section=section)
    if any(one["district_id"] != DISTRICT for one in rows):
        with pytest.raises(CleverDataError):
            check.check(decode_page(body(*rows)))
        return
    page = check.check(decode_page(body(*rows)))
    fits = [one["attendance_date"] in DAYS[1:3] and (section or one["school_id"] == SCHOOL) for one in rows]
    assert [one.row for one in page.rejected] == [number for number, fit in enumerate(fits, start=1) if not fit]
    assert [one["student_id"] for one in page.rows] == [
        one["student_id"] for one, fit in zip(rows, fits, strict=True) if fit
    ]
    assert page.batch()["student_id"].to_pylist() == [one["student_id"] for one in page.rows]
