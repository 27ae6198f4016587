"""Every test knows its kind by its folder, reaches loopback only, and may ask for a sandbox Clever."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.support.airflow import AirflowHome, stop_forks
from tests.support.timing import STRICT

# No test depends on how fast the machine is.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.register_profile("few examples", deadline=None, max_examples=10)
hypothesis.settings.load_profile("any machine")

pytest_plugins = ["airflow_provider_clever.sandbox.pytest_plugin"]

TESTS = Path(__file__).parent
SHARING = "tests/airflow/services/"
SANDBOX_TODAY = "2026-11-23"


def pytest_configure(config: pytest.Config) -> None:
    """Register one marker for each folder of tests, and keep Airflow out of the user's home."""
    os.environ["AIRFLOW_HOME"] = home = tempfile.mkdtemp(prefix="airflow-of-tests-")
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))
    config.add_cleanup(stop_forks)
    for folder in sorted(path for path in TESTS.iterdir() if path.is_dir() and not path.name.startswith(("_", "."))):
        config.addinivalue_line("markers", f"{folder.name}: tests in tests/{folder.name}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark each test with its folder's name, and leave out what only ``make timing`` can tell."""
    for item in items:
        parts = item.path.relative_to(TESTS).parts
        if len(parts) > 1:
            item.add_marker(parts[0])
    timed = [item for item in items if (mark := item.get_closest_marker("timing")) and mark.kwargs.get("only")]
    if timed and not STRICT:
        config.hook.pytest_deselected(items=timed)
        items[:] = [item for item in items if item not in timed]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each file to one worker, and all that share a stack of Airflow's services to the same."""
    from xdist.scheduler import LoadFileScheduling

    class ByFileOrStack(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return SHARING if nodeid.startswith(SHARING) else str(super()._split_scope(nodeid))

    return ByFileOrStack(config, log) if config.getoption("dist") == "loadfile" else None


def _is_loopback(host: object) -> bool:
    try:
        return host in ("", "localhost") or ip_address(str(host)).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True, scope="session")
def loopback_only() -> Iterator[None]:
    """Deny every connection that would leave this machine."""
    plain_connect, plain_connect_ex = socket.socket.connect, socket.socket.connect_ex

    def check(sock: socket.socket, address: Any) -> None:
        if sock.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            raise RuntimeError(f"A test tried to leave loopback for {address[0]}.")

    def connect(sock: socket.socket, address: Any) -> None:
        check(sock, address)
        plain_connect(sock, address)

    def connect_ex(sock: socket.socket, address: Any) -> int:
        check(sock, address)
        return plain_connect_ex(sock, address)

    patch = pytest.MonkeyPatch()
    patch.setattr(socket.socket, "connect", connect)
    patch.setattr(socket.socket, "connect_ex", connect_ex)
    yield
    patch.undo()


@pytest.fixture(scope="session")
def clever_sandbox_options() -> dict[str, str]:
    """Give the sandbox a date of its own, so that its rows are the same on every day."""
    return {"today": SANDBOX_TODAY}


@pytest.fixture(scope="session")
def sandbox_server(clever_sandbox_server: Sandbox) -> Sandbox:
    """The sandbox of the whole run; what one test changes, the next one sees."""
    return clever_sandbox_server


@pytest.fixture
def sandbox(clever_sandbox: Sandbox) -> Sandbox:
    """The sandbox in its first state."""
    return clever_sandbox


@pytest.fixture(scope="session")
def migrated_home(tmp_path_factory: pytest.TempPathFactory) -> AirflowHome:
    """An Airflow home with a migrated SQLite database, made once; tests take copies of it."""
    return AirflowHome.create(tmp_path_factory.mktemp("airflow-migrated"))


@pytest.fixture
def airflow_home(migrated_home: AirflowHome, tmp_path: Path) -> AirflowHome:
    """An Airflow home of the test's own, with an empty database."""
    return migrated_home.copy(tmp_path / "airflow-home")
