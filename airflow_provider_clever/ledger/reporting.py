"""Reports what a run has done, and the state of a district, in figures and in words with the next step. No I/O."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

from airflow_provider_clever.dates import (
    LAST_CHANCE_DAYS,
    ONE_DAY,
    DateRange,
    date_ranges,
    days_of,
    days_to_expiry,
    first_retained,
)
from airflow_provider_clever.lake.answers import HOW_TO_ANSWER
from airflow_provider_clever.lake.receipts import Receipt
from airflow_provider_clever.ledger.coverage import Coverage, SchoolCoverage
from airflow_provider_clever.ledger.coverage_json import CoverageFile
from airflow_provider_clever.ledger.day_covers import NEVER_SYNCED
from airflow_provider_clever.ledger.planner import DistrictPlan
from airflow_provider_clever.ledger.watermark import about_to_be_lost
from airflow_provider_clever.transfer.causes import counted_causes

_NAMED_SCHOOLS: Final = 10
"""How many schools a message names; the summary has them all."""


@dataclass(frozen=True, slots=True)
class SchoolDays:
    """Days of one school, and what there is to say about them."""

    school_id: str
    name: str
    spans: tuple[DateRange, ...]
    words: str = ""

    def __str__(self) -> str:
        shown = f"{self.name} ({self.school_id})" if self.name else self.school_id
        return ": ".join(filter(None, (shown, ", ".join(map(str, self.spans)), self.words)))

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        days = [span.to_json() for span in self.spans]
        return {"school_id": self.school_id, "name": self.name, "days": days, "words": self.words or None}


def lost_days(plan: DistrictPlan) -> list[SchoolDays]:
    """The days, school by school, that Clever has forgotten and that were never covered."""
    return [SchoolDays(school.school_id, school.name, school.lost) for school in plan.schools if school.lost]


def estimate_note(plan: DistrictPlan) -> str:
    """Say for how many schools a plan estimates the rows; empty: for none."""
    if not plan.estimated_schools:
        return ""
    return (
        f"The number of requests is an estimate: {plan.sampled_schools:,} schools were asked for one day, and their "
        f"mean stands in for {plan.estimated_schools:,} others"
    )


@dataclass(frozen=True, slots=True)
class PlannedPull:
    """What one task was to pull, as the plan said it."""

    school_ids: tuple[str, ...]
    span: DateRange

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> "PlannedPull":
        """Read it from the arguments that the pulling task was given."""
        first, last = (date.fromisoformat(arguments[f"date_range_{end}"]) for end in ("start", "end"))
        return cls(tuple(arguments["school_ids"]), DateRange(first, last))


@dataclass(frozen=True, slots=True)
class DistrictReport:
    """The state of a district.

    :param gaps: days of schools that Clever still has and that no settled pull has covered, yesterday the last.
    :param days_to_expiry: until Clever forgets the oldest of them; None: there are none.
    :param about_to_be_lost: those that Clever forgets within 14 days.
    :param lost: days that Clever has forgotten and that were never covered.
    :param failing: schools whose last pull failed.
    :param gone: schools that the district no longer shares.
    :param withheld: schools of which landed rows did not come back, and nothing was concluded.
    :param missing: landed rows that Clever no longer has.
    :param quarantined: rows that could not land.
    """

    district_id: str
    schools: int
    last_sync: str | None
    newest_day: date | None
    watermark: str | None
    gaps: int
    days_to_expiry: int | None
    about_to_be_lost: tuple[SchoolDays, ...]
    lost: tuple[SchoolDays, ...]
    failing: tuple[SchoolDays, ...]
    gone: tuple[SchoolDays, ...]
    withheld: tuple[SchoolDays, ...]
    missing: int
    quarantined: int

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "district_id": self.district_id,
            "schools": self.schools,
            "last_sync": self.last_sync,
            "newest_day": self.newest_day.isoformat() if self.newest_day else None,
            "watermark": self.watermark,
            "gaps": self.gaps,
            "days_to_expiry": self.days_to_expiry,
            "missing": self.missing,
            "quarantined": self.quarantined,
            **{
                name: [days.to_json() for days in getattr(self, name)]
                for name in ("about_to_be_lost", "lost", "failing", "gone", "withheld")
            },
        }


def standing(report: DistrictReport) -> tuple[str, str]:
    """Describe a district's state in two lines: what is covered, and what is not."""
    covered = (
        f"{report.schools} schools, covered up to the sync of {report.watermark or 'none yet'} (the district's last: "
        f"{report.last_sync or 'none'}); newest day {report.newest_day or 'none'}"
    )
    expiry = f", the first of them leaves Clever in {report.days_to_expiry} days" if report.gaps else ""
    missed = (f"{len(getattr(report, name))} schools {name}" for name in ("failing", "withheld", "gone", "lost"))
    return covered, f"{report.gaps:,} days of schools are not covered{expiry}; {', '.join(missed)}"


