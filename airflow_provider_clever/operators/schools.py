"""The operator that lists a district's schools, to map over."""

from typing import Any

from airflow.sdk import Context

from airflow_provider_clever.exceptions import CleverWithheldError
from airflow_provider_clever.hooks import arguments
from airflow_provider_clever.operators.district import DistrictOperator


class CleverListSchoolsOperator(DistrictOperator):
    """Lists the ids of the schools that a district shares, sorted, in batches to map over.

    ``CleverAttendanceOperator.partial(...).expand(school_ids=list_schools.output)`` then runs one task per batch. An
    empty list fails the task: mapped over it, no task would run, and none would fail.

    :param batch_size: schools in a batch; default 25. Airflow maps over at most ``[core] max_map_length`` batches,
        1,024 unless that is set otherwise.
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

        with self._hook.get_conn() as client:
            client.get_district()
            school_ids = sorted(school.id for school in client.iter_schools())
        if not school_ids:
            raise CleverWithheldError(list_in_doubt(()))
        batches = [school_ids[at : at + self.batch_size] for at in range(0, len(school_ids), self.batch_size)]
        self.log.info("The district shares %d schools: %d batches", len(school_ids), len(batches))
        return batches
