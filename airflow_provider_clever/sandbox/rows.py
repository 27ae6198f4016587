"""The rows of one school on one day, as the bytes that go out on the wire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

from .identity import MISSING_PART, draw
from .profiles import SchoolPlan
from .roster import DAY_MARK, Roster
from .school_calendar import UPLOAD_TIME, parse_timestamp, timestamp_text

NOT_SENT = 255
EDITED_AFTER = timedelta(days=5)
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
    """One thing that a row can say: its status, its excuse code, and whether it was edited later."""

    status: str
    excuse: str | None = None
    is_edited: bool = False


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
    :param edits_until: Early edits are in place if they happened by then.
    """

    district_id: str
    school_id: str
    day: str
    created: str
    resent: str | None
    edits_until: str


@lru_cache(maxsize=8)
def _variants(*, exceptions_only: bool, all_present: bool) -> tuple[tuple[Variant, ...], bytes]:
    """Give the variants and a table from a random byte to the place of a variant."""
    if all_present:
        return (Variant("present"),), bytes(256)
    present = [Variant("present")] * 222 + [Variant("present", "LATEBUS"), Variant("present", "ILL", is_edited=True)]
    absent = [Variant("absent", code) for code in EXCUSES * 2 + ODD_EXCUSES] + [Variant("absent")] * 2
    tardy = [Variant("tardy")] * 4 + [Variant("tardy", "BUS"), Variant("tardy", "病気", is_edited=True)]
    late_edit = [Variant("absent", "MED", is_edited=True), Variant("present", is_edited=True), Variant("tardy")]
    weighted = present + absent + tardy + late_edit
    distinct = tuple(dict.fromkeys(weighted))
    places = [distinct.index(variant) for variant in weighted]
    if exceptions_only:
        places = [NOT_SENT if distinct[place].status == "present" else place for place in places]
    table = bytes(places[number % len(places)] for number in range(256))
    return distinct, table


def row_head(facts: DayFacts, kind: int, variant: Variant) -> bytes:
    """Write the first keys of a row, up to ``school_id``; keys go out in alphabetical order (clever-api.md 2.2)."""
    modified = facts.created
    if variant.is_edited:
        edited = timestamp_text(parse_timestamp(facts.created) + EDITED_AFTER)
        modified = edited if edited <= facts.edits_until else modified
    keys = {
        "attendance_date": facts.day,
        "attendance_status": variant.status,
        "attendance_type": KINDS[kind],
        "created": facts.created,
        "district_id": facts.district_id,
        "excuse_code": variant.excuse,
        "last_modified": max(modified, facts.resent or ""),
        "school_id": facts.school_id,
    }
    present = {key: text for key, text in keys.items() if text is not None}
    return json.dumps(present, separators=(",", ":"), ensure_ascii=False).encode()[:-1]


def base_block(seed: int, plan: SchoolPlan, roster: Roster, facts: DayFacts, *, shows_hidden: bool) -> Block:
    """Write a school day as it was first uploaded."""
    variants, table = _variants(exceptions_only=plan.exceptions_only, all_present=plan.all_present)
    random = draw(seed, "rows", facts.school_id, facts.day, size=len(roster.keys))
    codes = bytearray(random.translate(table))
    for number, first in roster.joins.items():
        if facts.day < first:
            codes[number] = NOT_SENT
    for number, gone in roster.leaves.items():
        if facts.day >= gone:
            codes[number] = NOT_SENT
    for number in () if shows_hidden else roster.hidden:
        codes[number] = NOT_SENT
    heads = [[row_head(facts, kind, variant) for variant in variants] for kind in (0, 1)]
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
