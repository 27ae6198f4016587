"""What ``make playground`` gives: every example DAG ends well, home leads to what is covered, the tutorial works."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.browser.chromium import ANSWER_MS, click, documented, kept
from tests.demo import DAG_ID, DISTRICT, ROOT, SMALL, SMALL_DAG_ID, connection_of, playground
from tests.support.airflow import AirflowStack

EXAMPLES = sorted((ROOT / "example_dags").glob("*.py"))
RUN_SECONDS = 300.0


@dataclass(frozen=True)
class Playground:
    sandbox: Sandbox
    airflow: AirflowStack
    folder: Path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playground]:
    """The playground, its large district cut to four schools, since each is pulled."""
    folder = tmp_path_factory.mktemp("playground")
    with playground(folder, large_schools=4) as (sandbox, airflow):
        yield Playground(sandbox, airflow, folder)


def forms(sandbox: Sandbox) -> dict[str, dict[str, Any]]:
    """What a person types into the forms that ask for something."""
    small = sandbox.district(SMALL)
    last = date.fromisoformat(sandbox.today)
    week = {"date_range_start": str(last - timedelta(days=7)), "date_range_end": str(last)}
    return {
        "clever_absences_in_xcom": {"school_id": next(iter(small.schools.values())), **week},
        "clever_date_range": {"district_id": small.id, **week},
    }


def test_every_example_dag_ends_well(place: Playground) -> None:
    airflow = place.airflow
    files = {file.name for file in EXAMPLES}

    def all_known() -> list[dict[str, Any]]:
        known: list[dict[str, Any]] = airflow.api("GET", "dags", limit=100)["dags"]
        return known if {dag["relative_fileloc"] for dag in known} == files else []

    dags = airflow.wait_until(all_known, f"each of {sorted(files)} has made its DAGs")
    listed = [dag["dag_id"] for dag in dags]
    scheduled = {dag["dag_id"]: "*" in (dag["timetable_summary"] or "") for dag in dags}
    assert airflow.api("GET", "importErrors")["import_errors"] == []
    assert {DAG_ID, SMALL_DAG_ID} <= {*listed}
    filled = forms(place.sandbox)

    def started(dag_id: str) -> str:
        """Give the DAG's first run; one with a schedule of its own starts by being switched on."""
        if not scheduled[dag_id]:
            return airflow.trigger(dag_id, conf=filled.get(dag_id))
        return str(airflow.wait_until(lambda: airflow.runs(dag_id), f"{dag_id} has a run")[0]["dag_run_id"])

    # First those that land: a table refuses to be made of nothing, and Airflow fails a task whose asset's first event
    # comes at the same moment as another task's.
    landing = [DAG_ID, SMALL_DAG_ID]
    for dag_ids in (landing, [dag_id for dag_id in listed if dag_id not in landing]):
        for dag_id in dag_ids:
            airflow.api("PATCH", f"dags/{dag_id}", json={"is_paused": False})
        runs = {dag_id: started(dag_id) for dag_id in dag_ids}
        ended = {dag_id: airflow.wait_for_run(dag_id, run_id, seconds=RUN_SECONDS) for dag_id, run_id in runs.items()}
        assert ended == dict.fromkeys(runs, "success"), airflow.home.errors_logged()


def test_home_leads_to_what_is_covered(place: Playground, browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 1000}, locale="en-US")
    page.set_default_timeout(ANSWER_MS)
    page.goto(place.airflow.url)
    kept(page, "playground home")
    frame = page.frame_locator("iframe")
    link = page.get_by_role("link", name="Attendance").first
    click(link, brings=frame.get_by_role("heading", name="Clever attendance"))
    for character in (SMALL, DISTRICT):
        name = place.sandbox.district(character).name
        expect(frame.get_by_role("link", name=name)).to_be_visible(timeout=ANSWER_MS)
    kept(page, "playground coverage")
    page.goto(f"{place.airflow.url}/dags/{DAG_ID}/runs/{place.airflow.runs(DAG_ID)[0]['dag_run_id']}/tasks/pull/mapped")
    expect(page.get_by_role("link", name=re.compile(r"\d{4}-\d\d-\d\d")).first).to_be_visible()
    documented(page, "mapped-run", {"x": 0, "y": 0, "width": 1400, "height": 450})
    page.close()


def test_its_connection_passes_the_test_button(place: Playground) -> None:
    said = place.airflow.api("POST", "connections/test", json=connection_of(place.sandbox))
    assert said["status"], said["message"]
    assert place.sandbox.district(SMALL).name in said["message"]


def typed(place: Playground, folder: Path, command: str) -> str:
    """Type a block of the tutorial into a second terminal in the checkout."""
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(place.airflow.home.path),
        "SANDBOX": place.sandbox.url,
        "AIRFLOW_CONN_CLEVER_DEFAULT": place.sandbox.connection_json(SMALL),
    }
    done = subprocess.run(
        ["bash", "-eu", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_tutorial_works_as_it_is_written(place: Playground, tmp_path: Path) -> None:
    airflow = place.airflow
    (tmp_path / ".demo").symlink_to(place.folder)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    airflow.api("PATCH", f"dags/{DAG_ID}", json={"is_paused": False})

    def state_of_a_run(**conf: str) -> str:
        return airflow.wait_for_run(DAG_ID, airflow.trigger(DAG_ID, conf=conf), seconds=RUN_SECONDS)

    look, query, status, corrections, faults, refusal = blocks_of_the_tutorial()
    assert "5 schools" in typed(place, tmp_path, look)
    assert state_of_a_run() == "success"
    assert "2026" in typed(place, tmp_path, query)
    assert place.sandbox.district(DISTRICT).id in typed(place, tmp_path, status)
    assert '"edited":40' in typed(place, tmp_path, corrections).replace(" ", "")
    assert state_of_a_run() == "success"
    typed(place, tmp_path, faults)
    last = date.fromisoformat(place.sandbox.today)
    three_weeks = {"date_range_start": str(last - timedelta(days=21)), "date_range_end": str(last)}
    assert state_of_a_run(**three_weeks) == "success"
    typed(place, tmp_path, refusal)
    assert state_of_a_run() == "failed"
    typed(place, tmp_path, "curl --silent --fail -X DELETE $SANDBOX/_sandbox/faults")
    assert state_of_a_run() == "success"


def blocks_of_the_tutorial() -> list[str]:
    """The commands of its second terminal; those that make wheel runs are marked as such."""
    text = (ROOT / "docs/tutorial.md").read_text()
    found = re.findall(r"(<!-- make wheel runs this -->\n)?^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [block for mark, block in found if not mark and block != "make playground\n"]
