"""Each extra, alone in an environment made from the wheel, lands through the operator what it promises."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from pyiceberg.table import StaticTable

from airflow_provider_clever.sandbox.testing import Sandbox, running_sandbox
from tests.demo import lake_beside_due, rows_that_differ
from tests.lake import emulators
from tests.lake.emulators import Store
from tests.support.airflow import AirflowHome, DagOutcome
from tests.wheel.environments import AIRFLOW, Environment, Wheels, environment

FIRST, LAST = "2026-11-02", "2026-11-20"
DISTRICT = "small"

DAG = """
from datetime import timedelta

from airflow.sdk import DAG
from airflow_provider_clever.operators.clever import CleverAttendanceOperator

with DAG("wheel", schedule=None):
    for task_id, destination in {destinations!r}.items():
        CleverAttendanceOperator(
            task_id=task_id,
            destination=destination,
            district_id={district_id!r},
            date_range_start={first!r},
            date_range_end={last!r},
            retries=2,
            retry_delay=timedelta(seconds=1),
        )
"""

# The URL of each kind of store names an Airflow connection, which is made for the emulator.
URLS = {"s3": "s3://lake_s3@lake/clever", "gcs": "gs://lake_gcs@lake/clever", "azure": "abfs://lake_azure@lake/clever"}
CONNECTIONS: dict[str, Callable[[Store], dict[str, Any]]] = {
    "s3": lambda store: {
        "conn_type": "aws",
        "login": "made-up",
        "password": "made-up",
        "extra": {"endpoint_url": store.url, "region_name": "us-east-1"},
    },
    "gcs": lambda store: {
        "conn_type": "google_cloud_platform",
        "extra": {"is_anonymous": True, "project": "made-up", "gcs.endpoint": store.url},
    },
    "azure": lambda store: {"conn_type": "wasb", "extra": store.options},
}
# gcsfs would ask Google over gRPC, for a minute, what kind of bucket the emulator's is.
GCSFS = {"GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(districts=DISTRICT, today="2026-11-23") as running:
        yield running


class Lander(NamedTuple):
    """An environment's Airflow and the sandbox that it pulls from."""

    home: AirflowHome
    sandbox: Sandbox

    def run(self, destinations: dict[str, str | None], stores: dict[str, Store] | None = None) -> DagOutcome:
        """Run one task for each destination."""
        connections = {f"lake_{name}": json.dumps(CONNECTIONS[name](store)) for name, store in (stores or {}).items()}
        return self.home.run_dag(
            DAG.format(
                destinations=destinations, district_id=self.sandbox.district(DISTRICT).id, first=FIRST, last=LAST
            ),
            connections=connections | {"clever_default": self.sandbox.connection_json()},
            env=GCSFS,
            timeout_seconds=400,
        )

    def assert_all_is_there(self, store: Store, scratch: Path) -> None:
        """Compare what stands in a store with what was due, row by row and field by field."""
        fs = store.filesystem()
        lake = scratch / "lake"
        for path in fs.find(f"{store.root}/attendance"):
            copy = lake / path.partition(store.root)[2].lstrip("/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(fs.cat_file(path))
        due = self.sandbox.expected(DISTRICT, date_range_start=FIRST, date_range_end=LAST)
        database = lake_beside_due(lake, due, scratch / "due.jsonl")
        assert database.sql("SELECT count(*) FROM landed").fetchall() == [(len(due),)]
        assert len(due) > 100
        assert rows_that_differ(database) == 0


def test_without_an_extra_rows_come_through_xcom_and_landing_says_what_to_install(
    bare_home: AirflowHome, sandbox: Sandbox, tmp_path: Path
) -> None:
    outcome = Lander(bare_home, sandbox).run({"rows": None, "land": (tmp_path / "lake").as_uri()})
    assert len(outcome.xcom("rows")) == len(sandbox.expected(DISTRICT, date_range_start=FIRST, date_range_end=LAST))
    assert (outcome.tasks["land", -1], outcome.tries["land", -1]) == ("failed", 1)
    assert "pip install 'airflow-provider-clever[parquet]'" in outcome.log


def test_parquet_alone_lands_on_a_path_and_says_of_each_store_what_to_install(
    wheels: Wheels, sandbox: Sandbox, tmp_path: Path
) -> None:
    with environment(tmp_path, wheels.provider_with("parquet"), AIRFLOW) as made:
        home = AirflowHome.create(tmp_path / "home", python=made.python)
        without_connections = {extra: url.replace(f"lake_{extra}@", "") for extra, url in URLS.items()}
        outcome = Lander(home, sandbox).run({"land": (tmp_path / "lake").as_uri(), **without_connections})
    assert outcome.tasks["land", -1] == "success", outcome.log[-4000:]
    Lander(home, sandbox).assert_all_is_there(Store("file", str(tmp_path / "lake")), tmp_path)
    for extra in URLS:
        assert (outcome.tasks[extra, -1], outcome.tries[extra, -1]) == ("failed", 1)
        assert f"pip install 'airflow-provider-clever[{extra}]'" in outcome.log


def test_iceberg_alone_makes_a_table_of_what_landed(wheels: Wheels, sandbox: Sandbox, tmp_path: Path) -> None:
    with environment(tmp_path, wheels.provider_with("iceberg"), AIRFLOW) as made:
        assert "pyiceberg-core" not in made.installed()
        lander = Lander(AirflowHome.create(tmp_path / "home", python=made.python), sandbox)
        outcome = lander.run({"land": (tmp_path / "lake").as_uri()})
        assert outcome.state == "success", outcome.log[-4000:]
        lander.assert_all_is_there(Store("file", str(tmp_path / "lake")), tmp_path)
        told = made.run("clever-attendance", "table", str(tmp_path / "lake"), "--table", "iceberg", "--json").stdout
    due = sandbox.expected(DISTRICT, date_range_start=FIRST, date_range_end=LAST)
    assert json.loads(told)["rows_written"] == len(due)
    rows = StaticTable.from_metadata(str(tmp_path / "lake/iceberg/clever.attendance")).scan().to_arrow().to_pylist()

    def key(row: dict[str, Any]) -> list[str]:
        names = ("student_id", "attendance_date", "section_id", "attendance_status")
        return [str(row.get(name) or "") for name in names]

    assert sorted(map(key, rows)) == sorted(map(key, due))


def test_parquet_without_iceberg_says_what_to_install(wheels: Wheels, tmp_path: Path) -> None:
    with environment(tmp_path, wheels.provider_with("parquet"), AIRFLOW) as made:
        done = made.run("clever-attendance", "table", str(tmp_path), "--table", "iceberg", check=False)
    assert (done.returncode, "pip install 'airflow-provider-clever[iceberg]'" in done.stdout) == (2, True)
    assert "Traceback" not in done.stdout


@pytest.mark.long
@pytest.mark.parametrize("extra", URLS)
def test_a_stores_extra_alone_lands_there(wheels: Wheels, sandbox: Sandbox, tmp_path: Path, extra: str) -> None:
    with (
        getattr(emulators, extra)() as store,
        environment(tmp_path, wheels.provider_with(extra), AIRFLOW) as made,
    ):
        lander = Lander(AirflowHome.create(tmp_path / "home", python=made.python), sandbox)
        outcome = lander.run({extra: URLS[extra]}, {extra: store})
        assert outcome.state == "success", outcome.log[-4000:]
        lander.assert_all_is_there(store.below("clever"), tmp_path)


@pytest.mark.long
def test_all_extras_together_land_everywhere(wheels: Wheels, sandbox: Sandbox, tmp_path: Path) -> None:
    with (
        emulators.s3() as s3,
        emulators.gcs() as gcs,
        emulators.azure() as azure,
        environment(tmp_path, wheels.provider_with("parquet", "sandbox", *URLS), AIRFLOW) as made,
    ):
        stores = {"s3": s3, "gcs": gcs, "azure": azure}
        lander = Lander(AirflowHome.create(tmp_path / "home", python=made.python), sandbox)
        outcome = lander.run({"land": (tmp_path / "local").as_uri(), **URLS}, stores)
        assert outcome.state == "success", outcome.log[-4000:]
        everywhere = {"land": Store("file", str(tmp_path / "local"))}
        everywhere |= {name: store.below("clever") for name, store in stores.items()}
        for name, store in everywhere.items():
            lander.assert_all_is_there(store, tmp_path / name)


def test_the_sandbox_alone_needs_starlette_and_uvicorn_and_no_airflow(wheels: Wheels, tmp_path: Path) -> None:
    with environment(tmp_path, f"clever-sandbox @ {wheels.sandbox.as_uri()}") as made:
        installed = made.installed()
        assert installed - {"anyio", "click", "h11", "idna", "typing-extensions"} == {
            "clever-sandbox",
            "starlette",
            "uvicorn",
        }
        assert_a_sandbox_answers(made)


@pytest.mark.long
def test_the_sandbox_as_an_extra_is_the_same_beside_airflow(wheels: Wheels, tmp_path: Path) -> None:
    with environment(tmp_path, wheels.provider_with("sandbox"), AIRFLOW) as made:
        assert_a_sandbox_answers(made)
        assert "--seed" in made.run("clever-attendance", "sandbox", "--help").stdout


def assert_a_sandbox_answers(made: Environment) -> None:
    for program in (made.path / "bin/clever-sandbox",), (made.python, "-P", "-m", "airflow_provider_clever.sandbox"):
        with running_sandbox(tuple(map(str, program)), districts=DISTRICT) as running:
            assert running.expected_count(DISTRICT)["total"] > 0
            assert requests.get(f"{running.url}/docs", timeout=30).status_code == 200
