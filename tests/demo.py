"""`make demo`: real Airflow lands a district's attendance from the sandbox; what landed is compared with what was due.

It lies here, not in the package, because it runs a file of `example_dags/` with the tests' own harness.
"""

import json
import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import duckdb

from airflow_provider_clever.cli.main import main as command_line
from airflow_provider_clever.sandbox.testing import Sandbox, running_sandbox
from tests.support.airflow import COMPONENTS, AirflowHome, AirflowStack

ROOT: Final = Path(__file__).parents[1]
HOME: Final = ROOT / ".demo"
LAKE: Final = HOME / "lake"
PAGE: Final = HOME / "coverage.html"
DAG_ID: Final = "clever_attendance"
DISTRICT: Final = "large"
SMALL_DAG_ID: Final = "clever_attendance_small"
SMALL: Final = "small"
ZONE: Final = "America/Chicago"
SERVICES: Final = {
    "api-server": "API server",
    "scheduler": "scheduler",
    "dag-processor": "DAG processor",
    "triggerer": "triggerer",
}
SERVICES_OF_THE_DEMO: Final = ("api-server", "scheduler", "dag-processor")
RUN_SECONDS: Final = 300.0
CORRECTIONS: Final = 40
TASKS: Final = ("plan", "pull", "record")

STARTED: Final = time.monotonic()


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"{time.monotonic() - STARTED:4.0f} s  {text}", flush=True)


@contextmanager
def playground(
    folder: Path = HOME, components: Collection[str] = COMPONENTS, **world: Any
) -> Iterator[tuple[Sandbox, AirflowStack]]:
    """Give a sandbox with two districts, one of 40 schools and a small one, and Airflow with the example DAGs.

    :param folder: where everything lies; what lies there is removed first.
    :param components: Airflow's services.
    :param world: further options of the sandbox.
    """
    shutil.rmtree(folder, ignore_errors=True)
    today = datetime.now(ZoneInfo(ZONE)).date().isoformat()
    sizes = {"large_school_days": 60, "large_students": 25, **world}
    with running_sandbox(today=today, districts=f"{DISTRICT},{SMALL}", **sizes) as sandbox:
        say(f"Sandbox Clever is up at {sandbox.url}. Airflow makes its database ...")
        home = AirflowHome.create(folder / "airflow")
        lake = (folder / "lake").as_uri()
        shutil.copytree(ROOT / "example_dags", home.dags, dirs_exist_ok=True)
        (home.dags / "clever_districts.yaml").write_text(json.dumps(districts(sandbox, lake), indent=2))
        # What Airflow reads at its start; it puts the folder on its path.
        (home.path / "config").mkdir(exist_ok=True)
        (home.path / "config/airflow_local_settings.py").write_text(LOCAL_SETTINGS)
        say(
            f"Airflow starts: {', '.join(components).replace('-', ' ').replace('api', 'API').replace('dag', 'DAG')} ..."
        )
        settings = {
            "AIRFLOW_VAR_CLEVER_DESTINATION": lake,
            "CLEVER_DESTINATION": lake,  # where an example names an asset, which has to be known when it is parsed
            "AIRFLOW__CLEVER__DESTINATIONS": lake,
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        }
        with AirflowStack(home, env=settings, components=components) as airflow:
            airflow.api("POST", "connections", json=connection_of(sandbox))
            airflow.wait_for_dag(DAG_ID)
            say(f"Airflow is up at {airflow.url}")
            yield sandbox, airflow


LOCAL_SETTINGS: Final = """from airflow.api_fastapi.common.types import UIAlert

DASHBOARD_UIALERTS = [
    UIAlert(text="What is covered, district by district: [Attendance](/plugin/clever-attendance)", category="info")
]
"""


def districts(sandbox: Sandbox, lake: str) -> dict[str, Any]:
    """Give the list of districts for `example_dags/clever_districts.py`: the sandbox's two."""
    listed = [
        {"district_id": district.id, "name": district.name, "dag_id": dag_id, "timezone": ZONE}
        for district, dag_id in ((sandbox.district(DISTRICT), DAG_ID), (sandbox.district(SMALL), SMALL_DAG_ID))
    ]
    return {"defaults": {"destination": lake}, "districts": listed}


def connection_of(sandbox: Sandbox) -> dict[str, Any]:
    """Give the connection as Airflow's API takes it; tasks that name no district read the small one."""
    fields = json.loads(sandbox.connection_json(SMALL))
    # The Test button of Airflow up to 3.3.2 refuses an empty port.
    port = int(sandbox.url.rpartition(":")[2])
    return {"connection_id": "clever_default", "port": port, **fields, "extra": json.dumps(fields["extra"])}


def switch_on(airflow: AirflowStack) -> str:
    """Unpause the DAG, and give the run that the scheduler starts for last night."""
    airflow.api("PATCH", f"dags/{DAG_ID}", json={"is_paused": False})
    (run,) = airflow.wait_until(lambda: airflow.runs(DAG_ID), "the scheduler has started a run")
    return str(run["dag_run_id"])


