"""The DAG file of one district, for tests in which a failure is final."""

from typing import Any


def district_dag(*, before: str = "", defaults: str = "None", **settings: Any) -> str:
    """Give the text of a DAG file that makes one district's DAGs, whose tasks are tried once.

    :param before: what precedes it in the file, such as the class of a notifier. Default: nothing.
    :param defaults: the expression for the list's defaults. Default: none.
    :param settings: the district in the list.
    """
    return f"""
from airflow_provider_clever.dags import attendance_dags
{before}
globals().update(dags := attendance_dags([{settings!r}], defaults={defaults}))
for dag in dags.values():
    for task in dag.tasks:
        if task.task_id == "pull":
            task.partial_kwargs["retries"] = 0
        else:
            task.retries = 0
"""
