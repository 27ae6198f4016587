"""The operator that records what is covered, and judges how a run went."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context, TriggerRule

from airflow_provider_clever.exceptions import CleverError, CleverSettingsError, CleverTransportError
from airflow_provider_clever.hooks import arguments
from airflow_provider_clever.operators.alerting import AlertingOperator, AlertsOutcome, ending_log
from airflow_provider_clever.operators.run_facts import facts_from_context, summaries_of

if TYPE_CHECKING:
    from airflow_provider_clever.ledger.reporting import DistrictReport, PlannedPull, SchoolDays


class CleverAttendanceCoverageOperator(AlertingOperator):
    """Records what is covered, and judges how the run went: the last task of a district's DAG.

    It reads the receipts that the pulls left, and writes the district's ``coverage.json`` and watermark. Then it sends
    the alerts that are due through ``on_problem``: one for each cause, and one when the cause is over. At last it fails
    if schools were not pulled to the end, if days are about to be lost, or if there was no plan; the message names
    them. It runs whatever became of the pulls (``trigger_rule="all_done"``), because the last task decides the state of
    a DAG run.

    Under the XCom key ``summary``, and returned: schools landed, failed, gone and empty, gaps left, the newest day, the
    watermark.

    :param destination: where attendance lands, such as ``s3://aws_default@bucket/prefix``.
    :param district_id: whose attendance. Default: the district that the plan was made for.
    :param clever_conn_id: the connection; default ``clever_default``.
    :param plan_task_id: the task of :class:`CleverAttendancePlanOperator`. Default ``plan``.
    :param pull_task_id: the pulling task. Default ``pull``.
    :param lookback_days: as in the plan. Default 14.
    :param timezone: IANA name of the district's zone. Default: that of the DAG's schedule.
    :param today: the date to go by, ``YYYY-MM-DD``; for trials. Default: the present date in the zone.
    :param on_problem: what sends alerts about problems and their end: an Airflow notifier, or a list; each an object,
        an import path, or ``{"notifier": path, "kwargs": {...}}``. Default None: no alerts. A notifier that raises
        does not fail the task: the log ends with its error, and the message is sent again the next time. Backfill runs
        send none.
    :param expected_by: the time of day, ``HH:MM`` in the district's zone, by which the previous school day is to be in.
        This task checks it when a run ends; :class:`CleverAttendanceAlertOperator` does so at that time. Default None.
    :param district_name: what messages call the district. Default: as Clever does.
    :param single_writer: promise that no other task writes to this destination at the same time. Default False.
    """

    lineage_inputs = ("lake",)
    metrics_of = "record"
    ui_color = "#d5f5e3"
    argument_rules = AlertingOperator.argument_rules | {"plan_task_id": arguments.text, "pull_task_id": arguments.text}

    def __init__(self, *, plan_task_id: str = "plan", pull_task_id: str = "pull", **kwargs: Any) -> None:
        kwargs.setdefault("trigger_rule", TriggerRule.ALL_DONE)
        super().__init__(**kwargs)
        self.plan_task_id = plan_task_id
        self.pull_task_id = pull_task_id

    def _run(self, context: Context) -> dict[str, Any]:
        summary, problems, trouble, send_alerts = self._record(context)
        self._leave_summary(context, summary)  # before alerts are sent: a notifier may take its time
        alerts = send_alerts()
        if trouble:
            text = f"The list of schools could not be read: {trouble}".rstrip(".")
            if not (problems or trouble.permanent):
                raise CleverTransportError(ending_log([text, *alerts.unsent]))  # the next try may read it
            problems.append(text)
        if problems:
            raise _RunIncompleteError(ending_log([*problems, *alerts.unsent]))
        if alerts.unsent:
            self.log.error("%s What has landed is as it was.", ending_log(alerts.unsent))
        return summary

    def _record(
        self, context: Context
    ) -> tuple[dict[str, Any], list[str], CleverError | None, Callable[[], AlertsOutcome]]:
        from airflow_provider_clever.alerts.sending import AlertInput
        from airflow_provider_clever.ledger.recording import record_run
        from airflow_provider_clever.ledger.reporting import named, standing

        objects = self._objects()  # before Clever is asked anything
        ti = context["ti"]
        plan, planned = self._planned(ti)
        pulled = summaries_of(ti, self.pull_task_id)
        zone = self._zone(facts_from_context(context))
        today = self._today(zone)
        schools, district_id, trouble = self._schools(plan.get("district_id"))
        is_whole = not plan.get("asked_for", False)
        run = record_run(
            objects,
            district_id,
            today=today,
            zone=zone,
            rules=self._rules(zone),
            schools=schools,
            planned=planned,
            receipts=[one["receipt"] for one in pulled if one.get("receipt")],
            is_whole=is_whole,
            left_out=plan.get("left_out"),
        )
        for line in standing(run.report):
            self.log.info("%s", line)
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
        given = AlertInput(
            coverage=run.coverage,
            now=self._now(zone, today),
            zone=zone,
            expected_by=self.expected_by,
            receipts=run.receipts,
            is_whole=is_whole,
            name=self._known_name,
        )
        summary = _summary(run.report, planned, pulled, run.unpulled)
        return summary, found, trouble, partial(self._send_alerts, context, objects, given)

    def _planned(self, ti: Any) -> "tuple[Mapping[str, Any], list[PlannedPull]]":
        """The plan's summary, empty if there was none; and its pulls.

        :raises CleverSettingsError: the plan's task left something else in XCom.
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
        """Give the shared schools, None if Clever did not answer; the district; the error, if there was one."""
        district_id = self.district_id or planned_district_id
        try:
            with self._client(district_id) as client:
                district_id = client.get_district().id
                return {school.id: school.name for school in client.iter_schools()}, district_id, None
        except CleverError as error:
            if not district_id:
                raise
            return None, district_id, error


class _RunIncompleteError(CleverError):
    """Do what the message says; trying this task again alone cannot help."""

    permanent = True


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
