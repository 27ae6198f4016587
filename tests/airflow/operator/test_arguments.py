"""What an operator is made of: its arguments as they were given, and nothing that costs a DAG parse anything."""

import copy
import inspect
import subprocess
import sys
from datetime import date
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG
from pytest_mock import MockerFixture

from airflow_provider_clever.exceptions import CleverError, CleverStoppedError
from airflow_provider_clever.hooks.failures import failing_for_good
from airflow_provider_clever.operators.clever import CleverAttendanceOperator, CleverListSchoolsOperator
from airflow_provider_clever.sandbox.testing import Sandbox
from tests.support.dag_bag import stored
from tests.support.waits import Instance

GIVEN: dict[type[Any], dict[str, Any]] = {
    CleverAttendanceOperator: {
        "date_range_start": date(2026, 9, 1),
        "date_range_end": "{{ ds }}",
        "lookback_days": -1,
        "school_ids": ("../x",),
        "section_ids": "",
        "attendance_status": "no such status",
        "district_id": "",
        "clever_conn_id": "no such connection",
        "destination": "no-such-scheme://bucket",
        "file_format": "no such format",
        "max_xcom_records": 0,
        "max_concurrency": 0,
        "expected_requests": 0,
        "page_limit": 0,
        "max_span_days": 0,
        "fail_on_quarantine": False,
        "fail_on_withheld": False,
        "most_missing_percent": -1.0,
        "most_missing_percent_of_run": -1.0,
        "most_missing_students": -1,
        "confirm_seconds": -1.0,
        "listed_at": "no moment",
        "write_changes": True,
        "announce": "no flag",
        "single_writer": True,
    },
    CleverListSchoolsOperator: {"batch_size": 0, "district_id": "", "clever_conn_id": "no such connection"},
}
OPERATORS = pytest.mark.parametrize("operator", GIVEN, ids=lambda operator: operator.__name__)


def own_arguments(operator: type[Any]) -> set[str]:
    ours = [kind for kind in operator.__mro__ if kind.__module__.startswith("airflow_provider_clever.")]
    return {name for kind in ours for name in inspect.signature(kind.__init__).parameters} - {"self", "kwargs"}


@OPERATORS
def test_every_argument_is_kept_as_it_was_given(operator: type[Any]):
    assert GIVEN[operator].keys() == own_arguments(operator)

    made = operator(task_id="made", **GIVEN[operator])

    assert {name: getattr(made, name) for name in GIVEN[operator]} == GIVEN[operator]


@OPERATORS
def test_making_one_asks_nobody(operator: type[Any], mocker: MockerFixture, monkeypatch: pytest.MonkeyPatch):
    mocker.patch("socket.socket.connect", side_effect=AssertionError("a connection is opened"))
    mocker.patch("socket.getaddrinfo", side_effect=AssertionError("a name is looked up"))
    monkeypatch.delenv("AIRFLOW_CONN_CLEVER_DEFAULT", raising=False)

    assert operator(task_id="made").clever_conn_id == "clever_default"


@OPERATORS
def test_every_template_field_is_an_argument(operator: type[Any]):
    assert set(operator.template_fields) <= own_arguments(operator)


@OPERATORS
def test_one_can_be_copied_and_goes_through_a_serialized_dag(operator: type[Any]):
    with DAG("a_dag", schedule=None) as dag:
        made = operator(task_id="made")

    twin = copy.deepcopy(made)

    assert {name: getattr(twin, name) for name in own_arguments(operator)} == {
        name: getattr(made, name) for name in own_arguments(operator)
    }
    assert stored(dag).get_task("made").task_type == operator.__name__


def test_importing_the_operators_imports_nothing_heavy():
    heavy = ("requests", "aiohttp", "pyarrow")
    look = f"print(*[name for name in {heavy!r} if name in sys.modules])"
    make = "from airflow_provider_clever.operators.clever import CleverAttendanceOperator as C; C(task_id='made')"

    def imported_by(code: str) -> str:
        command = [sys.executable, "-c", f"import sys, airflow.sdk; {code}; {look}"]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout

    assert imported_by(make) == imported_by("airflow.sdk.BaseOperator; airflow.sdk.BaseHook")


def kinds(kind: type[CleverError]) -> list[type[CleverError]]:
    return [kind, *(one for below in kind.__subclasses__() for one in kinds(below))]


@pytest.mark.parametrize("kind", kinds(CleverError), ids=lambda kind: kind.__name__)
def test_an_error_that_no_retry_mends_fails_for_good_and_every_other_takes_its_retries(kind: type[CleverError]):
    error = kind.__new__(kind)
    Exception.__init__(error, "what happened, and what to do")

    with (
        pytest.raises((AirflowFailException, CleverError), match="what to do") as caught,
        failing_for_good(CleverListSchoolsOperator(task_id="made")),
    ):
        raise error

    assert (caught.type is AirflowFailException) == kind.permanent


def test_a_kill_that_comes_before_the_task_begins_is_not_lost(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AIRFLOW_CONN_CLEVER_DEFAULT", sandbox.connection_json("small"))
    operator = CleverAttendanceOperator(task_id="pull", date_range_start="2026-11-01", date_range_end="2026-11-02")
    operator.on_kill()

    with pytest.raises(CleverStoppedError):
        operator.execute({"dag_run": None})

    assert sandbox.counters()["total"] == 0


def test_a_try_that_failed_does_not_stop_the_next_one_of_the_same_object(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AIRFLOW_CONN_CLEVER_DEFAULT", sandbox.connection_json("small"))
    operator = CleverAttendanceOperator(task_id="pull", date_range_start="2026-11-16", date_range_end="2026-11-17")
    context = {"dag_run": None, "ti": Instance()}
    sandbox.fault("401", family="attendance", times=0)
    with pytest.raises(AirflowFailException):
        operator.execute(context)
    sandbox.clear_faults()

    rows = operator.execute(context)

    assert len(rows) == len(sandbox.expected("small", date_range_start="2026-11-16", date_range_end="2026-11-17")) > 0
