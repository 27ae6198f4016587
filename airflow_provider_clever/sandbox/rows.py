"""The rows of one school on one day, as the bytes that go out on the wire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from .habits import AWAY, ILL, LATE, PRESENT, days_of
from .identity import MISSING_PART, draw
from .profiles import SchoolPlan
from .roster import DAY_MARK, Roster
from .school_calendar import UPLOAD_TIME, parse_timestamp, timestamp_text

NOT_SENT = 255
CORRECTED_AFTER_DAYS = (2, 5, 12)
"""How much later a district corrects a day: the next call home, the doctor's note, the end of the month."""
DAY_OFFSET = len('{"attendance_date":"')
STATUS_OFFSET = DAY_OFFSET + len('2026-01-01","attendance_status":"')
SECTION_PART = slice(25, 49)
SECTION_MISSING = f"_{MISSING_PART}_"
KINDS = ("daily", "section")

EXCUSES = ("ILL", "MED", "FAM", "UNX", "TRUANT")
ODD_EXCUSES = (
    "",
    " ",
    "Médico",
    "病気",
    "😷 flu",
    "غياب بعذر",
    'He said "ill"',
    "line one\nline two",
    "tab\there",
    "O'Brien; back\\slash",
    "<b>&amp;</b>",
)


@dataclass(frozen=True, slots=True)
class Variant:
    """One thing that a row can say.

    :param first: The status and excuse code with which it was uploaded, if they were corrected later.
    :param corrected_days: How many days later; 0: never. Without ``first`` nothing but ``last_modified`` shows it.
    """

    status: str
    excuse: str | None = None
    first: tuple[str, str | None] | None = None
    corrected_days: int = 0


@dataclass(frozen=True, slots=True)
class Block:
    """A school day's rows in key order. ``keys`` are cursors without their date."""

    keys: list[str]
    rows: list[bytes]

    def pairs(self) -> Iterator[tuple[str, bytes]]:
        """Walk keys and rows together."""
        return zip(self.keys, self.rows, strict=True)


@dataclass(frozen=True, slots=True)
class DayFacts:
    """What all rows of a block share.

    :param created: When the day was uploaded.
    :param resent: When the day was last sent again unchanged, if that counts as a change.
    :param corrected: When what is corrected so many days later was, by those days; empty: it is not yet.
    """

    district_id: str
    school_id: str
    day: str
    created: str
    resent: str | None
    corrected: dict[int, str]


UNEXCUSED = ("absent", "UNX")
# What the rows of a day say, by what the day was like; each as often as it stands here. No correction makes a daily
# absence a presence or the other way round, so that none takes a row away where the present are not sent.
SAID: dict[int, list[Variant]] = {
    PRESENT: [Variant("present")] * 124
    + [Variant("present", "LATEBUS"), Variant("present", "ILL", corrected_days=5)]
    + [Variant("present", corrected_days=2)],
    ILL: [Variant("absent", "ILL")] * 12
    + [Variant("absent", "MED")] * 4
    + [Variant("absent", "ILL", UNEXCUSED, days) for days in CORRECTED_AFTER_DAYS]
    + [Variant("absent", "MED", ("absent", None), 2), Variant("absent", "病気"), Variant("absent", "😷 flu")],
    AWAY: [Variant("absent", code) for code in EXCUSES * 3 + ODD_EXCUSES]
    + [Variant("absent")] * 4
    + [Variant("absent", "FAM", UNEXCUSED, days) for days in CORRECTED_AFTER_DAYS]
    + [Variant("tardy", "BUS", UNEXCUSED, 2), Variant("tardy", None, UNEXCUSED, 5)],
    LATE: [Variant("tardy")] * 12 + [Variant("tardy", "BUS")] * 3 + [Variant("tardy", "病気", corrected_days=5)],
}


def _later_in_the_day(said: Variant) -> Variant:
    """Give what the sections after a student's first one say: who comes late is there by then."""
    if said.status != "tardy":
        return said
    return Variant("present", None, said.first, said.corrected_days if said.first else 0)


_SAID_FIRST = dict.fromkeys(variant for said in SAID.values() for variant in said)
VARIANTS = tuple(dict.fromkeys([*_SAID_FIRST, *map(_later_in_the_day, _SAID_FIRST)]))
_TABLES = [
    bytes(VARIANTS.index(SAID[kind][number % len(SAID[kind])]) for number in range(256)) for kind in range(len(SAID))
]
"""By what the day was like: from a random byte to the place of a variant."""
_PRESENT = VARIANTS.index(Variant("present"))
_NOT_PRESENT = bytes(NOT_SENT if each.status == "present" else place for place, each in enumerate(VARIANTS)).ljust(
    256, b"\xff"
)
"""From the place of a variant to itself, or to nothing for those who are present."""
_LATER = bytes(VARIANTS.index(_later_in_the_day(each)) for each in VARIANTS).ljust(256, b"\xff")


