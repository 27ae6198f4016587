"""Usual pages stay in Arrow, odd ones do not, and what lands is the same whichever way its pages went."""

import os
import subprocess
import sys
import threading
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_clever.api.client import CleverClient
from airflow_provider_clever.attendance.batches import as_columns, length
from airflow_provider_clever.attendance.rows import PulledDay
from airflow_provider_clever.pull.chains import Scope, plan_chains
from airflow_provider_clever.pull.run import Pull
from airflow_provider_clever.sandbox.testing import Sandbox
from tests.support.asking import BRISK, FIELDS, ask, due, files, landed, settings_for

ROOT = Path(__file__).parents[3]
RANGE = {"date_range_start": "2026-06-01", "date_range_end": "2026-11-23"}
DISTRICT = "section_only"
"""Its three schools have three pages each."""

WITHOUT = """
import sys
sys.modules[sys.argv[4]] = None
from pathlib import Path
from airflow_provider_clever.api.usual_pages import can_read
from tests.support.asking import ask
from airflow_provider_clever.sandbox.testing import Sandbox
lake = Path(sys.argv[2]) if sys.argv[2] else None
answer = ask(Sandbox(sys.argv[1], 0), lake, district=sys.argv[3], file_format=sys.argv[5])
print(can_read(), answer.problem, answer.summary["received"], answer.summary["added"])
"""


