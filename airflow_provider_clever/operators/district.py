"""What all operators share: whose attendance it is, how to ask Clever, and what an error means to Airflow."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator, Context

from airflow_provider_clever.hooks import arguments
from airflow_provider_clever.hooks.clever import CleverHook
from airflow_provider_clever.hooks.failures import end_log_with_reason, failing_for_good
from airflow_provider_clever.hooks.retries import use_retry_policy

if TYPE_CHECKING:
    from airflow_provider_clever.api.client import CleverClient
    from airflow_provider_clever.models import District


class DistrictOperator(BaseOperator):
    """An operator that is about one district.

    :param district_id: the district. Default: the connection's, or the only one that is connected.
    :param clever_conn_id: the connection; default ``clever_default``.
    """

    template_fields: Sequence[str] = ("district_id", "clever_conn_id")
    argument_rules: ClassVar[dict[str, arguments.Rule]] = arguments.WHOSE

    found_district: "District | None" = None

    def __init__(
        self, *, district_id: str | None = None, clever_conn_id: str = CleverHook.default_conn_name, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.district_id = district_id
        self.clever_conn_id = clever_conn_id
        end_log_with_reason(self)
        use_retry_policy(self)

    def execute(self, context: Context) -> Any:
        """Check the arguments, which templates have filled in by now, and do the work.

        :raises AirflowFailException: trying again cannot help; the message says what to do.
        :raises CleverError: trying again may help.
        """
        with failing_for_good():
            arguments.check(self, self.argument_rules)
            if self.district_id:
                name_instance(context, f"district {self.district_id}")
            return self._run(context)

    def _run(self, context: Context) -> Any:
        raise NotImplementedError

    @contextmanager
    def _client(self, district_id: str | None = None, **options: Any) -> "Iterator[CleverClient]":
        """Open a client, and keep the district that it finds, for the line with which a failure's log ends."""
        with CleverHook(self.clever_conn_id, district_id or self.district_id or None).get_conn(**options) as client:
            try:
                yield client
            finally:
                self.found_district = client.found_district


def name_instance(context: Context, name: str) -> None:
    """Name a mapped task instance in Airflow's UI, if the DAG's author has not: else it is a number.

    :param context: the task's context.
    :param name: plain text. A later one replaces it.
    """
    instance = context.get("ti")
    is_named = getattr(getattr(instance, "task", None), "map_index_template", None) is not None
    if getattr(instance, "map_index", -1) >= 0 and not is_named:
        context["map_index_template"] = name
