"""Arguments of a type that nobody meant: an error of ours that names the argument, on the first try."""

import inspect
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException, AirflowSensorTimeout

from airflow_provider_clever.exceptions import CleverError
from airflow_provider_clever.operators.clever import (
    CleverAttendanceCoverageOperator,
    CleverAttendanceOperator,
    CleverAttendancePlanOperator,
    CleverListSchoolsOperator,
)
from airflow_provider_clever.sandbox.testing import Sandbox
from airflow_provider_clever.sensors.clever import CleverAttendanceSyncSensor
from tests.support.airflow import AirflowHome
from tests.support.outlet_events import OutletEvents
from tests.support.waits import AfterAPlan

OPERATORS = (
    CleverAttendanceOperator,
    CleverListSchoolsOperator,
    CleverAttendancePlanOperator,
    CleverAttendanceCoverageOperator,
    CleverAttendanceSyncSensor,
)
DATES = {"date_range_start": "2026-11-16", "date_range_end": "2026-11-17"}
MOMENT = datetime(2026, 11, 16, tzinfo=UTC)
ODD = (65000, 10**200, 2.5, True, None, "None", " ", "\ud800", b"x", [], [None], {"x": 1}, MOMENT, object())
"""What comes out of native templates, YAML, Variables and slips."""


def own_arguments(operator: type[Any]) -> list[str]:
    """The arguments of an operator that are not Airflow's."""
    classes = [one for one in operator.__mro__ if one.__module__.startswith("airflow_provider_clever")]
    names = {name for one in classes if "__init__" in vars(one) for name in inspect.signature(one).parameters}
    return sorted(names - {"kwargs"})


CASES = [(operator, name) for operator in OPERATORS for name in own_arguments(operator)]