def follow(airflow: AirflowStack, run_id: str) -> None:
    """Show how far a run's tasks are until it has ended.

    :raises SystemExit: the run failed or took too long.
    """
    shown = ""

    def ended() -> str | None:
        nonlocal shown
        line = progress(airflow.task_states(DAG_ID, run_id))
        if line != shown:
            shown = line
            say(f"  {line}")
        (state,) = (run["state"] for run in airflow.runs(DAG_ID) if run["dag_run_id"] == run_id)
        return state if state in {"success", "failed"} else None

    if airflow.wait_until(ended, f"the run {run_id} has ended", RUN_SECONDS) == "failed":
        sys.exit(f"The run {run_id} failed. Its tasks' logs lie in {airflow.home.logs.relative_to(ROOT)}.")


def progress(states: dict[tuple[str, int], str]) -> str:
    """Say for each task how many of its instances are done; a mapped task has none before it is expanded."""
    found = {
        name: [
            state for (task_id, index), state in states.items() if task_id == name and (index >= 0) == (name == "pull")
        ]
        for name in TASKS
    }
    return ", ".join(f"{name} {of.count('success')}/{len(of)}" for name, of in found.items() if of)


REPORTED: Final = ("rows", "requests", "partitions", "written", "unchanged", "added", "changed")


def report(airflow: AirflowStack, run_id: str) -> None:
    """Print what was due in a run, what its pulls did, and what is covered since, from the summaries of its tasks."""
    due = airflow.xcom(DAG_ID, run_id, "plan", "summary")["days_due"]
    say("  due, in days of schools: " + ", ".join(f"{days:,} {reason}" for reason, days in due.items()))
    totals: Counter[str] = Counter()
    for task_id, index in airflow.task_states(DAG_ID, run_id):
        if task_id == "pull":
            summary = airflow.xcom(DAG_ID, run_id, task_id, "summary", index)
            totals.update({name: summary[name] for name in REPORTED})
    say(
        f"  {totals['rows']:,} rows in {totals['requests']:,} requests; of {totals['partitions']:,} files "
        f"{totals['written']:,} written, {totals['unchanged']:,} unchanged; rows added {totals['added']:,}, "
        f"changed {totals['changed']:,}"
    )
    covered = airflow.xcom(DAG_ID, run_id, "record", "summary")
    say(f"  {covered['schools_landed']} schools landed, {covered['gaps']:,} gaps left")


COLUMNS: Final = (
    "attendance_date",
    "attendance_status",
    "attendance_type",
    "created",
    "district_id",
    "excuse_code",
    "last_modified",
    "school_id",
    "section_id",
    "sis_id",
    "student_id",
)

INSTANTS: Final = frozenset({"created", "last_modified"})

# Text and instants on both sides, whatever types the lake's columns have. Clever's '' and null land alike, as null.
LANDED: Final = ", ".join(
    f"CAST({name} AS {'TIMESTAMPTZ' if name in INSTANTS else 'VARCHAR'}) AS {name}" for name in COLUMNS
)
DUE: Final = ", ".join(
    f"CAST({name} AS TIMESTAMPTZ) AS {name}" if name in INSTANTS else f"nullif({name}, '') AS {name}"
    for name in COLUMNS
)

PER_DAY: Final = """
    SELECT attendance_date AS day, count(DISTINCT school_id), count(*),
           count(*) FILTER (attendance_status = 'absent'), count(*) FILTER (attendance_status = 'tardy')
    FROM landed GROUP BY day ORDER BY day
"""

DIFFERENT: Final = """
    SELECT (SELECT count(*) FROM (FROM landed EXCEPT ALL FROM due))
         + (SELECT count(*) FROM (FROM due EXCEPT ALL FROM landed))
"""


def lake_beside_due(lake: Path, due: Iterable[dict[str, Any]], scratch: Path) -> duckdb.DuckDBPyConnection:
    """Give a database with the views `landed` and `due`, whose rows can be compared."""
    with scratch.open("w") as out:
        out.writelines(json.dumps(row) + "\n" for row in due)
    types = ", ".join(f"{name}: 'VARCHAR'" for name in COLUMNS)
    database = duckdb.connect()
    landed = f"'{lake}/attendance/**/*.parquet' WHERE missing_since IS NULL"
    database.execute(f"CREATE VIEW landed AS SELECT {LANDED} FROM {landed}")
    database.execute(f"CREATE VIEW due AS SELECT {DUE} FROM read_json('{scratch}', columns={{{types}}})")
    return database


def rows_that_differ(database: duckdb.DuckDBPyConnection) -> int:
    """Count the rows that are only on one side, every field compared."""
    ((different,),) = database.sql(DIFFERENT).fetchall()
    return int(different)


