"""A district's attendance uploads: new days, late corrections, late rows, and what they do to the sync stamp."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial

from .identity import pick
from .school_calendar import parse_timestamp, school_days, timestamp_text
from .world import District, LateLoad, School, World, history_dates

CORRECTIONS = (("absent", "MED"), ("present", None), ("tardy", "BUS"), ("absent", "corrigé ✔"), ("present", "ILL"))


@dataclass(frozen=True, slots=True)
class Upload:
    """What a sync did.

    :param loaded: False when the district could not upload (paused, or its SFTP is out), or its rows come later.
    :param stamp: The new ``last_attendance_sync``.
    """

    loaded: bool
    stamp: str | None
    days: tuple[str, ...] = ()
    edited: int = 0
    added: int = 0
    deleted: int = 0


def sync(
    world: World,
    district: District,
    *,
    through: date | None = None,
    edits: int = 0,
    late_rows: int = 0,
    deletes: int = 0,
    weeks: int = 3,
    school_ids: tuple[str, ...] = (),
) -> Upload:
    """Load a district's upload: the days since the last one, and changes to older days.

    :param through: The newest date it brings; default the clock's today.
    :param edits: Rows of older days that change status, excuse code and ``last_modified``.
    :param late_rows: Rows that come late, under older dates.
    :param deletes: Rows of older days that vanish without a trace (clever-api.md O10).
    :param weeks: How far back the changes reach.
    :param school_ids: Schools whose older rows may change; default every shared one.
    """
    if district.paused or district.id in world.knobs.sftp_outage_districts:
        return Upload(loaded=False, stamp=_text(district.last_attendance_sync))
    district.syncs += 1
    start = world.clock.now
    if district.last_attendance_sync and start <= district.last_attendance_sync:
        start = district.last_attendance_sync + timedelta(seconds=1)
    seconds = world.knobs.sync_seconds
    # The load takes a while: rows are stamped in the middle of it, the sync stamp at either end (clever-api.md O12).
    written = timestamp_text(start + timedelta(seconds=seconds / 2))
    through = min(through or world.clock.today, world.clock.today)
    number = district.syncs

    def load() -> Upload:
        named = [school for school in district.schools if school.id in school_ids]
        schools = named or district.shared_schools()
        older = {school.id: _days_back(world, school, weeks) for school in schools}
        change = partial(_each, world, district, schools, older, number, written)
        days = _load_new_days(district, through, written)
        if world.knobs.late_corrections:
            insort(district.uploads, written)
            world.forget_blocks(district)
        _resend(world, district, written)
        edited, deleted, added = change("edit", edits), change("delete", deletes), change("add", late_rows)
        return Upload(loaded=True, stamp=None, days=tuple(days), edited=edited, added=added, deleted=deleted)

    stamp = start if world.knobs.sync_stamp == "start" else start + timedelta(seconds=seconds)
    if world.knobs.rows_lag_seconds:
        district.stamp(stamp)
        due = stamp + timedelta(seconds=world.knobs.rows_lag_seconds)
        world.late_loads.append(LateLoad(district.id, due, load))
        return Upload(loaded=False, stamp=_text(stamp))
    done = load()
    if done.days or done.edited or done.added or done.deleted or world.knobs.sync_stamp_on_no_change:
        district.stamp(stamp)
    return replace(done, stamp=_text(district.last_attendance_sync))


def edit_record(
    world: World, school: School, day: str, number: int, *, modified: str | None = None, choice: int = 0
) -> None:
    """Correct a school day's n-th row: another status or excuse code, and a newer ``last_modified``."""
    key, fields = world.record(school, day, number)
    for step in range(len(CORRECTIONS)):
        status, excuse = CORRECTIONS[(choice + step) % len(CORRECTIONS)]
        if (status, excuse) != (fields["attendance_status"], fields.get("excuse_code")):
            break
    fields["attendance_status"] = status
    fields.pop("excuse_code", None)
    if excuse is not None:
        fields["excuse_code"] = excuse
    last = parse_timestamp(str(fields["last_modified"])) + timedelta(seconds=1)
    fields["last_modified"] = max(modified or timestamp_text(world.clock.now), timestamp_text(last))
    world.put_row(school, fields, key)


