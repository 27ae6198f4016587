"""An empty list of schools in real Airflow: red, since tasks that are mapped over nothing would end green."""

from textwrap import dedent

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.support.airflow import AirflowHome

DAG = dedent(
    """
    from airflow.sdk import DAG

    from airflow_provider_clever.operators.clever import CleverAttendanceOperator, CleverListSchoolsOperator

    with DAG("mapped", schedule=None):
        schools = CleverListSchoolsOperator(task_id="list_schools")
        CleverAttendanceOperator.partial(task_id="pull", destination="file:///nowhere").expand(
            school_ids=schools.output
        )
    """
)


def test_tasks_mapped_over_an_empty_list_of_schools_do_not_end_green(
    sandbox: Sandbox, airflow_home: AirflowHome
) -> None:
    sandbox.knobs(unlisted_schools=["*"])

    outcome = airflow_home.run_dag(DAG, connections={"clever_default": sandbox.connection_json("small")})

    assert outcome.state == "failed"
    assert "list of schools is empty" in outcome.log
