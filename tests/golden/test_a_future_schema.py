"""The next schema, tried before there is one: a copy of the package with one more optional field, as a process."""

import copy
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_clever.attendance.schema import LANDED_COLUMNS
from airflow_provider_clever.cli.main import main
from airflow_provider_clever.exceptions import CleverPartitionError
from airflow_provider_clever.storage.compressed import read_gzipped_json
from tests.golden.make import FORMATS, LAKES
from tests.golden.pulling import pull
from tests.golden.reading import as_text
from tests.golden.recorded import NIGHTS, Night, night

ROOT = Path(__file__).parents[2]
NOW = LAKES / "schema-1"
FIELD = """
    minutes_absent: Annotated[
        OptionalText, Column(kind="text", since=2, personal=True, meaning="minutes that the student was away")
    ] = None
"""
BEFORE = "\n    def __repr_args__(self)"
ALDER, CEDAR, DAY = "555555555555555555555555", "9b9999999999999999999999", "2026-11-12"


@pytest.fixture(scope="module")
def future(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package of tomorrow, and what its tests need. One file of the package is changed."""
    folder = tmp_path_factory.mktemp("future")
    for name in ("airflow_provider_clever", "tests/golden", "tests/support"):
        shutil.copytree(ROOT / name, folder / name)  # with what is compiled already
    for name in ("pyproject.toml", "tests/__init__.py", "tests/conftest.py"):
        shutil.copy(ROOT / name, folder / name)
    schema = folder / "airflow_provider_clever/attendance/schema.py"
    before, found, after = schema.read_text().partition(BEFORE)
    assert found
    schema.write_text(before + FIELD + found + after)
    return folder


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the package that stands in a folder."""
    told = subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert told.returncode == 0, f"{told.stdout}\n{told.stderr}"
    return told


def pull_in(folder: Path, lake: Path, file_format: str, *nights: Night) -> list[dict[str, Any]]:
    """Pull nights, one after another, with the package of tomorrow, and give the summary of each."""
    files = [lake.parent / f"{told['today']}-night.json" for told in nights]
    for file, told in zip(files, nights, strict=True):
        file.write_text(json.dumps(told))
    answers = run(folder, "-m", "tests.golden.pulling", str(lake), file_format, *map(str, files)).stdout
    return [json.loads(answer)["summary"] for answer in answers.splitlines()]


def verify_in(folder: Path, lake: Path) -> dict[str, Any]:
    """Verify a lake with the package of tomorrow, and give its counts."""
    code = "import sys; from airflow_provider_clever.cli.main import main; main(sys.argv[1:])"
    counts: dict[str, Any] = json.loads(run(folder, "-c", code, "verify", str(lake), "--json").stdout)["counts"]
    return counts


def tomorrow() -> Night:
    """Night 3, but one row of Cedar on one day has been corrected, in the new field alone."""
    told = night("3") | {"today": "2026-11-27"}
    (row,) = (
        row
        for row in told["rows"]
        if (row["school_id"], row["attendance_date"], row.get("minutes_absent")) == (CEDAR, DAY, "20")
    )
    row |= {"minutes_absent": "21", "last_modified": "2026-11-26T15:00:00.000Z"}
    return told


def partitions(lake: Path) -> dict[str, bytes]:
    return {path.relative_to(lake).as_posix(): path.read_bytes() for path in lake.glob("attendance/*/*/*")}


def test_the_golden_lakes_are_read_verified_replayed_and_not_written_under_the_next_schema(future: Path) -> None:
    run(future, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/golden/test_golden_lakes.py")


def test_a_new_way_to_hash_alone_writes_nothing(future: Path, tmp_path: Path) -> None:
    rehashed = tmp_path / "rehashed"
    shutil.copytree(future, rehashed)
    rows = rehashed / "airflow_provider_clever/attendance/content.py"
    assert "clever-attendance 1 " in rows.read_text()
    rows.write_text(rows.read_text().replace("clever-attendance 1 ", "clever-attendance 2 "))
    chosen = "test_the_same_night_again_writes_no_partition_and_streams_no_change"
    run(rehashed, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/golden/test_golden_lakes.py::{chosen}")


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_changed_row_brings_the_new_column_to_its_partition_alone_and_both_kinds_are_read_together(
    future: Path, tmp_path: Path, file_format: str
) -> None:
    lake = tmp_path / "lake"
    shutil.copytree(NOW / file_format, lake)
    before = partitions(lake)

    (summary,) = pull_in(future, lake, file_format, tomorrow())

    assert (summary["written"], summary["changed"], summary["added"], summary["missing"]) == (1, 1, 0, 0)
    after = partitions(lake)
    (rewritten,) = (path for path in after if after[path] != before[path])
    assert (f"date={DAY}" in rewritten, CEDAR in rewritten, after.keys() == before.keys()) == (True, True, True)
    assert not {kind for kind, count in verify_in(future, lake).items() if count} - {"missing_at_clever"}
    _engines_agree(future, lake, file_format)
    _feed_says_one_change(lake, summary["receipt"])


def _engines_agree(future: Path, lake: Path, file_format: str) -> None:
    code = (
        "import json, sys; from pathlib import Path; from tests.golden.reading import READERS; "
        "read = {engine: reader(Path(sys.argv[1]), sys.argv[2]) for engine, reader in READERS.items()}; "
        "sys.stdout.write(json.dumps(read))"
    )
    read = json.loads(run(future, "-c", code, str(lake), file_format).stdout)
    assert read.keys() == {"duckdb", "pyarrow", "polars"}
    expected = [row | {"minutes_absent": None} for row in json.loads((NOW / "rows.json").read_text())]
    here = [row for row in expected if (row["school_id"], row["attendance_date"]) == (CEDAR, DAY)]
    assert len(here) == 12
    for row in here:
        minutes = json.loads(row["_extra"])["minutes_absent"]
        assert isinstance(minutes, str)
        row |= {"minutes_absent": minutes, "_extra": None}
        if minutes == "20":
            row |= {"minutes_absent": "21", "last_modified": "2026-11-26 15:00:00+00"}
    for engine, rows in read.items():
        # The order is that of today's columns on both sides; the new one is compared with them.
        assert sorted(map(by_name, rows)) == sorted(by_name(_canonical(row)) for row in expected), engine


def _canonical(row: dict[str, Any]) -> dict[str, Any]:
    (found,) = as_text([{name: value for name, value in row.items() if name != "minutes_absent"}])
    return found | {"minutes_absent": row["minutes_absent"]}


def by_name(row: dict[str, Any]) -> str:
    return json.dumps(row, sort_keys=True)


def _feed_says_one_change(lake: Path, receipt_path: str) -> None:
    receipt = read_gzipped_json((lake / receipt_path).read_bytes())
    (path,) = receipt["changes"]
    document = read_gzipped_json((lake / path).read_bytes())
    (change,) = document["changes"]
    assert document["schema_version"] == 2
    assert (change["before"]["minutes_absent"], change["after"]["minutes_absent"]) == ("20", "21")


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_value_that_changes_in_the_new_column_alone_is_written(
    future: Path, tmp_path: Path, file_format: str
) -> None:
    """Its row is as old as before, and no row of its day is marked: the new column alone makes another hash of it."""
    lake, told = tmp_path / "lake", night("3")
    shutil.copytree(NOW / file_format, lake)
    (row,) = (row for row in told["rows"] if row.get("minutes_absent") == "5" and row["attendance_date"] != DAY)
    row |= {"attendance_status": "absent", "last_modified": "2026-11-26T15:00:00.000Z"}
    before = copy.deepcopy(told)
    row["minutes_absent"] = "6"
    # Alder's page has documented fields alone, so it takes the short way from the page to the file.
    next(row for row in told["rows"] if row["school_id"] == ALDER)["minutes_absent"] = "7"

    nights = (before, before | {"today": "2026-11-28"}, told | {"today": "2026-11-29"}, told | {"today": "2026-11-30"})
    summaries = pull_in(future, lake, file_format, *nights)

    assert [summary["written"] for summary in summaries] == [1, 0, 2, 0]
    assert summaries[2]["changed"] == 2
    assert not {kind for kind, count in verify_in(future, lake).items() if count} - {"missing_at_clever"}


@pytest.mark.parametrize("file_format", FORMATS)
def test_the_version_that_is_behind_refuses_the_newer_file_alone_and_by_name(
    future: Path, tmp_path: Path, file_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = tmp_path / "lake"
    shutil.copytree(NOW / file_format, lake)
    before = partitions(lake)
    pull_in(future, lake, file_format, tomorrow())
    mixed = partitions(lake)
    (newer,) = (path for path in mixed if mixed[path] != before[path])
    told = night("3")
    alder = next(row for row in told["rows"] if row["school_id"].startswith("555"))
    alder |= {"attendance_status": "tardy", "last_modified": "2026-11-26T16:00:00.000Z"}

    answer = pull(told, lake, file_format, work="the old version, later")

    assert isinstance(answer.problem, CleverPartitionError)
    assert newer in str(answer.problem)
    assert "newer version of airflow-provider-clever wrote it" in str(answer.problem)
    assert "Upgrade airflow-provider-clever here" in str(answer.problem)
    assert (answer.summary["schools_failed"], answer.summary["written"]) == ([CEDAR], 1)
    assert partitions(lake)[newer] == mixed[newer]
    capsys.readouterr()
    assert main(["verify", str(lake), "--json"]) == 1
    counts = json.loads(capsys.readouterr().out)["counts"]
    assert {kind: count for kind, count in counts.items() if count} == {"damaged": 1, "missing_at_clever": 2}


MOVED = {
    None: (None, None),
    '{"bus":1}': (None, '{"bus":1}'),
    '{"minutes_absent":"35"}': ("35", None),
    '{"bus":{"route":"7é"},"minutes_absent":"120"}': ("120", '{"bus":{"route":"7é"}}'),
    '{"minutes_absent":""}': (None, None),
    '{"minutes_absent":null}': (None, None),
    '{"minutes_absent":15}': (None, '{"minutes_absent":15}'),
    '{"bus":"minutes_absent"}': (None, '{"bus":"minutes_absent"}'),
}
"""What stood in ``_extra``, and what stands in the new column and in ``_extra`` afterwards."""


@pytest.fixture(scope="module")
def upgraded(future: Path) -> dict[str | None, dict[str, list[Any]]]:
    """Each of them alone in a batch of today, as the package of tomorrow reads it."""
    code = (
        "import json, sys; import pyarrow as pa; from airflow_provider_clever.attendance.batches import landed_schema; "
        "from airflow_provider_clever.attendance.upgrade import upgrade; "
        "nothing = {name: [None] for name in landed_schema(1).names}; "
        "batches = [pa.RecordBatch.from_pydict(nothing | {'_extra': [extra]}, schema=landed_schema(1)) "
        "for extra in json.loads(sys.argv[1])]; "
        "sys.stdout.write(json.dumps([upgrade(batch, 1).to_pydict() for batch in batches]))"
    )
    return dict(zip(MOVED, json.loads(run(future, "-c", code, json.dumps([*MOVED])).stdout), strict=True))


@pytest.mark.parametrize("extra", MOVED)
def test_a_value_moves_from_extra_into_its_column_if_that_can_hold_it(
    upgraded: dict[str | None, dict[str, list[Any]]], extra: str | None
) -> None:
    columns = upgraded[extra]
    column, left = MOVED[extra]
    assert (columns["minutes_absent"], columns["_extra"]) == ([column], [left])
    assert columns.keys() == {"minutes_absent", *LANDED_COLUMNS}


def test_adding_a_field_changes_one_file_of_the_package(future: Path) -> None:
    ours, theirs = (
        {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.py")}
        for folder in (ROOT / "airflow_provider_clever", future / "airflow_provider_clever")
    )
    assert {path for path in ours if ours[path] != theirs.get(path)} == {"attendance/schema.py"}


def test_the_nights_that_the_lakes_were_landed_from_are_there() -> None:
    assert sorted(path.stem for path in NIGHTS.iterdir()) == ["1", "2", "3"]
