"""The DAG factory: one DAG per district, from a list that is known at parse, cheaply, and open to stock backfills."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from airflow.providers.common.compat.sdk import ParamValidationError
from airflow.sdk import DAG
from airflow.sdk.definitions._internal.dag_parsing_context import _airflow_parsing_context_manager
from airflow.sdk.definitions.param import process_params
from pytest_mock import MockerFixture

from airflow_provider_clever.compat import CronTriggerTimetable
from airflow_provider_clever.dags import DistrictDag, answer_params, attendance_dags, range_params
from airflow_provider_clever.exceptions import CleverSettingsError
from tests.benchmarks.dag_files import measured
from tests.support.airflow import AirflowHome
from tests.support.dag_bag import stored, written

A, B = "65e000000000000000000001", "65e000000000000000000002"
OF_A = f"clever_attendance_{A}"
LAKE = {"destination": "s3://aws_default@lake/clever"}

PARSE = """
import socket, sys
import airflow.sdk
before = set(sys.modules)
def refused(*_): raise AssertionError("the network was asked")
socket.socket.connect = socket.getaddrinfo = refused
from airflow_provider_clever.dags import attendance_dags
dags = attendance_dags(sys.argv[1])
heavy = {"aiohttp", "pyarrow", "requests"} & (set(sys.modules) - before)
print(len(dags), len({str(dag.timetable) for dag in dags.values()}), sorted(heavy), sep="|")
"""

ONE_OF_MANY = """
from pathlib import Path
from airflow_provider_clever.dags import attendance_dags
dags = attendance_dags([{"district_id": f"65e{number:021x}"} for number in range(300)], defaults=%r)
with Path(%r).open("a") as counts:
    counts.write(f"{len(dags)}\\n")
