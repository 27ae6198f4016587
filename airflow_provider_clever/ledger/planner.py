"""What is due now, why, and in which tasks to pull it. Pure: coverage, schools, date, sync and settings in, plan out.

Nothing here looks at which runs have been: a day is due because of what is known of the day. So whatever kept days from
being pulled - an outage of ours, of the district's, a school shared late - heals itself while Clever still has them.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from typing import Any, Final

from airflow_provider_clever.dates import (
    LAST_CHANCE_DAYS,
    ONE_DAY,
    DateRange,
    date_ranges,
    first_retained,
    forgotten_on,
)
from airflow_provider_clever.ledger.coverage import NEVER_SYNCED, Cover, Coverage, SchoolCoverage
from airflow_provider_clever.ledger.task_sizing import PullTask, SchoolSpan, batched, expected_requests
from airflow_provider_clever.ledger.watermark import CorrectionRules, about_to_be_lost

BUDGET_PER_MINUTE: Final = 1200
"""Requests that a token may make in a minute (clever-api.md 4)."""

LATELY_DAYS: Final = 7
"""A day that was pulled within so many days was pulled lately enough to let Clever forget it."""

_WORTH_ASKING_ROWS: Final = 500
"""Rows of days not due that are asked for rather than to ask twice: a second question costs half a page more."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSettings:
    """How a district is to be pulled.

    :param corrections: the district's time zone and its lookback.
    :param sweep_weekday: the weekday, 0 for Monday, on which everything that Clever still has is pulled again; default
        6, Sunday. None: never.
    :param requests_per_minute: what pulls may use of the token's budget; default 960, 80 % of 1,200.
    :param task_requests: how many requests a task should make; default 600, well within 300 to 1,000.
    :param most_tasks: default 1,000; Airflow's own limit for mapped tasks is 1,024.
    """

    corrections: CorrectionRules = field(default_factory=CorrectionRules)
    sweep_weekday: int | None = 6
    requests_per_minute: float = 960.0
    task_requests: int = 600
    most_tasks: int = 1000


@dataclass(frozen=True, slots=True)
class SchoolPlan:
    """What is due of one school.

    :param retained: days that Clever still has, among those looked at.
    :param covered: how many of them a settled pull has covered.
    :param expiring: how many of them Clever forgets within 14 days.
    :param reasons: how many days are due, by reason.
    :param due: the days that are due.
    :param asked: the spans to ask for; they hold the days due, and those between that are cheaper to ask for.
    :param at_risk: days among those due that were never covered and that Clever forgets within 14 days.
    :param lost: days that were never covered and that Clever has forgotten.
    :param requests: how many requests asking is expected to take; None: not known how much there is.
    """

    school_id: str
    name: str
    retained: int
    covered: int
    expiring: int
    reasons: Mapping[Reason, int]
    due: tuple[DateRange, ...]
    asked: tuple[DateRange, ...]
    at_risk: tuple[DateRange, ...]
    lost: tuple[DateRange, ...]
    requests: int | None

    @property
    def due_days(self) -> int:
        """How many days are due."""
        return sum(span.days for span in self.due)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        counts = {name: getattr(self, name) for name in ("school_id", "name", "retained", "covered", "expiring")}
        spans = {name: [span.to_json() for span in getattr(self, name)] for name in ("due", "asked", "at_risk", "lost")}
        reasons = {str(reason): days for reason, days in self.reasons.items()}
        return counts | {"due_days": self.due_days, "reasons": reasons, "requests": self.requests} | spans


