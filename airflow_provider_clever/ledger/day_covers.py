"""Keeps the best pull of each day of a school, as stretches of days with the same pull. No I/O."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from operator import attrgetter
from typing import Final, NamedTuple, TypeVar, cast

from airflow_provider_clever.dates import ONE_DAY, DateRange, joined, subtracted

Result = TypeVar("Result")

NEVER_SYNCED: Final = ""
"""The sync of a district that has not synced yet, or does not say when."""


class Cover(NamedTuple):
    """The best pull of a day. Of two, the greater one is the better one.

    :param is_settled: False if a sync landed while the pull ran, so that it may have seen half of it.
    :param pulled_at: when the pull ended.
    :param sync: the district's last sync when the pull began; :data:`NEVER_SYNCED` if there was none.
    """

    is_settled: bool
    pulled_at: str
    sync: str


FORGOTTEN: Final = Cover(is_settled=True, pulled_at="", sync=NEVER_SYNCED)
"""Covers a day that Clever has forgotten: it cannot be pulled again, so it no longer matters when it was."""


class Stretch(NamedTuple):
    """Days in a row that the same pull covers best."""

    first: date
    last: date
    cover: Cover

    @property
    def days(self) -> DateRange:
        """The days."""
        return DateRange(self.first, self.last)


class DayCovers:
    """The best pull of each day. It is immutable, so that schools with the same history can share it.

    :param stretches: the known stretches, in any order.
    """

    __slots__ = ("_stretches",)

    def __init__(self, stretches: Iterable[Stretch] = ()) -> None:
        self._stretches: list[Stretch] = []
        for one in stretches:
            self._add(one.days, one.cover)

    def __iter__(self) -> Iterator[Stretch]:
        return iter(self._stretches)

    def __bool__(self) -> bool:
        return bool(self._stretches)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DayCovers) and (self is other or self._stretches == other._stretches)

    def __hash__(self) -> int:
        return hash(tuple(self._stretches))

    @property
    def last_day(self) -> date | None:
        """The last day that any pull covers."""
        return self._stretches[-1].last if self._stretches else None

    def get(self, day: date) -> Cover | None:
        """The best pull of a day; None if no pull covers it."""
        start, end = self._overlapping(DateRange(day, day))
        return self._stretches[start].cover if start < end else None

    def covered(self, days: DateRange, cover: Cover) -> "DayCovers":
        """Give a copy in which a pull covers these days, except where a better one does."""
        result = DayCovers()
        result._stretches = self._stretches.copy()
        result._add(days, cover)
        return result

    def pieces(self, days: DateRange) -> Iterator[tuple[DateRange, Cover | None]]:
        """Split days where their best pull changes; None: no pull covers them."""
        start, end = self._overlapping(days)
        following = days.first
        for first, last, cover in self._stretches[start:end]:
            if following < first:
                yield DateRange(following, first - ONE_DAY), None
            yield DateRange(max(days.first, first), min(days.last, last)), cover
            following = last + ONE_DAY
        if following <= days.last:
            yield DateRange(following, days.last), None

    def not_settled(self, days: DateRange) -> tuple[DateRange, ...]:
        """Give those of these days that no settled pull covers."""
        return joined(piece for piece, cover in self.pieces(days) if cover is None or not cover.is_settled)

    def before(self, day: date) -> "DayCovers":
        """Give what is known of the days before this one."""
        found = self.pieces(DateRange(date.min, day - ONE_DAY))
        return DayCovers(Stretch(days.first, days.last, cover) for days, cover in found if cover)

    def forgetting(
        self, before: date, *, kept: Iterable[DateRange] = (), forgotten: Callable[[Cover], Cover] = lambda _: FORGOTTEN
    ) -> "DayCovers":
        """Give the same without what no longer matters about days that Clever has deleted.

        :param before: the first day that Clever still has.
        :param kept: days of which everything still matters.
        :param forgotten: what is left of a settled pull. Default: that it was settled. Of others nothing is left.
        """
        result = DayCovers()
        for one in self._stretches:
            if one.first >= before:
                result._add(one.days, one.cover)
                continue
            old = subtracted([DateRange(one.first, min(one.last, before - ONE_DAY))], kept)
            for days in subtracted([one.days], old):
                result._add(days, one.cover)
            for days in old if one.cover.is_settled else ():
                result._add(days, forgotten(one.cover))
        return result

    def _add(self, days: DateRange, cover: Cover) -> None:
        if not days.days:
            return
        newest = self._stretches[-1] if self._stretches else None
        if newest is None or (
            newest.last < days.first and (newest.cover != cover or newest.last + ONE_DAY < days.first)
        ):
            self._stretches.append(Stretch(days.first, days.last, cover))
            return
        start, end = self._overlapping(days)
        pieces = self._stretches[max(0, start - 1) : start]
        if start < end and self._stretches[start].first < days.first:
            pieces.append(self._stretches[start]._replace(last=days.first - ONE_DAY))
        pieces += (Stretch(piece.first, piece.last, max(cover, known or cover)) for piece, known in self.pieces(days))
        if start < end and self._stretches[end - 1].last > days.last:
            pieces.append(self._stretches[end - 1]._replace(first=days.last + ONE_DAY))
        pieces += self._stretches[end : end + 1]
        self._stretches[max(0, start - 1) : end + 1] = _coalesced(pieces)

    def _overlapping(self, days: DateRange) -> tuple[int, int]:
        """Give the range of indexes of the stretches that share a day with these days."""
        start = bisect_left(self._stretches, days.first, key=attrgetter("last"))
        return start, bisect_right(self._stretches, days.last, lo=start, key=attrgetter("first"))


class Sharing:
    """Changes equal histories once, so that schools that are always pulled together keep sharing one."""

    def __init__(self) -> None:
        self._done: dict[tuple[int, object], tuple[DayCovers, object]] = {}

    def once(self, covers: DayCovers, key: object, act: Callable[[DayCovers], Result]) -> Result:
        """Give what ``act`` makes of a history, from memory if it was asked before.

        :param key: what the outcome depends on besides the history.
        """
        known = self._done.get((id(covers), key))
        if known is None:  # the history is kept beside its outcome, or its id could be given to another one
            known = self._done[id(covers), key] = (covers, act(covers))
        return cast("Result", known[1])


def _coalesced(stretches: Iterable[Stretch]) -> list[Stretch]:
    result: list[Stretch] = []
    for one in stretches:
        if result and result[-1].cover == one.cover and result[-1].last + ONE_DAY == one.first:
            result[-1] = result[-1]._replace(last=one.last)
        else:
            result.append(one)
    return result
