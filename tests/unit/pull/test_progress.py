"""A long pull says every ten seconds where it stands."""

import logging

import pytest

from airflow_provider_clever.api.throttle import BudgetLeft
from airflow_provider_clever.pull.progress import Progress


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "airflow_provider_clever.pull.progress")
    return caplog


def test_a_line_comes_every_ten_seconds_however_often_one_asks(said: pytest.LogCaptureFixture):
    clock = Clock()
    progress = Progress(40, 20, clock=clock)

    lines_after = {}
    for tenth in range(351):
        clock.seconds = 1000.0 + tenth / 10
        progress.tell()
        lines_after[tenth / 10] = len(said.messages)

    assert [lines_after[seconds] for seconds in (0.0, 9.9, 10.0, 19.9, 20.0, 35.0)] == [0, 0, 1, 1, 2, 3]


def test_a_pull_that_is_over_sooner_says_nothing(said: pytest.LogCaptureFixture):
    clock = Clock()
    progress = Progress(1, 1, clock=clock)
    progress.tell()
    clock.seconds += 9.0
    progress.tell()

    assert said.messages == []


def test_after_a_long_silence_one_line_comes_not_several(said: pytest.LogCaptureFixture):
    clock = Clock()
    progress = Progress(1, 1, clock=clock)
    progress.tell()
    clock.seconds += 60.0
    progress.tell()
    progress.tell()

    assert len(said.messages) == 1


def test_the_line_names_rows_pages_schools_speed_budget_and_the_end():
    clock = Clock()
    progress = Progress(40, 20, lambda: BudgetLeft(1200, 300, 17.0), clock=clock)
    progress.tell()
    clock.seconds += 20.0
    progress.rows, progress.pages, progress.walks_done, progress.scopes_done = 120_000, 130, 10, 5

    assert progress.line() == (
        "120,000 rows in 130 pages, 5 of 20 schools or sections done, 6,000 rows/s, "
        "300 of 1200 requests left in this window, about 60 s to go"
    )


def test_the_end_is_not_foretold_before_a_walk_is_through():
    clock = Clock()
    progress = Progress(40, 20, clock=clock)
    progress.tell()
    clock.seconds += 10.0

    assert progress.line() == "0 rows in 0 pages, 0 of 20 schools or sections done, 0 rows/s, no rate limit seen"
