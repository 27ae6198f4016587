"""Headless Chromium, and pictures of what it shows."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from playwright.sync_api import FloatRect, Locator, Page, expect

ANSWER_MS: Final = 60_000

# Nothing but this machine can be reached, whatever Chromium would like to look up.
FLAGS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


DOCUMENTED: Final = Path(__file__).parents[2] / "docs/images"


def click(target: Locator, *, brings: Locator) -> None:
    """Click something of Airflow's UI until what it brings is there.

    The UI draws itself again whenever an answer comes in, and a click at that moment is lost: a person clicks again.
    """
    target.click()
    for _ in range(3):
        with suppress(AssertionError):
            expect(brings).to_be_visible(timeout=ANSWER_MS / 3)
            return
        if target.is_visible():
            target.click()
    expect(brings).to_be_visible(timeout=ANSWER_MS)


def documented(shown: Page | Locator, name: str, clip: FloatRect | None = None) -> None:
    """Renew a picture of the documentation, if that was asked for: make screenshots.

    :param clip: the part of a page that matters, and that says nothing of this machine.
    """
    if os.environ.get("CLEVER_DOCUMENTED_SCREENSHOTS"):
        more = {"clip": clip} if clip else {}
        shown.screenshot(path=DOCUMENTED / f"{name}.png", **more)


def kept(page: Page, name: str) -> None:
    """Keep a picture for a person to look at."""
    if folder := os.environ.get("CLEVER_SCREENSHOTS"):
        page.screenshot(path=Path(folder, f"{name}.png"))
