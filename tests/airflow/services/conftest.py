"""The stack of all tests in this folder; pytest-xdist gives the folder to one worker (``tests/conftest.py``).

Each test brings DAGs with ids of their own, and a destination of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.airflow.services import test_first_events, test_newer_features, test_services
from tests.airflow.services.shared import Services
from tests.support.airflow import ROOT, AirflowHome, AirflowStack
from tests.support.features import SHOWS_FORM_WITHOUT_HOOK

# Python runs a module named sitecustomize first. This one writes down every module that a process looks for.
WATCHER = """
import os, sys

class Watcher:
    def __init__(self):
        self.record = open(os.path.join({folder!r}, str(os.getpid())), "a", buffering=1)

    def find_spec(self, name, path=None, target=None):
        self.record.write(name + "\\n")

sys.meta_path.insert(0, Watcher())
"""


@pytest.fixture(scope="package")
def services(
    migrated_home: AirflowHome, sandbox_server: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Services]:
    """Airflow's services, the triggerer left out."""
    folder = tmp_path_factory.mktemp("services")
    home = migrated_home.copy(folder / "airflow-home")
    (home.dags / "runs.py").write_text(test_services.DAGS)
    # Before the services start, for SQLite is easily locked by a busy scheduler.
    home.command("dags", "reserialize")
    backfill = ["--from-date", "2026-01-05T07:00:00Z", "--to-date", "2026-01-06T07:00:00Z"]
    home.command("backfill", "create", "--dag-id", "filled_back", *backfill)
    imports = home.path / "imports"
    imports.mkdir()
    (imports / "sitecustomize.py").write_text(WATCHER.format(folder=str(imports)) + test_first_events.ANOTHER_TASK)
    sandbox_server.reset()
    small = sandbox_server.connection_json("small")
    refused = json.loads(small) | {"password": test_newer_features.WRONG_SECRET}
    with AirflowStack(
        home,
        connections={
            "clever_default": small,
            "clever_any_district": sandbox_server.connection_json(),
            "clever_token": sandbox_server.connection_json("small", "token"),
            "clever_refused": json.dumps(refused),
        },
        env={
            "PYTHONPATH": f"{imports}:{ROOT}",
            "CLEVER_DESTINATION": (folder / "lake").as_uri(),
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            # The UI's way reaches a task with its next heartbeat.
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            # No file changes, and a new one is read at once.
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
        },
        components=("api-server", "scheduler", "dag-processor"),
    ) as running:
        if SHOWS_FORM_WITHOUT_HOOK:
            running.api("GET", "/ui/connections/hook_meta")
        imported = (imports / str(running.processes["api-server"].pid)).read_text().split()
        yield Services(running, frozenset(imported), folder / "lake")
    assert running.running() == []


@pytest.fixture
def stack(services: Services) -> AirflowStack:
    """The stack that all tests in this folder share."""
    return services.stack
