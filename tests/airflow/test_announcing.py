"""What pulls announce, in real Airflow: the days that changed, in success, failure, retries and mapped tasks."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_clever.assets import landed_asset, ranges_from_text
from airflow_provider_clever.dates import days_of
from airflow_provider_clever.sandbox.testing import Sandbox
from tests.support.airflow import AirflowHome, DagOutcome
from tests.support.district_dag import district_dag
from tests.support.features import HAS_ASSET_PARTITIONS

ONE_PULL = """
from airflow.sdk import DAG
from airflow_provider_clever.operators.clever import CleverAttendanceOperator
with DAG("one_pull", schedule=None):
    CleverAttendanceOperator(task_id="pull", **{arguments})
"""
MAPPED = """
from airflow.sdk import DAG
from airflow_provider_clever.operators.clever import CleverAttendanceOperator, CleverListSchoolsOperator
with DAG("mapped", schedule=None):
    schools = CleverListSchoolsOperator(task_id="list_schools", batch_size=3)
    CleverAttendanceOperator.partial(task_id="pull", **{arguments}).expand(school_ids=schools.output)
"""
WITHOUT_A_PLAN = """
from airflow.sdk import DAG
from airflow_provider_clever.operators.clever import (
    CleverAttendanceAnnounceOperator, CleverAttendanceOperator, CleverListSchoolsOperator
)
arguments = {arguments}
with DAG("without_a_plan", schedule=None):
    schools = CleverListSchoolsOperator(task_id="list_schools", batch_size=3)
    pulls = CleverAttendanceOperator.partial(task_id="pull", announce=False, **arguments)
    announce = CleverAttendanceAnnounceOperator(
        task_id="announce", destination=arguments["destination"], plan_task_id=None
    )
    pulls.expand(school_ids=schools.output) >> announce.as_teardown()
"""
LOST_FIRST_TRY = """
from datetime import timedelta
from airflow.sdk import DAG
from airflow_provider_clever.operators.clever import CleverAttendanceOperator

def lose(context, result=None):
    if context["ti"].try_number == 1:
        raise RuntimeError("as if Airflow had not taken the event")

with DAG("lost", schedule=None):
    CleverAttendanceOperator(
        task_id="pull", retries=1, retry_delay=timedelta(0), post_execute=lose, **{arguments}
    )
