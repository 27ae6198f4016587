"""Which days of which schools a complete pull has covered, and at which sync. Pure.

Facts are folded in by taking, per day, the best of what is known. So it does not matter in which order receipts come,
or whether one comes twice: the outcome is the same.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final, NamedTuple

from airflow_provider_clever.attendance.values import moment_from_text
from airflow_provider_clever.dates import ONE_DAY, DateRange, date_ranges, first_retained
from airflow_provider_clever.ledger.receipt_facts import PullFacts, SchoolPull, WithheldDays

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


@dataclass(slots=True)
class SchoolCoverage:
    """What is known of one school.

    :param name: as last seen.
    :param named_at: when that was.
    :param first_seen: when we first knew of it: from then on, losing a day of it is our fault.
    :param listed_on: the last date on which the district's list of schools named it.
    :param unlisted_on: the date of the first list since then that did not name it; None: no list has left it out.
    :param days: the best pull of each day; made of the next two by :meth:`prove`.
    :param proven: the best pull of each day that found rows, or knew of some.
    :param bare: the best pull of each day that found nothing where nothing stood.
    :param bare_since: when a pull first found nothing at all.
    :param rows_since: when a pull first found rows.
    :param withheld: the last pull whose rows did not all come back.
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
    proven: dict[date, Cover] = field(default_factory=dict)
    bare: dict[date, Cover] = field(default_factory=dict)
    bare_since: str = ""
    rows_since: str = ""
    withheld: WithheldDays | None = None
    landed_at: str = ""
    failed_at: str = ""
    failure: str = ""
    rows_per_weekday: float | None = None
    measured_at: str = ""

    def __post_init__(self) -> None:
        self.proven = self.proven or self.days
        self.days = self.days or self.proven

    @property
    def is_failing(self) -> bool:
        """Whether its last pull went wrong."""
        return self.failed_at > self.landed_at

    @property
    def open_withheld(self) -> WithheldDays | None:
        """What is withheld still: no later pull has covered these days."""
        found = self.withheld
        if found is None or all(self._is_covered_after(day, found.at) for span in found.days for day in span):
            return None
        return found

    def _is_covered_after(self, day: date, moment: str) -> bool:
        cover = self.days.get(day)
        return cover is not None and cover.pulled_at > moment

    def prove(self, *, others_have_rows: bool) -> None:
        """Say which pulls count that found nothing where nothing stood.

        A first pull that finds nothing, while other schools have rows, may have been fobbed off: it counts once that is
        repeated on a later day. And once a school has rows, what had found none before says nothing any more.

        :param others_have_rows: whether other schools of the district do.
        """
        first = max(filter(None, (self.rows_since, "" if self.rows_since else self.bare_since)), default="")[:10]
        self.days = self.proven
        if self.bare:
            self.days = dict(self.proven)
            for day, cover in self.bare.items():
                if cover.pulled_at[:10] > first or not (others_have_rows or self.rows_since):
                    self.days[day] = max(cover, self.days.get(day, cover))

    def is_settled(self, day: date) -> bool:
        """Whether a settled pull has covered this day."""
        cover = self.days.get(day)
        return cover is not None and cover.is_settled

    def gaps(self, span: DateRange) -> tuple[DateRange, ...]:
        """The days of a span that no settled pull has covered."""
        return date_ranges(day for day in span if not self.is_settled(day))

    def unlanded(self, days: Iterable[date]) -> tuple[DateRange, ...]:
        """Of these days those that no settled pull has covered, without those whose rows are withheld: they landed."""
        found = self.open_withheld
        landed = {day for span in found.days for day in span} if found else set()
        return date_ranges(day for day in days if not self.is_settled(day) and day not in landed)

    def lost(self, today: date, *, shared_until: date | None = None) -> tuple[DateRange, ...]:
        """The days that Clever had for us, that no settled pull has covered, and that it has forgotten.

        :param shared_until: the last date on which the school was shared; later days nobody could have asked for.
            Default: it is shared still.
        """
        if self.first_seen is None:
            return ()
        last = min(first_retained(today) - ONE_DAY, shared_until or date.max)
        return self.unlanded(DateRange(first_retained(self.first_seen), last))

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
    :param listed_on: the last date on which we asked which schools it shares, and could trust the answer.
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

    @property
    def listed_schools(self) -> set[str]:
        """The schools that the last list that could be trusted has named."""
        return {id_ for id_, school in self.schools.items() if school.listed_on and school.unlisted_on is None}

    def list_schools(self, names: Mapping[str, str], today: date, *, is_believed: bool = True) -> None:
        """Take in the district's list of schools.

        :param names: the schools' names by id.
        :param today: the date of the list.
        :param is_believed: False if it leaves out so many that nothing follows for those that it does not name.
        """
        for school_id, name in names.items():
            school = self.school(school_id)
            school.seen(today, name, today.isoformat())
            school.listed(today)
        if not is_believed:
            return
        self.listed_on = max(filter(None, (self.listed_on, today)))
        for school_id in self.schools.keys() - names.keys():
            self.schools[school_id].unlisted(today)

    def prove(self) -> None:
        """Say of every school which pulls count that found nothing (:meth:`SchoolCoverage.prove`)."""
        having_rows = {school_id for school_id, school in self.schools.items() if school.rows_since}
        for school_id, school in self.schools.items():
            school.prove(others_have_rows=bool(having_rows - {school_id}))

    def fold(self, facts: PullFacts) -> None:
        """Take in what a pull did."""
        self.last_sync = max(self.last_sync, (facts.finished_at, facts.sync_after or NEVER_SYNCED))
        self.newest_day = max(filter(None, (self.newest_day, facts.newest_day)), default=None)
        bare = {pull.school_id for pull in facts.schools if pull.is_bare}
        for part in (facts, *facts.tries):
            cover = Cover(part.is_settled, part.finished_at, part.sync_before or NEVER_SYNCED)
            pulled_on = moment_from_text(part.finished_at).date()
            for pull in part.schools:
                school = self.school(pull.school_id)
                school.seen(pulled_on, pull.name, part.finished_at)
                is_bare = pull.is_bare or pull.school_id in bare
                _fold_days(school.bare if is_bare else school.proven, pull.covered, cover, pulled_on)
        for pull in facts.schools:
            _fold_outcome(self.school(pull.school_id), pull, facts.finished_at)
        self.prove()


