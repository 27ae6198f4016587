"""When all pages have come the district is asked once more: did a sync come in between?"""

import threading
import time
from pathlib import Path

import pytest

from airflow_provider_clever.exceptions import CleverStoppedError, CleverTransportError
from airflow_provider_clever.sandbox.testing import Sandbox
from tests.support.asking import ask, due, files, landed
from tests.support.timing import at_most


def test_the_district_is_the_first_and_the_last_that_is_asked_about(sandbox: Sandbox, tmp_path: Path):
    sandbox.clear_requests()

    ask(sandbox, tmp_path, mode="token")

    paths = [request["path"] for request in sandbox.requests()]
    assert paths[0] == paths[-1] == "/v3.1/districts"
    assert paths.count("/v3.1/districts") == 2


def test_a_sync_that_comes_in_between_is_told(sandbox: Sandbox, tmp_path: Path):
    sandbox.fault("sync_mid_walk", family="attendance")

    answer = ask(sandbox, tmp_path, mode="token")

    assert answer.summary["sync_before"] < answer.summary["sync_after"]


def test_without_a_sync_in_between_both_are_the_same(sandbox: Sandbox, tmp_path: Path):
    answer = ask(sandbox, tmp_path)

    assert answer.summary["sync_before"] == answer.summary["sync_after"] is not None


def test_a_question_that_is_not_answered_fails_the_try_and_the_next_one_ends_what_it_began(
    sandbox: Sandbox, tmp_path: Path
):
    sandbox.fault("close", family="districts", nth=2, times=7)

    with pytest.raises(CleverTransportError):
        ask(sandbox, tmp_path, mode="token")
    before = files(tmp_path)
    sandbox.clear_faults()
    answer = ask(sandbox, tmp_path, mode="token")

    assert before
    assert answer.problem is None
    assert answer.summary["written"] == 0
    expected = sandbox.expected("small", date_range_start="2026-06-01", date_range_end="2026-11-23")
    assert landed(tmp_path) == due(expected)


@pytest.mark.timing
def test_a_stop_is_not_kept_waiting_by_it(sandbox: Sandbox, tmp_path: Path):
    sandbox.fault("slow_bytes", family="districts", nth=2, times=0, seconds=240)
    stop = threading.Event()
    told: list[float] = []

    def stop_once_it_hangs() -> None:
        for _ in range(1000):
            if sandbox.faults()[0]["seen"] >= 2 or stop.wait(0.02):
                break
        told.append(time.monotonic())
        stop.set()

    watching = threading.Thread(target=stop_once_it_hangs)
    watching.start()
    with pytest.raises(CleverStoppedError):
        ask(sandbox, tmp_path, mode="token", stop=stop)

    assert time.monotonic() - told[0] < at_most(1.0, guard=50)
    watching.join()
    assert sandbox.faults()[0]["seen"] == 2


def test_as_many_requests_run_side_by_side_as_may_while_answers_take_long(sandbox: Sandbox, tmp_path: Path):
    sandbox.knobs(latency_ms=100)
    sandbox.clear_requests()
    before = sandbox.counters()["connections"]

    ask(sandbox, tmp_path, mode="token", max_concurrency=8, expected_requests=100)

    # One for each of the eight, and those of the caller and of the last question.
    assert 8 < sandbox.counters()["connections"] - before <= 8 + 2
