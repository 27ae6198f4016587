"""Airflow maps over as many tasks as its configuration says: the operators read that, and say what they made of it."""

from pathlib import Path
from textwrap import dedent

import pytest

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.support.airflow import AirflowHome

SCHOOLS = 20

DAG = dedent(
    """
    from airflow.sdk import DAG, task

    from airflow_provider_clever.operators.clever import CleverAttendancePlanOperator, CleverListSchoolsOperator

    @task
    def asked(school_ids):
        return list(school_ids)

    with DAG("mapped", schedule=None):
        asked.expand(school_ids=CleverListSchoolsOperator(task_id="schools", batch_size=1).output)
        CleverAttendancePlanOperator(task_id="plan", destination="{{ dag_run.conf['lake'] }}")
    """
)


@pytest.mark.parametrize(("most", "batches"), [(1024, 20), (7, 7), (1, 1)])
def test_no_more_tasks_are_mapped_than_this_airflow_allows_and_no_school_is_left_out(
    airflow_home: AirflowHome, sandbox: Sandbox, tmp_path: Path, most: int, batches: int
) -> None:
    sandbox.reset(districts=["large"], large_schools=SCHOOLS, large_school_days=20)
    (tmp_path / "lake").mkdir()

    outcome = airflow_home.run_dag(
        DAG,
        connections={"clever_default": sandbox.connection_json("large")},
        run_conf={"lake": (tmp_path / "lake").as_uri()},
        env={"AIRFLOW__CORE__MAX_MAP_LENGTH": str(most)},
    )

    assert outcome.state == "success", outcome.log
    mapped = [outcome.xcom("asked", map_index=index) for index in range(batches)]
    assert sorted(school for batch in mapped for school in batch) == sorted(sandbox.district("large").school_ids)
    assert ("asked", batches) not in outcome.tasks
    assert f"{SCHOOLS} schools: {batches} batches of at most {-(-SCHOOLS // most)}" in outcome.log
    assert f"Airflow maps over at most {most:,}" in outcome.log
    planned = outcome.xcom("plan")
    assert len(planned) == 1 if most == 1 else 1 < len(planned) <= most
    assert len({school for one in planned for school in one["school_ids"]}) == SCHOOLS
