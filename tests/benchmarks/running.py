"""Starts the server and the contenders' processes, and collects what they measured."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from urllib.request import urlopen

from tests.benchmarks.contenders.measuring import Job
from tests.benchmarks.environments import ROOT, python_of
from tests.benchmarks.lineup import Contender
from tests.benchmarks.standin import ROWS_A_DAY, school_dates, school_id

Measurement = dict[str, Any]
"""One pull: scenario, contender, which pull of its process, rows, and what contenders/measuring.py tells."""

_SECONDS: Final = 1200
"""The longest that one process may take."""


class WrongRowsError(Exception):
    """A contender brought other than all rows, so its time means nothing."""


@dataclass(frozen=True)
class Scenario:
    """The same question to several contenders.

    :param key: its name among the measurements.
    :param title: its name on the page.
    :param schools: how many schools.
    :param days: how many school days.
    :param contenders: who is asked, in turn.
    :param latency_seconds: how long the server holds each answer back.
    :param limit: requests per window of 60 s.
    :param processes: how many processes share the schools and the token.
    """

    key: str
    title: str
    schools: int
    days: int
    contenders: Sequence[Contender]
    latency_seconds: float = 0.0
    limit: int = 10**9
    processes: int = 1

    @property
    def rows(self) -> int:
        """How many rows answer the question."""
        return self.schools * self.days * ROWS_A_DAY

    @property
    def dates(self) -> tuple[str, str]:
        """First and last day; the last is yesterday, so that all are within what Clever retains."""
        last = date.today() - timedelta(days=1)  # noqa: DTZ011 - which day it is somewhere does not matter
        long_before = last - timedelta(days=2 * self.days + 2)
        return school_dates(long_before.isoformat(), last.isoformat())[-self.days], last.isoformat()

    @property
    def account(self) -> Mapping[str, float]:
        """How the server shall treat the token."""
        return {"latency_seconds": self.latency_seconds, "limit": self.limit}


@contextmanager
def server() -> Iterator[str]:
    """The stand-in server in a process of its own; gives its origin."""
    command = [sys.executable, "-m", "tests.benchmarks.standin"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()


class Runner:
    """Runs contenders against one server.

    :param origin: the server.
    :param folder: where results go; they are emptied after each run and not removed, for ext4 passes over the inodes of
        files that were removed in the last minutes, one by one, which takes a tenth of the CPU of whoever makes many
        files next.
    """

    def __init__(self, origin: str, folder: Path) -> None:
        self._origin = origin
        self._folder = folder
        self._numbers = count()

    def alternate(self, scenario: Scenario, *, times: int) -> Iterator[Measurement]:
        """All contenders in turn, and again, so that what else the machine does falls on all of them."""
        for _ in range(times):
            for contender in scenario.contenders:
                yield from self.run(scenario, contender)

    def run(self, scenario: Scenario, contender: Contender) -> list[Measurement]:
        """One contender, all its pulls.

        :raises WrongRowsError: rows are missing or too many.
        """
        load = os.getloadavg()[0]
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        try:
            pulls = [_together(self._told(scenario, contender, folder)) for _ in range(contender.pulls)]
        finally:
            for file in filter(Path.is_file, folder.rglob("*")):
                os.truncate(file, 0)
        for pull in pulls:
            if pull["rows"] != scenario.rows:
                msg = f"{contender.key} brought {pull['rows']:,} of {scenario.rows:,} rows in {scenario.key}"
                raise WrongRowsError(msg)
        named = {"scenario": scenario.key, "contender": contender.key, "load": load}
        return [{**named, **pull, "pull": number} for number, pull in enumerate(pulls, 1)]

    def _told(self, scenario: Scenario, contender: Contender, folder: Path) -> list[Measurement]:
        token = f"bench-{next(self._numbers)}"
        first_day, last_day = scenario.dates
        account = dict(scenario.account)
        if scenario.processes > 1:
            urlopen(f"{self._origin}/_bench/begin?{urlencode({'token': token, **account})}", timeout=30).close()
            account = {}
        running = []
        for number in range(scenario.processes):
            job = Job(
                origin=self._origin,
                token=token,
                school_ids=[school_id(n) for n in range(number, scenario.schools, scenario.processes)],
                first_day=first_day,
                last_day=last_day,
                folder=str(folder / str(number)),
                account=account,
                options=contender.options,
            )
            running.append(_start(contender, job, folder / f"{number}.json"))
        return [_finish(process, file) for process, file in running]


def _start(contender: Contender, job: Job, file: Path) -> tuple[subprocess.Popen[str], Path]:
    file.write_text(json.dumps(asdict(job)))
    script = Path(__file__).with_name("contenders") / contender.script
    command = [str(python_of(contender.environment)), str(script), str(file)]
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT)} if not contender.environment else None
    with file.with_suffix(".log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=surroundings)
    return process, file


def _finish(process: subprocess.Popen[str], file: Path) -> Measurement:
    try:
        process.wait(_SECONDS)
    finally:
        process.kill()
    if process.returncode:
        raise RuntimeError(file.with_suffix(".log").read_text()[-3000:])
    told: Measurement = json.loads(file.with_suffix(".measured.json").read_text())
    return told


def _together(processes: Sequence[Measurement]) -> Measurement:
    """What several processes on one token measured, as one: the server told each of them about all."""
    last = max(processes, key=lambda measured: measured["ended"])
    return {**last, **{name: sum(measured[name] for measured in processes) for name in ("rows", "cpu_seconds")}}
