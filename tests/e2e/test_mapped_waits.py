"""The sensor mapped over districts, in real Airflow on PostgreSQL, which sorts runs without a date differently."""

from pathlib import Path

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.support.airflow import AirflowHome
from tests.support.mapped_waits import each_district_waits_on_its_own_baseline
from tests.support.postgres import running_postgres


def test_each_district_waits_on_its_own_baseline_over_several_runs(sandbox: Sandbox, tmp_path: Path) -> None:
    with running_postgres() as server:
        home = AirflowHome.create(tmp_path / "airflow-home", server.create_database("airflow"))
        each_district_waits_on_its_own_baseline(home, sandbox)
