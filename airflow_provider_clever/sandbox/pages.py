"""One page of attendance: which rows, and which links (clever-api.md 3)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from .answers import compact
from .knobs import Knobs
from .query import AttendanceQuery, Cursor, encode_cursor
from .rows import SECTION_MISSING, SECTION_PART, STATUS_OFFSET, Block, with_clever_id
from .withholding import shown
from .world import School, World


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose rows a request may see: a school, and perhaps one of its sections.

    :param students: With the knob for it, students whose daily rows the section endpoint gives as well.
    """

    path: str
    school: School | None
    section_id: str | None = None
    students: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one page with the places of its first and last."""

    rows: list[bytes]
    first: Cursor | None = None
    last: Cursor | None = None
    is_full: bool = False
    has_more: bool = False


def attendance_body(scope: Scope, query: AttendanceQuery, page: Page, knobs: Knobs) -> bytes:
    """Write the body of an attendance page."""
    data: bytes | None = b"[" + b",".join(page.rows) + b"]"
    if not page.rows:
        data = {"list": b"[]", "null": b"null", "missing": None}[knobs.empty_data]
    links = links_of(scope.path, query, page, knobs)
    parts = [] if data is None else [b'"data":' + data]
    only_self = len(links) == 1 and not page.rows  # as Go's omitempty does, whose list of a page with rows has a self
    if only_self and knobs.empty_links == "null":
        parts.append(b'"links":null')
    elif not (only_self and knobs.empty_links == "missing"):
        parts.append(b'"links":' + compact(links))
    return b"{" + b",".join(parts) + b"}"


def links_of(path: str, query: AttendanceQuery, page: Page, knobs: Knobs) -> list[dict[str, str]]:
    """Give the links of a page: self, next, prev, with relative addresses and an unescaped ``==``."""

    def link(rel: str, *cursor: tuple[str, str]) -> dict[str, str]:
        params = "&".join(f"{name}={text}" for name, text in [*query.filters, *cursor])
        return {"rel": rel, "uri": f"{path}?{params}" if params else path}

    asked = [query.asked_cursor] if query.asked_cursor else []
    links = [link("self", *asked)]
    if not query.before and page.last and _has_next(page, knobs):
        links.append(link("next", ("starting_after", encode_cursor(page.last))))
    if query.after:
        links.append(link("prev", ("ending_before", encode_cursor(page.first or query.after))))
    elif query.before and page.first and page.is_full:
        links.append(link("prev", ("ending_before", encode_cursor(page.first))))
    return links


def _has_next(page: Page, knobs: Knobs) -> bool:
    return {"when_full": page.is_full, "exact": page.has_more, "short_pages_too": True}[knobs.next_link]


def select(world: World, scope: Scope, query: AttendanceQuery) -> Page:
    """Choose the rows of a page by their keys (clever-api.md 3.2)."""
    if scope.school is None or query.is_empty:
        return Page([])
    school, wanted = scope.school, _filter(scope, query)
    dates = world.visible_dates(school, query.start, query.end)

    def rows_of(day: str) -> Block:
        return wanted(shown(world, school, day, world.block(school, day)))

    taken = (_backward if query.before else _forward)(dates, query, rows_of)
    has_more = len(taken) > query.limit
    taken = taken[-query.limit :] if query.before else taken[: query.limit]
    if not taken:
        return Page([])
    rows = [row for _, _, row in taken]
    if world.knobs.include_clever_id:
        rows = [with_clever_id(key, row) for _, key, row in taken]
    first, last = (Cursor(taken[place][0], taken[place][1]) for place in (0, -1))
    return Page(rows, first, last, is_full=len(rows) == query.limit, has_more=has_more)


Wanted = Callable[[Block], Block]
RowsOf = Callable[[str], Block]
Taken = list[tuple[str, str, bytes]]


def _forward(dates: list[str], query: AttendanceQuery, rows_of: RowsOf) -> Taken:
    """Take one row more than the limit, so that the caller knows whether rows follow."""
    taken: Taken = []
    after = query.after
    for day in dates[bisect_left(dates, after.day) if after else 0 :]:
        block = rows_of(day)
        first = bisect_right(block.keys, after.key) if after and after.day == day else 0
        last = first + query.limit + 1 - len(taken)
        taken += [(day, key, row) for key, row in zip(block.keys[first:last], block.rows[first:last], strict=True)]
        if len(taken) > query.limit:
            break
    return taken


def _backward(dates: list[str], query: AttendanceQuery, rows_of: RowsOf) -> Taken:
    before = query.before
    taken: Taken = []
    for day in reversed(dates[: bisect_right(dates, before.day)] if before else dates):
        block = rows_of(day)
        last = bisect_left(block.keys, before.key) if before and before.day == day else len(block.keys)
        first = max(0, last - (query.limit + 1 - len(taken)))
        rows = zip(block.keys[first:last], block.rows[first:last], strict=True)
        taken = [(day, key, row) for key, row in rows] + taken
        if len(taken) > query.limit:
            break
    return taken


def _filter(scope: Scope, query: AttendanceQuery) -> Wanted:
    section, students, status = scope.section_id, scope.students, (query.status or "").encode()
    if section is None and not status:
        return lambda block: block

    def keep(key: str, row: bytes) -> bool:
        in_section = (
            section is None or key[SECTION_PART] == section or (SECTION_MISSING in key and key[:24] in students)
        )
        return in_section and row.startswith(status, STATUS_OFFSET)

    def filtered(block: Block) -> Block:
        kept = [(key, row) for key, row in block.pairs() if keep(key, row)]
        return Block([key for key, _ in kept], [row for _, row in kept])

    return filtered
