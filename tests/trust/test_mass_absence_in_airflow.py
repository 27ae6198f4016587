"""A night on which every school answers 200 without rows, in real Airflow: red, nothing hidden, whole once it heals."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent

import duckdb

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.support.airflow import AirflowHome, DagOutcome

DAG = dedent(
    """
    from airflow.sdk import DAG

    from airflow_provider_clever.operators.clever import CleverAttendanceOperator

    with DAG("absence", schedule=None, params={"missing_rows": None}):
        CleverAttendanceOperator(
            task_id="pull",
            date_range_start="{{ dag_run.conf['first_day'] }}",
            date_range_end="{{ dag_run.conf['last_day'] }}",
            destination="{{ dag_run.conf['lake'] }}",
            confirm_seconds=0,
        )
    """
)


def test_a_night_without_rows_is_red_hides_nothing_and_heals_or_is_answered(
    sandbox: Sandbox, airflow_home: AirflowHome, tmp_path: Path
) -> None:
    today = datetime.now(UTC).date() - timedelta(days=1)
    sandbox.reset(today=today.isoformat(), districts=["small"])
    lake = tmp_path / "lake"

    def night(**conf: object) -> DagOutcome:
        return airflow_home.run_dag(
            DAG,
            connections={"clever_default": sandbox.connection_json("small")},
            run_conf={
                "first_day": (today - timedelta(days=20)).isoformat(),
                "last_day": today.isoformat(),
                "lake": f"file://{lake}",
                **conf,
            },
        )

    def rows() -> tuple[int, int]:
        with duckdb.connect() as reader:  # of its own: DuckDB's shared one may hold another test's open result
            found = reader.sql(
                f"SELECT count(*), count(missing_since) FROM '{lake}/attendance/**/*.parquet'"
            ).fetchall()
        return found[0][0], found[0][1]

    assert night().state == "success"
    landed, _ = rows()
    assert landed
    sandbox.knobs(rows_withheld_schools=["*"])
    red = night()
    assert red.state == "failed"
    assert "5 schools are withheld" in red.log
    assert "clever-attendance answer" in red.log
    assert rows() == (landed, 0)
    assert len(red.xcom("pull", "summary")["withheld"]) == 5

    sandbox.knobs(rows_withheld_schools=[])
    assert night().state == "success"
    assert rows() == (landed, 0)

    elm = sandbox.district("small").schools["Elm Primary"]
    gone = sandbox.expected("small", school_id=elm, date_range_start=(today - timedelta(days=20)).isoformat())
    sandbox.delete_rows(*gone)
    assert night().state == "failed"
    assert night(missing_rows="deleted").state == "success"
    assert rows() == (landed, len(gone))