@pytest.fixture
def context(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """The context of a task that may reach the sandbox; it stands in an empty folder, which stays empty."""
    monkeypatch.setenv("AIRFLOW_CONN_CLEVER_DEFAULT", sandbox.connection_json("small"))
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    run = SimpleNamespace(logical_date=datetime(2026, 11, 17, tzinfo=UTC), run_type="manual")
    yield {"dag_run": run, "ti": AfterAPlan(), "outlet_events": OutletEvents()}
    assert list(here.iterdir()) == []


def made(operator: type[Any], lake: Path, **arguments: Any) -> Any:
    """An operator that would succeed, but for the arguments."""
    needed: dict[str, Any] = {"task_id": "made"}
    if operator is CleverAttendanceOperator:
        needed |= DATES | {"destination": lake.as_uri(), "max_concurrency": 2}
    elif operator in (CleverAttendancePlanOperator, CleverAttendanceCoverageOperator):
        needed |= {"destination": lake.as_uri(), "today": "2026-11-23"}
    elif operator is CleverAttendanceSyncSensor:
        needed |= {"timeout": 0.01, "poke_interval": 0.01, "since": "2026-01-01T00:00:00Z", "deferrable": False}
    return operator(**needed | arguments)


OURS = (type(None), CleverError, AirflowFailException, AirflowNotFoundException, AirflowSensorTimeout)
"""How a task may end: well, with an error of ours, without its connection, or at the end of a wait."""


def _error_of(operator: type[Any], arguments: dict[str, Any], context: dict[str, Any], lake: Path) -> Exception | None:
    try:
        made(operator, lake, **arguments).execute(context)
    except Exception as error:  # noqa: BLE001 - of what kind it is is what is tested
        return error
    return None


@pytest.mark.parametrize(("operator", "name"), CASES, ids=lambda one: getattr(one, "__name__", one))
def test_no_value_of_an_argument_comes_out_as_an_error_that_is_not_ours(
    operator: type[Any], name: str, context: dict[str, Any], tmp_path: Path
) -> None:
    raw = {}
    for number, value in enumerate(ODD):
        error = _error_of(operator, {name: value}, context, tmp_path / f"lake{number}")
        if not isinstance(error, OURS) or not str(error).isprintable():
            raw[ascii(value)] = ascii(error)
    assert raw == {}


@pytest.mark.parametrize(
    ("operator", "name", "value", "words"),
    [
        (CleverAttendanceOperator, "school_ids", 65000, "school_ids is 65000, and must be an id or a list .*native"),
        (CleverAttendanceOperator, "school_ids", 650000.0, "school_ids is 650000.0, .*native"),
        (CleverAttendanceOperator, "school_ids", ["a", None], "school_ids holds an empty id"),
        (CleverAttendanceOperator, "school_ids", ["a", 5], "school_ids holds 5, and must be text"),
        (CleverAttendanceOperator, "school_ids", {"a": 1}, "school_ids is of type dict"),
        (CleverAttendanceOperator, "section_ids", True, "section_ids is True"),
        (CleverAttendanceOperator, "district_id", 65000, "district_id is 65000, and must be text"),
        (CleverAttendanceOperator, "district_id", False, "district_id is False"),
        (CleverAttendanceOperator, "attendance_status", [], "attendance_status is of type list"),
        (CleverAttendanceOperator, "clever_conn_id", None, "clever_conn_id is None"),
        (CleverAttendanceOperator, "date_range_start", MOMENT, "date_range_start is a moment"),
        (CleverAttendanceOperator, "max_concurrency", "16", "max_concurrency is of type str, .* a whole number"),
        (CleverAttendanceOperator, "max_concurrency", True, "max_concurrency is True"),
        (CleverAttendanceOperator, "max_xcom_records", 0, "max_xcom_records is 0, .*at least 1"),
        (CleverAttendanceOperator, "fail_on_quarantine", "False", "fail_on_quarantine is of type str.*True or False"),
        (CleverAttendanceOperator, "single_writer", "no", "single_writer is of type str"),
        (CleverAttendanceOperator, "file_format", [], "file_format is of type list"),
        (CleverListSchoolsOperator, "batch_size", "25", "batch_size is of type str"),
        (CleverAttendancePlanOperator, "sweep_weekday", 6, "sweep_weekday is 6"),
        (CleverAttendancePlanOperator, "lookback_days", 14.0, "lookback_days is 14.0"),
        (CleverAttendancePlanOperator, "today", MOMENT, "today is a moment, not a date"),
        (CleverAttendanceCoverageOperator, "timezone", 5, "timezone is 5"),
        (CleverAttendanceCoverageOperator, "plan_task_id", None, "plan_task_id is None"),
        (CleverAttendanceSyncSensor, "since", 5, "since is 5, no moment"),
        (CleverAttendanceSyncSensor, "district_id", 5, "district_id is 5"),
        (CleverAttendanceSyncSensor, "on_paused", [], "on_paused is of type list"),
    ],
)  # fmt: skip
def test_the_argument_is_named_at_once_and_for_good(
    operator: type[Any], name: str, value: object, words: str, context: dict[str, Any], tmp_path: Path, sandbox: Sandbox
) -> None:
    with pytest.raises((AirflowFailException, CleverError), match=words) as told:
        made(operator, tmp_path / "lake", **{name: value}).execute(context)
    assert getattr(told.value, "permanent", True)
    assert sandbox.counters()["total"] == 0


def test_an_argument_that_is_wrong_does_not_hide_another_one(context: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(AirflowFailException, match=r"school_ids is 5.*; max_concurrency is 0"):
        made(CleverAttendanceOperator, tmp_path / "lake", school_ids=5, max_concurrency=0).execute(context)


NATIVE = """
from datetime import timedelta
from airflow.sdk import DAG
from airflow_provider_clever.operators.clever import CleverAttendanceOperator

with DAG(
    "native", schedule=None, render_template_as_native_obj=True,
    default_args={"retries": 3, "retry_delay": timedelta(seconds=1)},
):
    for task_id, school_ids in {
        "a_number": "{{ dag_run.conf['number'] }}",
        "a_float": "6500e0",
        "nothing": "{{ none }}",
        "a_list": "{{ ['" + "a" * 24 + "', none] }}",
        "a_generator": "{{ ['" + "a" * 24 + "'] | select }}",
    }.items():
        CleverAttendanceOperator(
            task_id=task_id, school_ids=[school_ids] if task_id == "nothing" else school_ids,
            date_range_start="2026-11-16", date_range_end="2026-11-17",
        )
"""


def test_ids_that_native_templates_made_something_else_fail_on_the_first_try(
    sandbox: Sandbox, airflow_home: AirflowHome
) -> None:
    done = airflow_home.run_dag(
        NATIVE,
        connections={"clever_default": sandbox.connection_json("small")},
        run_conf={"number": "111111111111111111111111"},
    )
    assert set(done.tasks.values()) == {"failed"}
    assert set(done.tries.values()) == {1}
    assert sandbox.counters()["total"] == 0
    for words in (
        "school_ids is 111111111111111111111111",
        "school_ids is 6500.0",
        "school_ids holds an empty id",
        "school_ids is of type generator",
    ):
        assert words in done.log
