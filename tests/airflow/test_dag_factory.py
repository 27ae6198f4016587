"""The DAG factory: one DAG per district, from a list that is known at parse, cheaply, and open to stock backfills."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from airflow.sdk import DAG

from airflow_provider_clever.dags import DistrictDag, attendance_dags
from airflow_provider_clever.exceptions import CleverSettingsError
from tests.support.airflow import AirflowHome
from tests.support.dag_bag import stored
from tests.support.timing import at_most

A, B = "65e000000000000000000001", "65e000000000000000000002"
LAKE = {"destination": "s3://aws_default@lake/clever"}

PARSE = """
import socket, sys, time
import airflow.sdk
before = set(sys.modules)
def refused(*_): raise AssertionError("the network was asked")
socket.socket.connect = socket.getaddrinfo = refused
start = time.process_time()
from airflow_provider_clever.dags import attendance_dags
dags = attendance_dags(sys.argv[1])
seconds = time.process_time() - start
start = time.process_time()
from airflow.providers.standard.operators.empty import EmptyOperator
for number in range(len(dags)):
    with airflow.sdk.DAG(f"plain_{number}", schedule="0 4 * * *"):
        airflow.sdk.chain(*(EmptyOperator(task_id=f"task_{task}") for task in range(4)))
plain = time.process_time() - start
heavy = {"aiohttp", "pyarrow", "requests"} & (set(sys.modules) - before)
crons = {str(dag.timetable) for dag in dags.values()}
print(len(dags), seconds, len(crons), sorted(heavy), plain, sep="|")
"""


def shape(dag: DAG) -> dict[str, set[str]]:
    return {task.task_id: set(task.downstream_task_ids) for task in dag.tasks}


def test_a_district_is_planned_pulled_and_recorded() -> None:
    (dag,) = attendance_dags([{"district_id": A, **LAKE}]).values()
    assert dag.dag_id == f"clever_attendance_{A}"
    assert shape(dag) == {"plan": {"pull"}, "pull": {"record"}, "record": set()}


def test_a_district_may_wait_for_its_sync_first_and_goes_on_without_one() -> None:
    (dag,) = attendance_dags([{"district_id": A, "wait_for_sync": True}], defaults=LAKE).values()
    assert shape(dag)["wait_for_sync"] == {"plan"}
    sensor = dag.get_task("wait_for_sync")
    assert (sensor.deferrable, sensor.soft_fail) == (True, True)
    assert dag.get_task("plan").trigger_rule == "all_done"


@pytest.mark.parametrize("given", [True, False])
def test_what_is_promised_of_a_district_reaches_each_task_that_asks(given: bool) -> None:
    district = {"district_id": A, "single_writer": given, "fail_on_quarantine": given, **LAKE}
    (dag,) = attendance_dags([district]).values()
    pull = dag.get_task("pull").partial_kwargs
    assert (pull["single_writer"], pull["fail_on_quarantine"]) == (given, given)
    assert [dag.get_task(name).single_writer for name in ("plan", "record")] == [given, given]


def test_every_key_of_a_district_is_documented() -> None:
    page = Path(__file__).parents[2] / "docs" / "how-to" / "scale-out.md"
    section = page.read_text().split("## The list")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert set(DistrictDag.model_fields) == {key.strip(" `") for row in rows for key in row.split(",")}


def test_a_store_without_compare_and_swap_takes_a_promise() -> None:
    (dag,) = attendance_dags([{"district_id": A, "destination": "hdfs://lake/clever", "single_writer": True}]).values()
    assert dag.get_task("plan").destination == "hdfs://lake/clever"


@pytest.mark.timing
def test_three_hundred_districts_parse_cheaply_without_network_and_spread_over_the_night(
    tmp_path: Path,
) -> None:
    lines = ["defaults: {destination: 's3://a@b/c', timezone: America/Chicago, wait_for_sync: true}", "districts:"]
    listed = tmp_path / "districts.yaml"
    listed.write_text("\n".join([*lines, *(f"  - district_id: 65e{number:021x}" for number in range(300))]))
    command = [sys.executable, "-c", PARSE, str(listed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    dags, seconds, crons, heavy, plain = done.stdout.splitlines()[-1].split("|")
    assert (dags, heavy) == ("300", "[]")
    assert float(seconds) < at_most(2.0, guard=6 * float(plain)), "300 DAGs of as many plain tasks cost far less"
    assert int(crons) > 100


def test_the_minute_of_the_night_lasts_and_lies_in_the_night() -> None:
    assert DistrictDag(district_id=A, **LAKE).cron() == "27 4 * * *"
    for number in range(500):
        minute, hour, *_ = DistrictDag(district_id=f"{number:024x}", night="23:30-01:15", **LAKE).cron().split()
        assert (int(hour), int(minute)) >= (23, 30) or (int(hour), int(minute)) < (1, 15)


def test_what_is_wrong_with_a_list_is_told_all_at_once() -> None:
    districts = [
        {"district_id": A},
        {"district_id": "../x", **LAKE},
        {"district_id": 65000, **LAKE},
        {"district_id": A, **LAKE, "timezone": "Mars/Olympus", "lookback": 3, "sweep_weekday": "someday"},
        {"district_id": B, **LAKE},
        {"district_id": B, **LAKE},
    ]
    with pytest.raises(CleverSettingsError) as told:
        attendance_dags(districts)
    text = str(told.value)
    for words in (
        "district 1: destination",
        "district 2: district_id",
        "district 3: district_id",
        "Mars/Olympus",
        "district 4: lookback:",
        "district 4: sweep_weekday",
        f"district 6: clever_attendance_{B} stands in the list already",
    ):
        assert words in text
    assert "district 5" not in text


def test_a_file_that_holds_no_list_is_told_so(tmp_path: Path) -> None:
    broken = tmp_path / "districts.yaml"
    for text in ("just words", "{[", ""):
        broken.write_text(text)
        with pytest.raises(CleverSettingsError, match=r"districts\.yaml"):
            attendance_dags(broken)
    with pytest.raises(CleverSettingsError, match=r"cannot be read"):
        attendance_dags(tmp_path / "missing.yaml")


def test_districts_may_stand_in_an_airflow_variable(airflow_home: AirflowHome) -> None:
    source = """
