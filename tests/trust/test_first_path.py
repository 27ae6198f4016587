"""What the README tells people to use loses nothing, in real Airflow on a moved clock: outages, refusals, triggers."""

import json
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.demo import lake_beside_due, rows_that_differ
from tests.support.airflow import AirflowHome, DagOutcome, Night
from tests.support.district_dag import district_dag

START = date(2026, 3, 2)  # a Monday


class Story:
    """A district's DAG as the factory makes it, and nights of it."""

    def __init__(self, sandbox: Sandbox, home: AirflowHome, folder: Path) -> None:
        sandbox.reset(today=START.isoformat(), districts=["small"])
        self.sandbox, self.home, self.folder = sandbox, home, folder
        self.district = sandbox.district("small")

    def night(self, offset: int, *before: tuple[str, str, Any], edits: int = 0, weeks: int = 3) -> Night:
        """The night so many days after the start; the district uploads before it, day by day since the last one."""
        moment = datetime.combine(START + timedelta(days=offset), time(23), UTC)
        upload = {"district_id": "small", "edits": edits, "weeks": weeks}
        moves = [("POST", "clock", {"now": moment.isoformat()}), ("POST", "sync", upload)]
        return Night(moment, [*moves, *before] if offset else list(before))

    def run(self, *nights: Night) -> list[DagOutcome]:
        return self.home.run_nights(
            district_dag(district_id=self.district.id, destination=(self.folder / "lake").as_uri()),
            nights,
            dag_id=f"clever_attendance_{self.district.id}",
            sandbox_url=self.sandbox.url,
            connections={"clever_default": self.sandbox.connection_json("small")},
        )

    def different(self, *, without_school: str = "") -> int:
        """Count the rows, of days that Clever still has, that stand live in the lake or are due, but not both."""
        due = [row for row in self.sandbox.iter_expected("small") if row["school_id"] != without_school]
        assert due
        database = lake_beside_due(self.folder / "lake", due, self.folder / "due.jsonl")
        kept = f"WHERE attendance_date >= '{self.sandbox.first_visible_day}' AND school_id <> '{without_school}'"
        database.execute(f"CREATE TABLE live AS FROM landed {kept}")
        database.execute("CREATE OR REPLACE VIEW landed AS FROM live")
        return rows_that_differ(database)

    def status(self, today: date) -> tuple[int, dict[str, Any]]:
        """What `clever-attendance status` says."""
        options = [str(self.folder / "lake"), "--today", str(today), "--json"]
        done = subprocess.run(
            [sys.executable, "-m", "airflow_provider_clever.cli", "status", *options],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        (found,) = json.loads(done.stdout)
        return done.returncode, found


@pytest.fixture
def story(sandbox: Sandbox, airflow_home: AirflowHome, tmp_path: Path) -> Story:
    return Story(sandbox, airflow_home, tmp_path)


def test_outages_of_fifteen_and_of_twenty_five_days_lose_nothing(story: Story) -> None:
    nights = [story.night(offset, edits=edits) for offset, edits in ((0, 0), (1, 3), (16, 10), (17, 0), (42, 20))]
    outcomes = story.run(*nights)
    assert [one.state for one in outcomes] == ["success"] * len(nights), outcomes[-1].log[-3000:]
    assert story.different() == 0
    code, found = story.status(START + timedelta(days=42))
    assert (code, found["gaps"], found["lost"]) == (0, 0, [])


def test_a_school_that_is_listed_and_refused_for_34_weeks_is_red_every_time_and_whole_again_afterwards(
    story: Story,
) -> None:
    birch = story.district.schools["Birch Middle"]
    refuse = ("POST", "faults", {"kind": "404", "family": "attendance", "school_id": birch, "times": 0})
    weeks = (1, 2, 12, 27, 34)
    refused = [story.night(7 * week, *([refuse] if week == 1 else [])) for week in weeks]
    healed = [story.night(7 * 34 + 1, ("DELETE", "faults", None)), story.night(7 * 34 + 2)]
    outcomes = story.run(story.night(0), *refused, *healed)
    refusals = outcomes[1 : 1 + len(weeks)]

    assert [one.state for one in outcomes] == ["success", *["failed"] * len(weeks), "success", "success"]
    for one in refusals:
        summary = one.xcom("record", "summary")
        (failed,) = summary["schools_failed"]
        assert (failed["school_id"], summary["schools_gone"]) == (birch, [])
        assert summary["gaps"] > 0
        assert f"last pulled to its end on {START}" in failed["words"]
    assert refusals[-1].xcom("record", "summary")["lost"][0]["school_id"] == birch
    assert outcomes[-2].xcom("record", "summary")["gaps"] == 0
    assert story.different() == 0
    _, found = story.status(START + timedelta(days=7 * 34 + 2))
    assert (found["gaps"], found["failing"], found["gone"]) == (0, [], [])
    assert [school["school_id"] for school in found["lost"]] == [birch]  # what Clever forgot meanwhile stays named


@pytest.fixture
def today(sandbox: Sandbox) -> date:
    """The present day, in the sandbox too: a run that is triggered is about it."""
    today = datetime.now(UTC).date()
    sandbox.reset(today=today.isoformat(), districts=["small"])
    return today


# --- the plain operator -----------------------------------------------------------------------------------------------

PLAIN = """
from airflow.sdk import DAG
from airflow_provider_clever.operators.clever import CleverAttendanceOperator

with DAG("plain", schedule=None):
    CleverAttendanceOperator(task_id="land", destination={lake!r}, file_format="jsonl", **{arguments!r})
"""


def plain(sandbox: Sandbox, home: AirflowHome, lake: Path, **arguments: Any) -> DagOutcome:
    source = PLAIN.format(lake=lake.as_uri(), arguments=arguments)
    return home.run_dag(source, connections={"clever_default": sandbox.connection_json("small")}, logical_date=None)


def test_the_plain_operator_says_what_it_does_not_watch_and_warns_of_days_about_to_be_lost(
    sandbox: Sandbox, airflow_home: AirflowHome, tmp_path: Path, today: date
) -> None:
    lake = tmp_path / "lake"
    first = plain(sandbox, airflow_home, lake)
    assert first.state == "success"
    assert "This task pulls its own days alone" in first.log
    assert "about to be lost" not in first.log  # nobody keeps a ledger here
    small = sandbox.district("small")
    recording = district_dag(district_id=small.id, destination=lake.as_uri(), file_format="jsonl")
    recorded = airflow_home.run_dag(
        recording,
        dag_id=f"clever_attendance_{small.id}",
        run_conf={"date_range_start": str(today), "date_range_end": str(today)},
        connections={"clever_default": sandbox.connection_json("small")},
    )
    assert recorded.state == "success", recorded.log[-3000:]
    assert "This task pulls its own days alone" not in recorded.log  # the plan watches over the rest
    second = plain(sandbox, airflow_home, lake)
    assert second.state == "success"
    assert "Days are about to be lost, and this task does not see to them" in second.log
    assert "Alder Elementary" in second.log


@pytest.mark.parametrize("when", ["in the future", "forgotten"])
def test_a_run_that_asks_only_for_days_that_cannot_be_pulled_is_red_and_says_why(
    sandbox: Sandbox, airflow_home: AirflowHome, tmp_path: Path, today: date, when: str
) -> None:
    day = str(today + timedelta(days=30 if when == "in the future" else -400))
    words = f"{day} lies in the future" if when == "in the future" else f"Clever has forgotten {day}"
    dates = {"date_range_start": day, "date_range_end": day}
    found = plain(sandbox, airflow_home, tmp_path / "plain", **dates)
    assert found.state == "failed"
    assert words in found.log
    small = sandbox.district("small")
    planned = airflow_home.run_dag(
        district_dag(district_id=small.id, destination=(tmp_path / "lake").as_uri()),
        dag_id=f"clever_attendance_{small.id}",
        run_conf=dates,
        connections={"clever_default": sandbox.connection_json("small")},
    )
    assert planned.state == "failed"
    assert planned.tasks["plan", -1] == "failed"
    assert f"Nothing of what was asked for can be pulled: {words}" in planned.log


def test_a_sync_in_mid_pull_makes_no_run_red_and_its_days_due_again(story: Story) -> None:
    # Two replicas show the two newest stamps in turn: neither is the one that the night before has seen.
    later = datetime.combine(START + timedelta(days=1), time(23, 10), UTC).isoformat()
    second_sync = [("POST", "clock", {"now": later}), ("POST", "sync", {"district_id": "small"})]
    two_stamps, one_stamp = (("POST", "knobs", {"stamp_replicas": replicas}) for replicas in (2, 1))
    nights = (
        story.night(0),
        story.night(1, *second_sync, two_stamps, edits=3, weeks=1),
        story.night(2, one_stamp),
    )
    outcomes = story.run(*nights)
    pulled = outcomes[1].xcom("pull", "summary", 0)
    assert pulled["sync_before"] != pulled["sync_after"]
    assert [one.state for one in outcomes] == ["success"] * 3, outcomes[1].log[-3000:]
    assert outcomes[2].xcom("plan", "summary")["days_due"]
    assert story.different() == 0
