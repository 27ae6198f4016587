"""The command line over a small lake: what it says, how it ends, and that it needs no Airflow to do so."""

import gzip
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from importlib.metadata import version
from pathlib import Path

import fsspec
import pytest

from airflow_provider_clever import __version__
from airflow_provider_clever.cli.main import main
from airflow_provider_clever.cli.parser import VERBS
from airflow_provider_clever.dates import DateRange
from airflow_provider_clever.lake.idempotency_key import IdempotencyKey
from airflow_provider_clever.lake.layout import objects_at
from airflow_provider_clever.lake.receipts import Asked, Receipt, SchoolReceipt
from airflow_provider_clever.ledger.coverage_store import Listing, coverage_path, record_coverage
from airflow_provider_clever.storage.compressed import gzipped_json
from airflow_provider_clever.storage.objects import Objects
from airflow_provider_clever.syncs import moment_text

DISTRICT = "65e000000000000000000001"
TODAY = date(2026, 11, 23)
EVENING = moment_text(datetime.combine(TODAY, time(22, 45), UTC))
Told = tuple[int, str, str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    def run(*arguments: object) -> Told:
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def lake(tmp_path: Path) -> Objects:
    return objects_at(fsspec.filesystem("file"), str(tmp_path / "lake"))


def landed(lake: Objects, first: str, last: str, *, number: int = 0, **schools: SchoolReceipt) -> None:
    """Leave a receipt of a pull on the evening of today."""
    receipt = Receipt(
        district_id=DISTRICT,
        idempotency_key=IdempotencyKey(f"{number:032x}", "2026-11"),
        asked=Asked(date_range_start=first, date_range_end=last),
        file_format="jsonl",
        finished_at=EVENING,
        sync_before=EVENING,
        sync_after=EVENING,
        settled=True,
        schools=schools
        or {"a": SchoolReceipt(state="empty", name="Alder", covered=(DateRange.from_json((first, last)),))},
        totals={"missing": 5, "quarantined": 2},
    )
    lake.update(receipt.path, lambda _: gzipped_json(receipt.to_json()))


def test_status_of_a_covered_district_ends_well(lake: Objects, run: Callable[..., Told]) -> None:
    landed(lake, "2026-05-24", "2026-11-23")
    code, out, _ = run("status", lake.root, "--today", TODAY)
    assert code == 0
    assert DISTRICT in out
    assert "2026-11-23 22:45" in out
    assert "about to be lost" not in out


def test_status_ends_with_1_when_a_day_is_about_to_be_lost_and_names_it(
    lake: Objects, run: Callable[..., Told]
) -> None:
    landed(lake, "2026-06-03", "2026-11-23")
    code, out, _ = run("status", lake.root, "--today", TODAY)
    assert code == 1
    assert "Alder (a): 2026-05-24 to 2026-06-02" in out
    code, out, _ = run("status", lake.root, "--today", TODAY, "--json")
    (district,) = json.loads(out)
    assert code == 1
    (alder,) = district["about_to_be_lost"]
    assert (alder["days"], alder["words"]) == ([["2026-05-24", "2026-06-02"]], None)
    assert (district["gaps"], district["days_to_expiry"], district["missing"]) == (10, 1, 5)


def test_status_goes_on_naming_days_that_are_lost(lake: Objects, run: Callable[..., Told]) -> None:
    landed(lake, "2026-06-03", "2026-11-23")
    record_coverage(lake, DISTRICT, Listing(today=TODAY, schools={"a": "Alder"}))
    code, out, _ = run("status", lake.root, "--today", "2026-12-12")
    assert code == 0
    assert "lost: Clever has forgotten these days" in out
    assert "Alder (a): 2026-05-24 to 2026-06-02" in out


def test_status_writes_nothing_unless_it_is_to_rebuild(lake: Objects, run: Callable[..., Told]) -> None:
    landed(lake, "2026-05-24", "2026-11-23")
    run("status", lake.root, "--today", TODAY)
    assert lake.read(coverage_path(DISTRICT)) is None
    run("status", lake.root, "--today", TODAY, "--rebuild")
    assert lake.read(coverage_path(DISTRICT)) is not None


def test_a_school_named_like_markup_is_shown_as_it_is(lake: Objects, run: Callable[..., Told]) -> None:
    failed = SchoolReceipt(state="failed", name="[bold]Birch[/]", error="Clever answered 500")
    landed(lake, "2026-11-23", "2026-11-23", b=failed)
    _, out, _ = run("status", lake.root, "--today", TODAY)
    assert "[bold]Birch[/] (b)" in out
    assert "Clever answered 500" in out


def test_verify_ends_with_0_and_with_1_when_an_object_is_damaged(
    lake: Objects, run: Callable[..., Told], tmp_path: Path
) -> None:
    landed(lake, "2026-11-23", "2026-11-23")
    code, out, _ = run("verify", lake.root)
    assert (code, "All is as it was landed." in out) == (0, True)
    path = f"attendance/district={DISTRICT}/date=2026-11-23/school-a.jsonl.gz"
    lake.update(path, lambda _: gzip.compress(b"{}")[:-4])
    details = tmp_path / "details.jsonl"
    code, out, _ = run("verify", lake.root, "--details", details)
    assert (code, "Something is wrong" in out) == (1, True)
    assert json.loads(details.read_text())["path"] == path
    assert details.stat().st_mode & 0o077 == 0
    code, out, _ = run("verify", lake.root, "--json")
    assert (code, json.loads(out)["counts"]["damaged"]) == (1, 1)


def test_what_cannot_be_answered_ends_with_2_and_the_next_step(
    run: Callable[..., Told], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_CLEVER_DEFAULT", json.dumps({"conn_type": "clever", "host": "https://api.clever.com"})
    )
    for arguments, words in (
        (("status", "foo://bucket/x"), "kind foo"),
        (("plan", tmp_path), "password: empty"),
    ):
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        assert words in err
        assert "Traceback" not in err


def test_a_date_that_is_none_is_refused_by_name(run: Callable[..., Told], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run("plan", "/tmp/x", "--from", "2026-13-01")
    assert end.value.code == 2
    assert "'2026-13-01' is no date" in capsys.readouterr().err


def test_help_names_every_command_and_speaks_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], *([verb] for verb in VERBS)):
        with pytest.raises(SystemExit):
            main([*arguments, "--help"])
        out = capsys.readouterr().out
        assert arguments or all(name in out for name in ("sandbox", *VERBS))
        assert "`" not in out


def test_the_versions_are_those_of_provider_airflow_and_python(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    airflow, python = version("apache-airflow"), platform.python_version()
    assert not end.value.code
    assert capsys.readouterr().out == f"airflow-provider-clever {__version__}, Airflow {airflow}, Python {python}\n"


def test_status_needs_no_airflow_and_sandbox_becomes_the_sandbox(lake: Objects) -> None:
    landed(lake, "2026-05-24", "2026-11-23")
    without = (
        "import sys; sys.modules['airflow'] = None; from airflow_provider_clever.cli.main import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", without, "status", lake.root, "--today", str(TODAY)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    command = [sys.executable, "-m", "airflow_provider_clever.cli", "sandbox", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True, env={**os.environ})
    assert "--rate-limit" in done.stdout
