"""Real Airflow for tests: a home with a migrated database, DAGs run in child processes, and a stack of services.

Three sizes, each a superset of the one before:

* ``AirflowHome`` is a folder with Airflow's database and settings; ``home.command("providers", "list")`` runs the CLI.
* ``home.run_dag(source_or_path, connections={...})`` runs one DAG with ``dag.test()`` in a process of its own, without
  services (half a second; 8 s where no process can be forked, see ``tests.support.dag_forks``).
* ``AirflowStack(home, ...)`` starts API server, scheduler, DAG processor and triggerer, each a process of its own.

Every process gets its settings through its environment, is bounded in time and is stopped by its own process group.
"""

from __future__ import annotations

import atexit
import base64
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import requests

from tests.support.dag_forks import ForkServer

ROOT: Final = Path(__file__).parents[2]
COMPONENTS: Final = ("api-server", "scheduler", "dag-processor", "triggerer")
NOW: Final = "now"
BASE_URL: Final = "https://airflow.example.org/team/"
"""Where a home's Airflow says that its UI is; a stack says its own."""
READY_SECONDS: Final = 300.0
STOP_SECONDS: Final = 10.0

T = TypeVar("T")


# --- a home ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DagOutcome:
    """What became of one ``dag.test()``.

    :param state: the run's state.
    :param tasks: state by (task id, map index); map index -1 for a task that is not mapped.
    :param tries: number of tries, by the same.
    :param names: what Airflow's UI shows for a mapped task's index, by the same; None: the index.
    :param xcoms: XCom values by (task id, map index, key).
    :param rendered: rendered template fields by (task id, map index).
    :param events: asset events in order: asset's name, task id, map index, extra, partition key.
    :param log: everything the run printed and logged.
    """

    run_id: str
    state: str
    tasks: dict[tuple[str, int], str]
    tries: dict[tuple[str, int], int]
    names: dict[tuple[str, int], str | None]
    xcoms: dict[tuple[str, int, str], Any] = field(repr=False)
    rendered: dict[tuple[str, int], Any] = field(repr=False)
    events: list[tuple[str, str, int, dict[str, Any], str | None]] = field(repr=False)
    log: str = field(repr=False)

    def xcom(self, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """Give one XCom value."""
        return self.xcoms[task_id, map_index, key]


@dataclass(frozen=True, slots=True)
class AirflowHome:
    """A folder with Airflow's database, logs and DAGs.

    :param path: the folder.
    :param database_url: SQLAlchemy URL of the database. Default: SQLite inside the folder.
    :param python: interpreter of another environment, which sees no module of ours but those installed there.
        Default: this one.
    """

    path: Path
    database_url: str | None = None
    python: Path | None = None

    @classmethod
    def create(cls, path: Path, database_url: str | None = None, python: Path | None = None) -> Self:
        """Make a home and migrate its database (about 6 s)."""
        home = cls(path, database_url, python)
        home.dags.mkdir(parents=True, exist_ok=True)
        if python:
            shutil.copytree(ROOT / "tests/support", home.harness / "tests/support")
        home.command("db", "migrate", timeout_seconds=180)
        return home

    def copy(self, path: Path) -> AirflowHome:
        """Give a home of its own with the same SQLite database, in milliseconds."""
        twin = AirflowHome(path, python=self.python)
        twin.dags.mkdir(parents=True)
        shutil.copyfile(self.path / "airflow.db", path / "airflow.db")
        return twin

    @property
    def interpreter(self) -> str:
        """The Python that Airflow runs on."""
        return str(self.python or sys.executable)

    @property
    def harness(self) -> Path:
        """Where the child processes' own modules lie: for another environment, a copy with nothing else beside it."""
        return self.path / "harness" if self.python else ROOT

    @property
    def dags(self) -> Path:
        """The folder that Airflow reads DAGs from."""
        return self.path / "dags"

    @property
    def logs(self) -> Path:
        """The folder that Airflow writes logs to."""
        return self.path / "logs"

    def log_text(self) -> str:
        """Give all that was logged to files in this home."""
        return "\n".join(file.read_text(errors="replace") for file in sorted(self.logs.rglob("*")) if file.is_file())

    def errors_logged(self) -> list[str]:
        """Give what tasks and the API server logged as errors, for the message of a test that expected none."""
        lines = [json.loads(line) for line in self.log_text().splitlines() if line.startswith("{")]
        tasks = [f"{one.get('task_id')}: {one['event']}" for one in lines if one.get("level") == "error"]
        server = self.path / "api-server.log"
        printed = server.read_text(errors="replace").splitlines() if server.exists() else []
        # Airflow fails a task by itself if it cannot register its events; only the server's log says so.
        return tasks + [line[:300] for line in printed if "[error" in line or "Error)" in line]

    def database_text(self) -> str:
        """Give the bytes of this home's SQLite database as text, one character for each byte."""
        return "".join(file.read_bytes().decode("latin-1") for file in sorted(self.path.glob("airflow.db*")))

    def environment(
        self, connections: Mapping[str, str] | None = None, more: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """Give the environment for a process of this home.

        :param connections: connections as JSON or URI, by connection id.
        :param more: further variables, which win.
        """
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "_AIRFLOW"))}
        return {
            **plain,
            "PYTHONPATH": str(self.harness),
            "PYTHONUNBUFFERED": "1",
            "NO_PROXY": "*",
            "AIRFLOW_HOME": str(self.path),
            "AIRFLOW__API__BASE_URL": BASE_URL,  # under a path, which no address may lack
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",  # a test may change its DAG at once
            "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.database_url or f"sqlite:///{self.path / 'airflow.db'}",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.logs),
            **{f"AIRFLOW_CONN_{name.upper()}": value for name, value in (connections or {}).items()},
            **(more or {}),
        }

    def command(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        is_read_only: bool = False,
        timeout_seconds: float = 300.0,
    ) -> subprocess.CompletedProcess[str]:
        """Run an ``airflow`` command and give what it printed; a command that fails is an error that shows it.

        :param is_read_only: it writes no path into the database, so a forked process, which sees the home under
            another path, does as well.
        """
        command = [self.interpreter, "-P", "-m", "airflow", *arguments]
        if is_read_only:
            job = self.path / "command.json"
            job.write_text(json.dumps({"words": arguments}))
            has_settings = (self.path / "airflow.cfg").exists()
            printed = self._fork("tests.support.command_child", job, None, env, timeout_seconds)
            if printed is not None:
                if not has_settings:  # or what the command has written, defaults alone, would forbid the next fork
                    (self.path / "airflow.cfg").unlink(missing_ok=True)
                return subprocess.CompletedProcess(command, 0, printed)
        return _run_to_end(command, self.environment(more=env), timeout_seconds)

    def json_of(self, *arguments: str, env: Mapping[str, str] | None = None) -> Any:
        """Run an ``airflow`` command that lists something, and give the list; older ones log in front of it."""
        printed = self.command(*arguments, "--output", "json", env=env, is_read_only=True).stdout
        return json.loads(printed[printed.index("[{") :])

    def add_dag(self, source: Path | str) -> Path:
        """Put a DAG file, or the text of one, into the DAGs folder, unchanged."""
        self.dags.mkdir(parents=True, exist_ok=True)
        text = source.read_text() if isinstance(source, Path) else source
        target = self.dags / (source.name if isinstance(source, Path) else "dag_of_the_test.py")
        target.write_text(text)
        return target

    def run_dag(
        self,
        source: Path | str,
        *,
        dag_id: str | None = None,
        connections: Mapping[str, str] | None = None,
        run_conf: Mapping[str, Any] | None = None,
        logical_date: datetime | str | None = NOW,
        env: Mapping[str, str] | None = None,
        timeout_seconds: float = 600.0,
    ) -> DagOutcome:
        """Run one DAG with ``dag.test()`` in a child process. Later runs in the same home see what earlier ones left.

        :param source: a DAG file, or the text of one.
        :param dag_id: which DAG, if the file has several.
        :param connections: connections as JSON or URI, by connection id.
        :param run_conf: the run's conf.
        :param logical_date: the run's logical date; None for a run without one. Default: now.
        :param env: further variables for the child, such as ``AIRFLOW__LOGGING__LOGGING_LEVEL``.
        :param timeout_seconds: the child is killed after this. Default 600.
        """
        for earlier in self.dags.glob("*.py"):
            earlier.unlink()
        self.add_dag(source)
        shutil.rmtree(self.logs, ignore_errors=True)
        told = {
            "dag_id": dag_id,
            "run_conf": run_conf,
            "logical_date": logical_date.isoformat() if isinstance(logical_date, datetime) else logical_date,
        }
        told, log = self._run_child("tests.support.dag_run_child", told, connections, env, timeout_seconds)
        return _outcome(told, log)

    def run_nights(
        self,
        source: str,
        nights: Sequence[Night],
        *,
        dag_id: str,
        sandbox_url: str,
        connections: Mapping[str, str],
        timeout_seconds: float = 900.0,
    ) -> list[DagOutcome]:
        """Run one DAG once for each night with ``dag.test()``, all in one process whose clock is moved.

        :param source: the text of a DAG file.
        :param sandbox_url: where the sandbox's control routes are.
        :param timeout_seconds: the process is killed after this. Default 900.
        """
        for earlier in self.dags.glob("*.py"):
            earlier.unlink()
        self.add_dag(source)
        told = {
            "dag_id": dag_id,
            "sandbox": sandbox_url,
            "nights": [
                {"now": night.now.isoformat(), "before": night.before, "dag_id": night.dag_id} for night in nights
            ],
        }
        outcomes, log = self._run_child("tests.support.dag_nights_child", told, connections, None, timeout_seconds)
        return [_outcome(one, log) for one in outcomes]

    def _run_child(
        self,
        module: str,
        told: Mapping[str, Any],
        connections: Mapping[str, str] | None,
        env: Mapping[str, str] | None,
        timeout_seconds: float,
    ) -> tuple[Any, str]:
        """Run one of our modules on the DAGs of this home, and give what it found out and all that it logged."""
        outcome, job = self.path / "outcome.json", self.path / "job.json"
        outcome.unlink(missing_ok=True)
        job.write_text(json.dumps({**told, "outcome": str(outcome)}))
        done = self._fork(module, job, connections, env, timeout_seconds)
        if done is None:
            command = [self.interpreter, "-P", "-m", module, str(job)]
            done = _run_to_end(command, self.environment(connections, env), timeout_seconds).stdout
        return json.loads(outcome.read_text()), done + self.log_text()

    def _fork(
        self,
        module: str,
        job: Path,
        connections: Mapping[str, str] | None,
        env: Mapping[str, str] | None,
        timeout_seconds: float,
    ) -> str | None:
        """Do the same in a forked process and give what it printed; None where a fork would not do."""
        more_to_import = any((self.path / name).exists() for name in ("airflow.cfg", "config", "plugins"))
        if self.python or self.database_url or more_to_import:
            return None
        server, seen = _fork_server(self)
        ended = server.run(self.path, module, job, seen.environment(connections, env), timeout_seconds)
        if ended is None:
            return None
        code, output = ended
        if code is None:
            raise _took_longer([module, str(job)], timeout_seconds, output)
        _raise_if_failed([module, str(job)], code, output)
        return output


