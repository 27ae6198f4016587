"""Operators around the pull: what is due before it, what is covered after it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, tzinfo
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk import BaseOperator, Context, TriggerRule

from airflow_provider_clever.dates import date_from_text, zone_named
from airflow_provider_clever.exceptions import CleverError, CleverSettingsError, CleverTransportError
from airflow_provider_clever.hooks import arguments
from airflow_provider_clever.hooks.clever import CleverHook
from airflow_provider_clever.hooks.destinations import open_destination
from airflow_provider_clever.hooks.failures import failing_for_good
from airflow_provider_clever.operators.run_answers import take_answer
from airflow_provider_clever.operators.run_facts import facts_from_context
from airflow_provider_clever.windows import BACKFILL, LONGEST_LOOKBACK_DAYS, YEARS, RunFacts, WindowSource, run_window

if TYPE_CHECKING:
    from airflow_provider_clever.dates import DateRange
    from airflow_provider_clever.ledger.covered import CorrectionRules
    from airflow_provider_clever.ledger.planner import Plan
    from airflow_provider_clever.ledger.reporting import DistrictReport, PlannedPull, SchoolDays
    from airflow_provider_clever.ledger.surveying import Survey
    from airflow_provider_clever.storage.objects import Objects

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class _DistrictLedgerOperator(BaseOperator):
    """What the two operators of a district's ledger share: whose it is, where it lies, and what today is there."""

    template_fields: Sequence[str] = ("destination", "district_id", "clever_conn_id", "today")

    def __init__(
        self,
        *,
        destination: str,
        district_id: str | None = None,
        clever_conn_id: str = CleverHook.default_conn_name,
        lookback_days: int = 14,
        timezone: str | None = None,
        today: str | date | None = None,
        single_writer: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.destination = destination
        self.district_id = district_id
        self.clever_conn_id = clever_conn_id
        self.lookback_days = lookback_days
        self.timezone = timezone
        self.today = today
        self.single_writer = single_writer

    def _zone(self, facts: RunFacts) -> tzinfo:
        return zone_named(self.timezone) if self.timezone else facts.timezone

    def _today(self, zone: tzinfo) -> date:
        if self.today in (None, "", "None"):
            return datetime.now(zone).date()
        try:
            today = date_from_text(str(self.today))
        except ValueError:
            raise CleverSettingsError("today is no date. Write it as YYYY-MM-DD, or leave it out.") from None
        if today.year not in YEARS:
            raise CleverSettingsError(f"today is {today}, which lies outside of {YEARS[0]} to {YEARS[-1]}.")
        return today

    def _rules(self, zone: tzinfo) -> "CorrectionRules":
        from airflow_provider_clever.ledger.covered import CorrectionRules

        return CorrectionRules(timezone=zone, lookback_days=self.lookback_days)

    def _objects(self) -> "Objects":
        from airflow_provider_clever.lake.layout import objects_at

        place = open_destination(self.destination, single_writer=self.single_writer)
        self.log.info("Coverage of attendance at %s", place.url)
        return objects_at(place.fs, place.root, single_writer=self.single_writer)


class CleverAttendancePlanOperator(_DistrictLedgerOperator):
    """Works out which days of which schools are due, and gives them as arguments for the pulling task.

    ``CleverAttendanceOperator.partial(...).expand_kwargs(plan.output)`` then pulls them: schools that need the same
    days together, in tasks of a few hundred requests, the days that Clever forgets first in front. If nothing is due,
    the list is empty and the pulling task is skipped.

    Due is, school by school: what was never covered, what a sync landed on top of, the days that may have been
    corrected since, days that Clever forgets within 14 days, and weekly everything that Clever still has. A backfill
    run, or one whose params name ``date_range_start`` and ``date_range_end``, plans exactly its own days instead.

    Under the XCom key ``summary``: counts of days by reason, requests, minutes, and the days that are lost.

    :param destination: where attendance lands, such as ``s3://aws_default@bucket/prefix``.
    :param district_id: whose attendance. Default: the connection's district, or the only one that is connected.
    :param clever_conn_id: the connection; default ``clever_default``.
    :param lookback_days: for how many days after a day corrections to it are expected. Default 14.
    :param sweep_weekday: the day on which everything that Clever still has is pulled again; default ``sunday``. None:
        never.
    :param timezone: IANA name of the district's zone. Default: that of the DAG's schedule.
    :param today: the date to plan for, ``YYYY-MM-DD``; for trials. Default: the present date in the zone.
    :param single_writer: promise that nobody else writes to this destination at the same time, which allows stores
        that cannot compare and swap. Default False.
    """

    ui_color = "#fdebd0"

    def __init__(self, *, sweep_weekday: str | None = "sunday", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sweep_weekday = sweep_weekday

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Give what is due, as one dict of arguments for each pull.

        :raises AirflowFailException: trying again cannot help; the message says what to do.
        :raises CleverError: trying again may help.
        """
        with failing_for_good():
            arguments.check(self, _PLAN)
            return self._plan(context)

    def _plan(self, context: Context) -> list[dict[str, Any]]:
        from airflow_provider_clever.attendance.absence import list_in_doubt
        from airflow_provider_clever.ledger.planner import BUDGET_PER_MINUTE, PlanSettings
        from airflow_provider_clever.ledger.reporting import lost_days
        from airflow_provider_clever.ledger.surveying import survey
        from airflow_provider_clever.syncs import sync_text

        facts = facts_from_context(context)
        zone, asked = self._zone(facts), asked_days(facts)
        objects = self._objects()  # before Clever is asked anything
        hook = CleverHook(self.clever_conn_id, self.district_id or None)
        planned_at = sync_text(datetime.now(UTC))
        with hook.get_conn() as client:
            settings = PlanSettings(
                corrections=self._rules(zone),
                sweep_weekday=_weekday(self.sweep_weekday),
                requests_per_minute=BUDGET_PER_MINUTE * client.settings.budget_share,
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
                "days_due": {str(reason): days for reason, days in found.plan.reasons.items()},
                "lost": [days.to_json() for days in lost_days(found.plan)],
                "left_out": found.left_out,
            },
        )
        take_answer(objects, found.district.id, context)
        if found.left_out is not None:
            self.log.warning("%s", list_in_doubt(found.left_out))
        self._tell(found.plan)
        return tasks

    def _check_asked(self, asked: "DateRange", found: "Survey", today: date) -> None:
        """See that something can come of the days that were asked for; a run that can land none of them is not green.

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

    def _tell(self, plan: "Plan") -> None:
        from airflow_provider_clever.ledger.reporting import lost_days, named

        reasons = ", ".join(f"{days:,} {reason}" for reason, days in plan.reasons.items())
        self.log.info(
            "Due (days of schools): %s. %d tasks, about %s requests, %.1f minutes",
            reasons or "nothing",
            len(plan.tasks),
            f"{plan.requests:,}",
            plan.minutes,
        )
        if lost := lost_days(plan):
            self.log.warning("Lost: Clever has forgotten these days, and they were never covered: %s", named(lost))


class CleverAttendanceCoverageOperator(_DistrictLedgerOperator):
    """Records what is covered now, and tells how the run went: the last task of a district's DAG.

    It takes in the receipts that the pulls left, writes the district's ``coverage.json`` and its watermark, and fails
    if schools were not pulled to the end or if days are about to be lost; the message names them. It runs whatever
    became of the pulls (``trigger_rule="all_done"``), because a DAG run is judged by its last task.

    Under the XCom key ``summary``, and returned: schools landed, failed, gone and empty, gaps left, the newest day, the
    watermark.

    :param destination: where attendance lands, such as ``s3://aws_default@bucket/prefix``.
    :param district_id: whose attendance. Default: the district that the plan was made for.
    :param clever_conn_id: the connection; default ``clever_default``.
    :param plan_task_id: the task of :class:`CleverAttendancePlanOperator`. Default ``plan``.
    :param pull_task_id: the pulling task. Default ``pull``.
    :param lookback_days: as in the plan. Default 14.
    :param timezone: IANA name of the district's zone. Default: that of the DAG's schedule.
    :param today: the date to reckon with, ``YYYY-MM-DD``; for trials. Default: the present date in the zone.
    :param single_writer: promise that nobody else writes to this destination at the same time. Default False.
    """

    ui_color = "#d5f5e3"

    def __init__(self, *, plan_task_id: str = "plan", pull_task_id: str = "pull", **kwargs: Any) -> None:
        kwargs.setdefault("trigger_rule", TriggerRule.ALL_DONE)
        super().__init__(**kwargs)
        self.plan_task_id = plan_task_id
        self.pull_task_id = pull_task_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Record, and give the run's summary.

        :raises AirflowFailException: schools were not pulled to the end, days are about to be lost, or there was no
            plan; everything has been recorded nonetheless.
        :raises CleverError: the destination could not be read or written.
        """
        with failing_for_good():
            arguments.check(self, _RECORD)
            summary, problems, trouble = self._record(context)
            context["ti"].xcom_push("summary", summary)
            if trouble:
                told = f"The list of schools could not be read: {trouble}".rstrip(".")
                if not (problems or trouble.permanent):
                    raise CleverTransportError(told + ".")  # all else is well, and the next try may read it
                problems.append(told)
            if problems:
                raise _RunIncompleteError(". ".join(problems) + ".")
            return summary

    def _record(self, context: Context) -> tuple[dict[str, Any], list[str], CleverError | None]:
        from airflow_provider_clever.ledger.recording import record_run
        from airflow_provider_clever.ledger.reporting import named

        objects = self._objects()  # before Clever is asked anything
        ti = context["ti"]
        plan, planned = self._planned(ti)
        pulled = _as_list(ti.xcom_pull(task_ids=self.pull_task_id, key="summary"))
        zone = self._zone(facts_from_context(context))
        schools, district_id, trouble = self._schools(plan.get("district_id"))
        run = record_run(
            objects,
            district_id,
            today=self._today(zone),
            zone=zone,
            rules=self._rules(zone),
            schools=schools,
            planned=planned,
            receipts=[one["receipt"] for one in pulled if one.get("receipt")],
            is_whole=not plan.get("asked_for", False),
            left_out=plan.get("left_out"),
        )
        found = list(run.problems)
        if run.report.withheld:
            self.log.warning("Withheld: %s", named(run.report.withheld))
        if not plan:
            found.insert(0, f"Task {self.plan_task_id} left no plan, so nothing was pulled: see its log")
        elif plan.get("tasks", len(planned)) != len(planned):
            found.insert(
                0,
                f"Task {self.plan_task_id} planned {plan['tasks']} pulls, and XCom knows {len(planned)} of them, "
                "so nothing tells what was not pulled. Clear the run, or trigger another one",
            )
        return _summary(run.report, planned, pulled, run.unpulled), found, trouble

    def _planned(self, ti: Any) -> "tuple[Mapping[str, Any], list[PlannedPull]]":
        """The plan's summary, empty if there was none; and its pulls.

        :raises CleverSettingsError: the task that is to have planned has left something else.
        """
        from airflow_provider_clever.ledger.reporting import PlannedPull

        summary = ti.xcom_pull(task_ids=self.plan_task_id, key="summary")
        pulls = ti.xcom_pull(task_ids=self.plan_task_id)
        try:
            return {**(summary or {})}, [PlannedPull.of(one) for one in pulls or ()]
        except (TypeError, KeyError, ValueError, AttributeError):
            raise CleverSettingsError(
                f"What task {self.plan_task_id} left in XCom is no plan. Let plan_task_id name the task of the "
                "CleverAttendancePlanOperator, with its task group if it has one."
            ) from None

    def _schools(self, planned_district_id: str | None) -> tuple[dict[str, str] | None, str, CleverError | None]:
        """The schools that are shared, None if Clever does not say; the district; what went wrong, if anything."""
        district_id = self.district_id or planned_district_id
        try:
            with CleverHook(self.clever_conn_id, district_id).get_conn() as client:
                district_id = client.get_district().id
                return {school.id: school.name for school in client.iter_schools()}, district_id, None
        except CleverError as error:
            if not district_id:
                raise
            return None, district_id, error


class _RunIncompleteError(CleverError):
    """Do what the message says; trying this task again alone cannot help."""

    permanent = True


_LEDGER: Final = arguments.WHOSE | {
    "lookback_days": arguments.whole_number(0, LONGEST_LOOKBACK_DAYS),
    "timezone": arguments.optional_text,
    "today": arguments.day,
    "single_writer": arguments.flag,
}
_PLAN: Final = _LEDGER | {"sweep_weekday": arguments.optional_text}
_RECORD: Final = _LEDGER | {"plan_task_id": arguments.text, "pull_task_id": arguments.text}


def asked_days(facts: RunFacts) -> "DateRange | None":
    """The days that a run was started for: a backfill's own, those of its params, or its partition's; None for others.

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


def _summary(
    report: "DistrictReport",
    planned: "Sequence[PlannedPull]",
    pulled: Sequence[Mapping[str, Any]],
    unpulled: "Sequence[SchoolDays]",
) -> dict[str, Any]:
    from airflow_provider_clever.ledger.reporting import empty_schools

    asked = {school_id for pull in planned for school_id in pull.school_ids}
    gone = {days.school_id for days in report.gone}
    failed = {days.school_id for days in unpulled}
    empty = set(empty_schools(planned, pulled)) - failed - gone
    return report.to_json() | {
        "schools_planned": len(asked),
        "schools_landed": len(asked - gone - failed - empty - {days.school_id for days in report.withheld}),
        "schools_failed": [days.to_json() for days in unpulled],
        "schools_gone": sorted(gone),
        "schools_withheld": sorted({days.school_id for days in report.withheld}),
        "schools_empty": sorted(empty),
        "requests": sum(summary.get("requests", 0) for summary in pulled),
        "rows": sum(summary.get("rows", 0) for summary in pulled),
    }


def _as_list(found: Any) -> list[Mapping[str, Any]]:
    """What a task pushed, whether it was mapped or not."""
    if found is None:
        return []
    several = [found] if isinstance(found, Mapping) else found
    return [one for one in several if isinstance(one, Mapping)]


def _weekday(name: str | None) -> int | None:
    if name is None:
        return None
    if name.lower() not in WEEKDAYS:
        raise CleverSettingsError(f"sweep_weekday is {name!r}; write a day such as 'sunday', or None for no sweep.")
    return WEEKDAYS.index(name.lower())
