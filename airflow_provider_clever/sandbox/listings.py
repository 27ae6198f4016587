"""The parts of Clever's Data API that an attendance pull meets: districts, schools, sections, users, events."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from .answers import RefusalError
from .identity import object_id
from .knobs import Knobs
from .query import parse_choice, parse_limit
from .school_calendar import timestamp_text
from .world import District, School, World

MAX_LIMIT = 10_000
ROSTER_SYNCED = "2026-08-01T09:00:00.000Z"
COUNT_CHOICES = ("", "true", "false", "undefined")
ROLES = ("contact", "district_admin", "staff", "student", "teacher")
ROLES_OF_A_SCHOOL = ("staff", "student", "teacher")
EVENT_RECORD_TYPES = ("courses", "districts", "resources", "schools", "sections", "terms", "users")
ID = re.compile(r"[0-9a-f]{24}")
Record = dict[str, object]


def one(record: Record, path: str) -> Record:
    """Wrap a single object (clever-api.md 2.1)."""
    return {"data": record, "links": [{"rel": "self", "uri": path}]}


def listing(records: Sequence[Record], kind: str, path: str, params: Mapping[str, str], knobs: Knobs) -> Record:
    """Wrap one page of a list; the id is the cursor, and ``next`` comes with every full page (clever-api.md 3.3).

    :raises RefusalError: the limit or the cursors are wrong.
    """
    limit = parse_limit(params, knobs.default_limit, MAX_LIMIT, over="413")
    after, before = _cursors(params, knobs)
    ids = [str(record["id"]) for record in records]
    if before:
        last = bisect_left(ids, before)
        chosen = records[max(0, last - limit) : last]
    else:
        first = bisect_right(ids, after) if after else 0
        chosen = records[first : first + limit]
    more = len(records) > 0 and chosen and chosen[-1]["id"] != ids[-1]
    is_full = len(chosen) == limit and (knobs.next_link == "when_full" or bool(more))
    asked = [("starting_after", after)] if after else [("ending_before", before)] if before else []
    links = _links(path, params, asked, [str(record["id"]) for record in chosen], is_full=is_full)
    data = [{"data": record, "uri": f"/v3.1/{kind}/{record['id']}"} for record in chosen]
    return {"data": data, "links": links}


def counted(total: int, path: str, params: Mapping[str, str]) -> Record | None:
    """Give the number of records instead of them, if ``count`` asks for that (clever-api.md 2.6).

    :raises RefusalError: ``count`` has a value that is not documented.
    """
    if parse_choice(params, "count", COUNT_CHOICES) != "true":
        return None
    return {"count": total, "links": [{"rel": "self", "uri": f"{path}?count=true"}]}


def _cursors(params: Mapping[str, str], knobs: Knobs) -> tuple[str | None, str | None]:
    """Read the cursors of a roster list, which are ids (clever-api.md O7 leaves open what any other text does).

    :raises RefusalError: there are two, or one is no id, and the knobs do not let that pass.
    """
    given = {name: params[name] for name in ("starting_after", "ending_before") if name in params}
    for name, cursor in list(given.items()):
        if not ID.fullmatch(cursor):
            if knobs.bad_cursor == "reject":
                raise RefusalError(400, f"{name} in query is not a valid cursor")
            del given[name]
    if len(given) == 2:
        if knobs.both_cursors == "reject":
            raise RefusalError(400, "starting_after and ending_before cannot be used together")
        del given["ending_before"]
    return given.get("starting_after"), given.get("ending_before")


def _links(
    path: str, params: Mapping[str, str], asked: list[tuple[str, str]], ids: list[str], *, is_full: bool
) -> list[dict[str, str]]:
    kept = [(name, text) for name, text in params.items() if name not in ("starting_after", "ending_before")]

    def link(rel: str, name: str | None = None, text: str | None = None) -> dict[str, str]:
        query = "&".join(f"{key}={value}" for key, value in kept + ([(name, text)] if name else []))
        return {"rel": rel, "uri": f"{path}?{query}" if query else path}

    direction, cursor = asked[0] if asked else ("", "")
    links = [link("self", direction, cursor) if asked else link("self")]
    if is_full and direction != "ending_before" and ids:
        links.append(link("next", "starting_after", ids[-1]))
    if direction == "starting_after" or (direction and is_full):
        links.append(link("prev", "ending_before", ids[0] if ids else cursor))
    return links


def district_record(world: World, district: District) -> Record:
    """Give a district as ``/districts`` shows it (clever-api.md 2.3)."""
    today = world.clock.today
    record: Record = {
        "id": district.id,
        "name": district.plan.name,
        "sis_type": "sftp",
        "launch_date": "2024-07-01",
        "portal_url": f"https://clever.com/in/sandbox-{district.plan.character}",
        "login_methods": ["Clever Passwords"],
        "state": "paused" if district.paused else "running",
        "error": "",
        "nces_id": None,
        "last_sync": f"{today.isoformat()}T09:00:00.000Z",
        "district_contact": {
            "id": object_id(world.plan.seed, "contact", district.id),
            "district": district.id,
            "name": {"first": "Sandbox", "last": "Contact"},
            "email": "contact@sandbox.invalid",
            "title": "Data Steward",
        },
    }
    if (stamp := _stamp_shown(world, district)) is not None:
        record["last_attendance_sync"] = timestamp_text(stamp)
    elif world.knobs.never_synced == "null":
        record["last_attendance_sync"] = None
    if district.paused:
        suffix = "" if world.knobs.pause_dates == "date" else "T00:00:00.000Z"
        start = district.synced_through or today
        record["pause_start"] = f"{start.isoformat()}{suffix}"
        record["pause_end"] = f"{(start + timedelta(days=60)).isoformat()}{suffix}"
    return record


def _stamp_shown(world: World, district: District) -> datetime | None:
    """Give the sync stamp; of two replicas, each second answer comes from the one that is a sync behind."""
    if world.knobs.stamp_replicas == 1 or district.stamp_before is None:
        return district.last_attendance_sync
    district.looks += 1
    return district.last_attendance_sync if district.looks % 2 else district.stamp_before


def school_record(school: School) -> Record:
    """Give a school (clever-api.md 2.4). There is no time zone in it."""
    number = school.id[-4:]
    return {
        "id": school.id,
        "district": school.district_id,
        "name": school.plan.name,
        "sis_id": f"SCH-{number}",
        "school_number": number,
        "low_grade": "6",
        "high_grade": "8",
        "location": {"address": "1 Example Street", "city": "Sampleton", "state": "CA", "zip": "00000"},
        "created": ROSTER_SYNCED,
        "last_modified": ROSTER_SYNCED,
    }


def section_records(world: World, schools: Sequence[School]) -> list[Record]:
    """List the sections of some schools, in id order; ended ones are gone from the roster (clever-api.md 6)."""
    records: list[Record] = []
    for school in schools:
        for section in school.roster.sections:
            if section.is_retired and world.knobs.retired_section == "404":
                continue
            teacher = object_id(world.plan.seed, "teacher", section.id)
            records.append(
                {
                    "id": section.id,
                    "district": school.district_id,
                    "school": school.id,
                    "name": section.name,
                    "sis_id": f"SEC-{section.id[-6:]}",
                    "subject": "math",
                    "students": list(section.students),
                    "teacher": teacher,
                    "teachers": [teacher],
                    "created": ROSTER_SYNCED,
                    "last_modified": ROSTER_SYNCED,
                }
            )
    return sorted(records, key=lambda record: str(record["id"]))


def user_records(
    world: World, schools: Sequence[School], role: str | None, *, primary_only: bool = False
) -> list[Record]:
    """List students and teachers of some schools, in id order.

    :param primary_only: Leave out students whose own school is by now another one (clever-api.md 2.4).
    """
    users: dict[str, Record] = {}
    for school in schools:
        roster = school.roster
        hidden = () if world.knobs.show_unshared_students else roster.hidden_students
        if role in (None, "student"):
            left = {school.change.leaving} if primary_only else set()
            for student in [*roster.students, *roster.late]:
                if student not in hidden and student not in left:
                    users[student] = _user(school, student, "student")
        if role in (None, "teacher"):
            for section in roster.sections:
                teacher = object_id(world.plan.seed, "teacher", section.id)
                users[teacher] = _user(school, teacher, "teacher")
    return [users[user_id] for user_id in sorted(users)]


def _user(school: School, user_id: str, role: str) -> Record:
    return {
        "id": user_id,
        "district": school.district_id,
        "name": {"first": "Synthetic", "last": f"{role.title()} {user_id[-4:]}"},
        "roles": {role: {"school": school.id, "schools": [school.id], "sis_id": f"{role[0].upper()}-{user_id[-6:]}"}},
        "created": ROSTER_SYNCED,
        "last_modified": ROSTER_SYNCED,
    }


def event_records(
    world: World, district: District, *, school_id: str | None = None, record_types: Sequence[str] = ()
) -> list[Record]:
    """List a few roster events, oldest first; there is no attendance event (clever-api.md 2.5).

    :param school_id: Only those about this school.
    :param record_types: Only those about such records; none: all.
    """
    if record_types and "schools" not in record_types:
        return []
    moment = timestamp_text(world.clock.now - timedelta(days=20))
    return [
        {
            "id": f"{number:024x}",
            "type": "schools.updated",
            "created": moment,
            "data": {"object": school_record(school), "previous_attributes": {"name": "Old name"}},
        }
        for number, school in enumerate(district.shared_schools(), start=1)
        if school_id in (None, school.id)
    ]
