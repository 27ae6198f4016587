"""What lands is the same, whether a page holds documented rows alone or odd ones too."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.support.asking import ask, due, files, landed

ROOT = Path(__file__).parents[3]
RANGE = {"date_range_start": "2026-06-01", "date_range_end": "2026-11-23"}
DISTRICT = "section_only"
"""Its three schools have three pages each."""

WITHOUT_PYARROW = """
import sys
sys.modules["pyarrow"] = None
from pathlib import Path
from tests.support.asking import ask
from airflow_provider_clever.sandbox.testing import Sandbox
lake = Path(sys.argv[2]) if sys.argv[2] else None
answer = ask(Sandbox(sys.argv[1], 0), lake, district=sys.argv[3], file_format=sys.argv[4])
print(answer.problem, answer.summary["received"], answer.summary["added"])
"""


def pull_without_pyarrow(
    sandbox: Sandbox, lake: Path | None, file_format: str = "jsonl"
) -> subprocess.CompletedProcess[str]:
    """Pull in a process that cannot import pyarrow."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_PYARROW, sandbox.url, str(lake or ""), DISTRICT, file_format],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


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
def test_without_pyarrow_a_destination_is_refused_before_anything_lands(
    sandbox: Sandbox, tmp_path: Path, file_format: str
):
    said = pull_without_pyarrow(sandbox, tmp_path / "lake", file_format)

    assert "CleverSettingsError: a destination needs pyarrow" in said.stderr
    assert "pip install 'airflow-provider-clever[parquet]'" in said.stderr
    assert not list(tmp_path.rglob("*"))
    assert not [request for request in sandbox.requests() if "/attendance/" in request["path"]]


def test_without_pyarrow_rows_still_come(sandbox: Sandbox):
    said = pull_without_pyarrow(sandbox, None)

    due = len(sandbox.expected(DISTRICT, **RANGE))
    assert said.stdout.split() == ["None", str(due), "0"], said.stderr