def compare(sandbox: Sandbox) -> bool:
    """Print the landed rows per day beside those due, and tell whether they are the same, field by field."""
    database = lake_beside_due(LAKE, sandbox.iter_expected(DISTRICT), HOME / "due.jsonl")
    counts = due_per_day(sandbox.expected_count(DISTRICT))

    print(f"\n{'':12}{'landed, read back by DuckDB':^38}{'due, says the sandbox':^30}")
    print(f"{'day':12}{'schools':>8}{'rows':>10}{'absent':>10}{'tardy':>10}{'rows':>10}{'absent':>10}{'tardy':>10}")
    landed = {day: tuple(found) for day, *found in database.sql(PER_DAY).fetchall()}
    for day in sorted({*landed, *counts}):
        schools, *found = landed.get(day, (0, 0, 0, 0))
        due = counts.get(day, (0, 0, 0))
        mark = "" if tuple(found) == due else "  <-- differ"
        print(f"{day:12}{schools:>8,}" + "".join(f"{number:>10,}" for number in (*found, *due)) + mark)
    rows, different = sum(found[1] for found in landed.values()), rows_that_differ(database)
    print(f"{'all':12}{'':>8}{rows:>10,}{'':>20}{sum(due[0] for due in counts.values()):>10,}")
    print(f"\nCompared field by field: {different:,} of {rows:,} rows differ.")
    return bool(rows) and different == 0


def due_per_day(counts: dict[str, Any]) -> dict[str, tuple[int, int, int]]:
    """Sum the sandbox's counts over schools: rows, absent and tardy per day."""
    days: dict[str, tuple[int, int, int]] = {}
    for school in counts["schools"].values():
        for day, by_status in school.items():
            rows, absent, tardy = days.get(day, (0, 0, 0))
            rows += sum(by_status.values())
            days[day] = (rows, absent + by_status.get("absent", 0), tardy + by_status.get("tardy", 0))
    return days


NEXT: Final = """
What to try next
  what is covered  {page} (open it in a browser; Airflow shows the same as the page Attendance)
  the files        {lake}/attendance/ (removed when the demo runs again)
  the tasks' logs  {home}/airflow/logs/
  Airflow's UI     make playground (the same sandbox and Airflow, left running until Ctrl+C)
  step by step     docs/tutorial.md
  a query          {python} -c "import duckdb; duckdb.sql(\\"FROM '{lake}/attendance/**/*.parquet' LIMIT 5\\").show()"
"""


def demonstrate() -> bool:
    """Let Airflow pull a new district, and once more after the district's corrections; tell whether all is there."""
    with playground(components=SERVICES_OF_THE_DEMO) as (sandbox, airflow):
        say(f"Unpausing {DAG_ID}: the scheduler starts the run of last night, which fetches all that Clever still has")
        run_id = switch_on(airflow)
        follow(airflow, run_id)
        report(airflow, run_id)
        sandbox.knobs(late_corrections=False)  # these alone, so that they can be counted below
        upload = sandbox.sync(DISTRICT, edits=CORRECTIONS, weeks=1)
        say(f"The district uploads {upload['edited']} corrections of older days. The same DAG once more, triggered:")
        run_id = airflow.trigger(DAG_ID)
        follow(airflow, run_id)
        report(airflow, run_id)
        if command_line(["report", str(LAKE), "-o", str(PAGE)]) != 0:
            sys.exit("The coverage page could not be written.")
        return compare(sandbox)


PLAYGROUND: Final = """
  open this: what is covered {airflow}/plugin/clever-attendance
  Airflow, no login needed   {airflow}
  the sandbox's insides      {sandbox}/_sandbox/
  what lands                 .demo/lake/attendance/
  Airflow's DAGs folder      .demo/airflow/dags/

Every DAG waits for you to switch it on. For the forms of those that ask:
  District                   {district} (small), {large} (large)
  School                     {school} ({school_name})
A wait for the sync ends with the next upload, within five minutes:
  curl -X POST {sandbox}/_sandbox/sync -d '{{"district_id": "small"}}'

For another terminal:
export AIRFLOW_HOME=$PWD/.demo/airflow
export SANDBOX={sandbox}
export AIRFLOW_CONN_CLEVER_DEFAULT='{connection}'

Ctrl+C stops everything."""


def stay() -> None:
    """Leave sandbox and Airflow running until Ctrl+C."""
    with playground() as (sandbox, airflow):
        small = sandbox.district(SMALL)
        school_name, school = next(iter(small.schools.items()))
        shown = PLAYGROUND.format(
            airflow=airflow.url,
            sandbox=sandbox.url,
            district=small.id,
            large=sandbox.district(DISTRICT).id,
            school=school,
            school_name=school_name,
            connection=sandbox.connection_json(SMALL),
        )
        print(shown, flush=True)
        with suppress(KeyboardInterrupt):
            signal.pause()


def main() -> int:
    """Run the demo; with ``--stay`` leave everything up. Gives the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that Airflow and the sandbox are stopped then, too
    if sys.argv[1:] == ["--stay"]:
        stay()
        return 0
    same = demonstrate()
    where = {"lake": LAKE.relative_to(ROOT), "page": PAGE.relative_to(ROOT), "home": HOME.relative_to(ROOT)}
    print(NEXT.format(**where, python=os.path.relpath(sys.executable)))
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
