"""Whole pulls over a socket, killed at random moments or run two at once: the due rows land, each once."""

import os
import random
import signal
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.support.asking import ask, due, landed
from tests.support.forked import processes
from tests.support.pulling import pull

ROUNDS = int(os.environ.get("CLEVER_CRASH_ROUNDS", "6"))


def start(sandbox: Sandbox, lake: Path, folder: Path, work: str) -> ForkServerProcess:
    """A pull in a process of its own, which has imported everything and is about to begin."""
    folder.mkdir()
    here, there = processes.Pipe(duplex=False)
    process = processes.Process(target=pull, args=(sandbox.url, str(lake), str(folder), work, there))
    process.start()
    there.close()
    assert here.poll(60)
    assert here.recv() == "ready"
    return process


def exit_code(process: ForkServerProcess, within_seconds: float) -> int | None:
    """How a process ended; None: not yet."""
    process.join(within_seconds)
    code: int | None = process.exitcode
    return code


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
        process.kill()
        killed += exit_code(process, 10) == -signal.SIGKILL

        again = start(sandbox, lake, tmp_path / f"other-worker-{number}", f"night {number}")
        began = time.monotonic()
        assert exit_code(again, 60) == 0
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
        assert [exit_code(process, 60) for process in both] == [0, 0]
        assert landed(lake) == due_now(sandbox)
