"""What Clever has and does not show for a while: rows that a 200 leaves out, and schools that its list leaves out."""

from __future__ import annotations

from .rows import Block
from .world import District, School, World

EVERY = "*"


def is_named(names: tuple[str, ...], district: District, school: School) -> bool:
    """Tell whether a list of schools names this one: by its id, its district's id or character, or ``*``."""
    return any(name in (EVERY, school.id, district.id, district.plan.character) for name in names)


def shown(world: World, school: School, day: str, block: Block) -> Block:
    """Give the rows of a day that are shown: all, unless a knob withholds some."""
    percent = _percent_withheld(world, school, day)
    if not percent:
        return block
    # The same part of every hundred rows, so that it is exact for any number of rows.
    kept = [
        pair for number, pair in enumerate(block.pairs()) if number * percent // 100 == (number + 1) * percent // 100
    ]
    return Block([key for key, _ in kept], [row for _, row in kept])


def listed_schools(world: World, district: District) -> list[School]:
    """List the schools that ``/v3.1/schools`` shows."""
    return [
        school for school in district.shared_schools() if not is_named(world.knobs.unlisted_schools, district, school)
    ]


def attendance_vanished(world: World, district: District, school: School) -> bool:
    """Tell whether a school that is not listed has lost its attendance as well."""
    knobs = world.knobs
    return knobs.unlisted_schools_attendance == "404" and is_named(knobs.unlisted_schools, district, school)


def _percent_withheld(world: World, school: School, day: str) -> int:
    knobs = world.knobs
    schools, days = knobs.rows_withheld_schools, knobs.rows_withheld_days
    if not schools and not days:
        return 0
    in_schools = not schools or is_named(schools, world.districts[school.district_id], school)
    in_days = not days or any(first <= day <= (last or first) for first, _, last in (d.partition("/") for d in days))
    return knobs.rows_withheld_percent if in_schools and in_days else 0
