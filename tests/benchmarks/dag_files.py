"""What a DAG file with a list of districts costs: ``python -m tests.benchmarks.dag_files 1 300 2000`` gives JSON lines.

All figures are seconds of processor time, each taken in a process of its own:

* ``parse``: what the DAG processor spends on the file over ``import airflow.sdk``;
* ``by_hand``: the same DAGs, made one by one with Airflow's and the provider's classes, in the same process;
* ``task``: a process that imports Airflow and parses the file as Airflow does before it runs one district's task; the
  least of seven.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]

STARTS: Final = 7

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


def measured(counts: Sequence[int], folder: Path) -> list[Cost]:
    """Measure lists of so many districts; the starts of tasks by turns, because a machine's pace changes.

    :param counts: how many districts.
    :param folder: an empty folder.
    """
    parsed, commands = [], []
    for districts in counts:
        listed, dag_file = folder / f"districts_{districts}.yaml", folder / f"dag_file_{districts}.py"
        ids = [f"65e{number:021x}" for number in range(districts)]
        defaults = "defaults: {destination: 's3://a@b/c', timezone: America/Chicago}"
        listed.write_text("\n".join([defaults, "districts:", *(f"  - district_id: {one}" for one in ids)]))
        dag_file.write_text(DAG_FILE.format(path=str(listed)))
        parsed.append(json.loads(_last_line(_PARSE, str(listed), folder=folder)))
        commands.append((_TASK, str(dag_file), f"clever_attendance_{ids[-1]}"))
    turns = [[float(_last_line(*command, folder=folder)) for command in commands] for _ in range(STARTS)]
    least = map(min, zip(*turns, strict=True))
    return [
        Cost(districts, found["parse"], found["by_hand"], task)
        for districts, found, task in zip(counts, parsed, least, strict=True)
    ]


def _last_line(script: str, *arguments: str, folder: Path) -> str:
    home = {**os.environ, "AIRFLOW_HOME": str(folder / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=home, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return done.stdout.splitlines()[-1]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        for cost in measured([int(count) for count in sys.argv[1:]] or [1, 300, 2000], Path(temporary)):
            sys.stdout.write(json.dumps(cost._asdict()) + "\n")
