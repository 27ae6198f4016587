"""Processes forked from one that has already run a DAG: seven CPU seconds less for each than a fresh process.

A fork stands for a fresh process only where that would find the same: the same interpreter, a home that holds nothing
but a database and DAGs, and the same environment but for what is read later. Everything else takes a fresh process, and
so does all where forking is not safe.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

START_SECONDS: Final = 180.0
STOP_SECONDS: Final = 10.0
READ_LATER: Final = (
    "AIRFLOW_CONN_",
    "AIRFLOW_VAR_",
    "AIRFLOW__CLEVER__",
    "AIRFLOW__CORE__MAX_MAP_LENGTH",
    "ARROW_DEFAULT_MEMORY_POOL",  # by pyarrow, which the server must not have imported
    "PYTEST_CURRENT_TEST",
)
"""How variables begin that nothing reads before a task asks for them."""


class ForkServer:
    """The process that forks. It ends by itself when this one does.

    :param folder: a new folder of its own, in which ``home`` is a link to the home that is just used.
    :param database: a migrated SQLite database; the server takes a copy for a DAG of its own.
    :param environment: for the server; Airflow's home in it is the link.
    :param working_folder: where the server and its children run.
    """

    def __init__(self, folder: Path, database: Path, environment: Mapping[str, str], working_folder: Path) -> None:
        self._folder = folder
        self._environment = _read_early(environment)
        self._one_at_a_time = threading.Lock()
        self._lead_to(folder / "first-home")
        (folder / "first-home/dags").mkdir(parents=True)
        shutil.copyfile(database, folder / "first-home/airflow.db")
        self._control, theirs = socket.socketpair()
        with theirs, (folder / "output.txt").open("w") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "tests.support.dag_fork_server", str(theirs.fileno())],
                env=dict(environment),
                cwd=working_folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        self._answers = b""
        try:
            self._why_not = self._answer(START_SECONDS)
        except (OSError, EOFError):
            self._why_not = f"the server did not start:\n{(folder / 'output.txt').read_text(errors='replace')[-4000:]}"
        if self._why_not:
            warnings.warn(f"Each DAG runs in a fresh process: {self._why_not}", stacklevel=2)

    def run(
        self, home: Path, module: str, job: Path, environment: Mapping[str, str], timeout_seconds: float
    ) -> tuple[int | None, str] | None:
        """Run a module's ``main`` in a child of its own.

        :param home: what the link leads to meanwhile.
        :param environment: for the child; Airflow's home in it is the link.
        :param timeout_seconds: the child and its process group are killed after this.
        :returns: the exit code, None after the timeout, and what was printed; None where a fork would not do.
        """
        if self._why_not or _read_early(environment) != self._environment:
            return None
        if not self._one_at_a_time.acquire(blocking=False):
            return None
        try:
            self._lead_to(home)
            output = home / "output.txt"
            request = {
                "module": module,
                "job": str(job),
                "output": str(output),
                "environment": dict(environment),
            }
            self._control.sendall(json.dumps(request).encode() + b"\n")
            pid = self._answer(STOP_SECONDS)
            try:
                code = self._answer(timeout_seconds)
            except TimeoutError:
                code = None
                os.killpg(pid, signal.SIGKILL)
                self._answer(STOP_SECONDS)
            return code, output.read_text(errors="replace")
        finally:
            self._one_at_a_time.release()

    def stop(self) -> None:
        """Let the server end."""
        self._control.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _lead_to(self, home: Path) -> None:
        link = self._folder / "home"
        link.unlink(missing_ok=True)
        link.symlink_to(home.resolve())

    def _answer(self, seconds: float) -> Any:
        self._control.settimeout(seconds)
        while b"\n" not in self._answers:
            if not (more := self._control.recv(1000)):
                raise EOFError("The server that forks has ended.")
            self._answers += more
        line, _, self._answers = self._answers.partition(b"\n")
        return json.loads(line)


def _read_early(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(READ_LATER)}
