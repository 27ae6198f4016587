"""`clever-attendance forget` asks, refuses slips, ends with the documented codes, and says no student's id anywhere."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_clever.cli.main import main
from airflow_provider_clever.lake.store import Destination
from tests.lake.builders import DISTRICT, context, day, row
from tests.lake.emulators import Store

WANTED, OTHER = "66aaaaaaaaaaaaaaaaaaaaaa", "66bbbbbbbbbbbbbbbbbbbbbb"
SECRET = "a made-up key that is long enough to be one"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lake with two students."""
    monkeypatch.setenv("CLEVER_FORGET_SECRET", SECRET)
    store = Store("file", str(tmp_path / "lake"))
    destination = Destination(store.filesystem(), store.root, district_id=DISTRICT)
    destination.check()
    for number in range(1, 4):
        destination.land(day([row(WANTED), row(OTHER)], attendance_date=f"2024-04-0{number}"), context=context())
    return tmp_path / "lake"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the command in this process; gives exit code, output and errors, which name no student."""

    def run(*arguments: object, typed: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed.encode())))
        try:
            code = main(["forget", *map(str, arguments)])
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        assert WANTED[:12] not in out + err
        return code, out, err

    return run


def test_finish_goes_on_with_the_same_students_and_refuses_others_and_other_choices(lake: Path, run: Any) -> None:
    run(lake, "--yes", typed=f"{WANTED}\n")
    code, _, err = run(lake, "--finish", "--students", "-", typed=f"{WANTED}\n{OTHER}\n")
    assert (code, "1 of these 2 students are not pending here" in err) == (2, True)
    assert run(lake, "--finish", "--students", "-", typed=f"{WANTED}\n")[0] == 3
    for other in ("--lift", "--dry-run", "--older-than=3y"):
        code, _, err = run(lake, "--finish", other)
        assert (code, "only --students goes with it" in err) == (2, True)


def test_a_key_that_is_in_the_connection_is_read_where_the_command_names_it(
    lake: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLEVER_FORGET_SECRET")
    connection = {"conn_type": "clever", "password": "made-up", "extra": {"forget_secret": SECRET}}
    monkeypatch.setenv("AIRFLOW_CONN_CLEVER_DEFAULT", json.dumps(connection))
    code, _, err = run(lake, "--dry-run", typed=f"{WANTED}\n")
    assert (code, "commands take it from there with --conn-id" in err) == (2, True)
    assert run(lake, "--dry-run", "--conn-id", "clever_default", typed=f"{WANTED}\n")[0] == 0


def students_in(lake: Path) -> set[str]:
    import duckdb

    rows = duckdb.sql(f"SELECT DISTINCT student_id FROM read_parquet('{lake}/attendance/**/*.parquet')").fetchall()
    return {student for (student,) in rows}


def test_a_student_from_standard_input_is_pending_first_and_final_later(lake: Path, run: Any) -> None:
    code, out, _ = run(lake, "--yes", typed=f"{WANTED}\n")
    assert (code, students_in(lake)) == (3, {OTHER})
    assert "--finish" in out
    assert main(["status", str(lake)]) == 2  # nothing was ever pulled with a receipt here; it says what is pending
    assert run(lake, "--finish", "--longest-task-hours", 0)[0] == 3  # the time that was said first counts
    code, out, _ = run(lake, "--yes", "--json", "--longest-task-hours", 0, typed=f"{OTHER}\n")
    assert code == 0
    (told,) = json.loads(out)
    assert (told["state"], told["completeness"], told["students"]) == ("final", "complete", 1)
    assert Path(lake, told["receipt"]).exists()


def test_students_from_a_file_are_shown_first_if_that_is_asked_for(lake: Path, run: Any, tmp_path: Path) -> None:
    Path(tmp_path, "list.txt").write_text(f"{WANTED}\n")
    code, out, _ = run(lake, "--students", tmp_path / "list.txt", "--dry-run")
    assert (code, students_in(lake)) == (0, {WANTED, OTHER})
    assert "partitions" in out
    assert "1 of 1 students have rows here" in out
    code, out, _ = run(lake, "--students", "-", "--dry-run", typed=f"{WANTED}\n{OTHER.upper()}\n")
    assert "1 of 2 students have rows here" in out


def test_old_days_go_by_policy(lake: Path, run: Any) -> None:
    code, out, _ = run(lake, "--older-than", "1y", "--yes", "--json")
    assert code == 0
    assert json.loads(out)[0]["counts"]["partitions"] == {"objects": 3, "rows": 6}
    assert list(lake.rglob("*.parquet")) == []


def test_a_district_goes_and_is_lifted(lake: Path, run: Any) -> None:
    assert run(lake, "--district", DISTRICT, "--yes", "--longest-task-hours", 0)[0] == 0
    assert list(lake.rglob("*.parquet")) == []
    assert main(["status", str(lake)]) == 0
    for other in ("--dry-run", "--older-than=3y"):
        for where in ((), ("--district", DISTRICT)):
            code, _, err = run(lake, *where, "--lift", other)
            assert (code, "goes with neither" in err) == (2, True)
    assert run(lake, "--district", DISTRICT, "--lift")[0] == 0
    code, _, err = run(lake, "--district", DISTRICT, "--lift")
    assert code == 2
    assert "nothing to lift" in err


@pytest.mark.parametrize(
    ("arguments", "typed", "says"),
    [
        (["--yes"], "", "the list of students is empty"),
        (["--yes"], "two words\n", "line 1"),
        (["--older-than", "3"], "", "write years"),
        (["--older-than", "0y"], "", "write years"),
        (["--older-than", "1y", "--finish"], "", "of the others only --students goes with it"),
        (["--students", "/no/such/file", "--yes"], "", "could not be read"),
        (["--longest-task-hours", "-1"], "", "no number of hours"),
        (["--district", "65e000000000000000000009", "--yes"], "", "has landed"),
    ],
)
def test_a_slip_removes_nothing(lake: Path, run: Any, arguments: list[str], typed: str, says: str) -> None:
    code, _, err = run(lake, *arguments, typed=typed)
    assert (code, students_in(lake)) == (2, {WANTED, OTHER})
    assert says in err


def command(lake: Path, *arguments: str, typed: str = "", secret: str = SECRET) -> subprocess.CompletedProcess[str]:
    """Run it as a shell does, in a session without a terminal."""
    return subprocess.run(
        [sys.executable, "-X", "dev", "-m", "airflow_provider_clever.cli", "forget", str(lake), *arguments],
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=ROOT,
        env={**os.environ, "CLEVER_FORGET_SECRET": secret},
        start_new_session=True,
    )


def test_without_a_terminal_and_without_a_word_nothing_is_removed(lake: Path) -> None:
    done = command(lake, typed=f"{WANTED}\n")
    assert (done.returncode, students_in(lake)) == (2, {WANTED, OTHER})
    assert "say --yes" in done.stderr


def test_a_list_on_standard_input_never_forgets_the_whole_district(lake: Path) -> None:
    done = command(lake, "--district", DISTRICT, "--yes", typed=f"{WANTED}\n")
    assert (done.returncode, students_in(lake)) == (2, {WANTED, OTHER})
    assert "--students -" in done.stderr


def test_no_output_of_the_command_holds_an_id_or_the_key(lake: Path) -> None:
    said = []
    for arguments in (["--dry-run"], ["--yes", "--json"], ["--yes"]):
        done = command(lake, *arguments, typed=f"{WANTED}\n")
        said.append(done.stdout + done.stderr)
    said.append(command(lake, "--yes", typed=f"{WANTED}\n", secret="y" * 40).stderr)
    said.append(command(lake, "--yes", typed=f"{WANTED}\n", secret="short").stderr)
    assert all(said)
    for text in said:
        assert WANTED[:12] not in text
        assert SECRET not in text
        assert "Traceback" not in text
