"""What a night costs in real Airflow: ``python -m tests.benchmarks.nights 300 8`` gives one line of JSON.

A DAG file lists 300 districts, eight of which run their night on LocalExecutor and Postgres, three times: the first
night lands all that Clever keeps, and the two after it are counted. ``cpu_seconds`` is the processor time of all
Airflow's services and tasks while these nights run, per district and night; ``services`` has the share of each, where
what the scheduler's children took is called ``tasks``. ``300 1 --schools 40`` runs one district of 40 schools; before
each counted night it uploads again, with a few corrections. ``300 8 --nothing`` runs three tasks that do nothing: what
Airflow itself takes.
"""

import argparse
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
NO_WORK: Final = """
import json
from pathlib import Path

from airflow.sdk import DAG, get_parsing_context, task

wanted = get_parsing_context().dag_id
for one in json.loads(Path({path!r}).read_text())["districts"]:
    dag_id = "clever_attendance_" + one["district_id"]
    if wanted in (None, dag_id):
        with DAG(dag_id, schedule=one["schedule"], catchup=False) as dag:

            @task
            def plan():
                return [1]

            @task
            def pull(_): ...

            @task
            def record(): ...

            pull.expand(_=plan()) >> record()
        globals()[dag_id] = dag
"""
"""As many tasks as a night of :data:`DAG_FILE` had at first."""
STUDENTS: Final = 100
"""Of each school, where a district has many: 800 rows a school day."""
DAYS: Final = 130
"""As many as Clever keeps: the night after first contact asks once more for months in which nothing was found, and a
night that is counted must not."""
EDITS: Final = 40
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def measured(
    listed: int, running: int, *, nights: int = 2, schools: int = 0, dag_file: str = DAG_FILE
) -> dict[str, Any]:
    """Run the nights, and give what one of them costs for one district.

    :param listed: districts in the DAG file.
    :param running: how many of them run.
    :param nights: how many nights are counted.
    :param schools: of the one district that runs. Default 0: each has the few schools of a tiny one.
    :param dag_file: the DAG file, where ``{path!r}`` stands for the list. Default: ours.
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
        dag_ids = _add_dags(home, sandbox, Path(folder, "lake"), listed, dag_file)[:running]
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


def _add_dags(home: AirflowHome, sandbox: Sandbox, lake: Path, listed: int, dag_file: str) -> list[str]:
    """Put the list of districts into Airflow's folder, those of the sandbox first, and give the ids of the DAGs."""
    lake.mkdir()
    ids = [district.id for name, district in sandbox.districts.items() if name != "small"]
    ids += [f"{number:024x}" for number in range(listed - len(ids))]
    districts = [{"district_id": district_id, "schedule": "0 3 1 1 *"} for district_id in ids]
    path = home.dags / "districts.yaml"
    path.write_text(json.dumps({"defaults": {"destination": lake.as_uri()}, "districts": districts}))
    home.add_dag(dag_file.format(path=str(path)))
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


def main() -> None:
    """Read the command line, and write what was measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.nights")
    parser.add_argument("listed", type=int, help="districts in the DAG file")
    parser.add_argument("running", type=int, help="how many of them run")
    parser.add_argument("--nights", type=int, default=2, help="how many are counted; default 2")
    parser.add_argument("--schools", type=int, default=0, help="of the one district that runs; default: a tiny one")
    parser.add_argument("--nothing", action="store_true", help="run tasks that do nothing")
    asked = parser.parse_args()
    dag_file = NO_WORK if asked.nothing else DAG_FILE
    found = measured(asked.listed, asked.running, nights=asked.nights, schools=asked.schools, dag_file=dag_file)
    sys.stdout.write(f"{json.dumps(found)}\n")


if __name__ == "__main__":
    main()