"""


class Announcements:
    """Runs of DAGs that land at one place, and what they announced."""

    def __init__(self, sandbox: Sandbox, home: AirflowHome, folder: Path) -> None:
        sandbox.reset(today=str(datetime.now(UTC).date()), districts=["small"])
        self.sandbox, self.home = sandbox, home
        self.lake = (folder / "lake").as_uri()
        self.district = sandbox.district("small")
        self.name = landed_asset(self.lake, self.district.id).name
        last = date.fromisoformat(sandbox.today)
        self.range = {"date_range_start": str(last.replace(day=1)), "date_range_end": str(last)}

    def pull(self, source: str, **arguments: Any) -> DagOutcome:
        return self._run(source.format(arguments=repr(arguments)))

    def night(self) -> DagOutcome:
        return self._run(district_dag(district_id=self.district.id, destination=self.lake, timezone="UTC"))

    def _run(self, source: str) -> DagOutcome:
        outcome = self.home.run_dag(
            source,
            connections={"clever_default": self.sandbox.connection_json("small")},
            env={"AIRFLOW_VAR_LAKE": self.lake},
            logical_date=None,
        )
        assert {name for name, *_ in outcome.events} <= {self.name}
        return outcome

    def school_days(self, **query: Any) -> list[str]:
        return sorted({row["attendance_date"] for row in self.sandbox.expected("small", **query)})


@pytest.fixture
def announcements(sandbox: Sandbox, airflow_home: AirflowHome, tmp_path: Path) -> Announcements:
    return Announcements(sandbox, airflow_home, tmp_path)


def whole(outcome: DagOutcome) -> list[dict[str, Any]]:
    return [extra for *_, extra, partition in outcome.events if partition is None]


def partitions(outcome: DagOutcome) -> list[str]:
    return sorted(partition for *_, partition in outcome.events if partition is not None)


def days_in(event: dict[str, Any]) -> list[str]:
    return [str(day) for day in days_of(ranges_from_text(event["changed_days"]))]


def test_a_pull_announces_the_days_that_it_changed_and_nothing_when_nothing_changed(
    announcements: Announcements,
) -> None:
    arguments = {"destination": announcements.lake, "district_id": announcements.district.id, **announcements.range}

    first = announcements.pull(ONE_PULL, **arguments)
    again = announcements.pull(ONE_PULL, **arguments)
    announcements.sandbox.sync("small", edits=1)
    corrected = announcements.pull(ONE_PULL, **arguments)

    days, summary = announcements.school_days(**announcements.range), first.xcom("pull", "summary")
    (event,) = whole(first)
    assert days_in(event) == days
    assert event == {
        "district_id": announcements.district.id,
        "changed_days": event["changed_days"],
        "changed_rows": summary["added"],
        "receipts": summary["receipt"],
        "pulls": 1,
    }
    assert partitions(first) == (days if HAS_ASSET_PARTITIONS else [])
    assert (again.state, again.events) == ("success", [])
    assert "nothing, so there is no event" in again.log
    (event,) = whole(corrected)
    assert event["changed_rows"] == 1
    assert len(days_in(event)) == 1
    assert set(partitions(corrected)) <= {*days_in(event)}


def test_mapped_pulls_announce_at_a_place_that_only_a_template_knows(announcements: Announcements) -> None:
    outcome = announcements.pull(MAPPED, destination="{{ var.value.lake }}", **announcements.range)

    schools = sorted(announcements.district.schools.values())
    events = {index: extra for _, _, index, extra, _ in outcome.events}
    assert outcome.state == "success"
    assert {index: days_in(extra) for index, extra in events.items()} == {
        0: announcements.school_days(school_id=schools[:3], **announcements.range),
        1: announcements.school_days(school_id=schools[3:], **announcements.range),
    }
    assert partitions(outcome) == []


def test_a_pull_that_was_told_not_to_or_returns_rows_announces_nothing(announcements: Announcements) -> None:
    silent = announcements.pull(ONE_PULL, destination=announcements.lake, announce=False, **announcements.range)
    to_xcom = announcements.pull(ONE_PULL, attendance_status="tardy", **announcements.range)

    assert (silent.state, silent.events, to_xcom.state, to_xcom.events) == ("success", [], "success", [])


def test_a_night_is_announced_once_with_the_schools_that_landed_although_another_failed(
    announcements: Announcements,
) -> None:
    birch = announcements.district.schools["Birch Middle"]
    announcements.sandbox.fault("404", family="attendance", school_id=birch, times=0)

    outcome = announcements.night()

    others = [one for one in announcements.district.schools.values() if one != birch]
    assert outcome.state == "failed"
    assert outcome.tasks["announce", -1] == "success"
    assert "failed" in {state for (task, _), state in outcome.tasks.items() if task == "pull"}
    (event,) = whole(outcome)
    assert days_in(event) == announcements.school_days(school_id=others)
    assert partitions(outcome) == (days_in(event) if HAS_ASSET_PARTITIONS else [])
    assert {task for _, task, *_ in outcome.events} == {"announce"}


def test_a_pull_that_left_nothing_behind_may_have_changed_all_its_days(announcements: Announcements) -> None:
    # As after a kill: the last try leaves no summary, and what it has landed is in no receipt.
    announcements.sandbox.fault("401", family="attendance", times=0)

    outcome = announcements.night()

    planned = outcome.xcom("plan")
    (event,) = whole(outcome)
    assert (event["pulls"], event["receipts"]) == (0, "")
    assert days_in(event)[0] == min(one["date_range_start"] for one in planned)
    assert days_in(event)[-1] == max(one["date_range_end"] for one in planned)


def test_a_run_without_a_plan_announces_nothing(announcements: Announcements) -> None:
    announcements.sandbox.fault("401", times=0)

    outcome = announcements.night()

    assert (outcome.tasks["plan", -1], outcome.tasks["announce", -1]) == ("failed", "success")
    assert outcome.events == []


def test_without_a_plan_a_run_is_announced_once_too_and_fails_if_a_pull_failed(announcements: Announcements) -> None:
    birch = announcements.district.schools["Birch Middle"]
    announcements.sandbox.fault("404", family="attendance", school_id=birch, times=0)

    outcome = announcements.pull(WITHOUT_A_PLAN, destination=announcements.lake, **announcements.range)

    others = [one for one in announcements.district.schools.values() if one != birch]
    assert (outcome.state, outcome.tasks["announce", -1]) == ("failed", "success")
    (event,) = whole(outcome)
    assert (event["pulls"], event["district_id"]) == (2, announcements.district.id)
    assert days_in(event) == announcements.school_days(school_id=others, **announcements.range)


@pytest.mark.parametrize("killed", ["one pull", "every pull"])
def test_without_a_plan_a_pull_that_left_no_summary_may_have_changed_all_days_that_were_asked_for(
    announcements: Announcements, killed: str
) -> None:
    # As after a kill: no summary is left, and what has landed is in no receipt.
    school = {"school_id": announcements.district.schools["Birch Middle"]} if killed == "one pull" else {}
    announcements.sandbox.fault("401", family="attendance", times=0, **school)

    outcome = announcements.pull(WITHOUT_A_PLAN, destination=announcements.lake, **announcements.range)

    assert (outcome.state, outcome.tasks["announce", -1]) == ("failed", "success")
    (event,) = whole(outcome)
    assert event["pulls"] == (1 if school else 0)
    assert event["changed_days"] == "/".join(sorted({*announcements.range.values()}))
    assert f"{1 if school else 2} of 2 pulls left no summary" in outcome.log


def test_without_a_plan_nothing_is_announced_if_no_pull_began(announcements: Announcements) -> None:
    announcements.sandbox.fault("401", times=0)

    outcome = announcements.pull(WITHOUT_A_PLAN, destination=announcements.lake, **announcements.range)

    assert (outcome.tasks["list_schools", -1], outcome.tasks["announce", -1]) == ("failed", "success")
    assert (outcome.state, outcome.events) == ("failed", [])
    assert "no pull began" in outcome.log


def test_a_try_whose_event_was_lost_has_its_days_announced_by_the_next_one(announcements: Announcements) -> None:
    outcome = announcements.pull(LOST_FIRST_TRY, destination=announcements.lake, **announcements.range)

    assert (outcome.state, outcome.tries["pull", -1]) == ("success", 2)
    assert outcome.xcom("pull", "summary")["written"] == 0, "the second try found nothing to change"
    (event,) = whole(outcome)
    assert days_in(event) == announcements.school_days(**announcements.range)
