"""The operator that announces, once for each run, which days its pulls have changed."""

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import Context, TriggerRule

from airflow_provider_clever.assets import asset_if_known, landed_alias, landed_asset
from airflow_provider_clever.dates import DateRange
from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.hooks import arguments
from airflow_provider_clever.operators.announcing import ASKED_KEY, announce_landed, declare
from airflow_provider_clever.operators.district import DistrictOperator
from airflow_provider_clever.operators.run_facts import left_by, summaries_of
from airflow_provider_clever.plugins.links import COVERAGE_LINKS


class CleverAttendanceAnnounceOperator(DistrictOperator):
    """Announces the days that the pulls of a run have changed, as an event of the asset that DAGs are scheduled on.

    In Airflow a failed task emits no event, although most of its schools may have landed; and Airflow may fail one of
    two tasks that emit the first event of an asset at the same moment. So this task emits one event for all pulls of a
    run, and runs whatever became of them (``trigger_rule="all_done"``). Days that a failed pull has landed are part of
    it. If a pull was killed, it is not known what it has changed, so all days that the run's pulls were to ask for are
    announced: the plan's, or without a plan those that each pull named in XCom when it began. If nothing has changed,
    or no pull began, there is no event.

    It reads what the other tasks left in XCom, and does not look at the destination. A run is judged by its last tasks,
    and this one succeeds though pulls failed: put it beside the recording task or, where there is none, make it a
    teardown (``.as_teardown()``).

    :param destination: where attendance lands, such as ``s3://aws_default@bucket/prefix``.
    :param district_id: whose attendance. Default: the district that the plan was made for, or that was pulled.
    :param clever_conn_id: the connection; default ``clever_default``. Clever is asked only for the district, if nothing
        names it: neither this task nor a plan, and no pull left a summary.
    :param plan_task_id: the task of :class:`CleverAttendancePlanOperator`. Default ``plan``; None: there is none.
    :param pull_task_id: the pulling task, which was given ``announce=False``. Default ``pull``.
    """

    template_fields: Sequence[str] = ("destination", "district_id", "clever_conn_id")
    operator_extra_links = COVERAGE_LINKS
    lineage_inputs = ()
    ui_color = "#d5f5e3"
    argument_rules = arguments.WHOSE | {"plan_task_id": arguments.optional_text, "pull_task_id": arguments.text}

    def __init__(
        self, *, destination: str, plan_task_id: str | None = "plan", pull_task_id: str = "pull", **kwargs: Any
    ) -> None:
        kwargs.setdefault("trigger_rule", TriggerRule.ALL_DONE)
        super().__init__(**kwargs)
        self.destination = destination
        self.plan_task_id = plan_task_id
        self.pull_task_id = pull_task_id
        declare(self, landed_alias(), asset_if_known(landed_asset, destination, self.district_id))

    def _run(self, context: Context) -> None:
        ti = context["ti"]
        pulled = summaries_of(ti, self.pull_task_id)
        plan, asked = self._planned(ti)
        # Without a plan: a pull says what it will ask before it asks. One that never began changed nothing.
        asked = asked or left_by(ti, self.pull_task_id, ASKED_KEY)
        try:
            spans = [DateRange.from_json([one["date_range_start"], one["date_range_end"]]) for one in asked]
        except (TypeError, KeyError, ValueError):
            raise CleverSettingsError(
                f"What task {self.plan_task_id} left in XCom is no plan. Let plan_task_id name the task of the "
                "CleverAttendancePlanOperator, with its task group if it has one."
            ) from None
        named = (one.get("district_id") for one in (plan, *pulled, *asked))
        district_id = self.district_id or next(filter(None, named), None)
        if not (spans or pulled):
            self.log.info("Nothing was planned, and no pull began")
            if not district_id:
                return  # and no asset is declared
        doubtful = spans if len(pulled) < len(spans) else ()
        if doubtful:
            self.log.info(
                "%d of %d pulls left no summary, so all days that were asked for may have changed",
                len(spans) - len(pulled),
                len(spans),
            )
        district_id = district_id or self._only_district()
        announce_landed(self, context, self.destination or "", district_id, pulled, also=doubtful)

    def _planned(self, ti: Any) -> tuple[Mapping[str, Any], Sequence[Any]]:
        """Give the summary of the plan and what it planned, as arguments of the pulls; both empty without a plan."""
        if self.plan_task_id is None:
            return {}, ()
        return next(iter(summaries_of(ti, self.plan_task_id)), {}), ti.xcom_pull(task_ids=self.plan_task_id) or ()

    def _only_district(self) -> str:
        with self._client() as client:
            return str(client.get_district().id)
