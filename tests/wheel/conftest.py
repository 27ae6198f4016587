"""What is published, used from empty environments: ``make wheel``. Packages come from pip's index."""

import os
from collections.abc import Iterator

import pytest

from tests.support.airflow import AirflowHome
from tests.wheel.environments import Environment, Wheels, built, environment

# A plain ``make test`` leaves them out; CLEVER_WHEEL=short or =whole asks for them.
ASKED = os.environ.get("CLEVER_WHEEL")
collect_ignore_glob = [] if ASKED else ["test_*.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what takes long, unless all is asked for."""
    if ASKED == "short":
        items[:] = [item for item in items if "long" not in item.keywords]


@pytest.fixture(scope="session")
def wheels() -> Wheels:
    """Both distributions, built into ``dist/``."""
    return built()


@pytest.fixture(scope="session")
def bare(wheels: Wheels, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """The provider without any extra."""
    with environment(tmp_path_factory.mktemp("bare"), wheels.provider_with()) as made:
        yield made


@pytest.fixture(scope="session")
def bare_home(bare: Environment, tmp_path_factory: pytest.TempPathFactory) -> AirflowHome:
    """Airflow in that environment."""
    return AirflowHome.create(tmp_path_factory.mktemp("home"), python=bare.python)
