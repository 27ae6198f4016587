"""The sensor mapped over districts, in real Airflow. The same on PostgreSQL: tests/e2e/test_mapped_waits.py."""

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.support.airflow import AirflowHome
from tests.support.mapped_waits import each_district_waits_on_its_own_baseline


def test_each_district_waits_on_its_own_baseline_over_several_runs(airflow_home: AirflowHome, sandbox: Sandbox) -> None:
    each_district_waits_on_its_own_baseline(airflow_home, sandbox)
