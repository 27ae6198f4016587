"""Rows in the order of a walk become days, complete exactly when they are."""

from collections import defaultdict
from itertools import groupby

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_clever.api.endpoints import AttendanceQuery
from airflow_provider_clever.attendance.batches import BATCH_COLUMNS, as_columns
from airflow_provider_clever.attendance.rows import Columns, PulledDay
from airflow_provider_clever.attendance.schema import PULLED_COLUMNS
from airflow_provider_clever.dates import DateRange
from airflow_provider_clever.pull.chains import Chain
from airflow_provider_clever.pull.days import DayAssembler

SCHOOL = "65cc00000000000000000001"
DAYS = [f"2026-03-{day:02d}" for day in range(2, 12)]


def chain(*, section: bool = False) -> Chain:
    scope = {"section_id": "65dd00000000000000000001"} if section else {"school_id": SCHOOL}
    return Chain(AttendanceQuery(**scope, date_range_start=DAYS[0], date_range_end=DAYS[-1]), whole=not section)


def columns(*rows: tuple[str, str], school_id: str = SCHOOL) -> Columns:
    """Rows of (day, student), everything else constant."""
    found: Columns = {name: [None] * len(rows) for name in PULLED_COLUMNS}
    found["attendance_date"] = [day for day, _ in rows]
    found["student_id"] = [student for _, student in rows]
    found["school_id"] = [school_id] * len(rows)
    return found


def rows_of(days: list[PulledDay]) -> dict[str, list[str | None]]:
    rows = defaultdict(list)
    for day in days:
        rows[day.attendance_date] += day.columns["student_id"]
    return rows


@given(
    rows=st.lists(st.tuples(st.sampled_from(DAYS), st.sampled_from("abcdef")), max_size=40).map(sorted),
    page_size=st.integers(1, 9),
)
def test_every_row_comes_out_on_its_day_and_every_day_comes_out_once(rows: list[tuple[str, str]], page_size: int):
    assembler = DayAssembler(chain())
    days: list[PulledDay] = []
    for start in range(0, len(rows), page_size):
        days += assembler.add(columns(*rows[start : start + page_size]))
    days += assembler.finish()

    assert [day.attendance_date for day in days] == DAYS
    assert all(day.whole for day in days)
    assert [(day, student) for day, students in rows_of(days).items() for student in students] == rows
    assert assembler.complete_days == DateRange.from_json((DAYS[0], DAYS[-1]))


def test_a_day_is_complete_when_a_later_date_was_seen_and_not_before():
    assembler = DayAssembler(chain())

    assert list(assembler.add(columns((DAYS[0], "a")))) == []
    assert assembler.complete_days is None
    [first] = assembler.add(columns((DAYS[0], "b"), (DAYS[1], "a")))
    assert (first.attendance_date, first.columns["student_id"]) == (DAYS[0], ["a", "b"])
    assert assembler.complete_days == DateRange.from_json((DAYS[0], DAYS[0]))


def test_days_without_rows_come_out_empty_so_that_landed_rows_can_be_missed():
    assembler = DayAssembler(chain())

    days = list(assembler.add(columns((DAYS[3], "a"))))

    assert [(day.attendance_date, day.columns["student_id"], day.whole) for day in days] == [
        (day, [], True) for day in DAYS[:3]
    ]


def test_a_row_that_comes_after_its_day_was_closed_comes_out_again_as_an_addition():
    assembler = DayAssembler(chain())
    list(assembler.add(columns((DAYS[0], "a"), (DAYS[1], "a"))))

    [late] = assembler.add(columns((DAYS[0], "b")))

    assert (late.attendance_date, late.columns["student_id"], late.whole) == (DAYS[0], ["b"], False)


@given(rows=st.permutations([(day, student) for day in DAYS[:4] for student in "ab"]))
def test_rows_in_any_order_on_one_page_all_come_out(rows: list[tuple[str, str]]):
    assembler = DayAssembler(chain())

    days = [*assembler.add(columns(*rows)), *assembler.finish()]

    assert {day: sorted(map(str, students)) for day, students in rows_of(days).items() if students} == {
        day: ["a", "b"] for day in DAYS[:4]
    }


