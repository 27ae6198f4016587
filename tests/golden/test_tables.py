"""Tables of lakes that older schemas landed, and of those that the next one will: in today's columns, every row."""

import json
import shutil
from pathlib import Path

import duckdb
import pytest

from airflow_provider_clever.attendance.schema import LANDED_COLUMNS
from airflow_provider_clever.cli.main import main
from tests.golden.make import FORMATS, LAKES
from tests.golden.test_a_future_schema import future, pull_in, run, tomorrow
from tests.table import engines

__all__ = ["future"]

TABLE = "import sys; from airflow_provider_clever.cli.main import main; main(['table', *sys.argv[1:]])"


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("schema", sorted(LAKES.iterdir()), ids=lambda path: path.name)
def test_a_table_of_each_golden_lake_has_its_rows(
    schema: Path, file_format: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = schema / file_format
    copy = tmp_path / "lake"
    shutil.copytree(lake, copy)
    assert main(["table", str(copy), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows_written"] > 0
    assert engines.differences(copy) == []


@pytest.mark.parametrize("file_format", FORMATS)
def test_the_next_schema_makes_every_month_again_with_its_column(
    future: Path, tmp_path: Path, file_format: str
) -> None:
    lake = tmp_path / "lake"
    shutil.copytree(LAKES / "schema-1" / file_format, lake)
    assert main(["table", str(lake)]) == 0
    before = _count(lake)

    pull_in(future, lake, file_format, tomorrow())
    made = json.loads(run(future, "-c", TABLE, str(lake), "--json").stdout)

    months = len(list(lake.glob(engines.MONTHS)))
    assert made["months_written"] == months
    assert _count(lake) == before
    found = duckdb.sql(
        f"SELECT DISTINCT minutes_absent FROM '{lake / engines.MONTHS}' WHERE minutes_absent IS NOT NULL"
    )
    assert ("21",) in found.fetchall()
    assert main(["table", str(lake)]) == 2, "what is older than the table leaves it alone"
    assert json.loads(run(future, "-c", TABLE, str(lake), "--json").stdout)["months_written"] == 0


def _count(lake: Path) -> list[tuple[int, ...]]:
    columns = ", ".join(f"count({name})" for name in LANDED_COLUMNS if name != "_extra")
    return duckdb.sql(f"SELECT {columns} FROM '{lake / engines.MONTHS}'").fetchall()
