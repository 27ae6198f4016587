"""The operator that lists a district's schools, to map over."""

from typing import Any

from airflow.sdk import Context

from airflow_provider_clever.exceptions import CleverWithheldError
from airflow_provider_clever.hooks import arguments
from airflow_provider_clever.operators.district import DistrictOperator
from airflow_provider_clever.operators.mapping_limits import mapping_limits


class CleverListSchoolsOperator(DistrictOperator):
    """Lists the ids of the schools that a district shares, sorted, in batches to map over.

    ``CleverAttendanceOperator.partial(...).expand(school_ids=list_schools.output)`` then runs one task per batch. An
    empty list fails the task: mapped over it, no task would run, and none would fail.

    :param batch_size: schools in a batch; default 25. It is larger where there were more batches than Airflow maps
        over (``[core] max_map_length``, 1,024 by default).
    :param district_id: whose schools. Default: the connection's district, or the only one that is connected.
    :param clever_conn_id: the connection; default ``clever_default``.
    """

    ui_color = "#e7eefd"
    argument_rules = arguments.WHOSE | {"batch_size": arguments.whole_number(1)}

    def __init__(self, *, batch_size: int = 25, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch_size = batch_size

    def _run(self, context: Context) -> list[list[str]]:  # noqa: ARG002 - nothing of the run matters
        from airflow_provider_clever.attendance.absence import list_in_doubt
        from airflow_provider_clever.ledger.task_sizing import batches_of

        with self._client() as client:
            client.get_district()
            school_ids = sorted(school.id for school in client.iter_schools())
        if not school_ids:
            raise CleverWithheldError(list_in_doubt(()))
        limits = mapping_limits()
        batches = batches_of(school_ids, self.batch_size, limits.max_map_length)
        self.log.info(
            "The district shares %d schools: %d batches of at most %d (%s)",
            len(school_ids),
            len(batches),
            len(batches[0]),
            limits,
        )
        return batches
