"""Plan, pull and record in real Airflow: a night that works, one in which schools fail, and one of certain days."""

import gzip
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_clever.dates import DateRange
from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.operators.plan import asked_days
from airflow_provider_clever.sandbox.testing import Sandbox
from airflow_provider_clever.windows import RunFacts
from tests.support.airflow import AirflowHome, DagOutcome
from tests.support.district_dag import district_dag


class Nightly:
    """A district's DAG in an Airflow home of its own."""

    def __init__(self, sandbox: Sandbox, home: AirflowHome, folder: Path) -> None:
        self.today = datetime.now(UTC).date()
        sandbox.reset(today=self.today.isoformat(), districts=["small"])
        self.sandbox, self.home, self.lake = sandbox, home, folder / "lake"
        self.district = sandbox.district("small")
        self.dag_id = f"clever_attendance_{self.district.id}"

    def run(self, **options: Any) -> DagOutcome:
        settings = {
            "district_id": self.district.id,
            "destination": f"file://{self.lake}",
            "file_format": "jsonl",
            **options.pop("settings", {}),
        }
        return self.home.run_dag(
            district_dag(**settings),
            dag_id=self.dag_id,
            connections={"clever_default": self.sandbox.connection_json("small")},
            **options,
        )

    def landed(self) -> int:
        paths = self.lake.glob("attendance/**/*.jsonl.gz")
        return sum(len(gzip.decompress(path.read_bytes()).splitlines()) for path in paths)

    def bytes(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in self.lake.glob("attendance/**/*") if path.is_file()}

    def coverage(self) -> dict[str, Any]:
        path = self.lake / f"_clever/district={self.district.id}/coverage.json"
        found: dict[str, Any] = json.loads(path.read_text())
        return found


@pytest.fixture
def nightly(sandbox: Sandbox, airflow_home: AirflowHome, tmp_path: Path) -> Nightly:
    return Nightly(sandbox, airflow_home, tmp_path)


def test_a_first_night_lands_everything_and_a_second_one_has_nothing_to_do(nightly: Nightly) -> None:
    first = nightly.run()
    assert first.state == "success", first.log[-3000:]
    assert nightly.landed() == nightly.sandbox.expected_count("small")["total"]
    summary = first.xcom("record", "summary")
    assert (summary["gaps"], summary["schools_landed"], summary["schools_failed"]) == (0, 5, [])
    assert summary["watermark"] == first.xcom("plan", "summary")["last_sync"]
    assert summary["newest_day"] is not None
    assert nightly.coverage()["watermark"] == summary["watermark"]
    landed = nightly.bytes()

    second = nightly.run()
    assert second.state == "success"
    assert second.xcom("plan") == []
    assert second.tasks["pull", -1] == "skipped"
    assert nightly.bytes() == landed


def test_a_school_that_fails_makes_the_run_fail_by_name_and_the_next_night_heals_it(nightly: Nightly) -> None:
    birch = nightly.district.schools["Birch Middle"]
    cedar = nightly.district.schools["Cedar High"]
    nightly.sandbox.share(cedar, shared=False)
    nightly.sandbox.fault("404", family="attendance", school_id=birch, times=0)
    failed = nightly.run()
    assert failed.state == "failed"
    assert failed.tasks["record", -1] == "failed"
    summary = failed.xcom("record", "summary")
    assert birch in {school["school_id"] for school in summary["schools_failed"]}
    assert f"Birch Middle ({birch})" in failed.log
    assert "The next run asks for these days again" in failed.log
    assert "about to be lost" in failed.log

    nightly.sandbox.clear_faults()
    nightly.sandbox.share(cedar)
    healed = nightly.run()
    assert healed.state == "success"
    assert nightly.landed() == nightly.sandbox.expected_count("small")["total"]
    assert healed.xcom("record", "summary")["gaps"] == 0


def test_a_token_that_is_revoked_before_the_plan_fails_the_run_although_its_last_task_always_runs(
    nightly: Nightly,
) -> None:
    nightly.sandbox.fault("401", times=0)
    failed = nightly.run()
    assert failed.state == "failed"
    assert failed.tasks["plan", -1] == "failed"
    assert failed.tasks["record", -1] == "failed"


def test_dates_in_the_trigger_form_are_pulled_whether_they_are_covered_or_not(nightly: Nightly) -> None:
    day = nightly.today - timedelta(days=3)
    params = {"date_range_start": str(day), "date_range_end": str(nightly.today)}
    found = nightly.run(run_conf=params)
    assert found.state == "success", found.log[-3000:]
    (task,) = found.xcom("plan")
    assert (task["date_range_start"], task["date_range_end"], len(task["school_ids"])) == (
        str(day),
        str(nightly.today),
        5,
    )
    # Other days are due as well, and about to be lost; that is not this run's affair.
    assert found.xcom("record", "summary")["about_to_be_lost"]
    again = nightly.run(run_conf=params)
    assert again.xcom("plan") == [task]


def test_only_scheduled_runs_wait_for_a_new_sync(nightly: Nightly) -> None:
    nightly.run()
    waited = nightly.run(settings={"wait_for_sync": True})
    assert waited.state == "success", waited.log[-3000:]
    assert waited.tasks["wait_for_sync", -1] == "success"
    assert waited.tasks["plan", -1] == "success"


NIGHT = datetime(2026, 11, 18, 10, 27, tzinfo=UTC)
DAY = DateRange(date(2026, 11, 18), date(2026, 11, 18))


@pytest.mark.parametrize(
    "facts, asked",
    [
        (RunFacts(run_type="backfill", data_interval_start=NIGHT, data_interval_end=NIGHT), DAY),
        (RunFacts(run_type="scheduled", data_interval_start=NIGHT, data_interval_end=NIGHT), None),
        (RunFacts(run_type="manual"), None),
        (RunFacts(params={"date_range_start": None, "date_range_end": None}, logical_date=NIGHT), None),
        (RunFacts(params={"date_range_start": "2026-11-18", "date_range_end": "2026-11-18"}), DAY),
        (RunFacts(partition_key="2026-11-18"), DAY),
        (RunFacts(partition_key="no day"), None),
        (RunFacts(asset_events=({"district_id": "d", "last_attendance_sync": "2026-11-18T01:00:00Z"},)), None),
    ],
)
def test_only_runs_that_name_days_ask_for_them(facts: RunFacts, asked: DateRange | None) -> None:
    assert asked_days(facts) == asked


def test_a_run_that_names_one_date_only_is_told_so() -> None:
    with pytest.raises(CleverSettingsError, match="date_range_end is missing"):
        asked_days(RunFacts(params={"date_range_start": "2026-11-18"}, logical_date=NIGHT))
