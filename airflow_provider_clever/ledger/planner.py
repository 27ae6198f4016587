"""Plans a district: which days of each school are due, and in which tasks to pull them. No I/O."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final, NamedTuple

from airflow_provider_clever.dates import LAST_CHANCE_DAYS, ONE_DAY, DateRange, expiring, first_retained, joined
from airflow_provider_clever.ledger.coverage import Coverage, SchoolCoverage
from airflow_provider_clever.ledger.day_covers import NEVER_SYNCED, DayCovers, Sharing
from airflow_provider_clever.ledger.due import DueDays, DueRules, Reason
from airflow_provider_clever.ledger.task_sizing import (
    TASK_REQUESTS,
    PullTask,
    SchoolSpan,
    expected_requests,
    sized_tasks,
)
from airflow_provider_clever.ledger.watermark import CorrectionRules, about_to_be_lost

BUDGET_PER_MINUTE: Final = 1200
"""Requests that a token may make in a minute (clever-api.md 4)."""

_WORTH_ASKING_ROWS: Final = 500
"""How many rows of days that are not due may be asked for to save a question, which costs half a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSettings:
    """How a district is to be pulled.

    :param corrections: the district's time zone and its lookback.
    :param sweep_weekday: the weekday, 0 for Monday, on which everything that Clever still has is pulled again; default
        6, Sunday. None: never.
    :param requests_per_minute: what pulls may use of the token's budget; default 960, 80 % of 1,200.
    :param task_requests: how many requests a task should make; default 600.
    :param most_tasks: how many tasks there may be; default 1,000, somewhat less than Airflow maps over by default.
    """

    corrections: CorrectionRules = field(default_factory=CorrectionRules)
    sweep_weekday: int | None = 6
    requests_per_minute: float = 960.0
    task_requests: int = TASK_REQUESTS
    most_tasks: int = 1000


@dataclass(frozen=True, slots=True)
class SchoolPlan:
    """The plan of one school.

    :param retained: days that Clever still has, among those considered.
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
    """The plan of a district.

    :param span: the days considered; those before ``first_retained`` are gone.
    :param schools: by school, in the order of their ids.
    :param tasks: what to pull, the days that Clever deletes first in front.
    :param sampled_schools: how many schools were asked for one day, because nothing was known of their rows.
    :param estimated_schools: for how many other schools their mean is used.
    """

    today: date
    span: DateRange
    first_retained: date
    schools: tuple[SchoolPlan, ...]
    tasks: tuple[PullTask, ...]
    requests_per_minute: float
    sampled_schools: int = 0
    estimated_schools: int = 0

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
            "sampled_schools": self.sampled_schools,
            "estimated_schools": self.estimated_schools,
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
    """Plan what to pull.

    :param coverage: what has been covered.
    :param schools: the names of the schools that the district shares now, by id.
    :param today: the date in the district.
    :param last_sync: the district's last attendance sync, as ``syncs.moment_text`` writes it.
    :param settings: how the district is to be pulled.
    :param rows_per_weekday: of schools that coverage cannot tell it for, by id.
    :param asked: days that a person asked for, as a backfill does: these and no others are due, covered or not.
    :param within: consider these days only. Default: everything that Clever still has.
    """
    looked_at = asked or within or DateRange(first_retained(today), today)
    measured = rows_per_weekday or {}
    rules = DueRules(
        today=today,
        last_sync=last_sync or NEVER_SYNCED,
        corrections=settings.corrections,
        sweep_weekday=settings.sweep_weekday,
    )
    retained = DateRange(max(looked_at.first, first_retained(today)), looked_at.last)

    def due_of(history: DayCovers) -> _Due:
        due = [(_worth_asking(asked, today), Reason.ASKED)] if asked else rules.due(history, looked_at)
        return _Due.of(due, covered=retained.days - sum(days.days for days in history.not_settled(retained)))

    plans, wanted, sharing = [], [], Sharing()
    for school_id, listed_name in sorted(schools.items()):
        school = coverage.schools.get(school_id) or SchoolCoverage()
        rows = school.rows_per_weekday if school.rows_per_weekday is not None else measured.get(school_id)
        due = sharing.once(school.days, None, due_of)
        asked_together = _asked_together(due.days, rows or 0.0)
        plans.append(
            SchoolPlan(
                school_id=school_id,
                name=listed_name or school.name,
                retained=retained.days,
                covered=due.covered,
                expiring=DateRange(retained.first, min(retained.last, expiring(today, LAST_CHANCE_DAYS).last)).days,
                reasons=due.reasons,
                due=due.days,
                asked=asked_together,
                at_risk=about_to_be_lost(school, today, LAST_CHANCE_DAYS),
                lost=school.lost(today),
                requests=None if rows is None else sum(expected_requests(one, rows) for one in asked_together),
            )
        )
        wanted += [SchoolSpan(school_id, one, rows or 0.0) for one in asked_together]
    tasks = sized_tasks(wanted, task_requests=settings.task_requests, most_tasks=settings.most_tasks)
    retained_from = first_retained(today)
    return DistrictPlan(today, looked_at, retained_from, tuple(plans), tuple(tasks), settings.requests_per_minute)


def _worth_asking(span: DateRange, today: date) -> DateRange:
    # Nobody says to the day when Clever purges (clever-api.md O11), so what a person asks for is tried a little longer.
    return DateRange(max(span.first, first_retained(today) - timedelta(days=LAST_CHANCE_DAYS)), min(span.last, today))


class _Due(NamedTuple):
    """What is due of the schools with one history.

    :param covered: how many retained days a settled pull has covered.
    """

    days: tuple[DateRange, ...]
    reasons: Mapping[Reason, int]
    covered: int

    @classmethod
    def of(cls, due: DueDays, covered: int) -> "_Due":
        reasons: Counter[Reason] = Counter()
        for days, reason in due:
            reasons[reason] += days.days
        in_order = {reason: reasons[reason] for reason in Reason if reasons[reason]}
        return cls(joined(days for days, _ in due), in_order, covered)


def _asked_together(due: Iterable[DateRange], rows_per_weekday: float) -> tuple[DateRange, ...]:
    """The ranges to ask for: those that are due, two of them as one where the days between hold few rows."""
    asked: list[DateRange] = []
    for days in due:
        between = DateRange(asked[-1].last + ONE_DAY, days.first - ONE_DAY) if asked else None
        if between and between.weekdays * rows_per_weekday < _WORTH_ASKING_ROWS:
            asked[-1] = DateRange(asked[-1].first, days.last)
        else:
            asked.append(days)
    return tuple(asked)
