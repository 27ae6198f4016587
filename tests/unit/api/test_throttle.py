"""The token's budget: never refused, hardly anything left unused, and fair to whoever shares it."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clever.api.throttle import Budget, BudgetLeft, Throttle, Window, read_windows, refusal_seconds
from airflow_provider_clever.exceptions import CleverStoppedError
from tests.support.timing import at_most
from tests.unit.api.clock_simulation import Server, process, simulate

WALL = 1_800_000_000.0


def headers(
    remaining: int = 1199, *, limit: int = 1200, reset: float = WALL + 60, date: float | None = WALL
) -> dict[str, str]:
    stated = {"limit": limit, "remaining": remaining, "reset": int(reset)}
    dated = {} if date is None else {"date": formatdate(date, usegmt=True)}
    return {f"x-ratelimit-{name}": str(value) for name, value in stated.items()} | dated


def budget(share: float = 1.0) -> Budget:
    return Budget(share, jitter=lambda: 0.0)


def exchange(
    own: Budget, answer: dict[str, str] | None, *, status: int = 200, now: float = 0.0, wall: float = WALL
) -> None:
    """Send a request and get its answer at once."""
    is_probe = own.sent(now)
    if answer is not None:
        own.answered(status, answer, now, wall, is_probe=is_probe)
    own.came_back(is_probe=is_probe)


# --- headers --------------------------------------------------------------------------------------------------------


def test_repeated_headers_are_several_limits() -> None:
    stated = {"x-ratelimit-limit": "200, 1200", "x-ratelimit-remaining": "5,1100", "x-ratelimit-reset": "10, 20"}
    assert read_windows(stated) == [Window(200, 5, 10), Window(1200, 1100, 20)]


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "٣x", "9" * 30])
def test_headers_that_are_no_numbers_say_nothing(text: str) -> None:
    assert read_windows({"x-ratelimit-limit": "1", "x-ratelimit-remaining": text, "x-ratelimit-reset": "1"}) == []


@pytest.mark.parametrize(
    ("stated", "seconds"),
    [
        ({}, 60.0),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "9999"}, 120.0),
        ({"retry-after": formatdate(WALL + 30, usegmt=True), "date": formatdate(WALL, usegmt=True)}, 30.0),
        ({"retry-after": formatdate(WALL - 30, usegmt=True)}, 60.0),
        ({"retry-after": "0"}, 60.0),
        ({"retry-after": "0"} | headers(0, reset=WALL + 30), 31.0),
        ({"retry-after": "soon"}, 60.0),
        (headers(0, reset=WALL + 30), 31.0),
        (headers(0, reset=WALL + 530, date=WALL + 500), 31.0),
        (headers(0, reset=WALL + 30, date=None), 31.0),
        (headers(0, reset=WALL + 30) | {"date": "nonsense"}, 31.0),
        (headers(0, reset=WALL - 30), 60.0),
        (headers(0, reset=WALL - 240, date=None), 60.0),
        (headers(0, reset=WALL + 360, date=None), 60.0),
        (headers(0, reset=WALL + 3000), 120.0),
        (headers(3, reset=WALL + 30), 31.0),
        (
            {"x-ratelimit-limit": "9,9,9", "x-ratelimit-remaining": "0,0,5"}
            | {"x-ratelimit-reset": ",".join(str(int(WALL) + seconds) for seconds in (10, 20, 50))},
            21.0,
        ),
    ],
)
def test_how_long_a_429_is_waited_out(stated: dict[str, str], seconds: float) -> None:
    assert refusal_seconds(stated, WALL) == pytest.approx(seconds)


# --- decisions ------------------------------------------------------------------------------------------------------


def test_one_request_goes_alone_until_its_answer_is_known() -> None:
    own = budget()
    assert own.decide(0.0).seconds == 0
    is_probe = own.sent(0.0)
    assert is_probe
    assert own.decide(0.0).seconds == math.inf
    own.came_back(is_probe=is_probe)  # no answer came: the next one goes alone too
    assert own.decide(0.0).seconds == 0
    assert own.sent(0.0)


def test_a_sixteenth_of_what_is_left_is_in_flight() -> None:
    own = budget()
    exchange(own, headers(16 + 160))
    sent = 0
    while own.decide(0.0).seconds == 0:
        assert not own.sent(0.0)
        sent += 1
    assert sent == 10
    assert own.decide(0.0).seconds == math.inf


def test_our_share_is_kept_to_and_the_rest_waits_for_the_reset() -> None:
    own = budget(0.8)
    exchange(own, headers(241))
    assert own.decide(0.0).seconds == 0
    exchange(own, headers(240))
    verdict = own.decide(1.0)
    assert verdict.seconds == pytest.approx(60.05)  # 60 to the reset, 1 for its rounding, 0.05 of jitter, less 1 gone
    assert "240 of 1200 left" in verdict.reason
    assert own.decide(61.04).seconds > 0
    assert own.decide(61.06).seconds == 0
    assert own.sent(61.06)


def test_requests_in_flight_count_as_spent() -> None:
    own = budget(0.5)
    exchange(own, headers(11, limit=20))
    assert not own.sent(0.0)
    assert own.decide(0.0).seconds > 1


def test_the_lowest_figure_of_a_window_holds_whatever_the_order_of_answers() -> None:
    own = budget()
    exchange(own, headers(500))
    exchange(own, headers(300))
    exchange(own, headers(400))
    exchange(own, headers(900, reset=WALL))  # of a window that is over
    assert own.left(0.0) == BudgetLeft(1200, 300, pytest.approx(61.05))
    exchange(own, headers(900, reset=WALL + 120))  # of the next one
    assert own.left(0.0).remaining == 900  # type: ignore[union-attr]  # it is known here


def test_the_clock_of_the_server_is_told_by_its_dates() -> None:
    own = budget()
    exchange(own, headers(10, reset=WALL + 560, date=WALL + 500))
    assert own.decide(0.0).seconds == pytest.approx(61.05)
    exchange(own, headers(9, reset=WALL + 560, date=WALL + 501), now=0.2, wall=WALL + 0.2)
    assert own.decide(0.2).seconds == pytest.approx(60.05)
    exchange(own, headers(8, reset=WALL + 560, date=WALL + 501), now=1.1, wall=WALL + 1.1)
    assert own.decide(1.1).seconds == pytest.approx(59.15)


def test_of_several_limits_the_tightest_holds() -> None:
    own = budget()
    now = {"x-ratelimit-limit": "100, 1200", "x-ratelimit-remaining": "1, 1000"}
    exchange(own, now | {"x-ratelimit-reset": f"{int(WALL) + 10}, {int(WALL) + 60}"})
    assert own.decide(0.0).seconds == pytest.approx(11.05)
    assert own.left(0.0).limit == 100  # type: ignore[union-attr]  # it is known here
    assert own.decide(11.1).seconds == 0
    assert own.sent(11.1), "one alone, because one of the windows is new"


def test_of_several_spent_limits_the_latest_holds() -> None:
    own = budget()
    spent = {"x-ratelimit-limit": "100, 1200", "x-ratelimit-remaining": "1, 2"}
    exchange(own, spent | {"x-ratelimit-reset": f"{int(WALL) + 10}, {int(WALL) + 60}"})
    assert own.decide(0.0).seconds == pytest.approx(61.05)


def test_a_success_without_headers_has_met_no_limit() -> None:
    own = budget()
    exchange(own, {})
    for _ in range(100):
        assert own.decide(0.0).seconds == 0
        assert not own.sent(0.0)
    assert own.left(0.0) is None
    own.answered(200, headers(5), 0.0, WALL, is_probe=False)
    assert own.decide(0.0).seconds > 0


def test_an_error_without_headers_shows_nothing() -> None:
    own = budget()
    exchange(own, {}, status=502)
    assert own.sent(0.0)
    own = budget()
    exchange(own, headers(500))
    exchange(own, {})
    assert own.left(0.0).remaining == 500  # type: ignore[union-attr]  # it is known here


def test_a_429_closes_for_everybody_and_then_one_goes_alone() -> None:
    own = budget()
    exchange(own, headers(500))
    exchange(own, headers(0, reset=WALL + 20), status=429)
    exchange(own, {"retry-after": "3"}, status=429)
    verdict = own.decide(0.0)
    assert verdict.seconds == pytest.approx(21.05)
    assert "refused" in verdict.reason
    assert own.decide(21.1).seconds == 0
    assert own.sent(21.1)


def test_a_window_of_one_second_does_not_stall() -> None:
    own = budget()
    for second in range(5):
        now = second * 2.2
        exchange(own, headers(0, limit=1, reset=WALL + now + 1, date=WALL + now), now=now, wall=WALL + now)
        assert own.decide(now).seconds < 2.2


@given(
    st.lists(
        st.tuples(
            st.sampled_from([200, 429, 502]),
            st.integers(0, 1300),
            st.integers(-100, 200),
            st.booleans(),
            st.floats(0, 100),
        ),
        max_size=30,
    ),
    st.floats(0.01, 1),
)
def test_whatever_is_answered_the_next_request_may_go_within_two_minutes(
    answers: list[tuple[int, int, int, bool, float]], share: float
) -> None:
    own, now = budget(share), 0.0
    for status, remaining, reset, is_stated, passed in answers:
        now += passed
        wait = own.decide(now).seconds
        assert wait <= 121
        now += wait
        assert own.decide(now + 1e-6).seconds <= 1e-6
        exchange(
            own,
            headers(remaining, reset=WALL + now + reset, date=None) if is_stated else {},
            status=status,
            now=now,
            wall=WALL + now,
        )
    assert own.decide(now).seconds <= 121


# --- what it comes to, on a simulated clock -------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [8, 16, 32])
def test_alone_a_token_is_spent_and_never_refused(threads: int) -> None:
    outcome = simulate(Server(), [process(threads=threads)])
    assert outcome.refused == 0
    assert min(outcome.windows[:-1]) >= 0.95 * 1200


@pytest.mark.parametrize("threads", [8, 32])
def test_a_share_is_a_share(threads: int) -> None:
    outcome = simulate(Server(), [process(threads=threads, share=0.8)])
    assert outcome.refused == 0
    assert all(0.77 * 1200 <= used <= 0.83 * 1200 for used in outcome.windows[:-1])


@pytest.mark.parametrize("skew_seconds", [0.0, -90.3, 47.8], ids="server_clock_{:+}_seconds".format)
@pytest.mark.parametrize(("share", "threads"), [(1.0, 16), (1.0, 32), (0.8, 16)])
def test_eight_processes_share_a_token(share: float, threads: int, skew_seconds: float) -> None:
    tasks = [process(share=share, threads=threads, pages=900, seed=seed) for seed in range(8)]
    outcome = simulate(Server(skew_seconds=skew_seconds), tasks)
    assert outcome.refused * 1000 <= outcome.sent
    assert min(outcome.windows[:-1]) >= (0.95 if share == 1 else 0.77) * 1200
    assert max(outcome.windows) <= 1200 * min(1.0, share + 0.03)


def test_a_small_window_is_used_up_too() -> None:
    outcome = simulate(Server(limit=20, window_seconds=5), [process(pages=100, latency_seconds=0.05)])
    assert (outcome.refused, outcome.windows) == (0, [20] * 5)


def test_a_server_that_states_nothing_is_still_survived() -> None:
    outcome = simulate(Server(with_headers=False), [process(pages=3000)])
    assert sum(outcome.windows) == 3000
    assert outcome.refused <= 16 * 2


# --- threads --------------------------------------------------------------------------------------------------------


def in_thread(act: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    return thread


def test_threads_wait_for_the_one_that_learns() -> None:
    throttle, went = Throttle(), list[bool]()
    is_probe = throttle.acquire()
    threads = [in_thread(lambda: went.append(throttle.acquire())) for _ in range(4)]
    assert went == []
    throttle.release(is_probe=is_probe, status=200, headers=headers(900, reset=time.time() + 60, date=time.time()))
    for thread in threads:
        thread.join(5)
    assert went == [False] * 4
    left = throttle.snapshot()
    assert left is not None
    assert (left.limit, left.remaining) == (1200, 900)


@pytest.mark.timing
def test_stop_ends_a_wait_and_the_wait_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    stop = threading.Event()
    throttle, stopped = Throttle(0.8, stop), list[bool]()

    def wait() -> None:
        try:
            throttle.acquire()
        except CleverStoppedError:
            stopped.append(True)

    caplog.set_level(logging.INFO)
    throttle.release(
        is_probe=throttle.acquire(), status=200, headers=headers(100, reset=time.time() + 60, date=time.time())
    )
    threads = [in_thread(wait) for _ in range(3)]
    for thread in threads:
        thread.join(0.05)
    begun = time.monotonic()
    stop.set()
    for thread in threads:
        thread.join(120)
    assert stopped == [True] * 3
    assert time.monotonic() - begun < at_most(1, guard=50), "the budget would be there again after 60 s"
    assert len([record for record in caplog.records if "share of the token's budget" in record.message]) == 1


def test_a_request_without_an_answer_gives_its_place_back() -> None:
    throttle = Throttle()
    throttle.release(is_probe=throttle.acquire())
    assert throttle.acquire()
    assert throttle.snapshot() is None


def test_a_request_goes_at_once_only_if_no_other_one_waits_for_its_answer() -> None:
    stop = threading.Event()
    throttle = Throttle(stop=stop)
    assert not throttle.acquire_at_once(), "its answer would be the first"
    is_probe = throttle.acquire()
    assert not throttle.acquire_at_once(), "another one is learning"
    # 16 are kept and a sixteenth of the others may be on their way: two.
    known = headers(16 + 32, reset=time.time() + 60, date=time.time())
    throttle.release(is_probe=is_probe, status=200, headers=known)
    assert [throttle.acquire_at_once() for _ in range(3)] == [True, True, False]
    throttle.release(is_probe=False)
    assert throttle.acquire_at_once()
    throttle.release(is_probe=False, status=200, headers=headers(0, reset=time.time() + 60, date=time.time()))
    assert not throttle.acquire_at_once(), "the budget is spent"
    throttle.release(is_probe=False, status=200, headers=known)
    stop.set()
    assert not throttle.acquire_at_once()


@pytest.mark.parametrize("skew_seconds", [-300.0, -45.0, 0.0, 45.0, 300.0])
@pytest.mark.parametrize("share", [0.8, 1.0])
def test_a_clock_that_is_off_and_no_date_to_compare_it_with_are_no_storm(skew_seconds: float, share: float) -> None:
    server = Server(limit=100, skew_seconds=skew_seconds, with_date=False)
    outcome = simulate(server, [process(share=share, pages=400, seed=seed) for seed in (1, 2)], most_seconds=7200.0)
    assert sum(outcome.windows) == 800
    assert outcome.refused <= 2 * len(outcome.windows)
