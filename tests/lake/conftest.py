"""Every kind of store, each started once."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lake import emulators
from tests.lake.emulators import Store


@pytest.fixture(scope="session")
def s3() -> Iterator[Store]:
    """moto's S3, a process of its own."""
    with emulators.s3() as store:
        yield store


@pytest.fixture(scope="session")
def gcs() -> Iterator[Store]:
    """gcp-storage-emulator, a process of its own."""
    with emulators.gcs() as store:
        yield store


@pytest.fixture(scope="session")
def azure() -> Iterator[Store]:
    """Azurite, a process of its own."""
    with emulators.azure() as store:
        yield store


@pytest.fixture
def local(tmp_path: Path) -> Store:
    """A folder of this test's own."""
    return Store("file", str(tmp_path / "lake"))


@pytest.fixture
def memory() -> Store:
    """fsspec's in-process store."""
    return Store("memory", "/lake")


@pytest.fixture(params=["local", "memory", "s3", "gcs", "azure"])
def any_store(request: pytest.FixtureRequest) -> Store:
    """Each kind of store in turn, below a prefix of this test's own."""
    store: Store = request.getfixturevalue(request.param)
    return store.below(uuid.uuid4().hex)


@pytest.fixture(params=["local", "s3"])
def disk_or_s3(request: pytest.FixtureRequest) -> Store:
    """The two stores that are tried hardest."""
    store: Store = request.getfixturevalue(request.param)
    return store.below(uuid.uuid4().hex)
