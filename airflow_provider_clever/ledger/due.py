"""Decides which days of a school are due, and why. No I/O.

Past runs do not matter here: a day is due because of what is known of that day. So if an outage or a school that was
shared late kept days from being pulled, they are due by themselves while Clever still has them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Final, TypeAlias

from airflow_provider_clever.dates import (
    LAST_CHANCE_DAYS,
    ONE_DAY,
    DateRange,
    expiring,
    first_retained,
    joined,
    subtracted,
)
from airflow_provider_clever.ledger.day_covers import NEVER_SYNCED, Cover, DayCovers
from airflow_provider_clever.ledger.watermark import CorrectionRules

RECENT_DAYS: Final = 7
"""A day that is about to expire and was pulled within this many days is not pulled once more."""


class Reason(StrEnum):
    """Why a day is due, the most urgent first."""

    LAST_CHANCE = "last chance"
    NEVER_PULLED = "never pulled"
    GAP = "gap"
    UNSETTLED = "unsettled"
    NEW = "new"
    CORRECTIONS = "corrections"
    SWEEP = "weekly sweep"
    ASKED = "asked for"


DueDays: TypeAlias = list[tuple[DateRange, Reason]]
"""Days that are due, and why; no day is in it twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DueRules:
    """What makes a day due; the same for every school of a district.

    :param today: the date in the district.
    :param last_sync: the district's last attendance sync.
    :param corrections: for how long a day may still change.
    :param sweep_weekday: the weekday, 0 for Monday, on which everything that Clever still has is due. None: never.
    """

    today: date
    last_sync: str
    corrections: CorrectionRules
    sweep_weekday: int | None

    def due(self, history: DayCovers, among: DateRange) -> DueDays:
        """Give the days of a school that are due, and why.

        :param history: which pull covers each of its days best.
        :param among: the days to consider.
        """
        leaving = self._leaving(history)
        retained = DateRange(max(among.first, first_retained(self.today)), min(among.last, self.today))
        found: DueDays = []
        for days, reason in self._reasons(history, retained):
            found += ((rest, reason) for rest in subtracted([days], leaving))
        for days in leaving:
            shared = DateRange(max(days.first, retained.first), min(days.last, retained.last))
            found += [(shared, Reason.LAST_CHANCE)] if shared.days else []
        return found

    def _reasons(self, history: DayCovers, among: DateRange) -> Iterator[tuple[DateRange, Reason]]:
        last_covered = history.last_day
        for days, cover in history.pieces(among):
            if cover is None:
                is_new = last_covered is not None and days.first > last_covered
                uncovered = Reason.NEVER_PULLED if last_covered is None else Reason.NEW if is_new else Reason.GAP
                yield days, uncovered
            elif not cover.is_settled:
                yield days, Reason.UNSETTLED
            else:
                yield from self._settled(days, cover)

    def _settled(self, days: DateRange, cover: Cover) -> Iterator[tuple[DateRange, Reason]]:
        done_until = self._done_until(days, cover)
        if done_until < days.last:
            yield DateRange(max(days.first, done_until + ONE_DAY), days.last), Reason.CORRECTIONS
        if days.first <= done_until and self._is_before_sweep(cover):
            yield DateRange(days.first, min(days.last, done_until)), Reason.SWEEP

    def _done_until(self, days: DateRange, cover: Cover) -> date:
        """The last of these days that cannot have changed since this pull."""
        if self.last_sync == NEVER_SYNCED:
            # The district does not say when it syncs, so every night may follow a sync.
            pulled_on = self._pulled_on(cover)
            return days.last if pulled_on >= self.today else pulled_on - timedelta(days=self.corrections.lookback_days)
        # Any other value, not only a later one: a stamp can go back (clever-api.md 3.6).
        return days.last if cover.sync == self.last_sync else self.corrections.done_until(cover)

    def _is_before_sweep(self, cover: Cover) -> bool:
        if self.sweep_weekday is None:
            return False
        swept_on = self.today - timedelta(days=(self.today.weekday() - self.sweep_weekday) % 7)
        return self._pulled_on(cover) < swept_on

    def _leaving(self, history: DayCovers) -> tuple[DateRange, ...]:
        """Give the expiring days that were not pulled recently; none until one of them has a week left."""
        stale = [
            (days, cover)
            for days, cover in history.pieces(expiring(self.today, LAST_CHANCE_DAYS))
            if cover is None or not cover.is_settled or not self._was_recent(cover)
        ]
        urgent = expiring(self.today, RECENT_DAYS)
        is_urgent = any(cover is None or not cover.is_settled or days.first <= urgent.last for days, cover in stale)
        return joined(days for days, _ in stale) if is_urgent else ()

    def _was_recent(self, cover: Cover) -> bool:
        return self._pulled_on(cover) > self.today - timedelta(days=RECENT_DAYS)

    def _pulled_on(self, cover: Cover) -> date:
        return self.corrections.local_date(cover.pulled_at)
