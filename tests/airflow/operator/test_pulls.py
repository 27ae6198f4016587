"""The operators in real Airflow: what they return, what they land, and which way each kind of trouble ends."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.support.airflow import AirflowHome, DagOutcome
from tests.support.asking import due, files, landed

DATES = {"date_range_start": "2026-06-01", "date_range_end": "2026-11-23"}
ROWS_ALLOWED = 5_000
TOTALS = {
    *("rows", "partitions", "written", "unchanged", "added", "changed", "stale", "missing", "returned", "expired"),
    *("quarantined", "conflicts", "requests", "seconds"),
}
FACTS = {
    *("sync_before", "sync_after", "newest_attendance_date"),
    *("schools_failed", "schools_gone", "schools_empty", "receipt"),
}

# Tasks of one run, each about a district of its own, so that each meets its own trouble. A try of a task takes about
# half a second, starting a run five.
DAG = dedent(
    """
    from datetime import timedelta

    from airflow.sdk import DAG

    from airflow_provider_clever.operators.clever import CleverAttendanceOperator, CleverListSchoolsOperator

    dates = {"date_range_start": "{{ params.first_day }}", "date_range_end": "{{ params.last_day }}"}
    lake = "{{ dag_run.conf['lake'] }}"

    def pull(task_id, district, **options):
        district_id = "{{ dag_run.conf['" + district + "'] }}"
        return CleverAttendanceOperator(task_id=task_id, district_id=district_id, **dates, **options)

    with DAG(
        "pulls",
        schedule=None,
        params={"first_day": "2026-06-01", "last_day": "2026-11-23"},
        default_args={"retries": 3, "retry_delay": timedelta(seconds=1), "max_retry_delay": timedelta(seconds=1)},
    ):
        pull("rows", "small")
        pull("too_many_rows", "large", max_xcom_records=5_000, max_concurrency=2)
        for file_format in ("parquet", "jsonl"):
            district_id = "{{ dag_run.conf['small'] }}"
            schools = CleverListSchoolsOperator(
                task_id=f"schools_for_{file_format}", district_id=district_id, batch_size=2
            )
            CleverAttendanceOperator.partial(
                task_id=f"land_{file_format}",
                district_id=district_id,
                destination=f"{lake}/{file_format}",
                file_format=file_format,
                **dates,
            ).expand(school_ids=schools.output)
        pull("strict", "daily_only", destination=lake + "/strict")
        pull("lenient", "section_only", destination=lake + "/lenient", fail_on_quarantine=False)
        pull("refused", "both", destination=lake + "/refused")
        pull("no_room", "paused", destination="file:///proc/no-room", retries=1)
        pull("nothing_there", "no_attendance", destination=lake + "/nothing")
    """
)


@dataclass(frozen=True)
class Run:
    """What came of the run, what lies at its destinations, and what was asked on the way."""

    outcome: DagOutcome
    lake: Path
    sandbox: Sandbox
    requests: list[dict[str, Any]]

    def summary(self, task_id: str, map_index: int = -1) -> dict[str, Any]:
        summary: dict[str, Any] = self.outcome.xcom(task_id, "summary", map_index)
        return summary

    def end(self, task_id: str) -> tuple[str, int]:
        return self.outcome.tasks[task_id, -1], self.outcome.tries[task_id, -1]


@pytest.fixture(scope="module")
def run(migrated_home: AirflowHome, sandbox_server: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("pulls")
    sandbox_server.reset()
    districts = {character: district.id for character, district in sandbox_server.districts.items()}
    for character in ("daily_only", "section_only"):
        sandbox_server.fault(
            "malformed_row", family="attendance", district_id=districts[character], defect="other_school", times=0
        )
    sandbox_server.fault("401", family="attendance", district_id=districts["both"], times=0)
    outcome = migrated_home.copy(folder / "home").run_dag(
        DAG,
        connections={"clever_default": sandbox_server.connection_json()},
        run_conf={**districts, "lake": (folder / "lake").as_uri()},
    )
    return Run(outcome, folder / "lake", sandbox_server, sandbox_server.requests())


def test_rows_come_through_xcom_as_clever_has_them(run: Run):
    rows = run.outcome.xcom("rows")

    expected = run.sandbox.expected("small", **DATES)
    assert Counter(json.dumps(row, sort_keys=True) for row in rows) == Counter(
        json.dumps(row, sort_keys=True) for row in expected
    )
    assert run.summary("rows")["rows"] == len(expected) > 4_000
    assert (TOTALS | FACTS) - run.summary("rows").keys() == set()
    assert (run.summary("rows")["partitions"], run.summary("rows")["receipt"]) == (0, None)


def test_it_is_said_once_that_rows_lie_in_the_metadata_database(run: Run):
    # Two tasks return rows, and each tried once.
    assert run.outcome.log.count("lie in Airflow's metadata database") == 2


def test_too_many_rows_for_xcom_fail_at_once_and_name_the_way_out(run: Run):
    assert run.end("too_many_rows") == ("failed", 1)
    assert "More than 5,000 attendance rows" in run.outcome.log
    assert "Set `destination`" in run.outcome.log
    assert ("too_many_rows", -1, "return_value") not in run.outcome.xcoms
    large = run.sandbox.district("large")
    asked = [entry for entry in run.requests if any(school_id in entry["path"] for school_id in large.all_school_ids)]
    # 9.6 million rows are due. Beyond the five pages that are allowed, a few were on their way.
    assert 5 <= len([entry for entry in asked if entry["family"] == "attendance"]) < 60


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_every_school_lands_once_through_mapped_batches(run: Run, file_format: str):
    task_id = f"land_{file_format}"
    batches = run.outcome.xcom(f"schools_for_{file_format}")

    assert batches == sorted(batches)
    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert sorted(school_id for batch in batches for school_id in batch) == sorted(
        run.sandbox.district("small").school_ids
    )
    assert [run.outcome.tasks[task_id, index] for index in range(3)] == ["success"] * 3
    assert landed(run.lake / file_format, file_format) == due(run.sandbox.expected("small", **DATES))


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_a_landing_task_returns_its_summary(run: Run, file_format: str):
    task_id = f"land_{file_format}"
    summaries = [run.summary(task_id, index) for index in range(3)]

    assert [run.outcome.xcom(task_id, map_index=index) for index in range(3)] == summaries
    assert [(TOTALS | FACTS) - summary.keys() for summary in summaries] == [set()] * 3
    assert sum(summary["added"] for summary in summaries) == len(run.sandbox.expected("small", **DATES))
    assert sum(summary["written"] for summary in summaries) == len(files(run.lake / file_format))
    for summary in summaries:
        assert summary == json.loads(json.dumps(summary))
        assert list(run.lake.rglob(Path(summary["receipt"]).name))
        assert summary["sync_before"] == summary["sync_after"]


def test_rendered_templates_show_the_question_and_no_secret(run: Run):
    rendered = run.outcome.rendered["land_parquet", 0]

    assert rendered["destination"] == (run.lake / "parquet").as_uri()
    assert (rendered["date_range_start"], rendered["date_range_end"]) == tuple(DATES.values())
    assert rendered["school_ids"] == run.outcome.xcom("schools_for_parquet")[0]
    everything = json.dumps(list(run.outcome.rendered.values()), default=str)
    secrets = {run.sandbox.client_secret, *(district.token for district in run.sandbox.districts.values())}
    assert [secret for secret in secrets if secret in everything] == []


def test_mapped_tasks_are_named_by_their_days_and_schools_and_others_are_not(run: Run):
    names = [run.outcome.names["land_parquet", index] for index in range(3)]
    (last,) = run.outcome.xcom("schools_for_parquet")[2]
    batch = "2026-06-01 to 2026-11-23, 2 schools"
    assert names == [batch, batch, f"2026-06-01 to 2026-11-23, school {last}"]
    assert run.outcome.names["rows", -1] is None


def test_a_log_ends_with_the_district_and_the_destination_by_name(run: Run):
    both = run.sandbox.district("both")
    words = f"refused failed for district {both.name} ({both.id}), destination {(run.lake / 'refused').as_uri()}: "
    assert words in run.outcome.log


def test_what_no_retry_can_mend_fails_on_the_first_try(run: Run):
    assert run.end("refused") == ("failed", 1)
    assert "Clever answered 401" in run.outcome.log
    assert files(run.lake / "refused") == {}


def test_what_may_pass_is_tried_again(run: Run):
    assert run.end("no_room") == ("failed", 2)
    assert "up_for_retry" in run.outcome.log.lower()


def test_quarantine_fails_the_task_once_the_good_rows_have_landed(run: Run):
    assert run.end("strict") == ("failed", 1)
    summary = run.summary("strict")
    assert summary["quarantined"] > 0
    assert summary["added"] == summary["received"] - summary["quarantined"] == len(landed(run.lake / "strict")) > 0


def test_quarantine_can_be_told_not_to_fail_the_task(run: Run):
    assert run.end("lenient") == ("success", 1)
    summary = run.summary("lenient")
    assert summary["quarantined"] > 0
    assert summary["added"] == summary["received"] - summary["quarantined"] == len(landed(run.lake / "lenient")) > 0
    assert f"{summary['quarantined']} rows were set aside" in run.outcome.log


def test_a_district_without_attendance_is_no_failure(run: Run):
    assert run.end("nothing_there") == ("success", 1)
    summary = run.summary("nothing_there")
    assert summary["rows"] == summary["partitions"] == 0
    assert summary["newest_attendance_date"] is None
    assert len(summary["schools_empty"]) == summary["schools"] > 0
