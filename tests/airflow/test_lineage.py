"""What OpenLineage is told by real tasks, with its own provider: ``make lineage``."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from airflow_provider_clever.attendance.schema import COLUMNS
from airflow_provider_clever.sandbox.testing import Sandbox
from tests.canary.canaries import UNKNOWN_VALUE, Canaries
from tests.support.airflow import AirflowHome

pytest.importorskip("airflow.providers.openlineage", reason="make lineage has it")

DAG = """
from airflow.sdk import DAG
from airflow_provider_clever.operators.clever import *

which = {{"destination": {lake!r}, "district_id": {district_id!r}}}
with DAG("traced", schedule=None):
    plan = CleverAttendancePlanOperator(task_id="plan", **which)
    pull = CleverAttendanceOperator.partial(task_id="pull", **which).expand_kwargs(plan.output)
    record = CleverAttendanceCoverageOperator(task_id="record", **which)
    forget = CleverAttendanceForgetOperator(task_id="forget", older_than_years=3, **which)
    in_xcom = CleverAttendanceOperator(
        task_id="in_xcom", district_id={district_id!r}, date_range_start={day!r}, date_range_end={day!r}
    )
    table = CleverAttendanceTableOperator(task_id="table", destination={lake!r})
    pull >> record >> forget >> table >> in_xcom
"""


FACETS = {"type": "object", "additionalProperties": {"type": "object", "required": ["_producer", "_schemaURL"]}}
NAMED = {"namespace": {"type": "string", "minLength": 1}, "name": {"type": "string", "minLength": 1}, "facets": FACETS}
DATASET = {"type": "object", "required": ["namespace", "name"], "properties": NAMED}
EVENT = {
    "type": "object",
    "required": ["eventTime", "eventType", "producer", "schemaURL", "run", "job", "inputs", "outputs"],
    "properties": {
        "run": {"type": "object", "required": ["runId"], "properties": {"facets": FACETS}},
        "job": {"type": "object", "required": ["namespace", "name"], "properties": NAMED},
        "inputs": {"type": "array", "items": DATASET | {"properties": NAMED | {"inputFacets": FACETS}}},
        "outputs": {"type": "array", "items": DATASET | {"properties": NAMED | {"outputFacets": FACETS}}},
    },
}
"""What OpenLineage 2 asks of an event, as far as it concerns us."""


def only(datasets: list[dict[str, Any]], namespace: str, name: str) -> dict[str, Any]:
    """The one dataset, which must be this one."""
    assert [(one["namespace"], one["name"]) for one in datasets] == [(namespace, name)]
    return datasets[0]


def assertions(dataset: dict[str, Any]) -> dict[str, bool]:
    listed = dataset["inputFacets"]["dataQualityAssertions"]["assertions"]
    return {one["assertion"]: one["success"] for one in listed}


def test_the_district_at_clever_leads_to_its_partitions_with_columns_counts_and_quality(
    sandbox: Sandbox, airflow_home: AirflowHome, tmp_path: Path
) -> None:
    sandbox.reset(today=datetime.now(UTC).date().isoformat(), districts=["small"])
    canaries = Canaries(sandbox, "small")
    district_id = sandbox.district("small").id
    lake, told = tmp_path / "lake", tmp_path / "events.json"
    transport = {"type": "file", "log_file_path": str(told), "append": True}
    # A row that cannot land: the pull fails when all others have landed.
    sandbox.fault("malformed_row", family="attendance", defect="bad_timestamp", canary=UNKNOWN_VALUE, row=3, times=0)
    outcome = airflow_home.run_dag(
        DAG.format(
            district_id=district_id,
            lake=lake.as_uri(),
            day=max(row["attendance_date"] for row in sandbox.expected("small")),
        ),
        connections={"clever_default": sandbox.connection_json("small")},
        env={"AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport), "AIRFLOW__OPENLINEAGE__NAMESPACE": "tests"},
    )
    events = [json.loads(line) for line in told.read_text().splitlines()]
    for event in events:
        jsonschema.validate(event, EVENT)
    ended = {event["job"]["name"]: event for event in events if event["eventType"] in ("COMPLETE", "FAIL")}
    clever = (sandbox.url, f"districts/{district_id}/attendance")
    landed = ("file", f"{lake}/attendance/district={district_id}")

    pull, summary = ended["traced.pull"], outcome.xcom("pull", "summary", 0)
    assert pull["eventType"] == "FAIL"
    asked = only(pull["inputs"], *clever)
    assert asked["inputFacets"]["dataQualityMetrics"]["rowCount"] == summary["received"]
    assert assertions(asked) == {"no_rows_quarantined": False, "no_schools_withheld": True, "no_schools_failed": True}
    written = only(pull["outputs"], *landed)
    assert [one["name"] for one in written["facets"]["schema"]["fields"]] == [column.name for column in COLUMNS]
    marked = {one["field"]: one["value"] for one in written["facets"]["tags"]["tags"]}
    assert (marked["student_id"], marked["school_id"]) == ("true", "false")
    statistics = written["outputFacets"]["outputStatistics"]
    assert (statistics["rowCount"], statistics["fileCount"]) == (summary["rows"], summary["written"])

    assert only(ended["traced.plan"]["inputs"], *clever)
    judged = only(ended["traced.record"]["inputs"], *landed)
    assert assertions(judged)["no_gaps"] is True
    assert only(ended["traced.forget"]["outputs"], *landed)
    assert ended["traced.in_xcom"]["outputs"] == []
    table = ended["traced.table"]
    assert only(table["inputs"], "file", f"{lake}/attendance")
    made = only(table["outputs"], "file", f"{lake}/attendance_by_month")
    assert made["outputFacets"]["outputStatistics"]["rowCount"] == outcome.xcom("table", "summary")["rows_written"] > 0
    assert canaries.found_in(told.read_text()) == []