def _fold_days(days: dict[date, Cover], covered: Iterable[DateRange], cover: Cover, pulled_on: date) -> None:
    # An answer about a day that Clever had forgotten by then, or that had not come yet, says nothing: it must not hide
    # a lost day. In UTC+14 it may be the day after the one in UTC.
    first, last = first_retained(pulled_on), pulled_on + ONE_DAY
    for span in covered:
        for day in DateRange(max(span.first, first), min(span.last, last)):
            days[day] = max(cover, days.get(day, cover))


def _fold_outcome(school: SchoolCoverage, pull: SchoolPull, finished_at: str) -> None:
    if pull.has_rows:
        school.rows_since = min(filter(None, (school.rows_since, finished_at)))
    if pull.is_bare:
        school.bare_since = min(filter(None, (school.bare_since, finished_at)))
    if pull.is_open:
        school.withheld = max(filter(None, (school.withheld, pull.withheld)), default=None)
        return
    if pull.failure:
        school.failed_at, school.failure = max((school.failed_at, school.failure), (finished_at, pull.failure))
    else:
        school.landed_at = max(school.landed_at, finished_at)
        if pull.rows_per_weekday is not None:
            measured = (finished_at, pull.rows_per_weekday)
            school.measured_at, school.rows_per_weekday = max(
                (school.measured_at, school.rows_per_weekday or 0.0), measured
            )
