"""A walk's pages are judged alike, whether they came in Arrow or in plain columns."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_clever.api.endpoints import AttendanceQuery
from airflow_provider_clever.api.rows import AttendancePage, decode_page
from airflow_provider_clever.api.usual_pages import UsualPage, decode_usual_page
from airflow_provider_clever.attendance.batches import as_columns
from airflow_provider_clever.attendance.rows import Columns, RejectedRow
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


def usual(*rows: dict[str, Any]) -> UsualPage:
    page = decode_usual_page(body(*rows))
    assert page is not None
    return page


def judged(check: WalkCheck, page: bytes, *, in_arrow: bool) -> tuple[Columns, list[RejectedRow]]:
    """What is left of a page, and what is set aside."""
    found = decode_usual_page(page) if in_arrow else None
    if found is not None and check.takes(found):
        return as_columns(found.columns), []
    plain: AttendancePage = check.check(decode_page(page, check.pages + 1))
    return plain.columns, list(plain.rejected)


def told(pages: list[bytes], in_arrow: list[bool], *, section: bool = False) -> list[Any]:
    """All that a walk says of its pages, up to the error that ends it."""
    check = walk(section=section)
    found: list[Any] = []
    try:
        for page, usual_if_it_is in zip(pages, in_arrow, strict=True):
            found.append(judged(check, page, in_arrow=usual_if_it_is))
    except (CleverDataError, CleverProtocolError) as error:
        found.append((type(error), str(error)))
    return [
        *found,
        (check.pages, check.received, check.equal_keys, check.surrogates_replaced, dict(check.unknown_values)),
    ]


def test_a_page_of_this_walk_is_taken_and_counted():
    check = walk()

    assert check.takes(usual(row("a"), row("b", attendance_status="sick"), row("a", attendance_date=DAYS[2])))

    assert (check.pages, check.received, check.unknown_values) == (1, 3, {"attendance_status": 1})


STRANGERS = {
    "another district": {"district_id": OTHER},
    "another school": {"school_id": OTHER},
    "a day too early": {"attendance_date": DAYS[0]},
    "a day too late": {"attendance_date": DAYS[3]},
}


@pytest.mark.parametrize("place", [0, 1, 2], ids=["first", "between", "last"])
@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
def test_a_page_with_a_stranger_is_not_taken_and_counts_nothing(stranger: dict[str, str], place: int):
    check = walk()
    rows = [row("a"), row("b")]
    rows.insert(place, row("s", **stranger))
    page = usual(*sorted(rows, key=lambda one: one["attendance_date"]))

    assert not check.takes(page)

    assert (check.pages, check.received, check.equal_keys, check.unknown_values) == (0, 0, 0, {})


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
def test_a_stranger_is_dealt_with_as_in_plain_columns(stranger: dict[str, str]):
    rows = sorted([row("a"), row("s", **stranger)], key=lambda one: one["attendance_date"])
    pages = [body(row("a")), body(*rows), body(row("z"))]

    in_arrow = told(pages, [True] * 3)

    assert in_arrow == told(pages, [False] * 3)
    if "district_id" in stranger:
        assert in_arrow[1][0] is CleverDataError
    else:
        [set_aside] = in_arrow[1][1]
        assert (set_aside.page, json.loads(set_aside.raw)["student_id"]) == (2, "s")


def test_a_sections_page_may_name_any_school_but_no_other_day_or_district():
    assert walk(section=True).takes(usual(row("a"), row("b", school_id=OTHER)))
    assert not walk(section=True).takes(usual(row("a", attendance_date=DAYS[0])))
    assert not walk(section=True).takes(usual(row("a"), row("b", district_id=OTHER)))


@pytest.mark.parametrize("in_arrow", [[True] * 3, [False] * 3, [True, False, True], [False, True, False]], ids=str)
def test_a_walk_that_goes_back_or_round_in_circles_is_noticed_in_both_forms(in_arrow: list[bool]):
    back = [body(row("b")), body(row("c")), body(row("a"))]
    circle = [body(row("b"))] * 3

    assert told(back, in_arrow)[2][0] is CleverProtocolError
    assert told(circle, in_arrow)[2][0] is CleverProtocolError
    assert told([body(row("a"), row("b")), body(row("b")), body(row("b"), row("c"))], in_arrow)[-1][:3] == (3, 5, 2)


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


def place(one: dict[str, Any]) -> tuple[str, ...]:
    return (one["attendance_date"], one["student_id"], one["section_id"] or "0" * 24, one["school_id"])


@settings(deadline=None)  # the first example pays for loading pyarrow
@given(
    drawn=st.lists(st.tuples(st.lists(ROWS, max_size=4), st.booleans()), max_size=5),
    is_in_order=st.booleans(),
    section=st.booleans(),
)
def test_any_walk_is_judged_alike_in_both_forms(
    drawn: list[tuple[list[dict[str, Any]], bool]], is_in_order: bool, section: bool
):
    pages = [found for found, _ in drawn]
    if is_in_order:
        rows = iter(sorted((one for page in pages for one in page), key=place))
        pages = [[next(rows) for _ in page] for page in pages]
    bodies = [body(*page) for page in pages]

    plain = told(bodies, [False] * len(bodies), section=section)

    assert told(bodies, [True] * len(bodies), section=section) == plain
    assert told(bodies, [in_arrow for _, in_arrow in drawn], section=section) == plain
