"""The code that pages show: Python runs, SQL that begins with "-- DuckDB" too, and every command can be typed.

DAG files are parsed in test_parsing.py; the tutorial's commands run in tests/browser/test_playground.py and, from the
packages alone, in tests/wheel.
"""

import json
import re
import shlex
import shutil
import textwrap
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest
from airflow.sdk import DAG, Asset, AssetWatcher

from airflow_provider_clever.api.client import CleverClient
from airflow_provider_clever.cli.main import main
from airflow_provider_clever.cli.parser import VERBS, command_parser
from airflow_provider_clever.operators import clever as operators
from airflow_provider_clever.sandbox.testing import Sandbox
from airflow_provider_clever.sensors.clever import CleverAttendanceSyncSensor
from airflow_provider_clever.settings import CleverSettings
from airflow_provider_clever.triggers.clever import CleverAttendanceSyncEventTrigger
from tests.examples.test_parsing import EXAMPLES, PAGES, ROOT, dags_in

BLOCK = re.compile(r"^ *```(\w+)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
RUN_ELSEWHERE = {
    "docs/how-to/analyse.md": "tests/lake/test_analysis_page.py",
    "docs/how-to/test-your-dags.md": "tests/examples/test_your_dags.py",
    "docs/how-to/warehouses.md": "tests/lake/test_warehouses_page.py",
}
GOLDEN = ROOT / "tests/golden/lakes/schema-1/parquet"
EXAMPLE_LAKE = re.compile(r"(?:s3://bucket/prefix|s3://my-lake/clever|(?<=[\"'])/lake|/data/clever)(?=[/\"'])")
COMMAND = re.compile(r"(?:^|[`$|]\s*|\s)(clever-attendance \w[^`|#\n]*)")


def blocks(*languages: str) -> Iterator[object]:
    for page in PAGES:
        if str(page.relative_to(ROOT)) in RUN_ELSEWHERE and "json" not in languages:
            continue
        found = [textwrap.dedent(text) for language, text in BLOCK.findall(page.read_text()) if language in languages]
        for number, text in enumerate(found):
            yield pytest.param(page, text, id=f"{page.relative_to(ROOT)}-{number}")


def is_part_of_an_example(text: str) -> bool:
    """Whether each line of a block stands in one example, in this order; the example may have more between them."""
    wanted = [line.strip() for line in text.splitlines() if line.strip()]
    for example in EXAMPLES.glob("*.py"):
        lines = (line.strip() for line in example.read_text().splitlines())
        if all(line in lines for line in wanted):
            return True
    return False


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake, with an Iceberg table beside it."""
    folder = tmp_path_factory.mktemp("pages") / "clever"
    shutil.copytree(GOLDEN, folder)
    assert main(["table", str(folder), "--table", "iceberg"]) == 0
    return folder


@pytest.mark.parametrize(("page", "test"), RUN_ELSEWHERE.items())
def test_a_page_whose_code_runs_elsewhere_is_named_there(page: str, test: str) -> None:
    assert page in (ROOT / test).read_text()


@pytest.mark.parametrize(("page", "text"), blocks("python"))
def test_every_block_of_python_runs(page: Path, text: str, sandbox: Sandbox, lake: Path) -> None:
    if text in dags_in(page):
        return
    if "From `example_dags/" in page.read_text().partition(text.splitlines()[0])[0][-200:]:
        assert is_part_of_an_example(text), "the example has changed"
        return
    small = sandbox.district("small")
    settings = CleverSettings(api_base=sandbox.url, token=small.token)
    newest = max(lake.glob("attendance/**/*.parquet"))
    with CleverClient(settings) as client, DAG("of_a_page", schedule=None):
        known = {
            **vars(operators),
            "Asset": Asset,
            "AssetWatcher": AssetWatcher,
            "CleverAttendanceSyncEventTrigger": CleverAttendanceSyncEventTrigger,
            "CleverAttendanceSyncSensor": CleverAttendanceSyncSensor,
            "CleverSettings": CleverSettings,
            "DESTINATION": lake.as_uri(),
            "client": client,
            "district_id": small.id,
            "newest": pl.read_parquet_schema(newest),
            "school_id": small.schools["Birch Middle"],
            "timedelta": timedelta,
            "token": small.token,
        }
        here = text.replace("CleverSettings(token=token)", f"CleverSettings(api_base={sandbox.url!r}, token=token)")
        exec(EXAMPLE_LAKE.sub(str(lake), here), known)


@pytest.mark.parametrize(("page", "text"), blocks("sql"))
def test_every_query_for_duckdb_runs(page: Path, text: str, lake: Path) -> None:
    if text.startswith("-- DuckDB\n"):
        for query in duckdb.extract_statements(EXAMPLE_LAKE.sub(str(lake), text)):
            duckdb.sql(query.query)


@pytest.mark.parametrize(("page", "text"), blocks("json"))
def test_every_document_is_json(page: Path, text: str) -> None:
    assert json.loads(text)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_can_be_typed(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = re.sub(r" *\\\n\s*", " ", page.read_text())
    for command in COMMAND.findall(text):
        _, *words = shlex.split(command, comments=True)
        words = [word for word in words if not word.startswith(("||", "&&", ">"))]
        if words[0] not in VERBS or "…" in command or "..." in command:
            continue
        try:
            command_parser().parse_args(words)
        except SystemExit:
            said = capsys.readouterr().err
            assert "unrecognized" not in said, command
            assert "invalid" not in said, command
