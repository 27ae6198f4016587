"""What the views of docs/how-to/analyse.md answer: small cases, with the answers worked out by hand."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

VIEWS = Path(__file__).parents[2] / "example_dags/attendance_views.sql"
TYPES = (
    "district_id VARCHAR, school_id VARCHAR, attendance_date DATE, student_id VARCHAR, attendance_type VARCHAR,"
    "attendance_status VARCHAR, section_id VARCHAR, excuse_code VARCHAR, created TIMESTAMPTZ,"
    "last_modified TIMESTAMPTZ, missing_since TIMESTAMPTZ"
)
DAY = "2026-11-16"


@dataclass
class Lake:
    """Rows made one by one, and the views over them."""

    database: Any = field(default_factory=duckdb.connect)

    def __post_init__(self) -> None:
        self.database.execute("SET TimeZone = 'America/Denver'")
        self.database.execute(f"CREATE TABLE attendance ({TYPES})")
        self.database.execute(
            "CREATE TABLE schools (district_id VARCHAR, school_id VARCHAR, name VARCHAR, first_seen DATE, "
            "last_seen DATE)"
        )
        self.database.execute(VIEWS.read_text())

    def row(self, status: str, section: str | None = None, /, **more: Any) -> None:
        values = {
            "district_id": "d",
            "school_id": "lincoln",
            "attendance_date": DAY,
            "student_id": "ana",
            "attendance_type": "section" if section else "daily",
            "attendance_status": status,
            "section_id": section,
            "excuse_code": None,
            "created": f"{more.get('attendance_date', DAY)}T20:00:00Z",
            "missing_since": None,
            **more,
        }
        values.setdefault("last_modified", values["created"])
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        self.database.execute(f"INSERT INTO attendance ({names}) VALUES ({marks})", [*values.values()])

    def present(self, students: int, **more: Any) -> None:
        """Students who are there, so that the school is one that records presence."""
        for number in range(students):
            self.row("present", student_id=f"other{number}", **more)

    def school(self, school_id: str, name: str, last_seen: str | None = None) -> None:
        self.database.execute("INSERT INTO schools VALUES ('d', ?, ?, '2026-08-01', ?)", [school_id, name, last_seen])

    def set(self, parameter: str, value: int) -> None:
        """Change a rule as the page says: make the view of parameters again with another value."""
        names = ("attended_percent", "chronic_percent", "speaking_percent", "present_percent")
        columns = ", ".join(f"{value} AS {one}" if one == parameter else one for one in names)
        self.database.execute(f"CREATE TABLE changed AS SELECT {columns} FROM parameters")
        self.database.execute("CREATE OR REPLACE VIEW parameters AS SELECT * FROM changed")

    def ask(self, question: str) -> list[tuple[Any, ...]]:
        return [*self.database.execute(question).fetchall()]

    def day_of(self, student: str = "ana") -> tuple[Any, ...]:
        (found,) = self.ask(f"SELECT day_status, decided_by FROM student_days WHERE student_id = '{student}'")
        return found


@pytest.fixture
def lake() -> Iterator[Lake]:
    found = Lake()
    yield found
    found.database.close()


# --- one student's day --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "day"),
    [("present", "present"), ("tardy", "tardy"), ("absent", "absent"), ("remote", "unknown"), ("Absent", "unknown")],
)
def test_a_daily_row_is_the_day_and_a_status_nobody_documented_is_no_answer(lake: Lake, status: str, day: str) -> None:
    lake.row(status)
    assert lake.day_of() == (day, None if day == "unknown" else "daily")


@pytest.mark.parametrize(
    ("sections", "day"),
    [
        ("A", "absent"),
        ("P", "present"),  # a day of which one section has come says what that section says
        ("PA", "present"),  # half is enough
        ("PAA", "absent"),
        ("TAAA", "absent"),
        ("TPA", "tardy"),
        ("TT", "tardy"),
        ("PPPPAAA", "present"),
        ("PPPAAAA", "absent"),
        ("?", "unknown"),
        ("?A", "absent"),
        ("??P", "present"),
    ],
)
def test_sections_make_the_day_where_half_of_those_that_say_something_were_attended(
    lake: Lake, sections: str, day: str
) -> None:
    words = {"P": "present", "T": "tardy", "A": "absent", "?": "field trip"}
    for number, letter in enumerate(sections):
        lake.row(words[letter], f"s{number}")
    assert lake.day_of() == (day, None if day == "unknown" else "section")


def test_a_daily_row_wins_over_sections_but_not_if_nobody_knows_what_it_means(lake: Lake) -> None:
    lake.row("absent", student_id="a")
    lake.row("present", "s1", student_id="a")
    lake.row("present", "s2", student_id="a")
    lake.row("suspended", student_id="b")
    lake.row("absent", "s1", student_id="b")
    assert (lake.day_of("a"), lake.day_of("b")) == (("absent", "daily"), ("absent", "section"))


def test_another_part_of_the_day_can_be_asked_for(lake: Lake) -> None:
    for number, status in enumerate(["present", "present", "absent"]):
        lake.row(status, f"s{number}")
    lake.set("attended_percent", 75)
    assert lake.day_of() == ("absent", "section")


def test_rows_that_are_gone_at_clever_count_for_nothing(lake: Lake) -> None:
    lake.row("absent", missing_since=f"{DAY}T23:00:00Z")
    assert lake.ask("SELECT * FROM student_days") == []
    assert lake.ask("SELECT * FROM attendance_rates") == []


@pytest.mark.parametrize(("day", "year"), [("2026-06-30", 2025), ("2026-07-01", 2026), ("2027-01-15", 2026)])
def test_a_school_year_begins_on_the_first_of_july(lake: Lake, day: str, year: int) -> None:
    lake.row("present", attendance_date=day)
    assert lake.ask("SELECT school_year FROM student_days") == [(year,)]


# --- rates ----------------------------------------------------------------------------------------------------------


def test_the_rate_of_a_school_and_day_counts_tardy_as_there_and_excused_as_absent(lake: Lake) -> None:
    lake.school("lincoln", "Lincoln High")
    lake.present(6)  # 6 present
    lake.row("tardy", student_id="t")  # 7 there
    lake.row("absent", student_id="x", excuse_code="MED")
    lake.row("absent", student_id="y")  # 2 absent: 7 of 9
    lake.row("remote", student_id="z")  # not counted
    assert lake.ask(
        "SELECT school_name, students_there, students_tardy, students_absent, students_unknown, "
        "round(attendance_rate, 4) FROM attendance_rates"
    ) == [("Lincoln High", 7, 1, 2, 1, 0.7778)]


def test_a_school_that_sends_exceptions_alone_has_no_rate_and_makes_nobody_chronic(lake: Lake) -> None:
    lake.row("present", student_id="corrected")  # one absence was taken back
    for number in range(3):
        lake.row("absent", student_id=f"a{number}")
    lake.present(3, school_id="north")
    rates = dict(lake.ask("SELECT school_id, attendance_rate FROM attendance_rates"))
    assert rates == {"lincoln": None, "north": 1}
    assert {student for (student,) in lake.ask("SELECT student_id FROM chronic_absence")} == {
        "other0",
        "other1",
        "other2",
    }


def test_a_day_of_which_nothing_is_known_has_no_rate(lake: Lake) -> None:
    lake.present(3, attendance_date="2026-11-13")
    lake.row("remote")
    assert dict(lake.ask("SELECT attendance_date, attendance_rate FROM attendance_rates")) == {
        date(2026, 11, 13): 1,
        date(2026, 11, 16): None,
    }


# --- chronic absence ------------------------------------------------------------------------------------------------


def record(lake: Lake, student: str, present: int, absent: int, **more: Any) -> None:
    for number in range(present + absent):
        day = date.fromordinal(date(2026, 9, 1).toordinal() + number)
        lake.row("present" if number < present else "absent", student_id=student, attendance_date=str(day), **more)


def test_chronic_absence_begins_at_a_tenth_of_the_days_on_record(lake: Lake) -> None:
    record(lake, "below", 28, 3)  # 3 of 31 = 9.7 %
    record(lake, "just", 27, 3)  # 3 of 30 = 10 %
    record(lake, "above", 8, 2)
    record(lake, "never", 20, 0)
    asked = "SELECT student_id, days_absent, days_on_record, is_chronic FROM chronic_absence ORDER BY student_id"
    assert lake.ask(asked) == [
        ("above", 2, 10, True),
        ("below", 3, 31, False),
        ("just", 3, 30, True),
        ("never", 0, 20, False),
    ]
    assert lake.ask("SELECT students, students_chronic, chronic_part FROM chronic_absence_by_school") == [(4, 2, 0.5)]
    lake.set("chronic_percent", 20)
    assert [is_chronic for *_, is_chronic in lake.ask(asked)] == [True, False, False, False]


def test_a_school_year_is_judged_by_itself(lake: Lake) -> None:
    for day, status in [("2026-06-29", "absent"), ("2026-06-30", "present"), ("2026-07-01", "present")]:
        lake.row(status, attendance_date=day)
    lake.present(3, attendance_date="2026-06-30")
    assert lake.ask(
        "SELECT school_year, days_absent, days_on_record FROM chronic_absence WHERE student_id = 'ana' ORDER BY 1"
    ) == [(2025, 1, 2), (2026, 0, 1)]


def test_a_student_in_two_schools_has_one_record_and_was_there_if_at_either(lake: Lake) -> None:
    for school in ("lincoln", "north"):
        lake.present(5, school_id=school)
    lake.row("absent", school_id="lincoln")
    lake.row("present", "art", school_id="north")  # a class at the other school, on the same day
    lake.row("absent", school_id="lincoln", attendance_date="2026-11-17")
    lake.row("absent", school_id="north", attendance_date="2026-11-18")
    assert lake.ask("SELECT days_on_record, days_absent FROM chronic_absence WHERE student_id = 'ana'") == [(3, 2)]
    rates = lake.ask(
        "SELECT school_id, students_there, students_absent FROM attendance_rates "
        f"WHERE attendance_date = '{DAY}' ORDER BY school_id"
    )
    assert rates == [("lincoln", 5, 1), ("north", 6, 0)]  # each school counts its own rows
    assert lake.ask("SELECT school_id, students_chronic FROM chronic_absence_by_school ORDER BY 1") == [
        ("lincoln", 1),
        ("north", 1),
    ]


# --- tardies --------------------------------------------------------------------------------------------------------


def test_tardies_are_counted_by_day_and_by_section(lake: Lake) -> None:
    lake.row("tardy")
    lake.row("tardy", "s1", attendance_date="2026-11-17")
    lake.row("tardy", "s2", attendance_date="2026-11-17")
    lake.row("present", "s3", attendance_date="2026-11-17")
    lake.row("tardy", "s1", attendance_date="2026-11-18")  # late to one of three, absent from two: an absence
    lake.row("absent", "s2", attendance_date="2026-11-18")
    lake.row("absent", "s3", attendance_date="2026-11-18")
    lake.present(2)
    assert lake.ask("SELECT student_id, days_tardy, sections_tardy, days_on_record FROM tardies") == [("ana", 2, 3, 3)]


# --- days that changed ----------------------------------------------------------------------------------------------


def test_days_that_changed_later_say_how(lake: Lake) -> None:
    lake.present(2, attendance_date="2026-11-12")  # as it first came
    lake.present(2, attendance_date="2026-11-13")
    lake.row("present", attendance_date="2026-11-13", last_modified="2026-11-18T20:00:00Z")
    lake.present(2)
    lake.row("absent", student_id="late", created="2026-11-19T20:00:00Z")
    lake.row("absent", student_id="soon", created=f"{DAY}T21:30:00Z")  # the same upload, some pages on
    lake.present(1, attendance_date="2026-11-17")
    lake.row("absent", attendance_date="2026-11-17", missing_since="2026-11-20T03:00:00Z")
    lake.row("absent", attendance_date="2026-11-17", student_id="oldest", created=None, last_modified=None)
    assert lake.ask(
        "SELECT attendance_date, rows_corrected, rows_late, rows_removed FROM changed_days ORDER BY attendance_date"
    ) == [
        (date(2026, 11, 13), 1, 0, 0),
        (date(2026, 11, 16), 0, 1, 0),
        (date(2026, 11, 17), 0, 0, 1),
    ]


# --- silent schools -------------------------------------------------------------------------------------------------

SCHOOLS = ("adams", "baker", "cole", "dunn")


def speaking(lake: Lake, day: str, *schools: str) -> None:
    for school in schools:
        lake.present(2, attendance_date=day, school_id=school)


def silent(lake: Lake) -> list[tuple[Any, ...]]:
    return lake.ask("SELECT attendance_date, school_name FROM silent_schools ORDER BY ALL")


def test_a_school_is_silent_on_a_day_on_which_half_of_the_others_speak(lake: Lake) -> None:
    lake.school("dunn", "Dunn Middle")
    speaking(lake, "2026-11-16", *SCHOOLS)
    speaking(lake, "2026-11-17", "adams", "baker", "cole")
    speaking(lake, "2026-11-18", "adams")  # one of four: a day off, with one school open
    speaking(lake, "2026-11-19", "adams", "baker")
    assert silent(lake) == [
        (date(2026, 11, 17), "Dunn Middle"),
        (date(2026, 11, 19), "Dunn Middle"),
        (date(2026, 11, 19), "cole"),
    ]
    lake.set("speaking_percent", 60)
    assert silent(lake) == [(date(2026, 11, 17), "Dunn Middle")]


def test_a_school_is_not_silent_before_it_first_speaks_nor_once_it_is_no_longer_shared(lake: Lake) -> None:
    lake.school("baker", "Baker", last_seen="2026-11-17")
    speaking(lake, "2026-11-16", "adams", "baker", "cole")
    speaking(lake, "2026-11-17", "adams", "baker", "cole")
    speaking(lake, "2026-11-18", "adams", "cole", "dunn")  # dunn is new, baker is not listed any more
    speaking(lake, "2026-11-19", "adams", "cole", "dunn")
    assert silent(lake) == []


def test_a_school_that_spoke_last_year_and_not_once_this_year_is_silent(lake: Lake) -> None:
    speaking(lake, "2026-06-01", *SCHOOLS)
    speaking(lake, "2026-08-20", "adams", "baker", "cole")
    assert silent(lake) == [(date(2026, 8, 20), "dunn")]


def test_a_school_that_sends_exceptions_alone_is_never_silent(lake: Lake) -> None:
    speaking(lake, "2026-11-16", "adams", "baker")
    lake.row("absent", school_id="cole", attendance_date="2026-11-16")
    speaking(lake, "2026-11-17", "adams", "baker")
    assert silent(lake) == []