def test_a_sections_rows_come_out_per_school_and_never_as_a_whole_day():
    assembler = DayAssembler(chain(section=True))
    page = columns((DAYS[0], "a"), (DAYS[0], "b"), (DAYS[0], "c"))
    page["school_id"] = ["s2", "s1", "s2"]

    days = [*assembler.add(page), *assembler.finish()]

    assert [(day.school_id, day.columns["student_id"], day.whole) for day in days] == [
        ("s1", ["b"], False),
        ("s2", ["a", "c"], False),
    ]


def test_days_that_a_rejected_row_may_belong_to_mark_nothing():
    assembler = DayAssembler(chain())

    days = [
        *assembler.add(columns((DAYS[0], "a"), (DAYS[1], "a"))),
        *assembler.add(columns((DAYS[2], "a"), (DAYS[3], "a")), has_rejected=True),
        *assembler.add(columns((DAYS[5], "a"), (DAYS[6], "a"))),
        *assembler.finish(),
    ]

    assert [day.attendance_date for day in days if not day.whole] == DAYS[1:6]
    assert assembler.complete_days == DateRange.from_json((DAYS[0], DAYS[-1]))


# --- pages in Arrow -------------------------------------------------------------------------------------------------


def batch(page: Columns) -> tuple[pa.RecordBatch, list[tuple[int, int, str]]]:
    """The same rows in Arrow, and which of them are of which day."""
    arrays = [pa.array(page[name], pa.string()) for name in BATCH_COLUMNS]
    days, start = [], 0
    for day, found in groupby(page["attendance_date"]):
        end = start + len(list(found))
        days.append((start, end, str(day)))
        start = end
    return pa.record_batch(arrays, names=list(BATCH_COLUMNS)), days


def came_out(
    pages: list[tuple[Columns, bool]], in_arrow: list[bool], *, section: bool
) -> tuple[list[PulledDay], DateRange | None, str | None]:
    """The days of a walk whose pages came in the one form or the other, in plain columns."""
    assembler = DayAssembler(chain(section=section))
    days: list[PulledDay] = []
    for (page, has_rejected), usual in zip(pages, in_arrow, strict=True):
        # A page with a rejected row is never usual, nor is one without rows.
        if usual and not has_rejected and page["student_id"]:
            days += assembler.add(*batch(page))
        else:
            days += assembler.add(page, has_rejected=has_rejected)
    days += assembler.finish()
    plain = [day._replace(columns=as_columns(day.columns)) for day in days]
    return plain, assembler.complete_days, assembler.newest_date


PAGE = st.lists(st.tuples(st.sampled_from(DAYS), st.sampled_from("abc"), st.sampled_from("st")), max_size=5)


@settings(deadline=None)  # the first example pays for loading pyarrow
@given(
    drawn=st.lists(st.tuples(PAGE, st.sampled_from([False, False, True]), st.booleans()), max_size=6),
    is_in_order=st.booleans(),
    section=st.booleans(),
)
def test_pages_in_both_forms_give_the_same_days(
    drawn: list[tuple[list[tuple[str, str, str]], bool, bool]], is_in_order: bool, section: bool
):
    if is_in_order:  # of a walk as it should be; otherwise days come out again
        rows = iter(sorted(row for page, _, _ in drawn for row in page))
        drawn = [([next(rows) for _ in page], has_rejected, usual) for page, has_rejected, usual in drawn]
    pages = []
    for found, has_rejected, _ in drawn:
        page = columns(*[(day, student) for day, student, _ in sorted(found)])
        if section:
            page["school_id"] = [school for _, _, school in sorted(found)]
        pages.append((page, has_rejected))

    plain = came_out(pages, [False] * len(pages), section=section)

    assert came_out(pages, [True] * len(pages), section=section) == plain
    assert came_out(pages, [usual for _, _, usual in drawn], section=section) == plain


def test_a_school_day_of_usual_pages_alone_stays_in_arrow():
    assembler = DayAssembler(chain())
    first, second = columns((DAYS[0], "a"), (DAYS[0], "b")), columns((DAYS[0], "c"), (DAYS[1], "a"))

    days = [*assembler.add(*batch(first)), *assembler.add(*batch(second)), *assembler.finish()]

    assert [isinstance(day.columns, dict) for day in days[:3]] == [False, False, True]
    assert as_columns(days[0].columns)["student_id"] == ["a", "b", "c"]
