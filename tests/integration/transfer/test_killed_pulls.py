"""Whole pulls over a socket, killed at random moments or run two at once: the due rows land, each once."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.support.asking import ask, due, landed

ROOT = Path(__file__).parents[3]
ROUNDS = int(os.environ.get("CLEVER_CRASH_ROUNDS", "6"))

PULL = """
import sys
from pathlib import Path
from tests.support.asking import ask
from airflow_provider_clever.sandbox.testing import Sandbox
import pyarrow.parquet
sandbox = Sandbox(sys.argv[1], 0)
print("ready", flush=True)
ask(sandbox, Path(sys.argv[2]), work=sys.argv[3], write_changes=True)
"""


def start(sandbox: Sandbox, lake: Path, folder: Path, work: str) -> subprocess.Popen[str]:
    """A pull in a process of its own, which has imported everything and is about to begin."""
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", PULL, sandbox.url, str(lake), work],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def correct(sandbox: Sandbox) -> None:
    """The district uploads another day and corrects old ones, so that many files have to change."""
    sandbox.knobs(rate_limit=1_000_000)
    sandbox.sync("small", edits=60, late_rows=20, weeks=20)


def due_now(sandbox: Sandbox) -> list[tuple[str | None, ...]]:
    return due(sandbox.expected("small", date_range_start="2026-06-01", date_range_end="2026-11-23"))


def test_a_pull_that_is_killed_and_run_again_elsewhere_lands_what_is_due(sandbox: Sandbox, tmp_path: Path):
    lake = tmp_path / "lake"
    ask(sandbox, lake)
    moments = random.Random()
    killed, seconds = 0, 0.8
    for number in range(ROUNDS):
        correct(sandbox)
        process = start(sandbox, lake, tmp_path / f"worker-{number}", f"night {number}")
        time.sleep(moments.uniform(0.0, seconds))  # the moment is the point; no outcome waits for it
        process.send_signal(signal.SIGKILL)
        killed += process.wait(10) == -signal.SIGKILL

        again = start(sandbox, lake, tmp_path / f"other-worker-{number}", f"night {number}")
        began = time.monotonic()
        assert again.wait(60) == 0
        seconds = time.monotonic() - began
        assert landed(lake) == due_now(sandbox)
    assert killed


def test_two_whole_pulls_at_once_land_what_is_due(sandbox: Sandbox, tmp_path: Path):
    lake = tmp_path / "lake"
    ask(sandbox, lake)
    for number in range(max(2, ROUNDS // 3)):
        correct(sandbox)
        both = [
            start(sandbox, lake, tmp_path / f"{name}-{number}", f"{name} {number}") for name in ("night", "backfill")
        ]
        assert [process.wait(60) for process in both] == [0, 0]
        assert landed(lake) == due_now(sandbox)
