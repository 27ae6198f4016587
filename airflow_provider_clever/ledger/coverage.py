"""Keeps which days of which schools a complete pull has covered, and at which sync. No I/O.

Coverage is computed from receipts: for each day it keeps the best pull. So the order of receipts does not matter, nor
whether one is added twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, tzinfo
from functools import partial

from airflow_provider_clever.attendance.values import moment_from_text
from airflow_provider_clever.dates import ONE_DAY, DateRange, first_retained, subtracted, zone_named
from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.ledger.day_covers import NEVER_SYNCED, Cover, DayCovers, Sharing
from airflow_provider_clever.ledger.receipt_facts import PullFacts, SchoolPull, WithheldDays


@dataclass(slots=True)
class SchoolCoverage:
    """What is known of one school.

    :param name: as last seen.
    :param named_at: when that was.
    :param first_seen: when we first knew of it: from then on, losing a day of it is our fault.
    :param listed_on: the last date on which the district's list of schools named it.
    :param unlisted_on: the date of the first list since then that did not name it; None: no list has left it out.
    :param proven: the best pull of each day that found rows, or knew of some.
    :param bare: the best pull of each day that found nothing where nothing stood.
    :param bare_since: when a pull first found nothing at all.
    :param rows_since: when a pull first found rows.
    :param withheld: the last pull whose rows did not all come back.
    :param landed_at: when the last successful pull ended.
    :param failed_at: when the last failed pull ended.
    :param failure: why it failed.
    :param rows_per_weekday: as last measured; None: not yet.
    :param measured_at: when that was.
    :param days: the best pull of each day that counts; :meth:`prove` makes it of ``proven`` and ``bare``.
    """

    name: str = ""
    named_at: str = ""
    first_seen: date | None = None
    listed_on: date | None = None
    unlisted_on: date | None = None
    proven: DayCovers = field(default_factory=DayCovers)
    bare: DayCovers = field(default_factory=DayCovers)
    bare_since: str = ""
    rows_since: str = ""
    withheld: WithheldDays | None = None
    landed_at: str = ""
    failed_at: str = ""
    failure: str = ""
    rows_per_weekday: float | None = None
    measured_at: str = ""
    days: DayCovers = field(init=False)

    def __post_init__(self) -> None:
        self.days = self.proven

    @property
    def is_failing(self) -> bool:
        """Whether its last pull failed."""
        return self.failed_at > self.landed_at

    @property
    def open_withheld(self) -> WithheldDays | None:
        """What is still withheld: not all of these days have been covered since."""
        found = self.withheld
        if found is None or all(
            cover is not None and cover.pulled_at > found.at
            for days in found.days
            for _, cover in self.days.pieces(days)
        ):
            return None
        return found

    def prove(self, *, others_have_rows: bool) -> None:
        """Decide which pulls count that found nothing where nothing stood.

        A first pull that finds nothing while other schools have rows may have been given a wrong answer: it counts once
        a pull of a later day finds the same. And once a school has rows, earlier pulls that found none no longer count.

        :param others_have_rows: whether other schools of the district do.
        """
        self.days = self.proven
        if not self.bare:
            return
        counts_always = not (others_have_rows or self.rows_since)
        for one in self.bare:
            if counts_always or one.cover.pulled_at[:10] > self._doubted_until:
                self.days = self.days.covered(one.days, one.cover)

    @property
    def _doubted_until(self) -> str:
        """The date up to which a pull that finds nothing proves nothing."""
        return (self.rows_since or self.bare_since)[:10]

    def is_settled(self, day: date) -> bool:
        """Whether a settled pull has covered this day."""
        cover = self.days.get(day)
        return cover is not None and cover.is_settled

    def gaps(self, days: DateRange) -> tuple[DateRange, ...]:
        """Give those of these days that no settled pull has covered."""
        return self.days.not_settled(days)

    def unlanded(self, days: DateRange) -> tuple[DateRange, ...]:
        """Give those that no settled pull has covered, without those whose rows are withheld: they have landed."""
        gaps = self.gaps(days)
        found = self.open_withheld if gaps else None
        return subtracted(gaps, found.days) if found else gaps

    def lost(self, today: date, *, shared_until: date | None = None) -> tuple[DateRange, ...]:
        """Give the days that Clever had for us, that no settled pull has covered, and that it has forgotten.

        :param shared_until: the last date on which the school was shared; later days could not be asked for. Default:
            it is shared still.
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

    def forget(self, before: date, sharing: Sharing) -> None:
        """Keep of days that Clever has forgotten only whether they were covered, so that coverage stops growing.

        Of pulls that found nothing it stays known whether they were made late enough to prove something
        (:meth:`prove`), and of withheld days everything.

        :param before: the first day that Clever still has.
        :param sharing: what was done to the histories of other schools.
        """
        kept = self.withheld.days if self.withheld else ()
        self.proven = sharing.once(self.proven, kept, lambda proven: proven.forgetting(before, kept=kept))
        if self.bare:
            self.bare = self.bare.forgetting(before, kept=kept, forgotten=self._forgotten_bare)

    def _forgotten_bare(self, cover: Cover) -> Cover:
        day = self._doubted_until
        if cover.pulled_at[:10] > day:
            day = (date.fromisoformat(day) + ONE_DAY).isoformat()
        return Cover(is_settled=True, pulled_at=f"{day}T00:00:00.000000Z", sync=NEVER_SYNCED)


