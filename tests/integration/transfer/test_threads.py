"""How many threads a pull has, what they do at the same time, and how the first that fails ends the others."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date

import pytest

from airflow_provider_clever.api.client import CleverClient
from airflow_provider_clever.attendance.rows import PulledDay
from airflow_provider_clever.exceptions import CleverLandingError, CleverStoppedError
from airflow_provider_clever.pull.chains import Scope, plan_chains
from airflow_provider_clever.pull.run import Pull
from airflow_provider_clever.sandbox.testing import Sandbox
from tests.support.asking import BRISK, settings_for

LARGE = "large"
"""A school's day fills two pages."""
SMALL = "small"
"""A page holds several days of a school."""


@contextmanager
def pull_of(
    sandbox: Sandbox,
    stop: threading.Event,
    max_concurrency: int,
    district: str = LARGE,
    kind: type[CleverClient] = CleverClient,
) -> Iterator[Pull]:
    """A pull of the last week of many schools, whose client has asked for the district as every pull does."""
    with kind(settings_for(sandbox, district), policy=BRISK, stop=stop) as client:
        chains = plan_chains(
            Scope.SCHOOL,
            sandbox.district(district).school_ids[:16],
            date(2026, 11, 16),
            date(2026, 11, 20),
            concurrency=max_concurrency,
        )
        client.get_district()
        yield Pull(
            client,
            chains,
            district_id=sandbox.district(district).id,
            set_aside=lambda rejected: pytest.fail(f"rows of {list(rejected)} were set aside"),
            stop=stop,
            max_concurrency=max_concurrency,
        )


class Landing:
    """Takes days, and remembers which threads brought them and how many at once."""

    def __init__(self, act: Callable[[], object] = lambda: None) -> None:
        self._act = act
        self._lock = threading.Lock()
        self.threads: set[str] = set()
        self.days = self.now = self.most_at_once = 0

    def __call__(self, day: PulledDay) -> None:
        with self._lock:
            self.threads.add(threading.current_thread().name)
            self.days += 1
            self.now += 1
            self.most_at_once = max(self.most_at_once, self.now)
        try:
            self._act()
        finally:
            with self._lock:
                self.now -= 1


class NearbyClient(CleverClient):
    """A client whose answers come at once, however busy this machine is."""

    answer_seconds = 0.0


def test_two_threads_are_enough_while_answers_come_at_once(sandbox: Sandbox) -> None:
    landing = Landing()
    with pull_of(sandbox, threading.Event(), max_concurrency=16, kind=NearbyClient) as pull:
        pull.land(landing)
    assert landing.threads == {"clever-walk-0", "clever-walk-1"}


def test_all_threads_are_started_once_answers_are_waited_for(sandbox: Sandbox) -> None:
    sandbox.knobs(latency_ms=50)
    landing = Landing()
    with pull_of(sandbox, threading.Event(), max_concurrency=12) as pull:
        pull.land(landing)
    assert landing.threads == {f"clever-walk-{number}" for number in range(12)}


def test_many_land_at_once_where_a_store_is_slow_but_no_more_than_eight(sandbox: Sandbox) -> None:
    def wait_for_seven_others_and_a_ninth() -> None:
        if landing.now == 8:
            eight.set()
        if landing.now > 8:
            nine.set()
        assert eight.wait(20)
        nine.wait(1 if landing.days <= 8 else 0)

    sandbox.knobs(latency_ms=50)
    eight, nine = threading.Event(), threading.Event()
    landing = Landing(wait_for_seven_others_and_a_ninth)
    with pull_of(sandbox, threading.Event(), max_concurrency=16) as pull:
        pull.land(landing)
    assert landing.most_at_once == 8


def test_the_next_page_is_asked_for_while_a_day_lands(sandbox: Sandbox) -> None:
    def wait_for_the_next_request() -> None:
        pages = pull._progress.pages
        if landed_on:
            return
        landed_on.append(pages)
        for _ in range(500):
            if sum("/attendance/" in request["path"] for request in sandbox.requests()) > pages:
                return
            nobody.wait(0.01)
        pytest.fail("nothing was asked for while a day landed")

    sandbox.clear_requests()
    nobody, landed_on = threading.Event(), list[int]()
    with pull_of(sandbox, threading.Event(), max_concurrency=1) as pull:
        pull.land(Landing(wait_for_the_next_request))
    assert landed_on < [pull._progress.pages], "no page was left to ask for"


def test_a_defect_ends_the_pull_and_no_other_day_lands(sandbox: Sandbox) -> None:
    def fail() -> None:
        if landing.days == 3:
            failed.set()
            raise ZeroDivisionError("a defect")
        if landing.days > 3:
            assert failed.wait(5)

    stop, failed = threading.Event(), threading.Event()
    landing = Landing(fail)
    with pull_of(sandbox, stop, max_concurrency=1) as pull, pytest.raises(ZeroDivisionError, match="a defect"):
        pull.land(landing)
    assert landing.days == 3
    assert stop.is_set(), "threads that fetch are told to end"


def test_a_store_that_takes_no_day_any_more_ends_the_pull_after_a_few(sandbox: Sandbox) -> None:
    def fail() -> None:
        if landing.days > 3:
            raise CleverLandingError("the store is gone")

    landing = Landing(fail)
    with (
        pull_of(sandbox, threading.Event(), max_concurrency=1) as pull,
        pytest.raises(CleverLandingError, match="the store is gone"),
    ):
        pull.land(landing)
    assert landing.days == 3 + 8


def test_a_store_that_refuses_now_and_then_ends_nothing_and_those_days_are_named(sandbox: Sandbox) -> None:
    def fail() -> None:
        if landing.days % 2:
            raise CleverLandingError("refused")

    landing = Landing(fail)
    with pull_of(sandbox, threading.Event(), max_concurrency=1) as pull:
        result = pull.land(landing)
    not_landed = sum(len(scope.not_landed) for scope in result.scopes.values())
    assert not_landed == len(result.errors) == (landing.days + 1) // 2 > 16


def test_a_stop_ends_a_pull_whose_threads_all_wait_for_a_store(sandbox: Sandbox) -> None:
    def hang() -> None:
        stop.set()
        released.wait(20)

    stop, released = threading.Event(), threading.Event()
    landing = Landing(hang)
    try:
        with (
            pull_of(sandbox, stop, max_concurrency=2, district=SMALL) as pull,
            pytest.raises(CleverStoppedError, match="told to stop"),
        ):
            pull.land(landing)
        days = landing.days
    finally:
        released.set()
    for thread in threading.enumerate():
        if thread.name.startswith("clever-walk-"):
            thread.join(5)
    assert landing.days == days, "a day was landed after the stop"
