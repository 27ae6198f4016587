"""Two districts in real Airflow, backfilled with the stock command while nightly runs go on; and what has landed."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from airflow_provider_clever.sandbox.school_calendar import last_school_days
from airflow_provider_clever.sandbox.testing import Sandbox
from tests.demo import lake_beside_due, rows_that_differ
from tests.support.airflow import ROOT, AirflowHome, AirflowStack

EXAMPLE = ROOT / "example_dags" / "clever_districts.py"
SCHEDULE = "0 3 * * 1-5"
PAUSED = {"AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True"}
"""What services get so that :meth:`Districts.let_begin` decides when the DAGs begin."""
FIRST_EVENTS = """
from airflow.sdk import DAG, task
from airflow_provider_clever.assets import landed_alias, landed_asset

with DAG("first_events", schedule=None, is_paused_upon_creation=False):

    @task(outlets=[landed_alias()])
    def tell(outlet_events=None):
        for district_id in {ids}:
            outlet_events[landed_alias()].add(landed_asset({lake!r}, district_id))

    tell()
"""


def days_to_backfill(count: int) -> tuple[date, date]:
    """The first and the last of some school days, all before the day of the newest nightly run."""
    days = last_school_days(count + 2, datetime.now(UTC).date())
    return date.fromisoformat(days[0]), date.fromisoformat(days[-3])


def weekdays(first: date, last: date) -> int:
    """How many runs a backfill of these days has."""
    return sum((first + timedelta(days=number)).weekday() < 5 for number in range((last - first).days + 1))


@dataclass
class Districts:
    """Districts of a sandbox, one DAG each.

    :param names: the sandbox's characters.
    """

    sandbox: Sandbox
    home: AirflowHome
    lake: Path
    names: Sequence[str]
    ids: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.ids = {name: self.sandbox.district(name).id for name in self.names}

    @property
    def dag_ids(self) -> list[str]:
        return [f"clever_attendance_{district_id}" for district_id in self.ids.values()]

    def add_dags(self, more: str = "") -> None:
        """Put the example into Airflow's folder, with these districts as its list.

        :param more: text to go below it.
        """
        listed = [{"district_id": district_id} for district_id in self.ids.values()]
        settings = {"defaults": {"destination": self.lake.as_uri(), "schedule": SCHEDULE}, "districts": listed}
        (self.home.dags / EXAMPLE.with_suffix(".yaml").name).write_text(json.dumps(settings))
        (self.home.dags / EXAMPLE.name).write_text(EXAMPLE.read_text() + more)
        first_events = FIRST_EVENTS.format(ids=[*self.ids.values()], lake=self.lake.as_uri())
        (self.home.dags / "first_events.py").write_text(first_events)

    def let_begin(self, stack: AirflowStack) -> None:
        """Have Airflow take a first event of each district, then switch the DAGs on, which were paused.

        It fails one of two tasks that emit an asset's first event at the same moment (docs/reference/assets.md), and
        nights and backfills that begin together would.
        """
        for dag_id in ("first_events", *self.dag_ids):
            stack.wait_for_dag(dag_id)
        assert stack.wait_for_run("first_events", stack.trigger("first_events")) == "success"
        for dag_id in self.dag_ids:
            stack.api("PATCH", f"dags/{dag_id}", json={"is_paused": False})

    def backfill(self, first: date, last: date, *more: str) -> None:
        """Backfill all districts at the same time."""

        def create(dag_id: str) -> None:
            days = ["--from-date", first.isoformat(), "--to-date", (last + timedelta(days=1)).isoformat()]
            self.home.command("backfill", "create", "--dag-id", dag_id, *days, *more, timeout_seconds=180)

        with ThreadPoolExecutor() as pool:
            list(pool.map(create, self.dag_ids))

    def landed(self) -> dict[str, tuple[str, int]]:
        """Hash of every landed file, and when it was written."""
        files = sorted(path for path in (self.lake / "attendance").rglob("*") if path.is_file())
        return {
            str(path.relative_to(self.lake)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
            for path in files
        }

    def rows_landed_and_different(self) -> tuple[int, int]:
        """Count what DuckDB reads back, and the rows that stand there or are due, but not both, or not as often."""
        due = (row for name in self.names for row in self.sandbox.iter_expected(name))
        with closing(lake_beside_due(self.lake, due, self.home.path / "due.jsonl")) as database:
            ((rows,),) = database.sql("SELECT count(*) FROM landed").fetchall()
            return int(rows), rows_that_differ(database)


@dataclass
class Nights:
    """Nightly runs, one after another as long as they are wanted: the scheduler's own, then by hand.

    :param at_most: runs by hand for each DAG while others go on.
    """

    stack: AirflowStack
    dag_ids: Iterable[str]
    at_most: int = 3

    def go_on(self) -> None:
        """Start the next run of each DAG whose last one has ended."""
        for dag_id in self.dag_ids:
            runs = of_type(self.stack, dag_id, "scheduled", "manual")
            if runs and len(runs) <= self.at_most and all(run["state"] in ("success", "failed") for run in runs):
                self._start(dag_id)

    def one_more(self) -> None:
        """Start a run of each DAG, whatever ran before."""
        for dag_id in self.dag_ids:
            self._start(dag_id)

    def _start(self, dag_id: str) -> None:
        self.stack.trigger(dag_id, logical_date=datetime.now(UTC).isoformat())

    def ended(self) -> bool:
        """Whether every one has succeeded.

        :raises AssertionError: one has failed.
        """
        return all(succeeded(of_type(self.stack, dag_id, "scheduled", "manual")) for dag_id in self.dag_ids)


def of_type(stack: AirflowStack, dag_id: str, *types: str) -> list[dict[str, object]]:
    """A DAG's runs of some types."""
    return [run for run in stack.runs(dag_id) if run["run_type"] in types]


def succeeded(runs: Sequence[dict[str, object]]) -> bool:
    """Whether there are runs and all have succeeded.

    :raises AssertionError: one has failed.
    """
    failed = [(run["dag_id"], run["dag_run_id"]) for run in runs if run["state"] == "failed"]
    assert not failed, f"runs failed: {failed}"
    return bool(runs) and all(run["state"] == "success" for run in runs)
