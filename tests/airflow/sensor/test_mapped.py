"""The sensor mapped over districts, in real Airflow. The same on PostgreSQL: tests/e2e/test_mapped_waits.py."""

from tests.support.airflow import AirflowHome
from tests.support.mapped_waits import each_district_waits_on_its_own_baseline
from tests.support.sandbox import Sandbox


def test_each_district_waits_on_its_own_baseline_over_several_runs(airflow_home: AirflowHome, sandbox: Sandbox) -> None:
    each_district_waits_on_its_own_baseline(airflow_home, sandbox)
