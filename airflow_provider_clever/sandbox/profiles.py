"""The districts of the sandbox world and what each is good for."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class SchoolPlan:
    """One school: who is in it and what kind of rows it writes.

    :param takes: ``daily``, ``section``, ``both``, or ``untagged`` (section rows that name no section).
    :param students: How many students.
    :param periods: Section rows per student and day.
    :param exceptions_only: Rows of present students are not sent.
    :param all_present: Every row is ``present``.
    :param history_school_days: School days of history; None: the district's.
    :param shared: Whether the district shares the school with the app.
    :param id_style: ``hash`` or ``digits`` (24 digits, which look like a number).
    :param retired_section: The school has one more section, which ended in mid-window.
    """

    name: str
    takes: str = "both"
    students: int = 20
    periods: int = 2
    exceptions_only: bool = False
    all_present: bool = False
    history_school_days: int | None = None
    shared: bool = True
    id_style: str = "hash"
    retired_section: bool = False


@dataclass(frozen=True, slots=True)
class DistrictPlan:
    """One district.

    :param character: The short name by which tests ask for it.
    :param history_school_days: School days of attendance in a new world.
    :param days_behind: Calendar days between the last upload and today.
    :param never_synced: No attendance has ever been uploaded.
    :param moving_student: A student moves from the second school to the first in mid-window.
    :param id: A fixed id; None: drawn from the seed.
    """

    character: str
    name: str
    schools: tuple[SchoolPlan, ...]
    history_school_days: int = 40
    days_behind: int = 0
    never_synced: bool = False
    paused: bool = False
    moving_student: bool = False
    id: str | None = None


SMALL = DistrictPlan(
    "small",
    "Sandbox Small Unified (synthetic)",
    (
        SchoolPlan("Alder Elementary", takes="daily", students=15, history_school_days=170, id_style="digits"),
        SchoolPlan("Birch Middle", takes="both", students=12, periods=2),
        SchoolPlan("Cedar High", takes="section", students=10, periods=3, retired_section=True),
        SchoolPlan("Dogwood Academy", takes="daily", students=60, exceptions_only=True),
        SchoolPlan("Elm Primary", takes="daily", students=20, all_present=True),
        SchoolPlan("Fir Charter (not shared)", takes="daily", students=10, shared=False),
    ),
    history_school_days=25,
    moving_student=True,
    # Looks like a number in scientific notation to engines that guess types.
    id="65e000000000000000000001",
)


def _schools(count: int, **traits: object) -> tuple[SchoolPlan, ...]:
    plan = SchoolPlan("")
    return tuple(replace(plan, name=f"School {number:02d}", **traits) for number in range(1, count + 1))  # type: ignore[arg-type]  # traits are SchoolPlan's own fields


def large(schools: int = 40, school_days: int = 120, students: int = 250) -> DistrictPlan:
    """Give the district for measurements: 8 rows per student and day, 2,000 a school day by default."""
    return DistrictPlan(
        "large",
        "Sandbox Large County (synthetic)",
        _schools(schools, takes="both", students=students, periods=7),
        history_school_days=school_days,
    )


def tiny(number: int) -> DistrictPlan:
    """Give one of any number of tiny districts, for tests with very many tokens."""
    return DistrictPlan(
        f"extra-{number:03d}",
        f"Sandbox Extra {number:03d} (synthetic)",
        _schools(1, takes="daily", students=5),
        history_school_days=5,
    )


FIXED = (
    SMALL,
    DistrictPlan("section_only", "Sandbox Section Only (synthetic)", _schools(3, takes="section", periods=3)),
    DistrictPlan("daily_only", "Sandbox Daily Only (synthetic)", _schools(3, takes="daily", students=40)),
    DistrictPlan("both", "Sandbox Both Kinds (synthetic)", _schools(3, takes="both"), moving_student=True),
    DistrictPlan("no_section_id", "Sandbox Untagged Sections (synthetic)", _schools(2, takes="untagged")),
    DistrictPlan("no_attendance", "Sandbox No Attendance (synthetic)", _schools(2), 120, never_synced=True),
    DistrictPlan("paused", "Sandbox Paused (synthetic)", _schools(2, takes="daily"), days_behind=30, paused=True),
)
