"""No secret and no student data in what Airflow keeps and shows of a pull: logs, XComs, templates, its database.

With services, not with ``dag.test()``: at DEBUG, what stands in for the supervisor there logs every secret that a task
asks Airflow to mask.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.canary.canaries import NETRC_PASSWORD, UNKNOWN_VALUE, Canaries
from tests.support.airflow import AirflowHome, AirflowStack

# Each task pulls a district of its own: what is queued for it, and how the task ends.
TASKS: dict[str, tuple[dict[str, Any] | None, str]] = {
    "both": (None, "success"),
    "small": ({"kind": "malformed_row", "defect": "unknown_field", "canary": UNKNOWN_VALUE, "times": 0}, "success"),
    "section_only": ({"kind": "401", "nth": 3, "times": 0}, "failed"),
    "daily_only": ({"kind": "next_foreign_host", "times": 0}, "failed"),
    "no_section_id": ({"kind": "malformed_row", "defect": "bad_timestamp", "times": 0}, "failed"),
    "paused": ({"kind": "foreign_district_rows", "row": 5, "times": 0}, "failed"),
}

DAG = dedent(
    """
    from airflow.sdk import DAG

    from airflow_provider_clever.operators.clever import CleverAttendanceOperator

    with DAG("canaries", schedule=None):
        for district in {tasks!r}:
            CleverAttendanceOperator(
                task_id=district,
                district_id="{{{{ dag_run.conf['" + district + "'] }}}}",
                date_range_start="2026-06-01",
                date_range_end="2026-11-23",
                destination="{{{{ dag_run.conf['lake'] }}}}",
                max_concurrency=1,
                write_changes=True,
            )
    """
).format(tasks=list(TASKS))


@dataclass(frozen=True)
class Run:
    """What Airflow kept of a run, and what must not be there."""

    canaries: Canaries
    requests: list[dict[str, Any]]
    states: dict[str, str]
    task_instances: list[dict[str, Any]]
    summary: dict[str, Any]
    logs: str
    database: str


@pytest.fixture(scope="module")
def run(migrated_home: AirflowHome, sandbox_server: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("canaries")
    sandbox_server.reset()
    canaries = Canaries(sandbox_server, *TASKS)
    districts = {character: sandbox_server.district(character).id for character in TASKS}
    for character, (fault, _) in TASKS.items():
        if fault:
            sandbox_server.fault(**{"family": "attendance", "district_id": districts[character], **fault})
    home = migrated_home.copy(folder / "home")
    home.add_dag(DAG)
    with talkative_airflow(home, sandbox_server, folder) as stack:
        run_id = stack.trigger("canaries", conf={**districts, "lake": (folder / "lake").as_uri()})
        stack.wait_for_run("canaries", run_id)
        listed = stack.api("GET", f"dags/canaries/dagRuns/{run_id}/taskInstances")["task_instances"]
        summary = stack.xcom("canaries", run_id, "both", "summary")
    canaries.note_tokens(sandbox_server)
    return Run(
        canaries,
        sandbox_server.requests(),
        {task["task_id"]: task["state"] for task in listed},
        listed,
        summary,
        home.log_text() + "".join(stack.output(component) for component in stack.components),
        home.database_text(),
    )


def talkative_airflow(home: AirflowHome, sandbox: Sandbox, folder: Path) -> AirflowStack:
    """Airflow with all its loggers at DEBUG, in the home of a user who has a ~/.netrc."""
    netrc = folder / ".netrc"
    netrc.write_text(f"machine 127.0.0.1 login somebody password {NETRC_PASSWORD}\n")
    netrc.chmod(0o600)
    return AirflowStack(
        home,
        connections={"clever_default": sandbox.connection_json()},
        env={
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
            "AIRFLOW__LOGGING__NAMESPACE_LEVELS": "urllib3=DEBUG requests=DEBUG fsspec=DEBUG",
            "AIRFLOW__CORE__PARALLELISM": "2",
            "HOME": str(folder),
            "NETRC": str(netrc),
        },
        components=("api-server", "scheduler", "dag-processor"),
    )


def test_each_task_ended_as_it_should_with_cursors_in_play(run: Run):
    assert run.states == {task_id: state for task_id, (_, state) in TASKS.items()}
    assert run.canaries.hold_every_cursor_of(run.requests)


def test_no_log_holds_anything_private_though_they_hold_everything_else(run: Run):
    assert run.canaries.found_in(run.logs) == []
    assert "starting_after=[...]" in run.logs  # the lines about requests
    assert "Received message from task runner" in run.logs  # those of Airflow's supervisor
    failed = [task_id for task_id, state in run.states.items() if state == "failed"]
    assert run.logs.count("AirflowFailException") >= len(failed)  # the errors, with their chains


def test_neither_templates_nor_the_summary_hold_anything_private(run: Run):
    assert all(task["rendered_fields"]["destination"] for task in run.task_instances)
    assert run.canaries.found_in(json.dumps(run.task_instances) + json.dumps(run.summary)) == []


def test_the_metadata_database_holds_nothing_private(run: Run):
    assert run.summary["receipt"] in run.database  # so it can be read like this
    assert run.canaries.found_in(run.database) == []


def test_no_other_credentials_than_ours_were_sent(run: Run):
    assert [entry for entry in run.requests if entry["status"] == 401 and not entry["fault"]] == []
