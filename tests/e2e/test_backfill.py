"""Two districts backfilled at once with the stock command while nightly runs go on, in real Airflow on PostgreSQL.

``CLEVER_E2E_DAYS`` says how many school days; default 20.
"""

import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.e2e.districts import PAUSED, Districts, Nights, days_to_backfill, of_type, succeeded, weekdays
from tests.support.airflow import AirflowHome, AirflowStack
from tests.support.postgres import running_postgres

log = logging.getLogger(__name__)

DAYS = int(os.environ.get("CLEVER_E2E_DAYS", "20"))
FIRST, LAST = days_to_backfill(DAYS)
RUNS = weekdays(FIRST, LAST)
SECONDS = 120.0 + 30.0 * RUNS


@pytest.fixture(scope="module")
def world(sandbox_server: Sandbox) -> Sandbox:
    # Airflow's own clock tells which days are due, so the sandbox's date is the real one.
    sandbox_server.reset(today=datetime.now(UTC).date().isoformat(), districts=["small", "both"])
    return sandbox_server


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowHome]:
    with running_postgres() as postgres:
        yield AirflowHome.create(tmp_path_factory.mktemp("backfill") / "home", postgres.create_database("airflow"))


@pytest.fixture(scope="module")
def districts(world: Sandbox, home: AirflowHome, tmp_path_factory: pytest.TempPathFactory) -> Districts:
    made = Districts(world, home, tmp_path_factory.mktemp("lake"), ("small", "both"))
    made.add_dags()
    return made


@pytest.fixture(scope="module")
def stack(world: Sandbox, home: AirflowHome, districts: Districts) -> Iterator[AirflowStack]:
    components = ("api-server", "scheduler", "dag-processor")
    connections = {"clever_default": world.connection_json()}
    with AirflowStack(home, connections=connections, env=PAUSED, components=components) as running:
        yield running
    assert running.running() == []


def test_one_two_districts_backfilled_at_once_beside_their_nights(stack: AirflowStack, districts: Districts) -> None:
    nights = Nights(stack, districts.dag_ids)
    districts.let_begin(stack)
    districts.backfill(FIRST, LAST, "--max-active-runs", "3")

    def half_way() -> bool:
        nights.go_on()
        done = [run for dag_id in districts.dag_ids for run in of_type(stack, dag_id, "backfill") if run["end_date"]]
        return len(done) >= RUNS

    stack.wait_until(half_way, "half of the backfills' runs have ended", SECONDS)
    for name in districts.names:
        assert districts.sandbox.sync(name, edits=25, weeks=1)["edited"] > 0

    def backfilled() -> bool:
        nights.go_on()
        return all(succeeded(of_type(stack, dag_id, "backfill")) for dag_id in districts.dag_ids)

    stack.wait_until(backfilled, "the backfills have ended", SECONDS)
    stack.wait_until(nights.ended, "the nights have ended", SECONDS)
    nights.one_more()
    stack.wait_until(nights.ended, "one more night, after the corrections, has ended", SECONDS)

    backfills = {dag_id: of_type(stack, dag_id, "backfill") for dag_id in districts.dag_ids}
    assert {len(runs) for runs in backfills.values()} == {RUNS}
    starts = [min(str(run["start_date"]) for run in runs) for runs in backfills.values()]
    ends = [max(str(run["end_date"]) for run in runs) for runs in backfills.values()]
    assert max(starts) < min(ends), "the districts were backfilled at the same time"
    for dag_id in districts.dag_ids:
        beside = [run for run in of_type(stack, dag_id, "scheduled", "manual") if str(run["start_date"]) < min(ends)]
        # A backfill of a few days ends before the first night does.
        assert len(beside) >= (2 if RUNS > 5 else 1), "nights went on beside the backfills"


def test_two_every_row_due_has_landed_once(districts: Districts) -> None:
    rows, different = districts.rows_landed_and_different()
    log.info("%s rows landed, %d differ from those due", f"{rows:,}", different)
    assert rows
    assert different == 0


def test_three_the_same_backfill_again_changes_no_byte(stack: AirflowStack, districts: Districts) -> None:
    before = districts.landed()
    asked = districts.sandbox.counters()["by_family"]["attendance"]

    def recorded() -> bool:
        listed = [stack.api("GET", "backfills", dag_id=dag_id)["backfills"] for dag_id in districts.dag_ids]
        return all(one["completed_at"] for backfills in listed for one in backfills)

    stack.wait_until(recorded, "Airflow counts the first backfills as completed", 90)
    districts.backfill(FIRST, LAST, "--max-active-runs", "3", "--reprocess-behavior", "completed")

    def again() -> bool:
        return all(succeeded(of_type(stack, dag_id, "backfill")) for dag_id in districts.dag_ids)

    stack.wait_until(again, "the second backfills have ended", SECONDS)
    schools = sum(len(districts.sandbox.district(name).school_ids) for name in districts.names)
    asked_again = districts.sandbox.counters()["by_family"]["attendance"] - asked
    assert asked_again >= RUNS * schools, "every school was asked for every day again"
    assert districts.landed() == before
