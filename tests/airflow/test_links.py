"""The links on a task's page, as Airflow keeps them when a task has ended."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_clever.plugins.addresses import place_of
from airflow_provider_clever.sandbox.testing import Sandbox
from tests.support.airflow import BASE_URL, AirflowHome, DagOutcome

DAG = """
from airflow.sdk import DAG
from airflow_provider_clever.operators.clever import *
from airflow_provider_clever.sensors.clever import CleverAttendanceSyncSensor

district_id, lake = {district_id!r}, {lake!r}
with DAG("linked", schedule=None, tags=["clever"], user_defined_macros={{"lake": lake}}):
    which = {{"district_id": district_id, "destination": lake}}
    wait = CleverAttendanceSyncSensor(task_id="wait", district_id=district_id, poke_interval=1, timeout=30)
    plan = CleverAttendancePlanOperator(task_id="plan", **which)
    pull = CleverAttendanceOperator.partial(task_id="pull", **which).expand_kwargs(plan.output)
    record = CleverAttendanceCoverageOperator(task_id="record", **which)
    forget = CleverAttendanceForgetOperator(task_id="forget", older_than_years=3, **which)
    table = CleverAttendanceTableOperator(task_id="table", destination=lake)
    wait >> plan
    forget >> table
    pull >> record >> forget

    days = {{"date_range_start": {day!r}, "date_range_end": {day!r}}}
    # None of these is a district that the page could know from the DAG's file.
    rendered = CleverAttendanceOperator(
        task_id="rendered", district_id=district_id, destination="{{{{ lake }}}}/other", **days
    )
    by_map = CleverAttendanceOperator.partial(task_id="by_map", destination=lake + "/third", **days).expand(
        district_id=[district_id]
    )
    of_token = CleverAttendanceOperator(task_id="of_token", destination=lake + "/fourth", **days)
    record >> [rendered, by_map, of_token]
"""


def links(outcome: DagOutcome, task_id: str, map_index: int = -1) -> dict[str, Any]:
    prefix = "_link_Clever"
    return {
        key.removeprefix(prefix): value
        for (task, index, key), value in outcome.xcoms.items()
        if (task, index) == (task_id, map_index) and key.startswith(prefix)
    }


def test_each_task_leads_to_what_it_is_about_and_none_leads_to_a_page_that_does_not_know_it(
    sandbox: Sandbox, airflow_home: AirflowHome, tmp_path: Path
) -> None:
    sandbox.reset(districts=["small"])
    lake, district_id = tmp_path / "lake", sandbox.district("small").id
    day = max(row["attendance_date"] for row in sandbox.expected("small"))
    outcome = airflow_home.run_dag(
        DAG.format(district_id=district_id, lake=lake.as_uri(), day=day),
        connections={"clever_default": sandbox.connection_json("small")},
        env={"AIRFLOW__CLEVER__DESTINATIONS": f"{lake}/other"},
    )
    assert outcome.state == "success", outcome.log[-4000:]

    assert urlsplit(BASE_URL).path == "/team/"
    district = f"/team/clever-attendance/{place_of(lake.as_uri())}/{district_id}"
    assert links(outcome, "wait") == {"CoverageLink": district}
    assert links(outcome, "plan") == links(outcome, "record") == {"CoverageLink": district, "DestinationLink": ""}
    assert links(outcome, "forget") == {"CoverageLink": district, "DestinationLink": "", "ReceiptLink": ""}
    assert links(outcome, "table") == {"CoverageLink": "/team/clever-attendance/", "DestinationLink": ""}
    receipts = {}
    for index in (index for task, index in outcome.tasks if task == "pull"):
        path = Path(outcome.xcom("pull", "summary", index)["receipt"])
        receipts[index] = f"{district}/receipts/{path.parent.name}/{path.name.removesuffix('.json.gz')}"
        assert links(outcome, "pull", index)["ReceiptLink"] == receipts[index]
    assert len({*receipts.values()}) == len(receipts) > 0

    none = {"CoverageLink": "", "DestinationLink": "", "ReceiptLink": ""}
    assert links(outcome, "by_map", 0) == links(outcome, "of_token") == none
    configured = f"/team/clever-attendance/{place_of(f'{lake}/other')}/{district_id}"
    assert links(outcome, "rendered")["CoverageLink"] == configured

    assert (outcome.names["by_map", 0] or "").endswith(f"all schools of district {district_id}")
