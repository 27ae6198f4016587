"""`clever-attendance`: nothing found is not "all well", exit codes are the documented ones, nobody sees a traceback."""

import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import fsspec
import pytest
from pytest_mock import MockerFixture

from airflow_provider_clever.cli.main import main
from airflow_provider_clever.dates import DateRange
from airflow_provider_clever.lake.idempotency_key import IdempotencyKey
from airflow_provider_clever.lake.receipt_files import write_receipt
from airflow_provider_clever.lake.receipts import Asked, Receipt, SchoolReceipt
from airflow_provider_clever.lake.store import Destination
from airflow_provider_clever.ledger.coverage_store import coverage_path
from airflow_provider_clever.sandbox.testing import Sandbox

DISTRICT = "65e000000000000000000001"
TODAY = "2026-11-23"
VERBS = ("plan", "status", "verify")
DOCUMENTED = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def no_logs() -> Iterator[None]:
    """Airflow's log handlers, set up by whatever test imported it first, write to outputs that are closed by now."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process; gives exit code, output and errors, and refuses tracebacks."""

    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        assert not err or err.startswith(("clever-attendance: ", "usage: "))
        return code, out, err

    return run


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake with one district, of which everything that Clever has is covered."""
    lake = tmp_path / "lake"
    landed(lake, DISTRICT, "2026-05-24")
    return lake


def landed(lake: Path, district: str, first: str, last: str = TODAY) -> None:
    fs = fsspec.filesystem("file")
    destination = Destination(fs, str(lake), district_id=district, file_format="jsonl")
    covered = (DateRange.from_json((first, last)),)
    write_receipt(
        destination.objects,
        Receipt(
            district_id=district,
            idempotency_key=IdempotencyKey("0" * 32, "2026-11"),
            asked=Asked(date_range_start=first, date_range_end=last),
            file_format="jsonl",
            finished_at=f"{last}T23:00:00.000000Z",
            sync_before=f"{last}T22:45:00.000000Z",
            sync_after=f"{last}T22:45:00.000000Z",
            settled=True,
            schools={"a": SchoolReceipt(state="empty", name="Alder", covered=covered)},
        ),
    )


def everything_below(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


# --- nothing found ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["status", "verify"])
@pytest.mark.parametrize("form", [(), ("--json",)], ids=["table", "json"])
@pytest.mark.parametrize("what", ["no folder", "an empty folder", "a folder of something else", "no such district"])
def test_nothing_found_is_not_all_well(
    run: Run, lake: Path, tmp_path: Path, verb: str, form: Sequence[str], what: str
) -> None:
    empty, other = tmp_path / "empty", tmp_path / "other"
    empty.mkdir()
    (other / "attendance").mkdir(parents=True)
    (other / "attendance" / "report.txt").write_text("")
    destination, options = {
        "no folder": (tmp_path / "lakee", ()),
        "an empty folder": (empty, ()),
        "a folder of something else": (other, ()),
        "no such district": (lake, ("--district", "65e000000000000000000009")),
    }[what]
    code, out, err = run(verb, destination, *options, *form)
    assert (code, out) == (2, "")
    assert "has landed at" in err
    assert str(destination) in err
    assert options == () or DISTRICT in err  # which districts there are


@pytest.mark.parametrize("verb", ["status", "verify"])
def test_a_district_that_is_named_wrongly_beside_a_right_one_is_told_too(run: Run, lake: Path, verb: str) -> None:
    code, _, err = run(verb, lake, "--district", DISTRICT, "--district", "65e00000000000000000000l")
    assert code == 2
    assert "65e00000000000000000000l" in err


def test_a_district_of_which_no_receipt_is_left_is_no_green_one(run: Run, lake: Path) -> None:
    folder = lake / "attendance" / "district=65e000000000000000000002" / "date=2026-11-20"
    folder.mkdir(parents=True)
    (folder / "school-a.jsonl.gz").write_bytes(b"")
    code, out, err = run("status", lake, "--today", TODAY)
    assert code == 2
    assert DISTRICT in out  # the other one is shown all the same
    assert "Nothing is known of district 65e000000000000000000002" in err


def test_a_folder_of_no_district_spoils_only_itself_and_verify_names_it(run: Run, lake: Path, tmp_path: Path) -> None:
    for stray in ("_clever/district=a b", "_clever/district=", "attendance/district=..x", "_clever/notes"):
        (lake / stray).mkdir(parents=True)
    assert run("status", lake, "--today", TODAY)[0] == 0
    details = tmp_path / "details.jsonl"
    assert run("verify", lake, "--details", details)[0] == 1
    found = [json.loads(line) for line in details.read_text().splitlines()]
    assert {(one["kind"], one["path"]) for one in found} == {
        ("strange", "_clever/district=a b"),
        ("strange", "_clever/district="),
        ("strange", "attendance/district=..x"),
    }


@pytest.mark.parametrize("how", ["deleted", "a file", "all damaged"])
def test_a_rebuild_without_a_receipt_throws_no_coverage_away(run: Run, lake: Path, how: str) -> None:
    assert run("status", lake, "--rebuild", "--today", TODAY)[0] == 0
    file = lake / coverage_path(DISTRICT)
    known, receipts = file.read_bytes(), file.parent / "receipts"
    if how == "all damaged":
        for receipt in receipts.glob("*/*"):
            receipt.write_bytes(b"")
    else:
        shutil.rmtree(receipts)
        if how == "a file":
            receipts.write_text("")
    code, _, err = run("status", lake, "--rebuild", "--today", TODAY)
    assert code == 2
    assert "Restore the receipts" in err
    assert file.read_bytes() == known
    assert run("status", lake, "--today", TODAY)[0] == 0
    file.write_text("damaged")
    assert run("status", lake, "--rebuild", "--today", TODAY)[0] == 2
    assert file.read_text() != "damaged"


def test_a_rebuild_of_a_misspelt_district_or_destination_writes_nothing(run: Run, lake: Path, tmp_path: Path) -> None:
    before = everything_below(tmp_path)
    assert run("status", lake, "--rebuild", "--district", "65e000000000000000000009")[0] == 2
    assert run("status", tmp_path / "lakee", "--rebuild", "--district", DISTRICT)[0] == 2
    assert everything_below(tmp_path) == before
    assert run("status", lake, "--rebuild", "--today", TODAY)[0] == 0
    assert (lake / coverage_path(DISTRICT)).exists()


# --- each verb, each kind of bad input --------------------------------------------------------------------------------

BAD_CONNECTIONS = {
    "json": "{not json",
    "extra": '{"login": "a", "password": "b", "extra": "{not json"}',
    "extra list": '{"login": "a", "password": "b", "extra": [1]}',
    "deep": '{"extra": ' + "[" * 100_000,
    "empty": "{}",
    "host": '{"host": "ftp://nowhere", "password": "x"}',
    "port": '{"password": "x", "port": "many"}',
    "share": '{"password": "x", "extra": {"budget_share": "lots"}}',
    "a number": '{"login": 5, "password": 7, "host": 9}',
}


@pytest.mark.parametrize("kind", BAD_CONNECTIONS)
def test_a_connection_that_cannot_be_read_is_told(
    run: Run, lake: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CLEVER_DEFAULT", BAD_CONNECTIONS[kind])
    code, out, _ = run("plan", lake)
    assert (code, out) == (2, "")


BAD_DESTINATIONS = {
    "a file instead of a folder": "{folder}/a file",
    "below a file": "{folder}/a file/lake",
    "a link to itself": "{folder}/loop",
    "an unknown scheme": "foo://bucket/lake",
    "a name that is too long": "{folder}/" + "x" * 300,
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("kind", BAD_DESTINATIONS)
def test_a_destination_that_cannot_be_used_is_told(
    run: Run, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str, kind: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CLEVER_DEFAULT", sandbox.connection_json("small"))
    (tmp_path / "a file").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    code, out, _ = run(verb, BAD_DESTINATIONS[kind].format(folder=tmp_path))
    assert (code, out) == (2, "")


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("error", [PermissionError(13, "no"), OSError(5, "the disk is dying"), OSError(116, "stale")])
def test_a_folder_that_cannot_be_read_is_told(
    run: Run,
    sandbox: Sandbox,
    lake: Path,
    mocker: MockerFixture,
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
    error: OSError,
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CLEVER_DEFAULT", sandbox.connection_json("small"))
    mocker.patch("time.sleep")
    mocker.patch("os.scandir", side_effect=error)
    mocker.patch("builtins.open", side_effect=error)
    mocker.patch("os.open", side_effect=error)
    code, out, err = run(verb, lake)
    assert (code, out) == (2, "")
    assert "could not" in err


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    "options",
    [
        ("--nonsense",),
        ("--today", "2026-02-30"),
        ("--today", "yesterday"),
        ("--today", "0001-01-01"),
        ("--today", "9999-12-31"),
        ("--today", "20261123"),
        ("--today", ""),
        ("--from", "2099-01-01"),
        ("--from", "2099-01-01", "--to", "2099-02-01"),
        ("--from", "0001-01-01"),
        ("--to", "9999-12-31"),
        ("--district", "../../etc"),
        ("--district", ""),
        ("--from", "2026-13-01"),
        ("--from", "2026-11-20", "--to", "2026-11-01"),
        ("--timezone", "Mars/Olympus"),
        ("--timezone", "../../etc/passwd"),
        ("--lookback-days", "-1"),
        ("--lookback-days", "many"),
        ("--lookback-days", "10000000000"),
        ("--sweep-weekday", "someday"),
        ("--conn-id", "no_such_connection"),
        ("--details", "/proc/nowhere/file"),
    ],
    ids=" ".join,
)
def test_an_option_that_makes_no_sense_is_told(
    run: Run, sandbox: Sandbox, lake: Path, monkeypatch: pytest.MonkeyPatch, verb: str, options: Sequence[str]
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CLEVER_DEFAULT", sandbox.connection_json("small"))
    code, out, err = run(verb, lake, *options)
    assert (code, out) == (2, "")
    assert err


def test_no_verb_and_no_destination_are_told(run: Run) -> None:
    assert [run(*arguments)[0] for arguments in ((), ("",), ("statsu", "x"), *((verb,) for verb in VERBS))] == [2] * 6


@pytest.mark.parametrize("fault", ["401", "404"])
def test_a_clever_that_refuses_is_told(
    run: Run, sandbox: Sandbox, lake: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CLEVER_DEFAULT", sandbox.connection_json("small"))
    sandbox.fault(fault, family="districts", times=0)
    code, out, _ = run("plan", lake)
    assert (code, out) == (2, "")


def test_something_that_nobody_thought_of_is_told_in_one_line_with_its_place_and_without_its_text(
    run: Run, lake: Path, mocker: MockerFixture
) -> None:
    mocker.patch("json.dumps", side_effect=ArithmeticError("student 4711"))
    code, out, err = run("status", lake, "--json")
    assert (code, out) == (2, "")
    assert re.search(r"unexpected ArithmeticError at cli/json_answer\.py:\d+", err)
    assert "4711" not in err


# --- as a process -----------------------------------------------------------------------------------------------------

COMMAND = [sys.executable, "-m", "airflow_provider_clever.cli"]


def environment(**more: str) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    return plain | {"PYTHONUNBUFFERED": "", "NO_PROXY": "*"} | more


def shell(line: str, **more: str) -> tuple[int, str]:
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment(CLI=" ".join(COMMAND), **more),
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert "Exception ignored" not in done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("form", ["", "--json"], ids=["table", "json"])
@pytest.mark.parametrize("verb", ["status", "verify"])
def test_a_pipe_that_is_closed_ends_the_command_without_a_word(lake: Path, verb: str, form: str) -> None:
    assert shell(f"$CLI {verb} {form} {lake} | true") == (141, "")


def test_help_that_nobody_reads_to_its_end_is_no_error() -> None:
    assert shell("$CLI status --help | true")[1] == ""


@pytest.mark.parametrize("verb", ["status", "verify"])
def test_a_terminal_without_the_letters_gets_its_answer_all_the_same(lake: Path, verb: str) -> None:
    code, told = shell(f"$CLI {verb} {lake}", LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    assert code == shell(f"$CLI {verb} {lake}")[0]
    assert DISTRICT in told or "Read 0 partitions" in told
    assert "unexpected" not in told


def test_an_output_that_takes_nothing_is_told(lake: Path) -> None:
    code, text = shell(f"$CLI status --json {lake} > /dev/full")
    assert code == 2
    assert "no space left" in text
    assert shell(f"$CLI status --today {TODAY} {lake} >&-")[0] in (0, 2)


def test_what_airflow_logs_while_it_is_asked_for_a_connection_does_not_get_into_the_output(tmp_path: Path) -> None:
    more = {"AIRFLOW_HOME": str(tmp_path / "airflow"), "AWS_EC2_METADATA_DISABLED": "true"}
    for line in (f"plan --json {tmp_path}", "status --json s3://no_such_connection@bucket/lake"):
        assert shell(f"$CLI {line} 2>/dev/null", **more) == (2, "")


def test_a_plan_without_a_connection_says_how_to_give_one(tmp_path: Path) -> None:
    code, text = shell(f"$CLI plan {tmp_path}/lake", AIRFLOW_HOME=str(tmp_path / "airflow"))
    assert code == 2
    assert "AIRFLOW_CONN_CLEVER_DEFAULT" in text
    assert "--conn-id" in text


def test_a_missing_library_is_named_with_the_line_that_installs_it(lake: Path) -> None:
    start = "from airflow_provider_clever.cli.main import main; sys.exit(main())"
    without = f"import sys; sys.modules['{{0}}'] = None; {start}"
    for verb, library, words in (
        ("status", "rich", "pip install"),
        ("plan", "airflow", "AIRFLOW_CONN_CLEVER_DEFAULT"),
    ):
        command = [sys.executable, "-c", without.format(library), verb, str(lake)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment())
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr
        assert "Traceback" not in done.stderr


def test_ctrl_c_ends_a_command_at_once_with_its_own_code(sandbox: Sandbox, lake: Path) -> None:
    sandbox.fault("timeout", family="districts", seconds=60.0, times=0)
    sandbox.clear_requests()
    process = subprocess.Popen(
        [*COMMAND, "plan", str(lake)],
        env=environment(AIRFLOW_CONN_CLEVER_DEFAULT=sandbox.connection_json("small")),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not any(fault["hits"] for fault in sandbox.faults()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=180)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err


def test_the_page_documents_each_exit_code() -> None:
    rows = dict(re.findall(r"^\| (\d+) \| (.+) \|$", DOCUMENTED.read_text(), re.MULTILINE))
    assert set(rows) == {"0", "1", "2", "3", "130", "141"}


def test_status_answers_1_for_a_day_about_to_be_lost_also_beside_districts_that_are_well(run: Run, lake: Path) -> None:
    assert run("status", lake, "--today", TODAY)[0] == 0
    landed(lake, "65e000000000000000000002", "2026-06-03")
    code, out, _ = run("status", lake, "--today", TODAY, "--json")
    assert code == 1
    assert [bool(district["about_to_be_lost"]) for district in json.loads(out)] == [False, True]
