"""Which days of which schools a complete pull has covered, and at which sync. Pure.

Facts are folded in by taking, per day, the best of what is known. So it does not matter in which order receipts come,
or whether one comes twice: the outcome is the same.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, timedelta, tzinfo
from functools import lru_cache
from typing import Final, NamedTuple

from airflow_provider_clever.attendance.values import moment_from_text
from airflow_provider_clever.ledger.spans import ONE_DAY, Span, first_retained, forgotten_on, spans_of

NEVER_SYNCED: Final = ""
"""The sync of a district that has not synced yet, or does not say when."""


class Cover(NamedTuple):
    """The best pull of one day. Of two, the greater one is the better one.

    :param is_settled: False if a sync landed while the pull ran, so that it may have seen half of it.
    :param pulled_at: when the pull ended.
    :param sync: the district's last sync when the pull began; :data:`NEVER_SYNCED` if there was none.
    """

    is_settled: bool
    pulled_at: str
    sync: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SchoolPull:
    """What one pull did for one school.

    :param covered: the stretches of days that came out complete.
    :param rows_per_weekday: how many rows a weekday has; None: the pull was too short to tell.
    :param name: as the pull saw it.
    :param failure: why the rest of what was asked for is missing; empty: nothing is.
    """

    school_id: str
    covered: tuple[Span, ...] = ()
    rows_per_weekday: float | None = None
    name: str = ""
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullFacts:
    """What one pull did; instants are UTC text as ``syncs.sync_text`` writes it.

    :param sync_before: the district's last sync before the first page, None if it had none.
    :param sync_after: the same after the last page.
    :param is_settled: whether no sync landed in between.
    :param tries: if it took several, what each of them covered, as pulls of their own; then ``schools`` cover nothing.
    """

    finished_at: str
    sync_before: str | None
    sync_after: str | None
    is_settled: bool
    schools: tuple[SchoolPull, ...]
    newest_day: date | None = None
    tries: tuple["PullFacts", ...] = ()


@dataclass(slots=True)
class SchoolCoverage:
    """What is known of one school.

    :param name: as last seen.
    :param named_at: when that was.
    :param first_seen: when we first knew of it: from then on, losing a day of it is our fault.
    :param listed_on: the last date on which the district's list of schools named it.
    :param unlisted_on: the date of the first list since then that did not name it; None: no list has left it out.
    :param days: the best pull of each day.
    :param landed_at: when the last pull ended that went well.
    :param failed_at: when the last one ended that did not.
    :param failure: what went wrong then.
    :param rows_per_weekday: as last measured; None: not yet.
    :param measured_at: when that was.
    """

    name: str = ""
    named_at: str = ""
    first_seen: date | None = None
    listed_on: date | None = None
    unlisted_on: date | None = None
    days: dict[date, Cover] = field(default_factory=dict)
    landed_at: str = ""
    failed_at: str = ""
    failure: str = ""
    rows_per_weekday: float | None = None
    measured_at: str = ""

    @property
    def is_failing(self) -> bool:
        """Whether its last pull went wrong."""
        return self.failed_at > self.landed_at

    def is_settled(self, day: date) -> bool:
        """Whether a settled pull has covered this day."""
        cover = self.days.get(day)
        return cover is not None and cover.is_settled

    def gaps(self, span: Span) -> list[Span]:
        """The days of a span that no settled pull has covered."""
        return spans_of(day for day in span if not self.is_settled(day))

    def lost(self, today: date, *, shared_until: date | None = None) -> list[Span]:
        """The days that Clever had for us, that no settled pull has covered, and that it has forgotten.

        :param shared_until: the last date on which the school was shared; later days nobody could have asked for.
            Default: it is shared still.
        """
        if self.first_seen is None:
            return []
        last = min(first_retained(today) - ONE_DAY, shared_until or date.max)
        return self.gaps(Span(first_retained(self.first_seen), last))

    def listed(self, day: date) -> None:
        """Note that the district's list of this date names the school."""
        self.listed_on = max(filter(None, (self.listed_on, day)))
        if self.unlisted_on is not None and self.unlisted_on <= self.listed_on:
            self.unlisted_on = None

    def unlisted(self, day: date) -> None:
        """Note that the district's list of this date does not name the school."""
        if self.listed_on is None or self.listed_on < day:
            self.unlisted_on = min(filter(None, (self.unlisted_on, day)))

    def seen(self, day: date, name: str, at: str) -> None:
        """Note that we knew of the school on this date, and under which name."""
        self.first_seen = day if self.first_seen is None else min(self.first_seen, day)
        if name:
            self.named_at, self.name = max((self.named_at, self.name), (at, name))


