"""What a DAG file with a list of districts costs: ``python -m tests.benchmarks.dag_files 1 300 2000`` gives JSON lines.

All figures are seconds of processor time, each taken in a process of its own:

* ``parse``: what the DAG processor spends on the file over ``import airflow.sdk``;
* ``by_hand``: the same DAGs, made one by one with Airflow's and the provider's classes, in the same process;
* ``task``: a process that imports Airflow and parses the file as Airflow does before it runs one district's task.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]

DAG_FILE: Final = """
from airflow_provider_clever.dags import attendance_dags
globals().update(attendance_dags({path!r}))
"""

_PARSE: Final = """
import json, sys, time
import airflow.sdk
start = time.process_time()
from airflow_provider_clever.dags import attendance_dags
dags = attendance_dags(sys.argv[1])
parse = time.process_time() - start

from airflow.sdk import DAG
from airflow_provider_clever.compat import CronTriggerTimetable
from airflow_provider_clever.dags import answer_params, range_params
from airflow_provider_clever.operators.clever import (
    CleverAttendanceAnnounceOperator,
    CleverAttendanceCoverageOperator,
    CleverAttendanceOperator,
    CleverAttendancePlanOperator,
)
start = time.process_time()
for dag_id, made in dags.items():
    twin = made.get_task("plan")
    place = {"district_id": twin.district_id, "destination": twin.destination}
    with DAG(
        f"by_hand_{dag_id}",
        schedule=CronTriggerTimetable("0 4 * * *", timezone="America/Chicago"),
        start_date=made.start_date,
        params=range_params() | answer_params(),
        default_args={"retries": 3},
    ):
        plan = CleverAttendancePlanOperator(task_id="plan", **place)
        pull = CleverAttendanceOperator.partial(task_id="pull", **place).expand_kwargs(plan.output)
        pull >> CleverAttendanceCoverageOperator(task_id="record", **place)
        pull >> CleverAttendanceAnnounceOperator(task_id="announce", **place)
print(json.dumps({"parse": parse, "by_hand": time.process_time() - start}))
"""

_TASK: Final = """
import sys, time
from airflow.sdk.definitions._internal.dag_parsing_context import _airflow_parsing_context_manager
from tests.support.dag_bag import dag_bag
with _airflow_parsing_context_manager(dag_id=sys.argv[2], task_id="plan"):
    bag = dag_bag(sys.argv[1])
assert list(bag.dags) == [sys.argv[2]], bag.import_errors
print(time.process_time())
"""


class Cost(NamedTuple):
    """What a DAG file of so many districts costs, in seconds of processor time."""

    districts: int
    parse: float
    by_hand: float
    task: float


def measured(districts: int, folder: Path) -> Cost:
    """Measure a list of districts.

    :param districts: how many.
    :param folder: an empty folder.
    """
    listed = folder / "districts.yaml"
    ids = [f"65e{number:021x}" for number in range(districts)]
    defaults = "defaults: {destination: 's3://a@b/c', timezone: America/Chicago}"
    listed.write_text("\n".join([defaults, "districts:", *(f"  - district_id: {one}" for one in ids)]))
    dag_file = folder / "a_dag_file.py"
    dag_file.write_text(DAG_FILE.format(path=str(listed)))
    parsed = json.loads(_last_line(_PARSE, str(listed), folder=folder))
    task = float(_last_line(_TASK, str(dag_file), f"clever_attendance_{ids[-1]}", folder=folder))
    return Cost(districts, parsed["parse"], parsed["by_hand"], task)


def _last_line(script: str, *arguments: str, folder: Path) -> str:
    home = {**os.environ, "AIRFLOW_HOME": str(folder / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=home, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return done.stdout.splitlines()[-1]


if __name__ == "__main__":
    for count in map(int, sys.argv[1:] or ["1", "300", "2000"]):
        with tempfile.TemporaryDirectory() as temporary:
            sys.stdout.write(json.dumps(measured(count, Path(temporary))._asdict()) + "\n")
