"""``clever-attendance table``: what it says, how it ends, and that slips end in words."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_clever.cli.main import main
from airflow_provider_clever.lake import layout
from tests.lake.builders import DAY, DISTRICT, SCHOOL
from tests.lake.emulators import Store
from tests.table import engines
from tests.table.lakes import land

Told = tuple[int, str, str]


_TOLD = "Months written: 2, removed: 0, rows: 4, districts looked at: 1"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    def run(*arguments: object) -> Told:
        code = main(["table", *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_months_are_made_and_counted(local: Store, run: Callable[..., Told]) -> None:
    for day in ("2026-03-31", DAY):
        land(local, day, "ab")
    code, out, _ = run(local.root, "--dry-run")
    assert (code, out.splitlines()[-1]) == (0, "Months due: 2, districts looked at: 1; nothing was written")
    assert engines.differences(Path(local.root)) == ["there are no months"]
    assert run(local.root) == (
        0,
        f"district {DISTRICT}, 2026-03: 2 rows\ndistrict {DISTRICT}, 2026-04: 2 rows\n{_TOLD}\n",
        "",
    )
    assert engines.differences(Path(local.root)) == []
    assert json.loads(run(f"file://{local.root}", "--json")[1])["months_written"] == 0
    assert json.loads(run(local.root, "--rebuild", "--all", "--json")[1])["rows_written"] == 4
    assert json.loads(run(local.root, "--rebuild", "--dry-run", "--json")[1])["due"][0]["month"] == "2026-03"


def test_a_damaged_file_is_named_and_ends_with_1(local: Store, run: Callable[..., Told]) -> None:
    land(local, "2026-03-31", "ab")
    land(local, DAY, "ab")
    path = Path(local.root, layout.partition_path(DISTRICT, DAY, SCHOOL, "parquet"))
    path.write_bytes(b"")
    code, out, err = run(local.root)
    assert (code, out.splitlines()[-1]) == (1, "Months written: 1, removed: 0, rows: 2, districts looked at: 1")
    assert str(path) in err
    assert "Restore" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--table", "csv"], "choose one of"),
        (["--district", "other"], "Nothing of other has landed"),
        (["--catalog-conn-id", "glue"], "has no catalog"),
    ],
)
def test_slips_end_with_2_and_say_what_to_do(
    local: Store, run: Callable[..., Told], arguments: list[str], says: str
) -> None:
    land(local, DAY, "ab")
    code, out, err = run(local.root, *arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert "Traceback" not in err


def test_an_empty_place_is_no_answer(local: Store, run: Callable[..., Told]) -> None:
    assert run(local.root)[0] == 2


def test_nothing_that_is_said_names_a_student(
    local: Store, run: Callable[..., Told], caplog: pytest.LogCaptureFixture
) -> None:
    student, code = "66aaaaaaaaaaaaaaaaaaaaaa", "canary of an excuse"
    for day in ("2026-03-31", DAY):
        land(local, day, [student], excuse_code=code)
    path = Path(local.root, layout.partition_path(DISTRICT, DAY, SCHOOL, "parquet"))
    path.write_bytes(path.read_bytes()[:-200])
    with caplog.at_level("DEBUG"):
        told = [run(local.root, *options) for options in ([], ["--json"], ["--all", "--dry-run"], ["--rebuild"])]
    text = f"{told}{caplog.text}"
    assert "cannot be read" in text
    assert [secret for secret in (student[:12], code) if secret in text] == []
    kept = b"".join(path.read_bytes() for path in Path(local.root, "_clever").rglob("*.json"))
    assert student[:12].encode() not in kept