@dataclass(slots=True)
class Coverage:
    """What is known of one district.

    :param district_id: the district.
    :param timezone: IANA name of the zone that its days are reckoned in.
    :param schools: by id.
    :param listed_on: the last date on which we asked which schools it shares.
    :param newest_day: the newest attendance date that any pull has seen.
    :param last_sync: the newest sync that a pull has seen, by when the pull was.
    :param watermark: the sync up to which everything is covered; None: not everything is covered yet.
    """

    district_id: str
    timezone: str = "UTC"
    schools: dict[str, SchoolCoverage] = field(default_factory=dict)
    listed_on: date | None = None
    newest_day: date | None = None
    last_sync: tuple[str, str] = ("", NEVER_SYNCED)
    watermark: str | None = None

    def school(self, school_id: str) -> SchoolCoverage:
        """The school's record, a new one if it has none."""
        return self.schools.setdefault(school_id, SchoolCoverage())

    def is_gone(self, school_id: str) -> bool:
        """Whether the district no longer shares a school: two lists of different days in a row do not name it.

        One list may be wrong, and a 404 may be about attendance alone: a school that is listed and refused is failing.
        """
        since = self.schools[school_id].unlisted_on
        return since is not None and self.listed_on is not None and since < self.listed_on

    def shared_schools(self) -> dict[str, SchoolCoverage]:
        """The schools that the district shares, as far as we know."""
        return {school_id: school for school_id, school in self.schools.items() if not self.is_gone(school_id)}

    def list_schools(self, names: Mapping[str, str], today: date) -> None:
        """Take in the district's list of schools.

        :param names: the schools' names by id.
        :param today: the date of the list.
        """
        self.listed_on = max(filter(None, (self.listed_on, today)))
        for school_id, name in names.items():
            school = self.school(school_id)
            school.seen(today, name, today.isoformat())
            school.listed(today)
        for school_id in self.schools.keys() - names.keys():
            self.schools[school_id].unlisted(today)

    def fold(self, facts: PullFacts) -> None:
        """Take in what a pull did."""
        self.last_sync = max(self.last_sync, (facts.finished_at, facts.sync_after or NEVER_SYNCED))
        self.newest_day = max(filter(None, (self.newest_day, facts.newest_day)), default=None)
        for part in (facts, *facts.tries):
            cover = Cover(part.is_settled, part.finished_at, part.sync_before or NEVER_SYNCED)
            pulled_on = moment_from_text(part.finished_at).date()
            for pull in part.schools:
                school = self.school(pull.school_id)
                school.seen(pulled_on, pull.name, part.finished_at)
                _fold_days(school, pull.covered, cover, first_retained(pulled_on))
        for pull in facts.schools:
            _fold_outcome(self.school(pull.school_id), pull, facts.finished_at)


def _fold_days(school: SchoolCoverage, covered: Iterable[Span], cover: Cover, first_day: date) -> None:
    for span in covered:
        for day in span:
            # An answer about a day that Clever had forgotten by then says nothing: it must not hide a lost day.
            if day >= first_day:
                school.days[day] = max(cover, school.days.get(day, cover))


def _fold_outcome(school: SchoolCoverage, pull: SchoolPull, finished_at: str) -> None:
    if pull.failure:
        school.failed_at, school.failure = max((school.failed_at, school.failure), (finished_at, pull.failure))
    else:
        school.landed_at = max(school.landed_at, finished_at)
        if pull.rows_per_weekday is not None:
            measured = (finished_at, pull.rows_per_weekday)
            school.measured_at, school.rows_per_weekday = max(
                (school.measured_at, school.rows_per_weekday or 0.0), measured
            )


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

    def is_done(self, day: date, cover: Cover) -> bool:
        """Whether a later sync is no longer expected to change this day.

        It is the sync that counts, not the calendar: while a district's uploads fail, or ours do, no day gets old. A
        sync cannot be younger than the pull that saw it, so a stamp from the future counts as the pull's own moment.
        """
        if cover.sync == NEVER_SYNCED:
            return False
        return self.local_date(min(cover.sync, cover.pulled_at)) >= day + timedelta(days=self.lookback_days)


def watermark(coverage: Coverage, today: date, rules: CorrectionRules) -> str | None:
    """The sync up to which every shared school is covered; None if one is not.

    A school that fails holds it back, so that the next run asks again even if no sync comes for two months.
    """
    syncs = [_covered_up_to(school, today, rules) for school in coverage.shared_schools().values()]
    return min(filter(None, syncs), default=None) if all(syncs) else None


def _covered_up_to(school: SchoolCoverage, today: date, rules: CorrectionRules) -> str | None:
    floor = first_retained(today)
    retained = {day: cover for day, cover in school.days.items() if day >= floor and cover.is_settled}
    if not retained:
        return None
    # The newest pull says how far the school should reach: to the day of the sync that it saw.
    newest = max(retained.values())
    if newest.sync == NEVER_SYNCED:
        return None
    last = min(today, rules.local_date(newest.sync))
    if any(day not in retained for day in Span(floor, last)):
        return None
    open_syncs = {cover.sync for day, cover in retained.items() if day <= last and not rules.is_done(day, cover)}
    return min(open_syncs | {newest.sync}) or None


def about_to_be_lost(school: SchoolCoverage, today: date, within_days: int) -> list[Span]:
    """The days that no settled pull has covered and that Clever forgets within so many days."""
    floor = first_retained(today)
    days = (floor + timedelta(days=offset) for offset in range(within_days + 4))
    return spans_of(
        day for day in days if (forgotten_on(day) - today).days <= within_days and not school.is_settled(day)
    )


@lru_cache(maxsize=4096)
def _local_date(instant: str, zone: tzinfo) -> date:
    return moment_from_text(instant).astimezone(zone).date()