def said_of_students(seed: int, plan: SchoolPlan, roster: Roster, school_id: str, day: str) -> bytes:
    """Say for each place of a roster (:attr:`Roster.places`) which variant its rows are."""
    students = len(roster.students)
    if plan.all_present:
        return bytes([_PRESENT]) * (2 * students)
    shades = draw(seed, "rows", school_id, day, size=students)
    kinds = days_of(seed, school_id, day, roster.habits)
    codes = bytes([_TABLES[kind][shade] for kind, shade in zip(kinds, shades, strict=True)])
    codes += codes.translate(_LATER)
    return codes.translate(_NOT_PRESENT) if plan.exceptions_only else codes


def row_head(facts: DayFacts, kind: int, variant: Variant) -> bytes:
    """Write the first keys of a row, up to ``school_id``; keys go out in alphabetical order (clever-api.md 2.2)."""
    corrected = facts.corrected.get(variant.corrected_days)
    status, excuse = (variant.status, variant.excuse) if corrected or not variant.first else variant.first
    keys = {
        "attendance_date": facts.day,
        "attendance_status": status,
        "attendance_type": KINDS[kind],
        "created": facts.created,
        "district_id": facts.district_id,
        "excuse_code": excuse,
        "last_modified": max(facts.created, corrected or "", facts.resent or ""),
        "school_id": facts.school_id,
    }
    present = {key: text for key, text in keys.items() if text is not None}
    return json.dumps(present, separators=(",", ":"), ensure_ascii=False).encode()[:-1]


def base_block(seed: int, plan: SchoolPlan, roster: Roster, facts: DayFacts, *, shows_hidden: bool) -> Block:
    """Write a school day as it was first uploaded."""
    said = said_of_students(seed, plan, roster, facts.school_id, facts.day)
    codes = bytearray(map(said.__getitem__, roster.places))
    for number, first in roster.joins.items():
        if facts.day < first:
            codes[number] = NOT_SENT
    for number, gone in roster.leaves.items():
        if facts.day >= gone:
            codes[number] = NOT_SENT
    for number in () if shows_hidden else roster.hidden:
        codes[number] = NOT_SENT
    used = {code: VARIANTS[code] for code in {*codes} - {NOT_SENT}}
    heads = [{code: row_head(facts, kind, variant) for code, variant in used.items()} for kind in (0, 1)]
    tails = _tails_of_day(roster, facts.day)
    if NOT_SENT not in codes:
        filled = zip(roster.kinds, codes, tails, strict=True)
        return Block(roster.keys, [heads[kind][code] + tail for kind, code, tail in filled])
    sent = [number for number, code in enumerate(codes) if code != NOT_SENT]
    rows = [heads[roster.kinds[number]][codes[number]] + tails[number] for number in sent]
    return Block([roster.keys[number] for number in sent], rows)


def _tails_of_day(roster: Roster, day: str) -> list[bytes]:
    if not roster.tails:
        return []
    return b"\n".join(roster.tails).replace(DAY_MARK, day.replace("-", "").encode()).split(b"\n")


def with_overlay(block: Block, overlay: dict[str, bytes | None]) -> Block:
    """Put later changes over a block: a replaced row, a new one, or None for one that is gone."""
    rows = dict(block.pairs()) | overlay
    kept = sorted((key, row) for key, row in rows.items() if row is not None)
    return Block([key for key, _ in kept], [row for _, row in kept])


def with_collisions(block: Block) -> Block:
    """Give some students a second section row without ``section_id`` on the same day: equal keys.

    The cursor cannot tell such rows apart, so a fifth part, ``_1``, is added to the second one's; cursors are opaque.
    Half of the twins have a ``sis_id`` of their own; the others are the same entry with another status.
    """
    rows = dict(block.pairs())
    for key, row in block.pairs():
        twin = f"{key}_1"
        chance = int(key[20:24], 16) % 6
        if chance > 1 or SECTION_MISSING not in key or twin in rows or key.count("_") > 2:
            continue
        fields = json.loads(row)
        if chance:
            fields["sis_id"] = f"{fields.get('sis_id', 'twin')}-2"
        else:
            fields["attendance_status"] = "tardy" if fields["attendance_status"] != "tardy" else "absent"
            later = parse_timestamp(fields["last_modified"]) + timedelta(seconds=1)
            fields["last_modified"] = timestamp_text(later)
        rows[twin] = row_bytes(fields)
    return Block(sorted(rows), [rows[key] for key in sorted(rows)])


def row_bytes(fields: dict[str, object]) -> bytes:
    """Write one record with its keys in alphabetical order."""
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False, sort_keys=True).encode()


def row_key(fields: dict[str, object]) -> str:
    """Give a record's key: its cursor without the date."""
    return f"{fields['student_id']}_{fields.get('section_id') or MISSING_PART}_{fields['school_id']}"


def with_clever_id(key: str, row: bytes) -> bytes:
    """Add the ``clever_id`` that the prose promises and no sample shows (clever-api.md O3)."""
    return row.replace(b',"created":', b',"clever_id":"%b","created":' % draw(0, key, row[:31]).hex().encode(), 1)


def created_by_nightly_upload(day: str) -> str:
    """Give the moment at which a day of a new world's history was uploaded."""
    return f"{day}T{UPLOAD_TIME}"
