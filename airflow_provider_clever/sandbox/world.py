"""The synthetic world: districts, schools, what was uploaded when, and what of it can be seen today."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property

from . import profiles
from .identity import digits_id, draw, object_id
from .knobs import Knobs
from .profiles import DistrictPlan, SchoolPlan
from .roster import Change, Roster, build_roster
from .rows import (
    CORRECTED_AFTER_DAYS,
    Block,
    DayFacts,
    base_block,
    created_by_nightly_upload,
    row_bytes,
    row_key,
    with_collisions,
)
from .rows import with_overlay as laid_over
from .school_calendar import Clock, add_months, last_school_days, parse_timestamp, timestamp_text

ROWS_KEPT = 120_000
"""Rows of rendered days held in memory: about 50 MB, however large the districts are."""

MOVED_BEFORE_SCHOOL_DAYS = 10

FIRST_DATE, LAST_DATE = date(2000, 1, 1), date(2199, 12, 31)
BOUNDS = {
    "extra_districts": (0, 10_000),
    "large_schools": (1, 2_000),
    "large_school_days": (1, 2_000),
    "large_students": (1, 10_000),
}
"""The least and the most that a new world may have of what can be chosen."""


@dataclass
class School:
    """A school, with the dates that have been uploaded and the changes made to them since."""

    seed: int
    id: str
    district_id: str
    plan: SchoolPlan
    shared: bool
    change: Change
    hides_a_student: bool
    dates: list[str] = field(default_factory=list)
    overlay: dict[str, dict[str, bytes | None]] = field(default_factory=dict)

    @cached_property
    def roster(self) -> Roster:
        """The school's slots; built when first asked for, because large districts have many."""
        return build_roster(self.seed, self.id, self.plan, self.change, hides_a_student=self.hides_a_student)


@dataclass
class District:
    """A district, its bearer token, and the state of its uploads."""

    plan: DistrictPlan
    id: str
    token: str
    schools: list[School]
    connected: bool = True
    paused: bool = False
    last_attendance_sync: datetime | None = None
    stamp_before: datetime | None = None
    looks: int = 0
    synced_through: date | None = None
    created: dict[str, str] = field(default_factory=dict)
    resent: dict[str, str] = field(default_factory=dict)
    uploads: list[str] = field(default_factory=list)
    syncs: int = 0
    rotations: int = 0

    def stamp(self, moment: datetime | None) -> None:
        """Set the sync stamp, and remember the one before."""
        self.stamp_before, self.last_attendance_sync = self.last_attendance_sync, moment

    def first_upload_after(self, day: str, days: int) -> str:
        """Give the first upload so many days or more after a school day; empty: there is none yet."""
        wanted = timestamp_text(parse_timestamp(created_by_nightly_upload(day)) + timedelta(days=days))
        return next(iter(self.uploads[bisect_left(self.uploads, wanted) :]), "")

    def shared_schools(self) -> list[School]:
        """List the schools that the app may see, in id order."""
        return sorted((school for school in self.schools if school.shared), key=lambda school: school.id)


@dataclass(frozen=True, slots=True)
class LateLoad:
    """An upload whose stamp can be seen, and whose rows are loaded later.

    :param due: When they are, by the sandbox's clock.
    """

    district_id: str
    due: datetime
    load: Callable[[], object]


@dataclass(frozen=True, slots=True)
class WorldPlan:
    """What a new world is made of.

    :param today: The clock's date.
    :param districts: Characters to include; empty: all.
    :param extra_districts: How many tiny districts to add.
    """

    seed: int
    today: date
    districts: tuple[str, ...] = ()
    extra_districts: int = 0
    large_schools: int = 40
    large_school_days: int = 120
    large_students: int = 250

    def __post_init__(self) -> None:
        """Refuse what nobody can have meant, and what would not fit into memory.

        :raises ValueError: a value is out of its bounds.
        """
        if not FIRST_DATE <= self.today <= LAST_DATE:
            raise ValueError(f"today must be a date from {FIRST_DATE} to {LAST_DATE}, not {self.today}.")
        for name, (least, most) in BOUNDS.items():
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise ValueError(f"{name} must be a whole number from {least:,} to {most:,}, not {value!r}.")

    def district_plans(self) -> list[DistrictPlan]:
        """List the districts' plans in a fixed order.

        :raises ValueError: a character that does not exist was asked for.
        """
        known = [*profiles.FIXED, profiles.large(self.large_schools, self.large_school_days, self.large_students)]
        unknown = set(self.districts) - {plan.character for plan in known}
        if unknown:
            raise ValueError(f"There is no district {sorted(unknown)}; known: {[plan.character for plan in known]}.")
        chosen = [plan for plan in known if not self.districts or plan.character in self.districts]
        return chosen + [profiles.tiny(number) for number in range(1, self.extra_districts + 1)]