@dataclass(frozen=True, slots=True)
class Night:
    """One night of :meth:`AirflowHome.run_nights`.

    :param now: the moment, with its zone, to which Airflow's clock is moved.
    :param before: what to ask of the sandbox's control routes first: method, path, body.
    :param dag_id: the DAG to run. Default: that of all nights.
    """

    now: datetime
    before: Sequence[tuple[str, str, Any]] = ()
    dag_id: str | None = None


_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
"""What Airflow 3.1.0 writes between the words of a log, whether a terminal reads it or not."""


def _outcome(told: Mapping[str, Any], log: str) -> DagOutcome:
    return DagOutcome(
        run_id=told["run_id"],
        state=told["state"],
        tasks={(task, index): state for task, index, state, _ in told["tasks"]},
        tries={(task, index): tries for task, index, _, tries in told["tasks"]},
        names={(task, index): name for task, index, name in told["names"]},
        xcoms={(task, index, key): value for task, index, key, value in told["xcoms"]},
        rendered={(task, index): fields for task, index, fields in told["rendered"]},
        events=[tuple(event) for event in told["events"]],
        log=_COLOURS.sub("", log),
    )


def _run_to_end(
    command: list[str], environment: Mapping[str, str], timeout_seconds: float
) -> subprocess.CompletedProcess[str]:
    process = subprocess.Popen(
        command,
        env=dict(environment),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=timeout_seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        raise _took_longer(command[2:], timeout_seconds, output) from None
    _raise_if_failed(command[2:], process.returncode, output)
    return subprocess.CompletedProcess(command, process.returncode, output)


def _took_longer(what: list[str], timeout_seconds: float, output: str) -> AssertionError:
    return AssertionError(f"{what} took longer than {timeout_seconds} s:\n{output[-8000:]}")


def _raise_if_failed(what: list[str], code: int, output: str) -> None:
    if code:
        raise AssertionError(f"{what} ended with {code}:\n{output[-8000:]}")


# --- forks ----------------------------------------------------------------------------------------------------------

_fork_servers: Final[list[tuple[ForkServer, AirflowHome]]] = []


def _fork_server(first: AirflowHome) -> tuple[ForkServer, AirflowHome]:
    """Give the server that forks, and the home as its children see it; the first call starts the server."""
    if not _fork_servers:
        folder = Path(tempfile.mkdtemp(prefix="airflow-forks-"))
        seen = AirflowHome(folder / "home")
        _fork_servers.append((ForkServer(folder, first.path / "airflow.db", seen.environment(), ROOT), seen))
        atexit.register(stop_forks)
    return _fork_servers[0]


def stop_forks() -> None:
    """Stop the server that forks, if there is one."""
    while _fork_servers:
        _fork_servers.pop()[0].stop()


# --- a stack --------------------------------------------------------------------------------------------------------


class AirflowStack:
    """Airflow's services as processes of their own, started on entry and stopped on exit.

    Put the DAGs into ``home.dags`` first (or later: the folder is read again every five seconds). For backfills
    through the API use Postgres; SQLite answers 503. Output of each service: ``<home>/<component>.log``.

    :param home: the home; its database is shared by all services.
    :param connections: connections as JSON or URI, by connection id, for every service and task.
    :param env: further variables for every service, such as ``AIRFLOW__CORE__PARALLELISM``.
    :param executor: Default LocalExecutor.
    :param components: which services. Default all four: api-server, scheduler, dag-processor, triggerer.
    """

    def __init__(
        self,
        home: AirflowHome,
        *,
        connections: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        executor: str = "LocalExecutor",
        components: Collection[str] = COMPONENTS,
    ) -> None:
        self.home = home
        self.components = tuple(components)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._session = requests.Session()
        self._session.trust_env = False
        self._environment = home.environment(
            connections,
            {
                "AIRFLOW__API__BASE_URL": self.url,
                "AIRFLOW__API__WORKERS": "1",
                "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(64),
                "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
                "AIRFLOW__CORE__EXECUTOR": executor,
                "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
                "AIRFLOW__CORE__PARALLELISM": "4",
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
                "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
                "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
                # Five seconds by default: on a busy machine a task then fails before it has begun.
                "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
                **(env or {}),
            },
        )

    def __enter__(self) -> Self:
        try:
            # Tasks of a scheduler that finds no API server yet fail.
            if "api-server" in self.components:
                self.start("api-server")
                self.wait_until(self._health, "the API server answers", READY_SECONDS)
            for component in self.components:
                if component not in self.processes:
                    self.start(component)
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, component: str, env: Mapping[str, str] | None = None) -> None:
        """Start one service, for example after it was killed, with further variables if need be."""
        options = {
            "api-server": ["--host", "127.0.0.1", "--port", str(self.port)],
            # The log servers' ports are fixed; nobody asks them here.
            "scheduler": ["--skip-serve-logs"],
            "triggerer": ["--skip-serve-logs"],
        }
        with (self.home.path / f"{component}.log").open("ab") as log:
            self.processes[component] = subprocess.Popen(
                [self.home.interpreter, "-m", "airflow", component, *options.get(component, [])],
                env={**self._environment, **(env or {})},
                cwd=self.home.path,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self, component: str, how: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to one service and everything it started, and wait until it is gone."""
        process = self.processes.pop(component)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        process.wait(STOP_SECONDS)

    def stop(self) -> None:
        """Stop every service, and kill what is left after ten seconds."""
        self._session.close()
        for process in self.processes.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for process in self.processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
        # Services rewrite their title over their environment, so what is left of them is found by its group.
        for process in self.processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        for pid in self.running():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self.processes.values():
            process.wait(STOP_SECONDS)
        self.processes.clear()

    def running(self) -> list[int]:
        """List the processes of this home, tasks included, whatever group they put themselves into."""
        # A process that gives itself a name, as tasks do, writes over its environment; the folder it runs in stays.
        mark = f"AIRFLOW_HOME={self.home.path}".encode()
        home = str(self.home.path.resolve())
        return [pid for pid, environment, folder in _processes() if mark in environment or folder == home]

    def output(self, component: str) -> str:
        """Give what a service has printed so far."""
        return (self.home.path / f"{component}.log").read_text(errors="replace")

    def wait_ready(self) -> None:
        """Wait until every service says that it is healthy."""
        named = {"scheduler": "scheduler", "dag-processor": "dag_processor", "triggerer": "triggerer"}
        wanted = [named[component] for component in self.components if component in named]

        def healthy() -> bool:
            health = self._health()
            return bool(health) and all((health[name] or {}).get("status") == "healthy" for name in wanted)

        self.wait_until(healthy, "the services are healthy", READY_SECONDS)
        self._session.headers["Authorization"] = f"Bearer {self._token()}"

    def _health(self) -> dict[str, Any]:
        with suppress(requests.RequestException):
            health: dict[str, Any] = self._session.get(f"{self.url}/api/v2/monitor/health", timeout=5).json()
            return health
        return {}

    def _token(self) -> str:
        answer = self._session.get(f"{self.url}/auth/token", timeout=10)
        answer.raise_for_status()
        return str(answer.json()["access_token"])

    def wait_until(self, check: Callable[[], T], what: str, seconds: float = 300.0) -> T:
        """Ask again twice a second until the answer is truthy; fail early when a service has died."""
        deadline = time.monotonic() + seconds
        while not (answer := check()):
            for component, process in self.processes.items():
                if process.poll() is not None:
                    raise AssertionError(f"The {component} has died:\n{self.output(component)[-8000:]}")
            if time.monotonic() > deadline:
                raise AssertionError(f"Not within {seconds} s: {what}.")
            time.sleep(0.5)
        return answer

    def api(
        self, method: str, path: str, *, json: Any = None, headers: Mapping[str, str] | None = None, **params: Any
    ) -> Any:
        """Ask Airflow's REST API, ``/api/v2`` unless the path names another root; an error status is an error."""
        root = "" if path.startswith("/") else "/api/v2/"
        # A busy machine may keep the API server from answering for a while; only a question may be asked twice.
        for seconds in (30, 90) if method == "GET" else (120,):
            with suppress(requests.Timeout):
                answer = self._request(
                    method, f"{root}{path}", json=json, params=params, headers=headers, timeout=seconds
                )
                break
        else:
            raise AssertionError(f"{method} {path}: no answer from the API server.")
        if answer.status_code >= 400:
            raise AssertionError(f"{method} {path}: {answer.status_code} {answer.text[:2000]}")
        return answer.json() if answer.content else None

    def _request(self, method: str, path: str, **more: Any) -> requests.Response:
        # SQLite lets one process write at a time. What it refuses to another is rolled back, so it may be asked again.
        for left in (2, 1, 0):
            answer = self._session.request(method, f"{self.url}{path}", **more)
            if answer.status_code != 500 or "Database error" not in answer.text or not left:
                break
            time.sleep(1.0)
        return answer

    def wait_for_dag(self, dag_id: str, seconds: float = 300.0) -> None:
        """Wait until Airflow knows a DAG."""
        self.wait_until(
            lambda: any(dag["dag_id"] == dag_id for dag in self.api("GET", "dags", dag_id_pattern=dag_id)["dags"]),
            f"DAG {dag_id} is known; import errors: {self.api('GET', 'importErrors')['import_errors']}",
            seconds,
        )

    def trigger(
        self, dag_id: str, *, conf: Mapping[str, Any] | None = None, logical_date: str | None = None, **more: Any
    ) -> str:
        """Start a run and give its id. Further fields, such as ``partition_key``, go into the request as they are."""
        self.wait_for_dag(dag_id)
        body = {"logical_date": logical_date, "conf": dict(conf or {}), **more}
        run_id = str(self.api("POST", f"dags/{dag_id}/dagRuns", json=body)["dag_run_id"])
        # With FastAPI 0.118 and later, Airflow 3.1.0 answers before it has committed.
        self.wait_until(lambda: run_id in self._run_ids(dag_id), f"run {run_id} of {dag_id} is committed", 30)
        return run_id

    def _run_ids(self, dag_id: str) -> set[str]:
        return {run["dag_run_id"] for run in self.runs(dag_id)}

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """List a DAG's runs, oldest first."""
        return list(self.api("GET", f"dags/{dag_id}/dagRuns", order_by="id", limit=1000)["dag_runs"])

    def wait_for_run(
        self, dag_id: str, run_id: str, states: Collection[str] = ("success", "failed"), seconds: float = 300.0
    ) -> str:
        """Wait until a run is in one of some states, and give it."""
        what = f"run {run_id} of {dag_id} is {' or '.join(states)}"
        return self.wait_until(lambda: _if_in(self._run_state(dag_id, run_id), states), what, seconds) or ""

    def _run_state(self, dag_id: str, run_id: str) -> str:
        return str(self.api("GET", f"dags/{dag_id}/dagRuns/{run_id}")["state"])

    def task_states(self, dag_id: str, run_id: str) -> dict[tuple[str, int], str]:
        """Give the state of each task of a run, by task id and map index."""
        listed = self.api("GET", f"dags/{dag_id}/dagRuns/{run_id}/taskInstances", limit=1000)["task_instances"]
        return {(task["task_id"], task["map_index"]): task["state"] for task in listed}

    def wait_for_task(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        states: Collection[str] = ("success", "failed"),
        *,
        map_index: int = -1,
        seconds: float = 300.0,
    ) -> str:
        """Wait until a task is in one of some states, such as ``("deferred",)``, and give it."""
        what = f"task {task_id}[{map_index}] of {run_id} is {' or '.join(states)}"
        return (
            self.wait_until(
                lambda: _if_in(self.task_states(dag_id, run_id).get((task_id, map_index)), states), what, seconds
            )
            or ""
        )

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """Give one XCom value, plain JSON as it is stored."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        return self.api("GET", path, map_index=map_index, stringify=False)["value"]


def _if_in(state: str | None, states: Collection[str]) -> str | None:
    return state if state in states else None


def _processes() -> Iterator[tuple[int, list[bytes], str]]:
    """Every other process with its environment and the folder it runs in."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                folder = str((entry / "cwd").readlink())
                yield int(entry.name), (entry / "environ").read_bytes().split(b"\0"), folder


def free_port() -> int:
    """Give a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