from airflow_provider_clever.dags import attendance_dags, districts_from_variable
globals().update(attendance_dags(districts_from_variable("clever_districts"), defaults={"destination": "s3://a@b/c"}))
"""
    airflow_home.add_dag(source)
    listed = json.dumps([{"district_id": A}, {"district_id": B}])
    told = airflow_home.json_of("dags", "list", "--local", env={"AIRFLOW_VAR_CLEVER_DISTRICTS": listed})
    assert {f"clever_attendance_{A}", f"clever_attendance_{B}"} <= {dag["dag_id"] for dag in told}
    with pytest.raises(AssertionError, match="airflow variables set clever_districts"):
        airflow_home.command("dags", "list-import-errors", "--local")


@pytest.mark.parametrize(
    "zone, schedule", [("America/Chicago", ""), ("Pacific/Honolulu", ""), ("America/New_York", "0 0 * * *")]
)
def test_a_backfill_makes_one_run_for_each_day_that_was_asked_for_named_after_that_day(
    zone: str, schedule: str
) -> None:
    """As `airflow backfill create --from-date 2026-10-30 --to-date 2026-11-04` does: over a clock change, as well."""
    (made,) = attendance_dags([{"district_id": A, "timezone": zone, "schedule": schedule}], defaults=LAKE).values()
    dag = stored(made)
    assert dag.timetable.periodic
    first, last = datetime(2026, 10, 30, tzinfo=UTC), datetime(2026, 11, 4, tzinfo=UTC)
    runs = list(dag.iter_dagrun_infos_between(first, last))
    days = [run.logical_date.astimezone(ZoneInfo(zone)).date() for run in runs]
    assert days == [first.date() + timedelta(days=offset) for offset in range(5)]
    assert all(run.data_interval.start == run.data_interval.end for run in runs)