globals().update(dags)
"""


def shape(dag: DAG) -> dict[str, set[str]]:
    return {task.task_id: set(task.downstream_task_ids) for task in dag.tasks}


def test_a_district_is_planned_pulled_and_recorded() -> None:
    (dag,) = attendance_dags([{"district_id": A, **LAKE}]).values()
    assert dag.dag_id == f"clever_attendance_{A}"
    assert shape(dag) == {"plan": {"pull"}, "pull": {"record", "announce"}, "record": set(), "announce": set()}


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


def test_three_hundred_districts_are_parsed_without_network_or_heavy_imports_and_spread_over_the_night(
    tmp_path: Path,
) -> None:
    lines = ["defaults: {destination: 's3://a@b/c', timezone: America/Chicago, wait_for_sync: true}", "districts:"]
    listed = tmp_path / "districts.yaml"
    listed.write_text("\n".join([*lines, *(f"  - district_id: 65e{number:021x}" for number in range(300))]))
    command = [sys.executable, "-c", PARSE, str(listed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    dags, crons, heavy = done.stdout.splitlines()[-1].split("|")
    assert (dags, heavy) == ("300", "[]")
    assert int(crons) > 100


@pytest.mark.timing(only=True)
def test_two_thousand_districts_cost_the_processor_less_than_dags_by_hand_and_a_task_what_one_district_costs(
    tmp_path: Path,
) -> None:
    one, many = measured([1, 2000], tmp_path)
    assert many.parse < min(3.0, many.by_hand)
    assert many.task < 1.1 * one.task


def test_the_params_of_a_run_are_copied_to_no_task_are_valid_and_reach_each_of_them() -> None:
    (dag,) = attendance_dags([{"district_id": A, "wait_for_sync": True}], defaults=LAKE).values()
    assert dag.params.validate() == dict.fromkeys(range_params() | answer_params())
    for task in dag.tasks:
        assert not task.params
        assert process_params(dag, task, {"missing_rows": "kept"}, suppress_exception=False)["missing_rows"] == "kept"
    with pytest.raises(ParamValidationError):
        process_params(dag, dag.get_task("plan"), {"missing_rows": "perhaps"}, suppress_exception=False)


# --- the DAG of one task ----------------------------------------------------------------------------------------------


@contextmanager
def starting_a_task(dag_id: str) -> Iterator[None]:
    """Airflow parses the file to run a task of this DAG; what it sets for that stays set to the end of a process."""
    try:
        with _airflow_parsing_context_manager(dag_id=dag_id, task_id="plan"):
            yield
    finally:
        for name in ("DAG", "TASK"):
            del os.environ[f"_AIRFLOW_PARSING_CONTEXT_{name}_ID"]


def test_a_district_that_is_to_be_in_by_a_time_has_a_second_dag_at_that_time_on_its_wall() -> None:
    told = {"on_problem": "airflow.sdk.BaseNotifier", "expected_by": "09:30", "timezone": "America/Denver", **LAKE}
    dags = attendance_dags([{"district_id": A}, {"district_id": B, "expected_by": None}], defaults=told)
    assert list(dags) == [OF_A, f"{OF_A}_expected_by", f"clever_attendance_{B}"]
    (tell,) = dags[f"{OF_A}_expected_by"].tasks
    assert (tell.task_id, tell.expected_by, tell.district_id) == ("tell", time(9, 30), A)
    assert dags[f"{OF_A}_expected_by"].timetable == CronTriggerTimetable("30 9 * * *", timezone="America/Denver")
    with starting_a_task(f"{OF_A}_expected_by"):
        assert list(attendance_dags([{"district_id": A}], defaults=told)) == [f"{OF_A}_expected_by"]
    with starting_a_task(f"{OF_A}_expected_by"):
        assert not attendance_dags([{"district_id": A, "expected_by": None}], defaults=told)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"expected_by": "09:30"}, "expected_by needs on_problem"),
        ({"expected_by": 630, "on_problem": "airflow.sdk.BaseNotifier"}, 'in quotes, "10:30"'),
        ({"expected_by": "half past nine", "on_problem": "airflow.sdk.BaseNotifier"}, "write it like 09:30"),
        ({"on_problem": "slack"}, "no notifier named 'slack': notifiers names none"),
        ({"on_problem": ["slack"], "notifiers": {"mail": "airflow.sdk.BaseNotifier"}}, "known are mail"),
        ({"on_problem": "nowhere.SlackNotifier"}, r"nowhere.SlackNotifier cannot be imported \(ModuleNotFoundError"),
        ({"on_problem": "airflow.sdk.DAG"}, "no subclass of airflow.sdk.BaseNotifier"),
        ({"on_problem": print}, "a builtin_function_or_method is no notifier: give a notifier object"),
        ({"on_problem": DAG}, r"a class \(DAG\) is no notifier"),
        ({"on_problem": {"path": "x"}}, "keys path is no notifier"),
        ({"on_problem": {"notifier": "airflow.sdk.BaseNotifier", "kwargs": {"chanel": "s3cret"}}}, "'chanel'"),
    ],
)
def test_who_is_told_and_when_is_checked_when_the_file_is_parsed(given: dict[str, object], words: str) -> None:
    with pytest.raises(CleverSettingsError, match=words) as error:
        attendance_dags([{"district_id": A, **LAKE, **given}])
    assert "s3cret" not in str(error.value)


def test_a_task_of_one_district_of_two_thousand_makes_its_own_dag_alone(mocker: MockerFixture) -> None:
    made = mocker.spy(DAG, "__init__")
    others = [{"district_id": f"75e{number:021x}"} for number in range(1999)]

    with starting_a_task(OF_A):
        dags = attendance_dags([*others, {"district_id": A}], defaults=LAKE)

    assert list(dags) == [OF_A]
    assert made.call_count == 1
    assert dags[f"clever_attendance_{others[7]['district_id']}"].get_task("record")
    assert made.call_count == 2
    with pytest.raises(KeyError):
        dags["clever_attendance_nobody"]


def test_a_task_gets_the_very_dag_that_the_processor_has_stored() -> None:
    districts = [{"district_id": A, "name": "Birch", "night": "01:00-02:00"}, {"district_id": B, "dag_id": "b"}]
    stored_ones = attendance_dags(districts, defaults=LAKE)
    for dag_id in stored_ones:
        with starting_a_task(dag_id):
            (dag,) = attendance_dags(districts, defaults=LAKE).values()
        assert written(dag) == written(stored_ones[dag_id])


def test_a_task_minds_what_is_wrong_with_its_own_district_and_no_other() -> None:
    with starting_a_task(OF_A):
        wrong_elsewhere = [{"district_id": A}, {"district_id": B, "lookback": 3}, 5]
        assert list(attendance_dags(wrong_elsewhere, defaults=LAKE)) == [OF_A]
        assert attendance_dags([{"district_id": B}], defaults=LAKE) == {}
        with pytest.raises(CleverSettingsError, match="district 2: lookback"):
            attendance_dags([{"district_id": B}, {"district_id": A, "lookback": 3}], defaults=LAKE)
        with pytest.raises(CleverSettingsError, match=f"district 2: {OF_A} stands in the list already"):
            attendance_dags([{"district_id": A}, {"district_id": A}], defaults=LAKE)


def test_airflow_starts_a_task_with_one_dag_and_its_processor_reads_all(
    airflow_home: AirflowHome, tmp_path: Path
) -> None:
    counts = tmp_path / "counts"
    airflow_home.add_dag(ONE_OF_MANY % (LAKE, str(counts)))
    airflow_home.command("dags", "list", "--local", is_read_only=True)
    one = f"clever_attendance_{'65e' + '7'.zfill(21)}"
    airflow_home.command("tasks", "render", one, "plan", "2026-11-20", is_read_only=True)
    assert {*counts.read_text().split()} == {"300", "1"}


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
    with pytest.raises(AssertionError, match=r"airflow variables[\s|]+set clever_districts"):
        airflow_home.command("dags", "list-import-errors", "--local", is_read_only=True)


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
