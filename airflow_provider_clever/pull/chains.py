"""Splits schools and dates into chains: few requests, yet enough chains side by side.

One chain is one walk along Clever's cursor. The budget counts requests (clever-api.md 4), and every chain ends on a
page that is only partly full, so a school's range is cut only where too few schools would leave threads idle; and where
nobody knows how many rows a school has, only once its first page shows that they do not fit one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from airflow_provider_clever.api.endpoints import AttendanceQuery
from airflow_provider_clever.dates import DateRange

_ENOUGH_BUSY = 0.8
"""Share of the threads' time that chains of equal length must fill before we stop cutting."""


class Scope(StrEnum):
    """Whether a chain walks a school or a section."""

    SCHOOL = "school"
    SECTION = "section"


@dataclass(frozen=True, slots=True)
class Chain:
    """One walk: the attendance of one school or section, over whole days.

    :param query: the query to Clever.
    :param whole: True if the walk covers its days completely: a whole school with no filter.
    :param most_pieces: into how many chains it may be cut if its first page is not its last. Default 1: it is not cut.
    """

    query: AttendanceQuery
    whole: bool
    most_pieces: int = 1

    @property
    def scope_id(self) -> str:
        """The school's or the section's id."""
        return self.query.school_id or self.query.section_id or ""

    @property
    def days(self) -> DateRange:
        """The days that it walks."""
        return DateRange(date.fromisoformat(self.query.start), date.fromisoformat(self.query.end))

    def cut(self, reached: date) -> "list[Chain]":
        """Give the chains that walk the same days side by side; none if continuing takes as few requests.

        :param reached: the last day on the first page, from which follows about how many pages there are.
        """
        days = self.days
        on_a_page = max(1, DateRange(days.first, reached).weekdays - 1)
        pieces = days.cut(min(self.most_pieces, days.weekdays // on_a_page))
        if len(pieces) < 2:
            return []
        return [
            replace(self, most_pieces=1, query=replace(self.query, date_range_start=one.first, date_range_end=one.last))
            for one in pieces
        ]


def plan_chains(
    scope: Scope,
    scope_ids: Sequence[str],
    first_day: date,
    last_day: date,
    *,
    concurrency: int,
    attendance_status: str | None = None,
    most_pieces: int | None = None,
) -> list[Chain]:
    """Give the chains that cover every id and every day once, the days that expire first in front.

    :param scope: whether the ids are schools or sections.
    :param scope_ids: the Clever ids.
    :param first_day: first attendance date, inclusive.
    :param last_day: last attendance date, inclusive.
    :param concurrency: how many chains run side by side.
    :param attendance_status: ``present``, ``absent`` or ``tardy``; default all.
    :param most_pieces: into how many ranges the days of an id are cut at most, such as the pages that it is expected to
        have: each range takes a request, however few rows it has. Default: their first page tells.
    :raises CleverSettingsError: an id or a date cannot be asked for.
    """
    pieces_each = _pieces_each(len(scope_ids), concurrency)
    pieces = DateRange(first_day, last_day).cut(1 if most_pieces is None else min(pieces_each, most_pieces))
    return [
        Chain(
            AttendanceQuery(
                school_id=scope_id if scope is Scope.SCHOOL else None,
                section_id=scope_id if scope is Scope.SECTION else None,
                date_range_start=piece.first,
                date_range_end=piece.last,
                attendance_status=attendance_status,
            ),
            whole=scope is Scope.SCHOOL and attendance_status is None,
            most_pieces=pieces_each if most_pieces is None else 1,
        )
        for piece in pieces
        for scope_id in scope_ids
    ]


def _pieces_each(ids: int, concurrency: int) -> int:
    """The fewest pieces per id with which chains of equal length keep the threads busy to the end.

    More pieces that run at the same time cost no time, and make each chain shorter.
    """
    if not ids or ids >= 2 * concurrency:
        return 1
    for pieces in range(1, concurrency + 1):
        chains = ids * pieces
        rounds = -(-chains // concurrency)
        if chains / (concurrency * rounds) >= _ENOUGH_BUSY:
            return concurrency * rounds // ids
    return concurrency
