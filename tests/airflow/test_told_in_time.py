"""People are told once of each problem and once that it is over, over nights of real Airflow on a moved clock."""

import json
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.support.airflow import AirflowHome, DagOutcome, Night
from tests.support.district_dag import district_dag

CHICAGO = ZoneInfo("America/Chicago")
MONDAY = date(2026, 3, 2)  # clocks change on the Sunday after

NOTIFIER = """
import json
from pathlib import Path
from airflow.sdk import BaseNotifier

class File(BaseNotifier):
    template_fields = ("line",)

    def __init__(self, path, line="{{ alert.text }}", **kwargs):
        super().__init__(**kwargs)
        self.path, self.line = path, line

    def notify(self, context):
        if Path(self.path + ".broken").exists():
            raise ConnectionError("https://hooks.example/T00/secret refused")
        alert = context["alert"]
        with open(self.path, "a") as file:
            file.write(json.dumps([alert.cause, alert.is_recovery, self.line]) + "\\n")
"""


class Story:
    """A district that is to be in by 09:30 in Chicago; it uploads on school days in the evening."""

    def __init__(self, sandbox: Sandbox, home: AirflowHome, folder: Path) -> None:
        sandbox.reset(today="2026-03-01", districts=["small"])
        self.sandbox, self.home, self.folder = sandbox, home, folder
        self.district = sandbox.district("small")
        self.dag_id = f"clever_attendance_{self.district.id}"
        self.nights: list[Night] = []

    def day(self, offset: int, *before: tuple[str, str, Any], uploads: bool = True) -> None:
        """What happens until noon of a day: the evening before an upload, at 03:17 a pull, at 09:30 a look."""
        day = MONDAY + timedelta(days=offset)
        moves: list[tuple[str, str, Any]] = []
        if uploads and (day - timedelta(days=1)).weekday() < 5:
            evening = datetime.combine(day - timedelta(days=1), time(16, 45), CHICAGO)
            moves = [("POST", "clock", {"now": evening.isoformat()}), ("POST", "sync", {"district_id": "small"})]
        at_three, in_time = (datetime.combine(day, moment, CHICAGO) for moment in (time(3, 17), time(9, 30)))
        moves += [("POST", "clock", {"now": at_three.isoformat()}), *before]
        self.nights += [Night(at_three, moves), Night(in_time, [], f"{self.dag_id}_expected_by")]

    def run(self) -> list[DagOutcome]:
        source = district_dag(
            before=NOTIFIER,
            defaults=f"{{'on_problem': File({str(self.folder / 'told.jsonl')!r})}}",
            district_id=self.district.id,
            destination=(self.folder / "lake").as_uri(),
            timezone="America/Chicago",
            expected_by="09:30",
        )
        nights, self.nights = self.nights, []
        return self.home.run_nights(
            source,
            nights,
            dag_id=self.dag_id,
            sandbox_url=self.sandbox.url,
            connections={"clever_default": self.sandbox.connection_json("small")},
        )

    def told(self) -> list[tuple[str, bool, str]]:
        file = self.folder / "told.jsonl"
        return [tuple(json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []

    def causes(self) -> list[str]:
        """The messages in order, with a minus in front of one that says that a cause is over."""
        return ["-" * is_over + cause for cause, is_over, _ in self.told()]


@pytest.fixture
def story(sandbox: Sandbox, airflow_home: AirflowHome, tmp_path: Path) -> Story:
    return Story(sandbox, airflow_home, tmp_path)


def test_a_quiet_complete_week_with_a_weekend_and_a_change_of_the_clock_sends_nothing(story: Story) -> None:
    for offset in range(9):
        story.day(offset)
    outcomes = story.run()
    assert {one.state for one in outcomes} == {"success"}
    assert story.told() == []


def test_a_late_upload_a_school_that_stays_behind_and_coverage_that_falls_are_each_told_once(story: Story) -> None:
    birch = story.district.schools["Birch Middle"]
    refuse = ("POST", "faults", {"kind": "404", "family": "attendance", "school_id": birch, "times": 0})
    story.day(0)
    story.day(1, uploads=False)  # Tuesday: Monday's upload never came
    story.day(2, uploads=False)
    story.day(3)
    story.day(4, refuse)
    story.day(5)
    story.day(7)
    story.day(8, ("DELETE", "faults", None))
    outcomes = story.run()
    assert story.causes() == ["not_in", "-not_in", "schools_not_in", "falling", "-schools_not_in", "-falling"]
    assert [one.state for one in outcomes[1::2]] == ["success"] * 8, "who tells of it is not red"
    text = [line for _, _, line in story.told()]
    assert text[0].startswith(
        f"{story.district.name}: not in by 09:30\nNothing of Mon 2026-03-02 has landed for 5 schools"
    )
    assert "the district last uploaded at 2026-0" in text[0]
    assert f"Destination: {(story.folder / 'lake').as_uri()}" in text[0]
    assert "1 of 5 schools not in by 09:30" in text[2]
    assert "Birch Middle" in text[2]
    assert "coverage is falling: 1 school of 5" in text[3]
    assert "Clever answered 404" in text[3]


def test_silence_withheld_rows_and_a_growing_quarantine_are_each_told_once(story: Story) -> None:
    elm = story.district.schools["Elm Primary"]
    knobs = ("POST", "knobs")
    quiet = {"rows_withheld_schools": [elm], "rows_withheld_days": ["2026-03-03/2026-03-04"]}
    clear = {"rows_withheld_schools": [], "rows_withheld_days": []}
    broken_row = {"kind": "malformed_row", "family": "attendance", "defect": "missing_student_id", "times": 1}
    story.day(0)
    story.day(1)
    story.day(2, (*knobs, quiet))
    story.day(3)
    story.day(4)  # Friday: of Thursday it has rows again
    story.day(5, (*knobs, {**quiet, "rows_withheld_days": []}))
    story.day(6)
    story.day(7, (*knobs, clear))
    story.day(8, ("POST", "faults", broken_row))
    story.day(9)
    story.nights = story.nights[::2]  # the clock alone tells of none of these
    outcomes = story.run()
    assert story.causes() == ["silent", "-silent", "withheld", "-withheld", "quarantine", "-quarantine"], outcomes[
        -1
    ].log
    silent, _, withheld, _, set_aside, _ = (line for _, _, line in story.told())
    assert "Elm Primary: no rows of Tue 2026-03-03, while 4 schools of the district have some." in silent
    assert "rows of 1 school did not come back" in withheld
    assert "1 row more in quarantine" in set_aside
    assert [one.state for one in outcomes[:6]] == [*["success"] * 5, "failed"]


def test_days_about_to_be_lost_are_told_of_fourteen_seven_and_three_days_before(story: Story) -> None:
    birch = story.district.schools["Birch Middle"]
    refuse = ("POST", "faults", {"kind": "404", "family": "attendance", "school_id": birch, "times": 0})
    story.day(0)
    story.day(160, refuse)  # nobody pulled for months; what came after the first day leaves Clever from day 184 on
    for offset in (170, 171, 177, 178, 181, 182):
        story.day(offset)
    story.day(183, ("DELETE", "faults", None))
    story.nights = story.nights[::2]
    story.run()
    expiring = [(is_over, line) for cause, is_over, line in story.told() if cause == "expiring"]
    assert [line.splitlines()[0].partition(": ")[2] for _, line in expiring] == [
        "days are lost in 14 days",
        "days are lost in 7 days",
        "days are lost in 3 days",
        "no days are about to be lost any more",
    ]


def test_a_notifier_that_raises_hides_nothing_spoils_nothing_and_is_tried_again(story: Story) -> None:
    elm = story.district.schools["Elm Primary"]
    broken = story.folder / "told.jsonl.broken"
    broken.touch()
    story.day(0)
    story.day(1, ("POST", "knobs", {"rows_withheld_schools": [elm]}))
    story.day(2, uploads=False)
    *_, red, _, green, look = story.run()
    assert (red.state, green.state, look.state) == ("failed", "success", "failed"), "who only tells may fail"
    assert story.told() == []
    (last,) = [line for line in red.log.splitlines() if "record failed for district" in line]
    problem, _, untold = last.partition("File could not be told")
    assert "Rows that had landed did not come back" in problem
    assert "Correct the notifier or its connection; the message is sent again the next time." in untold
    assert "the next time. What has landed is as it was." in green.log
    assert "tell failed for district" in look.log
    assert "secret" not in look.log

    broken.unlink()
    story.day(3, uploads=False)
    story.run()
    assert story.causes() == ["not_in", "withheld"], "the run at 03:17 finds that 09:30 of the day before was missed"
