"""The operator that announces what became of a table, whatever became of the task that updated it."""

from collections.abc import Sequence
from typing import Any, ClassVar

from airflow.sdk import AssetAlias, Context, TriggerRule

from airflow_provider_clever.assets import TABLE_ALIAS, asset_if_known, table_asset
from airflow_provider_clever.hooks import arguments
from airflow_provider_clever.hooks.tables import check_kind
from airflow_provider_clever.operators.announcing import announce_table, declare
from airflow_provider_clever.operators.district import ConnectedOperator
from airflow_provider_clever.operators.run_facts import summaries_of
from airflow_provider_clever.plugins.links import COVERAGE_LINKS


class CleverAttendanceTableAnnounceOperator(ConnectedOperator):
    """Announces that a table has changed, as an event of the asset that its readers are scheduled on.

    In Airflow a failed task emits no event, although the months of all districts but one may be up to date. So this
    task emits the event, and runs whatever became of the update (``trigger_rule="all_done"``). If the update was
    killed, it is not known what it has changed, and there is an event. If nothing has changed, there is none.

    It reads what the other task left in XCom, and asks neither Clever nor the destination. A task that fails behind
    which only this one stands does not fail its run, unless this one is a teardown: ``.as_teardown()``.

    :param destination: where attendance lands, as the table's task has it.
    :param table: the kind of table, as the table's task has it. Default ``parquet``.
    :param table_task_id: the task of :class:`CleverAttendanceTableOperator`, which was given ``announce=False``.
        Default ``table``.
    :param clever_conn_id: not used; default ``clever_default``.
    """

    template_fields: Sequence[str] = ("destination", "table")
    operator_extra_links = COVERAGE_LINKS
    ui_color = "#e6dcf5"
    argument_rules: ClassVar[dict[str, arguments.Rule]] = {"table": arguments.text, "table_task_id": arguments.text}

    def __init__(
        self, *, destination: str, table: str = "parquet", table_task_id: str = "table", **kwargs: Any
    ) -> None:
        kwargs.setdefault("trigger_rule", TriggerRule.ALL_DONE)
        super().__init__(**kwargs)
        self.destination = destination
        self.table = table
        self.table_task_id = table_task_id
        declare(self, AssetAlias(TABLE_ALIAS), asset_if_known(table_asset, destination, table))

    def _run(self, context: Context) -> None:
        check_kind(self.table)
        summary = next(iter(summaries_of(context["ti"], self.table_task_id)), None)
        if summary is None:
            self.log.info("Nothing is announced: task %s did not begin to update a table", self.table_task_id)
            return
        announce_table(self, context, str(self.destination), self.table, summary)
