"""Computes up to which sync a district is covered, and which of its days are about to be lost. No I/O."""

from dataclasses import dataclass
from datetime import UTC, date, timedelta, tzinfo
from functools import lru_cache
from typing import Final

from airflow_provider_clever.attendance.values import moment_from_text
from airflow_provider_clever.dates import DateRange, expiring, first_retained, subtracted
from airflow_provider_clever.ledger.coverage import Coverage, SchoolCoverage
from airflow_provider_clever.ledger.day_covers import NEVER_SYNCED, Cover, DayCovers, Sharing


@dataclass(frozen=True, slots=True)
class CorrectionRules:
    """For how long a day may still change after it was covered.

    :param timezone: the zone that decides which date an instant falls on.
    :param lookback_days: a day is done once it was covered at a sync that came so many days after it.
    """

    timezone: tzinfo = UTC
    lookback_days: int = 14

    def local_date(self, instant: str) -> date:
        """The date of an instant in the district."""
        return _local_date(instant, self.timezone)

    def done_until(self, cover: Cover) -> date:
        """The last day that a later sync is no longer expected to change, if this pull covered it.

        The sync counts, not the calendar: no day is done while a district's uploads or our pulls fail. A sync cannot be
        later than the pull that saw it, so a stamp from the future counts as the time of the pull.
        """
        if cover.sync == NEVER_SYNCED:
            return date.min
        return self.local_date(min(cover.sync, cover.pulled_at)) - timedelta(days=self.lookback_days)


def watermark(coverage: Coverage, today: date, rules: CorrectionRules) -> str | None:
    """The sync up to which every shared school is covered; None if one is not.

    A school that fails holds it back, so that the next run asks again even if no sync comes for two months.
    """
    sharing = Sharing()
    syncs = [
        sharing.once(school.days, None, lambda days: _covered_up_to(days, today, rules))
        for school in coverage.shared_schools().values()
    ]
    return min(filter(None, syncs), default=None) if all(syncs) else None


def _covered_up_to(days: DayCovers, today: date, rules: CorrectionRules) -> str | None:
    first = first_retained(today)
    settled = [one for one in days if one.last >= first and one.cover.is_settled]
    if not settled:
        return None
    # The newest pull says how far the school should reach: to the day of the sync that it saw.
    newest = max(one.cover for one in settled)
    if newest.sync == NEVER_SYNCED:
        return None
    last = min(today, rules.local_date(newest.sync))
    if days.not_settled(DateRange(first, last)):
        return None
    open_syncs = {
        one.cover.sync for one in settled if one.first <= last and min(one.last, last) > rules.done_until(one.cover)
    }
    return min(open_syncs | {newest.sync}) or None


def about_to_be_lost(school: SchoolCoverage, today: date, within_days: int) -> tuple[DateRange, ...]:
    """The days that no settled pull has covered and that Clever forgets within so many days.

    Of a day on which a first pull found nothing there is nothing to lose, as far as we know.
    """
    found = school.unlanded(expiring(today, within_days))
    return subtracted(found, (one.days for one in school.bare)) if found and school.bare else found


_LONG_AGO: Final = date(1970, 1, 1)
"""The date of a pull of which coverage no longer knows when it was (day_covers.FORGOTTEN)."""


@lru_cache(maxsize=4096)
def _local_date(instant: str, zone: tzinfo) -> date:
    return moment_from_text(instant).astimezone(zone).date() if instant else _LONG_AGO
