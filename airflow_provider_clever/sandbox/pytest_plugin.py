"""pytest fixtures for tests against the sandbox.

Opt in, in your top-level ``conftest.py``::

    pytest_plugins = ["airflow_provider_clever.sandbox.pytest_plugin"]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from .testing import Sandbox, running_sandbox


@pytest.fixture(scope="session")
def clever_sandbox_options() -> Mapping[str, Any]:
    """The sandbox's command-line options, with underscores. Override this fixture to set some. Default: none."""
    return {}


@pytest.fixture(scope="session")
def clever_sandbox_server(clever_sandbox_options: Mapping[str, Any]) -> Iterator[Sandbox]:
    """One sandbox for the whole run, in a process of its own. What one test changes, the next one sees."""
    with running_sandbox(**clever_sandbox_options) as running:
        yield running


@pytest.fixture
def clever_sandbox(clever_sandbox_server: Sandbox) -> Sandbox:
    """The sandbox in its first state: the same districts and rows, no faults, no logged requests, default knobs."""
    clever_sandbox_server.reset()
    return clever_sandbox_server
