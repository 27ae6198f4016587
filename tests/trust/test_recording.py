"""The task that judges a run goes by what the plan has left, and is not green when that is gone or is no plan."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_clever.exceptions import CleverError
from airflow_provider_clever.ledger.coverage import Coverage
from airflow_provider_clever.ledger.coverage_json import CoverageFile, to_json
from airflow_provider_clever.ledger.coverage_store import coverage_path
from airflow_provider_clever.operators.clever import (
    CleverAttendanceCoverageOperator,
    CleverAttendanceOperator,
    CleverAttendancePlanOperator,
)
from airflow_provider_clever.sandbox.testing import Sandbox
from tests.support.outlet_events import OutletEvents
from tests.support.waits import AfterAPlan

PULLS = [{"school_ids": ["a"], "date_range_start": "2026-11-16", "date_range_end": "2026-11-17"}]


@pytest.fixture
def record(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Run the recording task of a run whose plan has left this."""
    monkeypatch.setenv("AIRFLOW_CONN_CLEVER_DEFAULT", sandbox.connection_json("small"))

    def record(summary: Any, pulls: Any, pulled: Any = None) -> Any:
        ti = AfterAPlan()
        ti.left = {("plan", "summary"): summary, ("plan", "return_value"): pulls, ("pull", "summary"): pulled}
        run = SimpleNamespace(logical_date=datetime(2026, 11, 17, tzinfo=UTC), run_type="manual")
        task = CleverAttendanceCoverageOperator(
            task_id="record", destination=(tmp_path / "lake").as_uri(), today="2020-01-01", timezone="UTC"
        )
        return task.execute({"dag_run": run, "ti": ti})

    return record


def summary(sandbox: Sandbox, tasks: int) -> dict[str, Any]:
    return {"district_id": sandbox.district("small").id, "tasks": tasks, "asked_for": True}


def test_a_plan_of_which_nothing_was_due_is_well(record: Any, sandbox: Sandbox) -> None:
    assert record(summary(sandbox, 0), [])["schools_planned"] == 0


@pytest.mark.parametrize("pulls", [None, [], PULLS[:1]], ids=["gone", "empty", "in part"])
def test_a_plan_whose_pulls_are_gone_from_xcom_is_not_green(record: Any, sandbox: Sandbox, pulls: Any) -> None:
    with pytest.raises(AirflowFailException, match=r"planned 2 pulls, and XCom knows [01] of them"):
        record(summary(sandbox, 2), pulls)


@pytest.mark.parametrize(
    ("left", "pulls"),
    [
        ("a text", PULLS),
        (5, PULLS),
        ({}, "a text"),
        ({}, 5),
        ({}, [5]),
        ({}, {"x": 1}),
        ({}, [{"school_ids": ["a"]}]),
        ({}, [{**PULLS[0], "date_range_start": "yesterday"}]),
        ({}, [{**PULLS[0], "date_range_end": None}]),
        ({}, [{**PULLS[0], "school_ids": None}]),
    ],
)
def test_what_is_no_plan_is_told_for_good(record: Any, left: Any, pulls: Any) -> None:
    with pytest.raises(AirflowFailException, match="What task plan left in XCom is no plan"):
        record(left, pulls)


def test_a_list_of_schools_that_cannot_be_read_in_passing_is_read_by_the_next_try(
    record: Any, sandbox: Sandbox
) -> None:
    sandbox.fault("503", family="schools", times=0)
    with pytest.raises(CleverError, match="list of schools could not be read"):
        record(summary(sandbox, 0), [])
    sandbox.clear_faults()
    assert record(summary(sandbox, 0), [])["schools"] > 0


def test_a_pull_that_has_landed_does_not_fail_for_a_zone_in_the_ledger_that_this_machine_does_not_know(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CLEVER_DEFAULT", sandbox.connection_json("small"))
    district_id = sandbox.district("small").id
    file = tmp_path / "lake" / coverage_path(district_id)
    file.parent.mkdir(parents=True)
    file.write_bytes(to_json(CoverageFile(Coverage(district_id, timezone="Mars/Olympus"))))
    days = {"date_range_start": "2026-11-16", "date_range_end": "2026-11-17"}
    task = CleverAttendanceOperator(task_id="pull", destination=(tmp_path / "lake").as_uri(), max_concurrency=2, **days)
    run = SimpleNamespace(logical_date=datetime(2026, 11, 17, tzinfo=UTC), run_type="manual")
    context: Any = {"dag_run": run, "ti": AfterAPlan(), "outlet_events": OutletEvents()}
    assert task.execute(context)["rows"] == len(sandbox.expected("small", **days))


SLIPS = [
    ("0001-01-01", "2026-11-17"),
    ("2026-11-16", "9999-12-31"),
    ("9999-12-31", "9999-12-31"),
    ("1970-01-01", "1970-01-01"),
]


@pytest.mark.parametrize("operator", [CleverAttendanceOperator, CleverAttendancePlanOperator])
@pytest.mark.parametrize("days", SLIPS, ids=" to ".join)
def test_days_that_no_calendar_of_ours_has_are_told_for_good_before_clever_is_asked(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, operator: Any, days: tuple[str, str]
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CLEVER_DEFAULT", sandbox.connection_json("small"))
    run = SimpleNamespace(logical_date=datetime(2026, 11, 17, tzinfo=UTC), run_type="manual")
    params = {"date_range_start": days[0], "date_range_end": days[1]}
    task = operator(task_id="pull", destination=(tmp_path / "lake").as_uri())
    with pytest.raises(AirflowFailException, match="lies outside of 2000 to 2199"):
        task.execute({"dag_run": run, "ti": AfterAPlan(), "params": params})
    assert sandbox.counters()["total"] == 0


@pytest.mark.parametrize("operator", [CleverAttendanceCoverageOperator, CleverAttendancePlanOperator])
@pytest.mark.parametrize("today", ["0001-01-01", "9999-12-31"])
def test_a_today_that_no_calendar_of_ours_has_is_told_for_good(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, operator: Any, today: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CLEVER_DEFAULT", sandbox.connection_json("small"))
    run = SimpleNamespace(logical_date=datetime(2026, 11, 17, tzinfo=UTC), run_type="manual")
    task = operator(task_id="judge", destination=(tmp_path / "lake").as_uri(), timezone="UTC", today=today)
    with pytest.raises(AirflowFailException, match="lies outside of 2000 to 2199"):
        task.execute({"dag_run": run, "ti": AfterAPlan()})
