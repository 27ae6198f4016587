"""What all operators share: whose attendance it is, how to ask Clever, and what an error means to Airflow."""

from collections.abc import Sequence
from typing import Any, ClassVar

from airflow.sdk import BaseOperator, Context

from airflow_provider_clever.hooks import arguments
from airflow_provider_clever.hooks.clever import CleverHook
from airflow_provider_clever.hooks.failures import failing_for_good


class DistrictOperator(BaseOperator):
    """An operator that is about one district.

    :param district_id: the district. Default: the connection's, or the only one that is connected.
    :param clever_conn_id: the connection; default ``clever_default``.
    """

    template_fields: Sequence[str] = ("district_id", "clever_conn_id")
    argument_rules: ClassVar[dict[str, arguments.Rule]] = arguments.WHOSE

    def __init__(
        self, *, district_id: str | None = None, clever_conn_id: str = CleverHook.default_conn_name, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.district_id = district_id
        self.clever_conn_id = clever_conn_id

    def execute(self, context: Context) -> Any:
        """Check the arguments, which templates have filled in by now, and do the work.

        :raises AirflowFailException: trying again cannot help; the message says what to do.
        :raises CleverError: trying again may help.
        """
        with failing_for_good():
            arguments.check(self, self.argument_rules)
            return self._run(context)

    def _run(self, context: Context) -> Any:
        raise NotImplementedError

    @property
    def _hook(self) -> CleverHook:
        return CleverHook(self.clever_conn_id, self.district_id or None)