def pull_without(
    module: str, sandbox: Sandbox, lake: Path | None, file_format: str = "jsonl"
) -> subprocess.CompletedProcess[str]:
    """Pull in a process that cannot import a module."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, sandbox.url, str(lake or ""), DISTRICT, module, file_format],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def pulled_days(sandbox: Sandbox, *, section_ids: list[str] | None = None) -> list[PulledDay]:
    """The days of a pull of whole schools, or of sections, as a destination is given them."""
    stop, days, scope_ids = threading.Event(), [], section_ids or sandbox.district(DISTRICT).school_ids
    with CleverClient(settings_for(sandbox, DISTRICT), policy=BRISK, stop=stop) as client:
        chains = plan_chains(
            Scope.SECTION if section_ids else Scope.SCHOOL,
            scope_ids,
            date(2026, 6, 1),
            date(2026, 11, 23),
            concurrency=1,
        )
        pull = Pull(
            client,
            chains,
            district_id=sandbox.district(DISTRICT).id,
            set_aside=lambda scope_id, rejected: pytest.fail(f"{len(rejected)} rows of {scope_id} were set aside"),
            stop=stop,
            max_concurrency=1,
        )
        result = pull.land(days.append)
    assert result.errors == []
    assert result.received == sum(length(day.columns) for day in days)
    return days


def rows_of(days: list[PulledDay]) -> list[tuple[str | None, ...]]:
    found = [as_columns(day.columns) for day in days]
    return sorted((row for columns in found for row in zip(*(columns[name] for name in FIELDS), strict=True)), key=repr)


def put_odd_rows(sandbox: Sandbox) -> None:
    """One row with a type that is not documented in the first school, and free text of every kind in the second."""
    schools = sandbox.district(DISTRICT).school_ids
    sandbox.put_rows(
        {
            "school_id": schools[0],
            "attendance_date": "2026-10-01",
            "student_id": "6" * 24,
            "attendance_type": "meeting",
        },
        *(
            {
                "school_id": schools[1],
                "attendance_date": "2026-10-01",
                "student_id": f"{number:024}",
                "excuse_code": text,
                "attendance_status": "excused",
            }
            for number, text in enumerate(['"', "\\", "\x1f", "\x00\n", "😷 غ", "", "%s {}"])
        ),
    )


def test_the_pages_of_an_ordinary_pull_stay_in_arrow(sandbox: Sandbox):
    days = pulled_days(sandbox)

    with_rows = [day for day in days if length(day.columns)]
    assert len(with_rows) == 3 * 40
    assert [day for day in with_rows if isinstance(day.columns, dict)] == []
    assert rows_of(days) == due(sandbox.expected(DISTRICT, **RANGE))


def test_the_days_of_a_section_come_in_plain_columns(sandbox: Sandbox):
    section_id = next(row["section_id"] for row in sandbox.iter_expected(DISTRICT))

    days = pulled_days(sandbox, section_ids=[section_id])

    assert all(isinstance(day.columns, dict) for day in days)
    assert rows_of(days) == due(sandbox.expected(DISTRICT, section_id=section_id, **RANGE))


def test_days_on_odd_pages_alone_leave_arrow(sandbox: Sandbox):
    odd_school = sandbox.district(DISTRICT).school_ids[0]
    odd_row = {"school_id": odd_school, "attendance_date": "2026-10-01", "student_id": "6" * 24}
    sandbox.put_rows({**odd_row, "attendance_type": "meeting"})

    days = pulled_days(sandbox)

    plain = {
        (day.school_id, day.attendance_date)
        for day in days
        if isinstance(day.columns, dict) and day.columns["student_id"]
    }
    assert {school_id for school_id, _ in plain} == {odd_school}
    assert (odd_school, "2026-10-01") in plain
    assert len(plain) < 40
    assert rows_of(days) == due(sandbox.expected(DISTRICT, **RANGE))


@pytest.mark.parametrize(
    ("odd_pages", "file_format"),
    [({"nth": 1, "every": 2}, "parquet"), ({"nth": 2, "every": 3}, "jsonl"), ({"nth": 1, "every": 1}, "parquet")],
    ids=["every other page", "one in three pages", "every page"],
)
def test_a_pull_with_usual_and_odd_pages_lands_what_is_due(
    sandbox: Sandbox, tmp_path: Path, odd_pages: dict[str, Any], file_format: str
):
    put_odd_rows(sandbox)
    usual = ask(sandbox, tmp_path / "usual", district=DISTRICT, file_format=file_format)
    sandbox.fault("malformed_row", family="attendance", defect="unknown_field", row=3, times=0, **odd_pages)

    answer = ask(sandbox, tmp_path / "odd", district=DISTRICT, file_format=file_format, max_concurrency=1)

    expected = due(sandbox.expected(DISTRICT, **RANGE))
    assert landed(tmp_path / "odd", file_format) == landed(tmp_path / "usual", file_format) == expected
    assert answer.problem is usual.problem is None
    for count in ("received", "added", "written", "partitions", "unknown_values", "conflicts", "missing"):
        assert answer.summary[count] == usual.summary[count]
    assert answer.summary["unknown_values"] == {"attendance_status": 7, "attendance_type": 1}


def test_pages_that_turn_odd_or_usual_again_leave_landed_days_as_they_are(sandbox: Sandbox, tmp_path: Path):
    ask(sandbox, tmp_path, district=DISTRICT)
    before = files(tmp_path)
    # What is the matter with these pages is nothing that lands.
    sandbox.knobs(empty_links="missing")
    sandbox.fault("keys_backwards", family="attendance", times=0)
    sandbox.fault("extra_empty_last_page", family="attendance", times=2)

    again = ask(sandbox, tmp_path, district=DISTRICT, work="another night")

    assert (again.problem, again.summary["written"]) == (None, 0)
    assert files(tmp_path) == before


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_pages_that_are_read_without_arrow_land_byte_for_byte_the_same(
    sandbox: Sandbox, tmp_path: Path, file_format: str
):
    put_odd_rows(sandbox)
    answer = ask(sandbox, tmp_path / "with", district=DISTRICT, file_format=file_format)

    said = pull_without("pyarrow.json", sandbox, tmp_path / "without", file_format)

    assert said.stdout.split() == ["False", "None", str(answer.summary["received"]), str(answer.summary["added"])]
    assert files(tmp_path / "without") == files(tmp_path / "with")
    assert len(files(tmp_path / "with")) == 3 * 40


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_without_pyarrow_a_destination_is_refused_before_anything_lands(
    sandbox: Sandbox, tmp_path: Path, file_format: str
):
    said = pull_without("pyarrow", sandbox, tmp_path / "lake", file_format)

    assert "CleverSettingsError: a destination needs pyarrow" in said.stderr
    assert "pip install 'airflow-provider-clever[parquet]'" in said.stderr
    assert not list(tmp_path.rglob("*"))
    assert not [request for request in sandbox.requests() if "/attendance/" in request["path"]]


def test_without_pyarrow_rows_still_come(sandbox: Sandbox):
    said = pull_without("pyarrow", sandbox, None)

    due = len(sandbox.expected(DISTRICT, **RANGE))
    assert said.stdout.split() == ["False", "None", str(due), "0"], said.stderr