@dataclass(slots=True)
class Coverage:
    """What is known of one district.

    :param district_id: the district.
    :param timezone: IANA name of the zone of its days.
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
        """Give the school's record, a new one if it has none."""
        return self.schools.setdefault(school_id, SchoolCoverage())

    def is_gone(self, school_id: str) -> bool:
        """Tell whether the district no longer shares a school: two lists of different days in a row do not name it.

        One list may be wrong, and a 404 may be about attendance alone: a school that is listed and refused is failing.
        """
        since = self.schools[school_id].unlisted_on
        return since is not None and self.listed_on is not None and since < self.listed_on

    def shared_schools(self) -> dict[str, SchoolCoverage]:
        """Give the schools that the district shares, as far as we know."""
        return {school_id: school for school_id, school in self.schools.items() if not self.is_gone(school_id)}

    @property
    def listed_schools(self) -> set[str]:
        """The schools that the last list which could be trusted has named."""
        return {id_ for id_, school in self.schools.items() if school.listed_on and school.unlisted_on is None}

    def list_schools(self, names: Mapping[str, str], today: date, *, is_trusted: bool = True) -> None:
        """Record the district's list of schools.

        :param names: the schools' names by id.
        :param today: the date of the list.
        :param is_trusted: False if it leaves out so many that nothing follows for those that it does not name.
        """
        for school_id, name in names.items():
            school = self.school(school_id)
            school.seen(today, name, today.isoformat())
            school.listed(today)
        if not is_trusted:
            return
        self.listed_on = max(filter(None, (self.listed_on, today)))
        for school_id in self.schools.keys() - names.keys():
            self.schools[school_id].unlisted(today)

    def fold(self, *pulls: PullFacts) -> None:
        """Take in what pulls did."""
        for facts in pulls:
            self._fold(facts)
        self.prove()

    def prove(self) -> None:
        """Decide for every school which pulls count that found nothing (:meth:`SchoolCoverage.prove`)."""
        having_rows = {school_id for school_id, school in self.schools.items() if school.rows_since}
        for school_id, school in self.schools.items():
            school.prove(others_have_rows=len(having_rows) > (school_id in having_rows))

    def forget(self, today: date) -> None:
        """Forget what no longer matters of days that Clever has forgotten (:meth:`SchoolCoverage.forget`)."""
        before, sharing = first_retained(today), Sharing()
        for school in self.schools.values():
            school.forget(before, sharing)
        self.prove()

    def lists_alone(self) -> "Coverage":
        """Give what the district's lists of schools said, which stands in no receipt; and nothing that receipts say."""
        result = Coverage(self.district_id, timezone=self.timezone, listed_on=self.listed_on)
        for school_id, old in self.schools.items():
            new = result.school(school_id)
            new.listed_on, new.unlisted_on = old.listed_on, old.unlisted_on
            if old.first_seen:
                new.seen(old.first_seen, old.name, old.named_at)
        return result

    def keep(self, old: "Coverage", *, before: date) -> None:
        """Take over what is known of days before a date, and since when schools have rows."""
        for school_id, known in old.schools.items():
            school = self.school(school_id)
            school.proven, school.bare = known.proven.before(before), known.bare.before(before)
            school.rows_since, school.bare_since = known.rows_since, known.bare_since
            school.withheld = known.withheld if known.withheld and known.withheld.at < before.isoformat() else None

    def _zone(self) -> tzinfo:
        try:
            return zone_named(self.timezone)
        except CleverSettingsError:
            return UTC  # of a schedule with an offset instead of a zone

    def _fold(self, facts: PullFacts) -> None:
        self.last_sync = max(self.last_sync, (facts.finished_at, facts.sync_after or NEVER_SYNCED))
        self.newest_day = max(filter(None, (self.newest_day, facts.newest_day)), default=None)
        bare = {pull.school_id for pull in facts.schools if pull.is_bare}
        zone = self._zone()
        for part in (facts, *facts.tries):
            cover = Cover(part.is_settled, part.finished_at, part.sync_before or NEVER_SYNCED)
            finished = moment_from_text(part.finished_at)
            pulled_on = finished.astimezone(zone).date()
            sharing = Sharing()
            # An answer about a day that Clever had forgotten by then, or that had not come yet, says nothing: it must
            # not hide a lost day. Which day it was, the district's zone decides, as it does for plans and reports;
            # where the zone is not known yet, it may be the day after the one in UTC.
            first, last = first_retained(pulled_on), finished.date() + ONE_DAY
            for pull in part.schools:
                school = self.school(pull.school_id)
                school.seen(pulled_on, pull.name, part.finished_at)
                kind = "bare" if pull.is_bare or pull.school_id in bare else "proven"
                for days in pull.covered:
                    known = DateRange(max(days.first, first), min(days.last, last))
                    covered = sharing.once(
                        getattr(school, kind), known, partial(DayCovers.covered, days=known, cover=cover)
                    )
                    setattr(school, kind, covered)
        for pull in facts.schools:
            _fold_outcome(self.school(pull.school_id), pull, facts.finished_at)


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
            # A pull of the summer alone finds none: it must not make the plan take a year for one request.
            _, school.measured_at, school.rows_per_weekday = max(
                (bool(rows), measured_at, rows)
                for measured_at, rows in (
                    (school.measured_at, school.rows_per_weekday or 0.0),
                    (finished_at, pull.rows_per_weekday),
                )
            )
