"""The operator that plans which days of a district to pull."""

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from airflow_provider_clever.dates import WEEKDAYS
from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.hooks import arguments
from airflow_provider_clever.operators.ledger import LedgerOperator
from airflow_provider_clever.operators.mapping_limits import mapping_limits
from airflow_provider_clever.operators.run_answers import take_answer
from airflow_provider_clever.operators.run_facts import facts_from_context
from airflow_provider_clever.windows import BACKFILL, RunFacts, WindowSource, run_window

if TYPE_CHECKING:
    from airflow_provider_clever.dates import DateRange
    from airflow_provider_clever.ledger.planner import DistrictPlan
    from airflow_provider_clever.ledger.surveying import Survey
    from airflow_provider_clever.ledger.task_sizing import MappingLimits


class CleverAttendancePlanOperator(LedgerOperator):
    """Finds out which days of which schools are due, and gives them as arguments for the pulling task.

    ``CleverAttendanceOperator.partial(...).expand_kwargs(plan.output)`` then pulls them: schools that need the same
    days together, in tasks of a few hundred requests, the days that Clever deletes first in front. If nothing is due,
    the list is empty and the pulling task is skipped.

    Due are, for each school: days that were never covered, days during whose pull a sync came, days that may have
    been corrected since, days that Clever deletes within 14 days and, once a week, everything that Clever still has. A
    backfill run, or one whose params name ``date_range_start`` and ``date_range_end``, plans exactly its own days.

    Under the XCom key ``summary``: counts of days by reason, requests, minutes, and the days that are lost.

    :param destination: where attendance lands, such as ``s3://aws_default@bucket/prefix``.
    :param district_id: whose attendance. Default: the connection's district, or the only one that is connected.
    :param clever_conn_id: the connection; default ``clever_default``.
    :param lookback_days: for how many days after a day corrections to it are expected. Default 14.
    :param sweep_weekday: the day on which everything that Clever still has is pulled again; default ``sunday``. None:
        never.
    :param timezone: IANA name of the district's zone. Default: that of the DAG's schedule.
    :param today: the date to plan for, ``YYYY-MM-DD``; for trials. Default: the present date in the zone.
    :param single_writer: promise that no other task writes to this destination at the same time, which allows stores
        that cannot compare and swap. Default False.
    """

    ui_color = "#fdebd0"
    argument_rules = LedgerOperator.argument_rules | {"sweep_weekday": arguments.optional_text}

    def __init__(self, *, sweep_weekday: str | None = "sunday", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sweep_weekday = sweep_weekday

    def _run(self, context: Context) -> list[dict[str, Any]]:
        from airflow_provider_clever.attendance.absence import list_in_doubt
        from airflow_provider_clever.ledger.planner import BUDGET_PER_MINUTE, PlanSettings
        from airflow_provider_clever.ledger.reporting import lost_days
        from airflow_provider_clever.ledger.surveying import survey
        from airflow_provider_clever.syncs import moment_text

        facts = facts_from_context(context)
        zone, asked = self._zone(facts), asked_days(facts)
        objects = self._objects()  # before Clever is asked anything
        planned_at, limits = moment_text(datetime.now(UTC)), mapping_limits()
        with self._client() as client:
            settings = PlanSettings(
                corrections=self._rules(zone),
                sweep_weekday=_weekday(self.sweep_weekday),
                requests_per_minute=BUDGET_PER_MINUTE * client.settings.budget_share,
                task_requests=limits.task_requests,
                most_tasks=limits.max_map_length,
            )
            today = self._today(zone)
            found = survey(client, objects, today=today, settings=settings, asked=asked)
        if asked:
            self._check_asked(asked, found, today)
        tasks = [task.arguments() for task in found.plan.tasks]
        context["ti"].xcom_push(
            "summary",
            {
                "district_id": found.district.id,
                "planned_at": planned_at,
                "asked_for": asked is not None,
                "last_sync": found.last_sync,
                "schools": len(found.schools),
                "tasks": len(tasks),
                "requests": found.plan.requests,
                "minutes": round(found.plan.minutes, 1),
                "estimated_schools": found.plan.estimated_schools,
                "days_due": {str(reason): days for reason, days in found.plan.reasons.items()},
                "lost": [days.to_json() for days in lost_days(found.plan)],
                "left_out": found.left_out,
            },
        )
        take_answer(objects, found.district.id, context)
        if found.left_out is not None:
            self.log.warning("%s", list_in_doubt(found.left_out))
        self._tell(found.plan, limits)
        return tasks

    def _check_asked(self, asked: "DateRange", found: "Survey", today: date) -> None:
        """Check that some of the requested days can be pulled; a run that can land none of them is not green.

        :raises CleverSettingsError: all of them lie in the future, or Clever has forgotten them and they never landed.
        """
        from airflow_provider_clever.ledger.reporting import out_of_reach

        reason = out_of_reach(asked, today)
        if reason and found.schools and not any(found.coverage.school(one).gaps(asked) for one in found.schools):
            self.log.warning("Nothing can be pulled: %s. All of it was covered before, so nothing is missing", reason)
        elif reason:
            raise CleverSettingsError(f"Nothing of what was asked for can be pulled: {reason}. Ask for other days.")
        spans = [span for school in found.plan.schools for span in school.asked]
        if spans and (min(spans).first, max(span.last for span in spans)) != (asked.first, asked.last):
            self.log.warning(
                "Of %s only %s to %s can be pulled: the rest lies in the future, or Clever has forgotten it",
                asked,
                min(spans).first,
                max(span.last for span in spans),
            )

    def _tell(self, plan: "DistrictPlan", limits: "MappingLimits") -> None:
        from airflow_provider_clever.ledger.reporting import estimate_note, lost_days, named

        reasons = ", ".join(f"{days:,} {reason}" for reason, days in plan.reasons.items())
        self.log.info(
            "Due (days of schools): %s. %d tasks, about %s requests, %.1f minutes (%s)",
            reasons or "nothing",
            len(plan.tasks),
            f"{plan.requests:,}",
            plan.minutes,
            limits,
        )
        if note := estimate_note(plan):
            self.log.info("%s", note)
        if lost := lost_days(plan):
            self.log.warning("Lost: Clever has forgotten these days, and they were never covered: %s", named(lost))


def asked_days(facts: RunFacts) -> "DateRange | None":
    """Give the days for which a run was started: those of a backfill, its params or its partition; None for other runs.

    :raises CleverSettingsError: the params hold only one date, or no dates.
    """
    from airflow_provider_clever.dates import DateRange

    is_dated = any(facts.params.get(name) for name in ("date_range_start", "date_range_end")) or facts.partition_key
    if facts.run_type != BACKFILL and not is_dated:
        return None
    try:
        window = run_window(facts)
    except CleverSettingsError:
        if facts.params.get("date_range_start") or facts.params.get("date_range_end") or facts.run_type == BACKFILL:
            raise
        return None
    own = (WindowSource.PARAMS, WindowSource.PARTITION_KEY)
    return DateRange(window.start, window.end) if facts.run_type == BACKFILL or window.source in own else None


def _weekday(name: str | None) -> int | None:
    if name is None:
        return None
    if name.lower() not in WEEKDAYS:
        raise CleverSettingsError(f"sweep_weekday is {name!r}; write a day such as 'sunday', or None for no sweep.")
    return WEEKDAYS.index(name.lower())
