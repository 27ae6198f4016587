"""What all operators share: the district, the Clever client, and how errors reach Airflow."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator, Context

from airflow_provider_clever.hooks import arguments
from airflow_provider_clever.hooks.clever import CleverHook
from airflow_provider_clever.hooks.destinations import OpenDestination, open_destination
from airflow_provider_clever.hooks.failures import end_log_with_reason, failing_for_good
from airflow_provider_clever.hooks.instance_names import name_instance, whose
from airflow_provider_clever.hooks.metrics import send_metrics
from airflow_provider_clever.hooks.retries import use_retry_policy
from airflow_provider_clever.ledger.metrics import Task

if TYPE_CHECKING:
    from airflow_provider_clever.api.client import CleverClient
    from airflow_provider_clever.models import District


class ConnectedOperator(BaseOperator):
    """An operator that has a Clever connection.

    :param clever_conn_id: the connection; default ``clever_default``.
    """

    lineage_inputs: ClassVar[tuple[str, ...]] = ()
    lineage_outputs: ClassVar[tuple[str, ...]] = ()
    metrics_of: ClassVar[Task | None] = None
    argument_rules: ClassVar[dict[str, arguments.Rule]] = {}

    district_id: str | None = None
    destination: str | None = None
    single_writer: bool = False

    found_district: "District | None" = None
    found_place: OpenDestination | None = None
    found_receipt: str | None = None
    """The path of the task's receipt, relative to the destination."""
    found_origin: str | None = None
    """Of the API that was asked."""
    found_summary: dict[str, Any] | None = None
    found_table: Mapping[str, str] | None = None
    """The table that was written: its kind, and its catalog."""
    as_written: tuple[str | None, str | None] | None = None
    """The district and the destination before their templates were rendered."""

    def __init__(self, *, clever_conn_id: str = CleverHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.clever_conn_id = clever_conn_id
        end_log_with_reason(self)
        use_retry_policy(self)

    def execute(self, context: Context) -> Any:
        """Check the arguments, which templates have filled in by now, and do the work.

        :raises AirflowFailException: trying again cannot help; the message says what to do.
        :raises CleverError: trying again may help.
        """
        with failing_for_good(self):
            arguments.check(self, self.argument_rules)
            name_instance(context, whose(self.district_id, self.clever_conn_id))
            return self._run(context)

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """Render the templates, and keep what was there before: the page *Attendance* finds districts by that."""
        self.as_written = self.as_written or (self.district_id, self.destination)
        super().render_template_fields(context, jinja_env)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:  # noqa: ARG002 - OpenLineage's signature
        """Say where rows came from and went to; OpenLineage's provider asks, if it is installed and configured."""
        from airflow_provider_clever.operators.lineage import lineage_of

        return lineage_of(self)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> Any:
        """Say the same of a task that failed: what could land has landed."""
        return self.get_openlineage_facets_on_complete(task_instance)

    def _run(self, context: Context) -> Any:
        raise NotImplementedError

    def _open_destination(self) -> OpenDestination:
        """Open the destination, and keep it for the links on the task's page."""
        self.found_place = open_destination(self.destination, single_writer=self.single_writer)
        return self.found_place

    def _leave_summary(self, context: Context, summary: dict[str, Any]) -> None:
        """Push the summary, keep it for lineage, and send the metrics that are in it."""
        self.found_summary = summary
        context["ti"].xcom_push("summary", summary)
        if self.metrics_of:
            send_metrics(self.metrics_of, summary)

    def _forget_secret(self, district_id: str | None = None) -> str | None:
        """Give the key of forgotten students' hashes: the connection's, unless the environment has one."""
        from airflow_provider_clever.lake.forgotten import KEY_VARIABLE

        if os.environ.get(KEY_VARIABLE):
            return None
        return CleverHook(self.clever_conn_id, district_id or None).get_settings().forget_secret


class DistrictOperator(ConnectedOperator):
    """An operator that is about one district.

    :param district_id: the district. Default: the connection's, or the only one that is connected.
    """

    template_fields: Sequence[str] = ("district_id", "clever_conn_id")
    lineage_inputs: ClassVar[tuple[str, ...]] = ("clever",)
    argument_rules: ClassVar[dict[str, arguments.Rule]] = arguments.WHOSE

    def __init__(self, *, district_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.district_id = district_id

    @contextmanager
    def _client(self, district_id: str | None = None, **options: Any) -> "Iterator[CleverClient]":
        """Open a client, and keep the district that it finds, for the line with which a failure's log ends."""
        with CleverHook(self.clever_conn_id, district_id or self.district_id or None).get_conn(**options) as client:
            try:
                yield client
            finally:
                self.found_district, self.found_origin = client.found_district, client.settings.api_base