def insert_first_row(world: World, school: School, day: str) -> None:
    """Add a row that sorts before every other of its day."""
    taken = world.block(school, day).keys
    number = next(n for n in range(1, 10_000) if f"{n:024x}" not in {key[:24] for key in taken})
    world.put_row(school, _new_row(school, day, f"{number:024x}", timestamp_text(world.clock.now)))


def _load_new_days(district: District, through: date, written: str) -> list[str]:
    last = district.synced_through
    if last is not None and through <= last:
        return []
    loaded: set[str] = set()
    for school in district.schools:
        if last is None:
            days = history_dates(district, school, through)
        else:
            days = school_days(last + timedelta(days=1), through)
        school.dates = sorted({*school.dates, *days})
        loaded |= set(days)
    for day in sorted(loaded):
        district.created.setdefault(day, written)
    district.synced_through = through
    return sorted(loaded)


def _resend(world: World, district: District, written: str) -> None:
    """Send recent days again unchanged, which by default leaves no mark (clever-api.md O8)."""
    if not world.knobs.resend_bumps_last_modified:
        return
    oldest = (world.clock.today - timedelta(days=world.knobs.resend_days)).isoformat()
    for school in district.schools:
        for day in school.dates[bisect_left(school.dates, oldest) :]:
            district.resent[day] = written
            for key, row in (school.overlay.get(day) or {}).items():
                if row is not None:
                    _touch(world, school, day, key, written)
            world.forget_block(school, day)


def _touch(world: World, school: School, day: str, key: str, written: str) -> None:
    block = world.block(school, day)
    _, fields = world.record(school, day, bisect_left(block.keys, key))
    world.put_row(school, {**fields, "last_modified": written}, key)


def _days_back(world: World, school: School, weeks: int) -> list[str]:
    oldest = (world.clock.today - timedelta(weeks=weeks)).isoformat()
    return world.visible_dates(school, oldest)


def _each(
    world: World,
    district: District,
    schools: list[School],
    older: dict[str, list[str]],
    sync_number: int,
    written: str,
    change: str,
    count: int,
) -> int:
    """Make ``count`` changes at places that the seed chooses; says how many found a place."""
    seed, done = world.plan.seed, 0
    places = [school for school in schools if older[school.id]]
    for number in range(count * 4 if places else 0):
        if done == count:
            break
        drawn = (seed, change, district.id, sync_number, number)
        school = places[pick(*drawn, "school", below=len(places))]
        day = older[school.id][pick(*drawn, "day", below=len(older[school.id]))]
        done += _change(world, school, day, change, pick(*drawn, "row", below=2**32), written)
    return done


def _change(world: World, school: School, day: str, change: str, chance: int, written: str) -> bool:
    if change == "add":
        return _add_late_row(world, school, day, chance, written)
    rows = world.block(school, day).rows
    if not rows:
        return False
    number = chance % len(rows)
    if change == "delete":
        world.delete_row(school, day, world.block(school, day).keys[number])
        return True
    _, fields = world.record(school, day, number)
    if fields["last_modified"] == written:
        return False
    edit_record(world, school, day, number, modified=written, choice=chance // len(rows))
    return True


def _add_late_row(world: World, school: School, day: str, chance: int, written: str) -> bool:
    late = school.roster.late
    taken = {key[:24] for key in world.block(school, day).keys}
    for step in range(len(late)):
        student = late[(chance + step) % len(late)]
        if student not in taken:
            world.put_row(school, _new_row(school, day, student, written))
            return True
    return False


def _new_row(school: School, day: str, student: str, written: str) -> dict[str, object]:
    takes_sections = school.plan.takes in ("section", "untagged")
    fields: dict[str, object] = {
        "attendance_date": day,
        "attendance_status": "absent",
        "attendance_type": "section" if takes_sections else "daily",
        "created": written,
        "district_id": school.district_id,
        "excuse_code": "LATE-UPLOAD",
        "last_modified": written,
        "school_id": school.id,
        "sis_id": f"L-{student[-6:]}-{day.replace('-', '')}",
        "student_id": student,
    }
    if school.plan.takes == "section":
        fields["section_id"] = school.roster.sections[0].id
    return fields


def _text(moment: datetime | None) -> str | None:
    return timestamp_text(moment) if moment else None