def district_report(file: CoverageFile, today: date) -> DistrictReport:
    """Give the state of a district on a date in its zone."""
    coverage, counts = file.coverage, file.counts
    shared = coverage.shared_schools()
    retained = DateRange(first_retained(today), today - ONE_DAY)
    gaps = {school_id: school.gaps(retained) for school_id, school in shared.items()}
    oldest = min((spans[0].first for spans in gaps.values() if spans), default=None)
    return DistrictReport(
        district_id=coverage.district_id,
        schools=len(shared),
        last_sync=None if coverage.last_sync[1] == NEVER_SYNCED else coverage.last_sync[1],
        newest_day=coverage.newest_day,
        watermark=coverage.watermark,
        gaps=sum(span.days for spans in gaps.values() for span in spans),
        days_to_expiry=None if oldest is None else days_to_expiry(oldest, today),
        about_to_be_lost=at_risk(coverage, today),
        lost=_of_schools(coverage, _lost(coverage, today)),
        failing=tuple(
            SchoolDays(school_id, school.name, gaps[school_id], _with_since(school.failure, school))
            for school_id, school in sorted(shared.items())
            if school.is_failing
        ),
        gone=tuple(
            SchoolDays(school_id, school.name, (), _last_shared(school))
            for school_id, school in sorted(coverage.schools.items())
            if school_id not in shared
        ),
        withheld=withheld_schools(coverage),
        missing=counts.missing - counts.returned,
        quarantined=counts.quarantined,
    )


def withheld_schools(coverage: Coverage) -> tuple[SchoolDays, ...]:
    """The schools of which landed rows did not come back, and nothing was concluded."""
    return tuple(
        SchoolDays(
            school_id,
            school.name,
            (DateRange(found.days[0].first, found.days[-1].last),),
            f"{found.rows:,} of {found.of:,} landed rows did not come back, since {found.since[:10]}",
        )
        for school_id, school in sorted(coverage.shared_schools().items())
        if (found := school.open_withheld)
    )


def _last_shared(school: SchoolCoverage) -> str:
    before = f", last listed on {school.listed_on}" if school.listed_on else ""
    return f"not in Clever's list of schools since {school.unlisted_on}{before}"


def _with_since(failure: str, school: SchoolCoverage) -> str:
    since = f"last pulled to its end on {school.landed_at[:10]}" if school.landed_at else "never pulled to its end"
    return f"{failure.rstrip('.')} ({since})"


def _lost(coverage: Coverage, today: date) -> dict[str, tuple[DateRange, ...]]:
    return {
        school_id: school.lost(today, shared_until=school.listed_on if coverage.is_gone(school_id) else None)
        for school_id, school in coverage.schools.items()
    }


def _of_schools(coverage: Coverage, spans: Mapping[str, tuple[DateRange, ...]]) -> tuple[SchoolDays, ...]:
    return tuple(
        SchoolDays(school_id, coverage.schools[school_id].name, found)
        for school_id, found in sorted(spans.items())
        if found
    )


def not_pulled(
    coverage: Coverage, planned: Sequence[PlannedPull], receipts: Sequence[Receipt], *, today: date
) -> tuple[SchoolDays, ...]:
    """What was planned for a run and was not pulled by it: by school, with the reason if it is known.

    The run's own receipts decide, not the clock: a day that a sync has changed since was pulled, although it is due
    again.

    :param receipts: those that the run's pulls have left.
    :param today: the date in the district.
    """
    floor = first_retained(today)
    wanted: dict[str, set[date]] = {}
    for pull in planned:
        for school_id in pull.school_ids:
            wanted.setdefault(school_id, set()).update(day for day in pull.span if day >= floor)
    found = []
    for school_id, days in sorted(wanted.items()):
        outcomes = [receipt.schools[school_id] for receipt in receipts if school_id in receipt.schools]
        pulled = {*days_of([*_doubted(receipts, school_id), *(days for school in outcomes for days in school.covered)])}
        errors = [school.error or "it failed" for school in outcomes if school.state == "failed"]
        # A task that was cleared keeps what its first try covered, and fails all the same if its last one does.
        late = days - pulled or (days if errors else set())
        if late:
            school = coverage.school(school_id)
            words = _with_since(errors[0], school) if errors else _NO_TRACE
            found.append(SchoolDays(school_id, school.name, date_ranges(late), words))
    return tuple(found)