class World:
    """Everything that the sandbox knows; it holds changes, not rows: rows are written when they are asked for.

    :param plan: What to build.
    :param knobs: The settings in force; replaced through :meth:`turn`.
    """

    def __init__(self, plan: WorldPlan, knobs: Knobs) -> None:
        self.plan, self.knobs = plan, knobs
        self.clock = Clock.at(plan.today)
        self.client_id = f"sandbox-client-{draw(plan.seed, 'client', size=6).hex()}"
        self.client_secret = f"sandbox-secret-{draw(plan.seed, 'secret', size=16).hex()}"
        self.districts = {
            district.id: district for district in (_build_district(plan, wanted) for wanted in plan.district_plans())
        }
        self.schools = {school.id: school for district in self.districts.values() for school in district.schools}
        self.revoked: set[str] = set()
        self.late_loads: list[LateLoad] = []
        self._blocks: OrderedDict[tuple[str, str], Block] = OrderedDict()
        self._rows_held = 0
        self._section_schools: dict[str, dict[str, str]] = {}

    def turn(self, knobs: Knobs) -> None:
        """Put new knobs in force."""
        self.knobs = knobs
        self._blocks.clear()
        self._rows_held = 0
        if knobs.clock_follows_wall != self.clock.follows_wall:
            self.clock.set(self.clock.now, follows_wall=knobs.clock_follows_wall)

    def deliver_due_rows(self) -> None:
        """Load the rows that are due by now, of uploads whose stamp came first."""
        self.deliver_rows([load for load in self.late_loads if load.due <= self.clock.now])

    def deliver_rows(self, loads: list[LateLoad]) -> None:
        """Load the rows of some uploads now."""
        for load in loads:
            self.late_loads.remove(load)
            load.load()

    def district_of_token(self, token: str) -> District | None:
        """Find the district of a bearer token; None if it was revoked or replaced."""
        if token in self.revoked:
            return None
        return next((d for d in self.districts.values() if d.token == token and d.connected), None)

    def rotate_token(self, district: District) -> str:
        """Replace a district's token; the old one is refused from now on."""
        district.rotations += 1
        district.token = _token(self.plan.seed, district.plan.character, district.rotations)
        return district.token

    def school_of_section(self, district: District, section_id: str) -> School | None:
        """Find the school that a section belongs to."""
        if district.id not in self._section_schools:
            owners = {section.id: school.id for school in district.schools for section in school.roster.sections}
            self._section_schools[district.id] = owners
        school_id = self._section_schools[district.id].get(section_id)
        return self.schools[school_id] if school_id else None

    def first_visible_day(self) -> str:
        """Give the oldest date that Clever still keeps; a row goes at its date plus six months (clever-api.md 3.6)."""
        today, knobs = self.clock.today, self.knobs
        if knobs.retention == "off":
            return ""
        if knobs.retention == "days":
            return (today - timedelta(days=knobs.retention_days - 1)).isoformat()
        day = add_months(today, -knobs.retention_months) - timedelta(days=3)
        while add_months(day, knobs.retention_months) <= today:
            day += timedelta(days=1)
        return day.isoformat()

    def visible_dates(self, school: School, start: str | None = None, end: str | None = None) -> list[str]:
        """List a school's dates inside a range that can be seen today."""
        low = bisect_left(school.dates, max(start or "", self.first_visible_day()))
        high = len(school.dates) if end is None else bisect_right(school.dates, end)
        return school.dates[low:high]

    def block(self, school: School, day: str) -> Block:
        """Give a school day's rows as they stand now."""
        key = (school.id, day)
        block = self._blocks.get(key)
        if block is not None:
            self._blocks.move_to_end(key)
            return block
        block = self._write_block(school, day)
        self._blocks[key] = block
        self._rows_held += len(block.keys)
        while self._rows_held > ROWS_KEPT and len(self._blocks) > 1:
            self._rows_held -= len(self._blocks.popitem(last=False)[1].keys)
        return block

    def _write_block(self, school: School, day: str) -> Block:
        district = self.districts[school.district_id]
        block = Block([], [])
        if day in district.created:
            corrected = {days: district.first_upload_after(day, days) for days in CORRECTED_AFTER_DAYS}
            facts = DayFacts(district.id, school.id, day, district.created[day], district.resent.get(day), corrected)
            shows_hidden = self.knobs.show_unshared_students
            block = base_block(self.plan.seed, school.plan, school.roster, facts, shows_hidden=shows_hidden)
        if overlay := school.overlay.get(day):
            block = laid_over(block, overlay)
        if self.knobs.colliding_keys and school.plan.takes == "untagged":
            block = with_collisions(block)
        return block

    def forget_block(self, school: School, day: str) -> None:
        """Drop a rendered day, so that it is rendered again."""
        block = self._blocks.pop((school.id, day), None)
        if block is not None:
            self._rows_held -= len(block.keys)

    def forget_blocks(self, district: District) -> None:
        """Drop the rendered days of a district."""
        schools = {school.id for school in district.schools}
        for school_id, day in [key for key in self._blocks if key[0] in schools]:
            self.forget_block(self.schools[school_id], day)

    def put_row(self, school: School, fields: dict[str, object], key: str | None = None) -> None:
        """Add or replace one record."""
        day = str(fields["attendance_date"])
        if day not in school.dates:
            insort(school.dates, day)
        school.overlay.setdefault(day, {})[key or row_key(fields)] = row_bytes(fields)
        self.forget_block(school, day)

    def delete_row(self, school: School, day: str, key: str) -> None:
        """Take one record away for good, without any trace (clever-api.md O10)."""
        school.overlay.setdefault(day, {})[key] = None
        self.forget_block(school, day)

    def record(self, school: School, day: str, number: int) -> tuple[str, dict[str, object]]:
        """Give the key and the fields of a school day's n-th row."""
        block = self.block(school, day)
        fields: dict[str, object] = json.loads(block.rows[number])
        return block.keys[number], fields