@dataclass(frozen=True, slots=True)
class DistrictPlan:
    """What is due of a district.

    :param span: the days looked at; those before ``first_retained`` are gone.
    :param schools: by school, in the order of their ids.
    :param tasks: what to pull, the days that Clever forgets first in front.
    """

    today: date
    span: DateRange
    first_retained: date
    schools: tuple[SchoolPlan, ...]
    tasks: tuple[PullTask, ...]
    requests_per_minute: float

    @property
    def requests(self) -> int:
        """How many requests all tasks are expected to take."""
        return sum(task.requests for task in self.tasks)

    @property
    def minutes(self) -> float:
        """How long that takes within the token's budget, without the tasks' start-up."""
        return self.requests / self.requests_per_minute

    @property
    def reasons(self) -> Mapping[Reason, int]:
        """How many days of schools are due, by reason, the most urgent first."""
        total: Counter[Reason] = Counter()
        for school in self.schools:
            total.update(school.reasons)
        return {reason: total[reason] for reason in Reason if total[reason]}

    @property
    def gone_days(self) -> int:
        """How many of the days looked at Clever has forgotten."""
        return DateRange(self.span.first, min(self.span.last, self.first_retained - ONE_DAY)).days

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "today": self.today.isoformat(),
            "first_day": self.span.first.isoformat(),
            "last_day": self.span.last.isoformat(),
            "first_retained": self.first_retained.isoformat(),
            "gone_days": self.gone_days,
            "days_due": {str(reason): days for reason, days in self.reasons.items()},
            "requests": self.requests,
            "minutes": round(self.minutes, 2),
            "schools": [school.to_json() for school in self.schools],
            "tasks": [task.arguments() | {"requests": task.requests} for task in self.tasks],
        }


def plan(
    coverage: Coverage,
    schools: Mapping[str, str],
    *,
    today: date,
    last_sync: str | None,
    settings: PlanSettings,
    rows_per_weekday: Mapping[str, float] | None = None,
    asked: DateRange | None = None,
    within: DateRange | None = None,
) -> DistrictPlan:
    """Give what is due.

    :param coverage: what has been covered.
    :param schools: the names of the schools that the district shares now, by id.
    :param today: the date in the district.
    :param last_sync: the district's last attendance sync, as ``syncs.moment_text`` writes it.
    :param settings: how the district is to be pulled.
    :param rows_per_weekday: of schools that coverage cannot tell it for, by id.
    :param asked: days that a person asked for, as a backfill does: these and no others are due, covered or not.
    :param within: look at these days only. Default: everything that Clever still has.
    """
    span = asked or within or DateRange(first_retained(today), today)
    measured = rows_per_weekday or {}
    view = _View(today, last_sync or NEVER_SYNCED, settings)
    plans, wanted = [], []
    for school_id in sorted(schools):
        school = coverage.schools.get(school_id) or SchoolCoverage(name=schools[school_id])
        rows = school.rows_per_weekday if school.rows_per_weekday is not None else measured.get(school_id)
        due = dict.fromkeys(_worth_asking(span, today), Reason.ASKED) if asked else view.due(school, span)
        school_plan = _school_plan(school_id, schools[school_id] or school.name, school, rows, due, view, span)
        plans.append(school_plan)
        wanted += [SchoolSpan(school_id, one, rows or 0.0) for one in school_plan.asked]
    tasks = batched(wanted, task_requests=settings.task_requests, most_tasks=settings.most_tasks)
    return DistrictPlan(today, span, first_retained(today), tuple(plans), tuple(tasks), settings.requests_per_minute)


def _worth_asking(span: DateRange, today: date) -> DateRange:
    # Nobody says to the day when Clever purges (clever-api.md O11), so what a person asks for is tried a little longer.
    return DateRange(max(span.first, first_retained(today) - timedelta(days=LAST_CHANCE_DAYS)), min(span.last, today))


def _school_plan(
    school_id: str,
    name: str,
    school: SchoolCoverage,
    rows_per_weekday: float | None,
    due: Mapping[date, Reason],
    view: "_View",
    span: DateRange,
) -> SchoolPlan:
    retained = DateRange(max(span.first, first_retained(view.today)), span.last)
    asked = _joined(date_ranges(due), rows_per_weekday or 0.0)
    return SchoolPlan(
        school_id=school_id,
        name=name,
        retained=retained.days,
        covered=sum(school.is_settled(day) for day in retained),
        expiring=sum(_days_left(day, view.today) <= LAST_CHANCE_DAYS for day in retained),
        reasons={reason: days for reason in Reason if (days := list(due.values()).count(reason))},
        due=date_ranges(due),
        asked=tuple(asked),
        at_risk=about_to_be_lost(school, view.today, LAST_CHANCE_DAYS),
        lost=school.lost(view.today),
        requests=None if rows_per_weekday is None else sum(expected_requests(one, rows_per_weekday) for one in asked),
    )


