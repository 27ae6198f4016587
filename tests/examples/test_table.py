"""The example that makes a table, run by Airflow after pulls have landed; its answer is compared with Clever's rows."""

from datetime import date, timedelta
from pathlib import Path

import duckdb

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.support.airflow import AirflowHome
from tests.table import engines

EXAMPLES = Path(__file__).parents[2] / "example_dags"


def test_the_table_example_makes_months_that_count_what_clever_has(
    airflow_home: AirflowHome, sandbox: Sandbox, tmp_path: Path
) -> None:
    lake, last = tmp_path / "lake", date.fromisoformat(sandbox.today) - timedelta(days=3)
    dates = {"date_range_start": str(last - timedelta(days=40)), "date_range_end": str(last)}
    pulled = airflow_home.run_dag(
        EXAMPLES / "clever_date_range.py",
        connections={"clever_default": sandbox.connection_json("small")},
        run_conf={"district_id": sandbox.district("small").id, **dates},
        logical_date=None,
        env={"AIRFLOW_VAR_CLEVER_DESTINATION": lake.as_uri()},
    )
    assert pulled.state == "success", pulled.log[-3000:]

    outcome = airflow_home.run_dag(
        EXAMPLES / "clever_table.py", logical_date=None, env={"AIRFLOW_VAR_CLEVER_DESTINATION": lake.as_uri()}
    )

    assert outcome.state == "success", outcome.log[-3000:]
    summary = outcome.xcom("table", "summary")
    due = sandbox.expected("small", **dates)
    assert (summary["districts"], summary["rows_written"]) == (1, len(due))
    assert engines.differences(lake) == []
    counted = duckdb.sql(f"SELECT count(*) FROM '{lake}/attendance_by_month/*/*.parquet'").fetchall()
    assert counted == [(len(due),)]