def _token(seed: int, character: str, rotation: int) -> str:
    return f"sandbox-token-{character}-{draw(seed, 'token', character, rotation, size=10).hex()}"


def _build_district(plan: WorldPlan, wanted: DistrictPlan) -> District:
    seed = plan.seed
    district_id = wanted.id or object_id(seed, "district", wanted.character)
    through = plan.today - timedelta(days=wanted.days_behind)
    ids = [_school_id(seed, district_id, number, school) for number, school in enumerate(wanted.schools)]
    turn_day = last_school_days(MOVED_BEFORE_SCHOOL_DAYS, through)[0]
    mover = object_id(seed, "student", ids[1], wanted.schools[1].students - 1) if wanted.moving_student else None
    roles = {0: Change(turn_day, arriving=mover), 1: Change(turn_day, leaving=mover)}
    schools = [
        School(
            seed=seed,
            id=school_id,
            district_id=district_id,
            plan=school,
            shared=school.shared,
            change=roles.get(number, Change(turn_day)),
            hides_a_student=wanted.moving_student and number == 1,
        )
        for number, (school_id, school) in enumerate(zip(ids, wanted.schools, strict=True))
    ]
    district = District(wanted, district_id, _token(seed, wanted.character, 0), schools, paused=wanted.paused)
    if not wanted.never_synced:
        _upload_history(district, through)
    return district


def _school_id(seed: int, district_id: str, number: int, plan: SchoolPlan) -> str:
    make = digits_id if plan.id_style == "digits" else object_id
    return make(seed, "school", district_id, number)


def _upload_history(district: District, through: date) -> None:
    for school in district.schools:
        school.dates = history_dates(district, school, through)
    district.created = {day: created_by_nightly_upload(day) for day in _all_dates(district.schools)}
    district.synced_through = through
    district.last_attendance_sync = parse_timestamp(created_by_nightly_upload(through.isoformat()))
    district.uploads = sorted(district.created.values())


def history_dates(district: District, school: School, through: date) -> list[str]:
    """List the dates that a school's first upload brings."""
    count = school.plan.history_school_days or district.plan.history_school_days
    return last_school_days(count, through)


def _all_dates(schools: Iterable[School]) -> Iterator[str]:
    return iter(sorted({day for school in schools for day in school.dates}))