def _joined(spans: Iterable[DateRange], rows_per_weekday: float) -> list[DateRange]:
    joined: list[DateRange] = []
    for span in spans:
        between = DateRange(joined[-1].last + ONE_DAY, span.first - ONE_DAY) if joined else None
        if between and between.weekdays * rows_per_weekday < _WORTH_ASKING_ROWS:
            joined[-1] = DateRange(joined[-1].first, span.last)
        else:
            joined.append(span)
    return joined


def _days_left(day: date, today: date) -> int:
    return (forgotten_on(day) - today).days


@dataclass(frozen=True, slots=True)
class _View:
    """The facts that the reasons are drawn from, the same for every school."""

    today: date
    last_sync: str
    settings: PlanSettings

    def due(self, school: SchoolCoverage, span: DateRange) -> dict[date, Reason]:
        """The days of a school that are due, and why."""
        retained = DateRange(max(span.first, first_retained(self.today)), min(span.last, self.today))
        return dict(self._reasons(school, retained))

    def _reasons(self, school: SchoolCoverage, span: DateRange) -> Iterator[tuple[date, Reason]]:
        last_covered = max(school.days, default=None)
        leaving = self._leaving(school)
        for day in span:
            cover = school.days.get(day)
            reason = self._uncovered(day, last_covered) if cover is None else self._covered(day, cover)
            if day in leaving:
                reason = Reason.LAST_CHANCE
            if reason:
                yield day, reason

    def _uncovered(self, day: date, last_covered: date | None) -> Reason:
        if last_covered is None:
            return Reason.NEVER_PULLED
        return Reason.NEW if day > last_covered else Reason.GAP

    def _covered(self, day: date, cover: Cover) -> Reason | None:
        if not cover.is_settled:
            return Reason.UNSETTLED
        if self._may_have_changed(day, cover):
            return Reason.CORRECTIONS
        swept_on = self._last_sweep()
        return Reason.SWEEP if swept_on and self._pulled_on(cover) < swept_on else None

    def _may_have_changed(self, day: date, cover: Cover) -> bool:
        rules = self.settings.corrections
        if self.last_sync == NEVER_SYNCED:
            # The district does not say when it syncs, so every night may follow a sync.
            return self._pulled_on(cover) < min(self.today, day + timedelta(days=rules.lookback_days))
        # Any other value, not only a later one: a stamp can go back (clever-api.md 3.6).
        return cover.sync != self.last_sync and not rules.is_done(day, cover)

    def _leaving(self, school: SchoolCoverage) -> set[date]:
        """The days about to be forgotten that were not pulled lately; all of them as soon as one has a week left."""
        first = first_retained(self.today)
        days = (first + timedelta(days=offset) for offset in range(LAST_CHANCE_DAYS + 4))
        stale = {day: _days_left(day, self.today) for day in days if not self._was_pulled_lately(school.days.get(day))}
        leaving = {day for day, days_left in stale.items() if days_left <= LAST_CHANCE_DAYS}
        is_urgent = any(stale[day] <= LATELY_DAYS or not school.is_settled(day) for day in leaving)
        return leaving if is_urgent else set()

    def _was_pulled_lately(self, cover: Cover | None) -> bool:
        return bool(cover and cover.is_settled and self._pulled_on(cover) > self.today - timedelta(days=LATELY_DAYS))

    def _last_sweep(self) -> date | None:
        weekday = self.settings.sweep_weekday
        return None if weekday is None else self.today - timedelta(days=(self.today.weekday() - weekday) % 7)

    def _pulled_on(self, cover: Cover) -> date:
        return self.settings.corrections.local_date(cover.pulled_at)
