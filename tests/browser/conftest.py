"""Airflow's own UI in a real browser. It runs when asked for, since it needs Chromium: ``make browser``."""

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# A plain ``make test`` leaves them out; CLEVER_BROWSER=1 asks for them.
collect_ignore_glob = [] if os.environ.get("CLEVER_BROWSER") else ["test_*.py"]


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    from playwright.sync_api import sync_playwright

    from tests.browser.chromium import FLAGS

    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert chromium, "Chromium is needed: apt-get install chromium, or make browser CHROMIUM=/path/to/it"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield running
        running.close()
