"""Who sits in which section of a school: the slots that a school day fills with attendance rows."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from .habits import Habits, habits_of
from .identity import MISSING_PART, object_id
from .profiles import SchoolPlan

DAY_MARK = b"\0"
"""Stands for the day inside a prepared row tail, because every attendance entry has its own ``sis_id``."""

DAILY, SECTION = 0, 1
STUDENTS_PER_SECTION = 25
LATE_STUDENTS = 5


@dataclass(frozen=True, slots=True)
class Section:
    """A class, with the students in it."""

    id: str
    name: str
    students: tuple[str, ...]
    period: int
    is_retired: bool = False


@dataclass(frozen=True, slots=True)
class Roster:
    """A school's slots in key order, as parallel lists.

    :param keys: ``student_section_school`` of each slot: the cursor without its date (clever-api.md 3.1).
    :param kinds: ``DAILY`` or ``SECTION`` for each slot.
    :param tails: The end of each slot's row, from ``section_id`` on, with ``DAY_MARK`` for the day.
    :param places: Whose each slot is: the student's place in ``students``; for a section after the day's first one, so
        much more than there are students.
    :param habits: How the students attend.
    :param joins: First date of slots that begin in mid-window.
    :param leaves: First date on which a slot is gone.
    :param hidden: Slots of students whom the district does not share.
    :param late: Students whose rows come only with late uploads.
    """

    keys: list[str]
    kinds: bytes
    tails: list[bytes]
    places: list[int]
    habits: Habits
    students: list[str]
    sections: list[Section]
    late: list[str]
    joins: dict[int, str] = field(default_factory=dict)
    leaves: dict[int, str] = field(default_factory=dict)
    hidden: list[int] = field(default_factory=list)
    hidden_students: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to a school's roster in mid-window.

    :param day: The first date on which the new state holds.
    :param arriving: A student who comes from another school on that day.
    :param leaving: The place in the roster of the student who goes to another school on that day, as an id.
    """

    day: str
    arriving: str | None = None
    leaving: str | None = None


@dataclass(frozen=True, slots=True)
class _Slot:
    student: str
    section: str | None
    kind: int
    joins: str | None = None
    leaves: str | None = None
    is_later: bool = False

    @property
    def order(self) -> tuple[str, str]:
        return self.student, self.section or MISSING_PART


def build_roster(seed: int, school_id: str, plan: SchoolPlan, change: Change, *, hides_a_student: bool) -> Roster:
    """Build a school's roster; the same seed and plan give the same one."""
    own = [object_id(seed, "student", school_id, number) for number in range(plan.students)]
    spans: dict[str, tuple[str | None, str | None]] = dict.fromkeys(own, (None, None))
    if change.leaving:
        spans[change.leaving] = (None, change.day)
    if change.arriving:
        spans[change.arriving] = (change.day, None)
    students = list(spans)
    sections = _sections(seed, school_id, plan, students)
    slots = sorted(_slots(plan, spans, sections, change.day), key=lambda slot: slot.order)
    hidden_students = (own[0],) if hides_a_student else ()
    place = {student: number for number, student in enumerate(students)}
    return Roster(
        keys=[f"{slot.student}_{slot.section or MISSING_PART}_{school_id}" for slot in slots],
        kinds=bytes(slot.kind for slot in slots),
        tails=[row_tail(slot.student, slot.section, _sis_id(school_id, slot, n)) for n, slot in enumerate(slots)],
        places=[place[slot.student] + len(students) * slot.is_later for slot in slots],
        habits=habits_of(seed, students),
        students=students,
        sections=sections,
        late=[object_id(seed, "late student", school_id, number) for number in range(LATE_STUDENTS)],
        joins={number: slot.joins for number, slot in enumerate(slots) if slot.joins},
        leaves={number: slot.leaves for number, slot in enumerate(slots) if slot.leaves},
        hidden=[number for number, slot in enumerate(slots) if slot.student in hidden_students],
        hidden_students=hidden_students,
    )


def row_tail(student: str, section: str | None, sis_id: str | None) -> bytes:
    """Write the last keys of a row: ``section_id``, ``sis_id``, ``student_id``, absent ones left out."""
    keys = {"section_id": section, "sis_id": sis_id, "student_id": student}
    present = {key: text for key, text in keys.items() if text is not None}
    return b"," + json.dumps(present, separators=(",", ":")).replace("\\u0000", "\0").encode()[1:]


def _sis_id(school_id: str, slot: _Slot, number: int) -> str | None:
    """Every seventh entry comes without an id of the student information system; it is optional."""
    return None if number % 7 == 3 else f"{school_id[-8:]}-{'DS'[slot.kind]}{number}-\0"


def _sections(seed: int, school_id: str, plan: SchoolPlan, students: list[str]) -> list[Section]:
    if plan.takes == "daily":
        return []
    groups = max(1, -(-len(students) // STUDENTS_PER_SECTION))
    found = [
        Section(
            object_id(seed, "section", school_id, period, group),
            f"Period {period + 1} group {group + 1}",
            tuple(students[group::groups]),
            period,
        )
        for period in range(plan.periods)
        for group in range(groups)
    ]
    if plan.retired_section:
        retired = object_id(seed, "section", school_id, "retired")
        found.append(Section(retired, "Autumn elective (ended)", tuple(students[:3]), plan.periods, is_retired=True))
    return found


def _slots(
    plan: SchoolPlan, spans: dict[str, tuple[str | None, str | None]], sections: list[Section], change_day: str
) -> list[_Slot]:
    slots: list[_Slot] = []
    if plan.takes in ("daily", "both"):
        slots += [_Slot(student, None, DAILY, *span) for student, span in spans.items()]
    if plan.takes == "untagged":
        slots += [_Slot(student, None, SECTION, *span) for student, span in spans.items()]
    if plan.takes in ("section", "both"):
        for section in sections:
            for student in section.students:
                joins, leaves = spans[student]
                ends = change_day if section.is_retired else leaves
                slots.append(_Slot(student, section.id, SECTION, joins, ends, is_later=section.period > 0))
    return slots
