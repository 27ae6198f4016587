"""What a night costs in real Airflow: ``python -m tests.benchmarks.nights 300 8`` gives one line of JSON.

A DAG file lists 300 districts, eight of which run their night on LocalExecutor and Postgres, three times: the first
night lands all that Clever keeps, and the two after it are counted. ``cpu_seconds`` is the processor time of all
Airflow's services and tasks while these nights run, per district and night; ``services`` has the share of each, where
what the scheduler's children took is called ``tasks``. ``300 1 2 40`` runs one district of 40 schools, two counted
nights; before each of them the district uploads again, with a few corrections.
"""

import json
import os
import sys
import tempfile
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from airflow_provider_clever.sandbox.testing import Sandbox, running_sandbox
from tests.support.airflow import AirflowHome, AirflowStack
from tests.support.postgres import running_postgres

DAG_FILE: Final = """
from airflow_provider_clever.dags import attendance_dags
globals().update(attendance_dags({path!r}))
"""
STUDENTS: Final = 100
"""Of each school, where a district has many: 800 rows a school day."""
DAYS: Final = 40
EDITS: Final = 40
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def measured(listed: int, running: int, nights: int = 2, schools: int = 0) -> dict[str, Any]:
    """Run the nights, and give what one of them costs for one district.

    :param listed: districts in the DAG file.
    :param running: how many of them run.
    :param nights: how many nights are counted.
    :param schools: of the one district that runs. Default 0: each has the few schools of a tiny one.
    """
    if schools and running != 1:
        raise ValueError("only one district can have many schools")
    world: dict[str, Any] = {"districts": "small", "extra_districts": running}
    if schools:
        world = {"districts": "large", "large_schools": schools, "large_students": STUDENTS, "large_school_days": DAYS}
    today = datetime.now(UTC).date().isoformat()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_postgres() as postgres,
        running_sandbox(today=today, rate_limit=1_000_000, **world) as sandbox,
    ):
        home = AirflowHome.create(Path(folder, "home"), postgres.create_database("airflow"))
        dag_ids = _add_dags(home, sandbox, Path(folder, "lake"), listed)[:running]
        # As long as in production: a file is not parsed every five seconds.
        env = {
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",  # else each starts the last run of its schedule
        }
        connections = {"clever_default": sandbox.connection_json()}
        components = ("api-server", "scheduler", "dag-processor")
        with AirflowStack(home, connections=connections, env=env, components=components) as stack:
            for dag_id in dag_ids:
                stack.wait_for_dag(dag_id)
                stack.api("PATCH", f"dags/{dag_id}", json={"is_paused": False})
            _night(stack, dag_ids)
            stack.wait_until(lambda: _is_idle(stack, dag_ids), "the runs that unpausing started have ended", 1500)
            sandbox.clear_requests()
            before = _cpu_seconds(stack)
            for _ in range(nights):
                if schools:
                    sandbox.sync("large", edits=EDITS, weeks=1)
                _night(stack, dag_ids)
            after = _cpu_seconds(stack)
        requests = sandbox.counters()["total"]
    each = running * nights
    spent = {name: round((after[name] - before[name]) / each, 2) for name in after}
    return {
        "listed": listed,
        "cpu_seconds": round(sum(spent.values()), 2),
        "services": spent,
        "requests": round(requests / each, 1),
    }


def _add_dags(home: AirflowHome, sandbox: Sandbox, lake: Path, listed: int) -> list[str]:
    """Put the list of districts into Airflow's folder, those of the sandbox first, and give the ids of the DAGs."""
    lake.mkdir()
    ids = [district.id for name, district in sandbox.districts.items() if name != "small"]
    ids += [f"{number:024x}" for number in range(listed - len(ids))]
    districts = [{"district_id": district_id, "schedule": "0 3 1 1 *"} for district_id in ids]
    path = home.dags / "districts.yaml"
    path.write_text(json.dumps({"defaults": {"destination": lake.as_uri()}, "districts": districts}))
    home.add_dag(DAG_FILE.format(path=str(path)))
    return [f"clever_attendance_{district_id}" for district_id in ids]


def _night(stack: AirflowStack, dag_ids: list[str]) -> None:
    runs = [(dag_id, stack.trigger(dag_id, logical_date=datetime.now(UTC).isoformat())) for dag_id in dag_ids]
    for dag_id, run_id in runs:
        state = stack.wait_for_run(dag_id, run_id, seconds=1500)
        assert state == "success", f"{dag_id}: {state}"


def _is_idle(stack: AirflowStack, dag_ids: list[str]) -> bool:
    return all(run["state"] in ("success", "failed") for dag_id in dag_ids for run in stack.runs(dag_id))


def _cpu_seconds(stack: AirflowStack) -> dict[str, float]:
    """Of each service and of the tasks, with the processes that they started and that have ended."""
    found: dict[str, float] = defaultdict(float)
    services = {process.pid: name for name, process in stack.processes.items()}
    for pid in stack.running():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            service = services.get(os.getsid(pid), "tasks")
        except (FileNotFoundError, ProcessLookupError):
            continue
        own, ended = (sum(map(int, fields[first : first + 2])) / _TICKS for first in (11, 13))  # proc(5)
        if service == "scheduler":
            found["scheduler" if pid in services else "tasks"] += own
            found["tasks"] += ended
        else:
            found[service] += own + ended
    return found


if __name__ == "__main__":
    print(json.dumps(measured(*map(int, sys.argv[1:]))))  # noqa: T201 - its result
