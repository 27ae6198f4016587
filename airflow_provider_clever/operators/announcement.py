"""The operator that announces, once for each run, which days its pulls have changed."""

from collections.abc import Sequence
from typing import Any

from airflow.sdk import Context, TriggerRule

from airflow_provider_clever.assets import asset_if_known, landed_alias, landed_asset
from airflow_provider_clever.dates import DateRange
from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.hooks import arguments
from airflow_provider_clever.operators.announcing import announce_landed, declare
from airflow_provider_clever.operators.district import DistrictOperator
from airflow_provider_clever.operators.run_facts import summaries_of
from airflow_provider_clever.plugins.links import COVERAGE_LINKS


class CleverAttendanceAnnounceOperator(DistrictOperator):
    """Announces the days that the pulls of a run have changed, as an event of the asset that DAGs are scheduled on.

    In Airflow a failed task emits no event, although most of its schools may have landed. So this task emits one event
    for all pulls of a planned run, and runs whatever became of them (``trigger_rule="all_done"``). Days that a failed
    pull has landed are part of it. If a pull was killed, it is not known what it has changed, so all planned days are
    announced. If nothing has changed, there is no event.

    It reads what the other tasks left in XCom, and asks neither Clever nor the destination.

    :param destination: where attendance lands, such as ``s3://aws_default@bucket/prefix``.
    :param district_id: whose attendance. Default: the district that the plan was made for.
    :param clever_conn_id: not used; default ``clever_default``.
    :param plan_task_id: the task of :class:`CleverAttendancePlanOperator`. Default ``plan``.
    :param pull_task_id: the pulling task, which was given ``announce=False``. Default ``pull``.
    """

    template_fields: Sequence[str] = ("destination", "district_id", "clever_conn_id")
    operator_extra_links = COVERAGE_LINKS
    lineage_inputs = ()
    ui_color = "#d5f5e3"
    argument_rules = arguments.WHOSE | {"plan_task_id": arguments.text, "pull_task_id": arguments.text}

    def __init__(
        self, *, destination: str, plan_task_id: str = "plan", pull_task_id: str = "pull", **kwargs: Any
    ) -> None:
        kwargs.setdefault("trigger_rule", TriggerRule.ALL_DONE)
        super().__init__(**kwargs)
        self.destination = destination
        self.plan_task_id = plan_task_id
        self.pull_task_id = pull_task_id
        declare(self, landed_alias(), asset_if_known(landed_asset, destination, self.district_id))

    def _run(self, context: Context) -> None:
        ti = context["ti"]
        plan = next(iter(summaries_of(ti, self.plan_task_id)), {})
        planned = ti.xcom_pull(task_ids=self.plan_task_id) or ()
        pulled = summaries_of(ti, self.pull_task_id)
        try:
            spans = [DateRange.from_json([one["date_range_start"], one["date_range_end"]]) for one in planned]
            district_id = self.district_id or plan.get("district_id") or pulled[0]["district_id"]
        except (TypeError, KeyError, ValueError):
            raise CleverSettingsError(
                f"What task {self.plan_task_id} left in XCom is no plan. Let plan_task_id name the task of the "
                "CleverAttendancePlanOperator, with its task group if it has one."
            ) from None
        except IndexError:
            self.log.info("Nothing is announced: nothing was planned or pulled")
            return
        doubtful = spans if len(pulled) < len(spans) else ()
        announce_landed(self, context, self.destination or "", district_id, pulled, also=doubtful)
