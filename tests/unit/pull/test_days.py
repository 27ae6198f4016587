"""Rows in the order of a walk become days, complete exactly when they are."""

from collections import defaultdict
from datetime import date

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clever.api.endpoints import AttendanceQuery
from airflow_provider_clever.attendance.batches import pulled_schema
from airflow_provider_clever.attendance.rows import PulledDay
from airflow_provider_clever.dates import DateRange
from airflow_provider_clever.pull.chains import Chain
from airflow_provider_clever.pull.days import DayAssembler

SCHOOL = "65cc00000000000000000001"
DAYS = [f"2026-03-{day:02d}" for day in range(2, 12)]


def chain(*, section: bool = False) -> Chain:
    scope = {"section_id": "65dd00000000000000000001"} if section else {"school_id": SCHOOL}
    return Chain(AttendanceQuery(**scope, date_range_start=DAYS[0], date_range_end=DAYS[-1]), whole=not section)


def page(*rows: tuple[str, str], schools: list[str] | None = None) -> pa.RecordBatch:
    """Rows of (day, student), everything else constant."""
    values: dict[str, list[object]] = {name: [None] * len(rows) for name in pulled_schema().names}
    values["attendance_date"] = [date.fromisoformat(day) for day, _ in rows]
    values["student_id"] = [student for _, student in rows]
    values["school_id"] = list(schools or [SCHOOL] * len(rows))
    return pa.RecordBatch.from_pydict(values, schema=pulled_schema())


def students(day: PulledDay) -> list[str]:
    found: list[str] = day.rows["student_id"].to_pylist()
    return found


def rows_of(days: list[PulledDay]) -> dict[str, list[str]]:
    rows = defaultdict(list)
    for day in days:
        assert set(day.rows["attendance_date"].to_pylist()) <= {date.fromisoformat(day.attendance_date)}
        rows[day.attendance_date] += students(day)
    return rows


@given(
    rows=st.lists(st.tuples(st.sampled_from(DAYS), st.sampled_from("abcdef")), max_size=40).map(sorted),
    page_size=st.integers(1, 9),
)
def test_every_row_comes_out_on_its_day_and_every_day_comes_out_once(rows: list[tuple[str, str]], page_size: int):
    assembler = DayAssembler(chain())
    days: list[PulledDay] = []
    for start in range(0, len(rows), page_size):
        days += assembler.add(page(*rows[start : start + page_size]))
    days += assembler.finish()

    assert [day.attendance_date for day in days] == DAYS
    assert all(day.whole for day in days)
    assert [(day, student) for day, found in rows_of(days).items() for student in found] == rows
    assert assembler.complete_days == DateRange.from_json((DAYS[0], DAYS[-1]))


def test_a_day_is_complete_when_a_later_date_was_seen_and_not_before():
    assembler = DayAssembler(chain())

    assert list(assembler.add(page((DAYS[0], "a")))) == []
    assert assembler.complete_days is None
    [first] = assembler.add(page((DAYS[0], "b"), (DAYS[1], "a")))
    assert (first.attendance_date, students(first)) == (DAYS[0], ["a", "b"])
    assert assembler.complete_days == DateRange.from_json((DAYS[0], DAYS[0]))


def test_days_without_rows_come_out_empty_so_that_landed_rows_can_be_missed():
    assembler = DayAssembler(chain())

    days = list(assembler.add(page((DAYS[3], "a"))))

    assert [(day.attendance_date, students(day), day.whole) for day in days] == [(day, [], True) for day in DAYS[:3]]


def test_a_row_that_comes_after_its_day_was_closed_comes_out_again_as_an_addition():
    assembler = DayAssembler(chain())
    list(assembler.add(page((DAYS[0], "a"), (DAYS[1], "a"))))

    [late] = assembler.add(page((DAYS[0], "b")))

    assert (late.attendance_date, students(late), late.whole) == (DAYS[0], ["b"], False)


@given(rows=st.permutations([(day, student) for day in DAYS[:4] for student in "ab"]))
def test_rows_in_any_order_on_one_page_all_come_out(rows: list[tuple[str, str]]):
    assembler = DayAssembler(chain())

    days = [*assembler.add(page(*rows)), *assembler.finish()]

    assert {day: sorted(found) for day, found in rows_of(days).items() if found} == {
        day: ["a", "b"] for day in DAYS[:4]
    }


def test_a_sections_rows_come_out_per_school_and_never_as_a_whole_day():
    assembler = DayAssembler(chain(section=True))

    days = [
        *assembler.add(page((DAYS[0], "a"), (DAYS[0], "b"), (DAYS[0], "c"), schools=["s2", "s1", "s2"])),
        *assembler.finish(),
    ]

    assert [(day.school_id, students(day), day.whole) for day in days] == [
        ("s1", ["b"], False),
        ("s2", ["a", "c"], False),
    ]


def test_days_that_a_rejected_row_may_belong_to_mark_nothing():
    assembler = DayAssembler(chain())

    days = [
        *assembler.add(page((DAYS[0], "a"), (DAYS[1], "a"))),
        *assembler.add(page((DAYS[2], "a"), (DAYS[3], "a")), has_rejected=True),
        *assembler.add(page((DAYS[5], "a"), (DAYS[6], "a"))),
        *assembler.finish(),
    ]

    assert [day.attendance_date for day in days if not day.whole] == DAYS[1:6]
    assert assembler.complete_days == DateRange.from_json((DAYS[0], DAYS[-1]))