def _doubted(receipts: Sequence[Receipt], school_id: str) -> list[DateRange]:
    """The days of which a run pulled a school to its end and concluded nothing: they are due again, not unpulled."""
    return [
        receipt.asked.days
        for receipt in receipts
        if school_id in receipt.schools and receipt.schools[school_id].state in ("withheld", "unsettled")
    ]


def news_of_withheld(receipts: Sequence[Receipt]) -> list[str]:
    """The schools of a run whose rows did not come back for the first time, or more of them than before, in words."""
    return [
        f"{school.name} ({school_id}): {school.withheld}"
        for receipt in receipts
        for school_id, school in sorted(receipt.schools.items())
        if school.state == "withheld" and school.withheld and school.withheld.is_news
    ]


_NO_TRACE: Final = "its task ended before it had anything to say; look at that task's log"


def out_of_reach(span: DateRange, today: date) -> str:
    """Why none of these days can be asked of Clever: they have not come yet, or it has forgotten them; empty: some can.

    :param today: the latest date that it may be in the district.
    """
    if span.first > today:
        return f"{span} lies in the future"
    # Nobody says to the day when Clever purges (clever-api.md O11).
    if span.last < first_retained(today) - LAST_CHANCE_DAYS * ONE_DAY:
        return f"Clever has forgotten {span}: it keeps attendance for six months, now from {first_retained(today)} on"
    return ""


def at_risk(coverage: Coverage, today: date) -> tuple[SchoolDays, ...]:
    """The days, school by school, that no settled pull has covered and that Clever forgets within 14 days."""
    return _of_schools(
        coverage,
        {
            school_id: about_to_be_lost(school, today, LAST_CHANCE_DAYS)
            for school_id, school in coverage.shared_schools().items()
        },
    )


def empty_schools(planned: Sequence[PlannedPull], summaries: Sequence[Mapping[str, Any]]) -> list[str]:
    """The schools that Clever had no row for in any of a run's pulls."""
    asked = Counter(school_id for pull in planned for school_id in pull.school_ids)
    empty = Counter(school_id for summary in summaries for school_id in summary.get("schools_empty", ()))
    return sorted(school_id for school_id, times in empty.items() if times >= asked[school_id])


def named(days: Sequence[SchoolDays]) -> str:
    """Name schools and their days in words; the first ten by name, the others are counted."""
    more = f"; and {len(days) - _NAMED_SCHOOLS} more schools" if len(days) > _NAMED_SCHOOLS else ""
    return "; ".join(map(str, days[:_NAMED_SCHOOLS])) + more


def _by_cause(unpulled: Sequence[SchoolDays]) -> str:
    return counted_causes((one.school_id, str(replace(one, words="")), one.words) for one in unpulled)


def problems(
    unpulled: Sequence[SchoolDays], report: DistrictReport, *, is_whole: bool, withheld: Sequence[str] = ()
) -> list[str]:
    """What makes a run a failure, each with the next step.

    :param unpulled: what was planned and has not been pulled.
    :param withheld: what is withheld since this run, or more of it (:func:`news_of_withheld`).
    :param is_whole: whether the run was to pull all that is due; one that was asked for certain days is not to blame
        for others.
    """
    found = []
    if unpulled:
        found.append(
            f"{len(unpulled)} schools were not pulled to the end: {_by_cause(unpulled)}. The next run asks for these "
            "days again by itself; to try at once, clear the failed tasks of this run"
        )
    if withheld:
        more = f"; and {len(withheld) - _NAMED_SCHOOLS} more" if len(withheld) > _NAMED_SCHOOLS else ""
        found.append(
            f"Rows that had landed did not come back; they stand as they were, and their days are due again: "
            f"{'; '.join(withheld[:_NAMED_SCHOOLS])}{more}. {HOW_TO_ANSWER}"
        )
    if is_whole and report.about_to_be_lost:
        found.append(
            f"Days that were never covered are about to be lost, Clever forgets each six months after its date: "
            f"{named(report.about_to_be_lost)}. Fix what keeps them from being pulled, then trigger this DAG by hand"
        )
    return found
