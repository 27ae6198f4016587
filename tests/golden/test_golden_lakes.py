"""What an older version landed is read, verified, replayed and pulled on top of, for ever."""

import gzip
import json
from datetime import date
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest

from airflow_provider_clever.attendance.batches import batch_of, empty, landed_schema, rows_of
from airflow_provider_clever.attendance.schema import names_of
from airflow_provider_clever.attendance.upgrade import upgrade
from airflow_provider_clever.cli.main import main
from airflow_provider_clever.lake import changes
from airflow_provider_clever.lake.layout import objects_at
from airflow_provider_clever.lake.receipt_files import read_receipts
from airflow_provider_clever.ledger.coverage_store import read_coverage
from tests.golden.conftest import Golden
from tests.golden.make import LAKES, ROWS, SUMS, sums_of
from tests.golden.pulling import pull
from tests.golden.reading import READERS, Row, as_text
from tests.golden.recorded import night

DISTRICT = "65e000000000000000000001"


def files(lake: Path, under: str = "") -> dict[str, bytes]:
    """Every file below a folder of a lake but the locks."""
    found = (path for path in (lake / under).rglob("*") if path.is_file() and path.parent.name != "local")
    return {path.relative_to(lake).as_posix(): path.read_bytes() for path in found}


def written_rows(golden: Golden) -> list[Row]:
    """The rows as they stood on the day on which the lake was made; a column that has come since is null in them."""
    return as_text(json.loads((golden.kept / ROWS).read_text()))


def upgraded_rows(golden: Golden) -> list[Row]:
    """The same rows in today's columns."""
    version = int(golden.kept.name.removeprefix("schema-"))
    rows = (tuple(row[name] for name in names_of(version)) for row in json.loads((golden.kept / ROWS).read_text()))
    return as_text(listed(upgrade(batch_of(rows, landed_schema(version)), version)))


def listed(batch: pa.RecordBatch) -> list[Row]:
    """A batch as a list of rows, every value as canonical text."""
    return [dict(zip(batch.schema.names, values, strict=True)) for values in rows_of(batch)]


@pytest.mark.parametrize("kept", sorted(LAKES.iterdir()), ids=lambda kept: kept.name)
def test_a_golden_lake_is_what_it_was_when_it_was_made(kept: Path) -> None:
    assert sums_of(kept) == json.loads((kept / SUMS).read_text())


@pytest.mark.parametrize("engine", READERS)
def test_other_engines_read_the_rows_that_were_written(golden: Golden, engine: str) -> None:
    assert READERS[engine](golden.lake, golden.file_format) == written_rows(golden)


def test_verify_finds_nothing_wrong(golden: Golden, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(golden.lake)]) == 0, capsys.readouterr()


def test_the_same_night_again_writes_no_partition_and_streams_no_change(golden: Golden) -> None:
    before = files(golden.lake)
    summary = pull(night("3"), golden.lake, golden.file_format, work="night 3 again").summary
    assert (summary["written"], summary["added"], summary["changed"], summary["missing"]) == (0, 0, 0, 0)
    assert summary["unchanged"] == len(files(golden.lake, "attendance"))
    after = files(golden.lake)
    changed = {path for path in after if after[path] != before.get(path)}
    # The ledger's own files tell of this night; and a value in `_extra` may be none that a later column can hold, then
    # its row goes to quarantine.
    ours = (summary["receipt"], "/coverage.json", "/answers.json")
    assert {path for path in changed if "/quarantine/" not in path and not path.endswith(ours)} == set()
    assert summary["receipt"] in changed


def test_verify_finds_nothing_wrong_after_the_same_night_again(
    golden: Golden, capsys: pytest.CaptureFixture[str]
) -> None:
    pull(night("3"), golden.lake, golden.file_format, work="night 3 again")
    assert main(["verify", str(golden.lake)]) == 0, capsys.readouterr()


def test_an_older_night_brings_back_no_older_row(golden: Golden) -> None:
    """Night 1 is pulled late: its rows are older, so what a later night corrected stays."""
    before = unmarked(READERS["duckdb"](golden.lake, golden.file_format))
    pull(night("1"), golden.lake, golden.file_format, work="night 1 late")
    assert unmarked(READERS["duckdb"](golden.lake, golden.file_format)) == before


def unmarked(rows: list[Row]) -> list[Row]:
    """The rows without what a late pull may take away or add: the marks."""
    return as_text(row | {"missing_since": None} for row in rows)


def test_its_changes_lead_from_nothing_to_what_its_receipts_say(golden: Golden) -> None:
    objects = objects_at(fsspec.filesystem("file"), str(golden.lake))
    documents: dict[tuple[str, str], list[dict[str, object]]] = {}
    for path in objects.fs.glob(f"{objects.root}/_clever/district={DISTRICT}/changes/*/*/*.json.gz"):
        document = changes.read_change(objects, path.removeprefix(f"{objects.root}/"))
        partition = (str(document["school_id"]), str(document["attendance_date"]))
        documents.setdefault(partition, []).append(document)
    newest: dict[tuple[str, str], str] = {}
    for receipt in sorted(read_receipts(objects, DISTRICT), key=lambda one: one.finished_at):
        for school_id, school in receipt.schools.items():
            hashes = {day: changes.short_hash(partition.content_hash) for day, partition in school.written.items()}
            newest |= {(school_id, day): mark for day, mark in (hashes | school.unchanged).items()}
    assert newest.keys() == documents.keys()
    nothing = empty(landed_schema())
    rows = []
    for partition, found in documents.items():
        rows += listed(changes.replay(nothing, found, newest[partition]))
    assert as_text(rows) == upgraded_rows(golden)


def test_its_coverage_its_quarantine_and_its_feed_are_read(golden: Golden) -> None:
    fs = fsspec.filesystem("file")
    coverage = read_coverage(objects_at(fs, str(golden.lake)), DISTRICT).coverage
    assert {school_id: school.days.last_day for school_id, school in coverage.schools.items()} == {
        "555555555555555555555555": date(2026, 11, 26),
        "7a7777777777777777777777": date(2026, 11, 26),
        "9b9999999999999999999999": date(2026, 11, 26),
    }
    assert coverage.watermark == "2026-11-26T03:00:00.000000Z"
    kept = [
        json.loads(gzip.decompress(data))
        for path, data in files(golden.lake).items()
        if path.split("/")[2] == "quarantine"
    ]
    assert sum(map(len, kept)) == 3
