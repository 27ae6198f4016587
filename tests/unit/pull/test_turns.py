"""Once all threads are started, one decodes at a time: together they would wait for each other's interpreter lock."""

from __future__ import annotations

import threading
from datetime import date
from typing import Any

from airflow_provider_clever.pull.chains import Chain, Scope, plan_chains
from airflow_provider_clever.pull.threads import WalkingThreads


class Far:
    """A client whose answers take long, so that all threads are started."""

    answer_seconds = 1.0

    class Fetcher:
        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...

    def fetcher(self) -> Fetcher:
        return self.Fetcher()

    def stop(self) -> None: ...


def most_at_once(threads: int) -> int:
    chains = plan_chains(
        Scope.SCHOOL, [f"s{number}" for number in range(threads)], date(2026, 11, 9), date(2026, 11, 9), concurrency=1
    )
    walking = WalkingThreads(Far(), chains, most=threads, stop=threading.Event())  # type: ignore[arg-type]  # all it needs
    all_there, lock, inside, seen = threading.Barrier(threads), threading.Lock(), 0, [0]

    def walk(chain: Chain, fetcher: Any) -> None:
        del chain, fetcher
        nonlocal inside
        all_there.wait(10)
        with walking.in_turn():
            with lock:
                inside += 1
                seen[0] = max(seen[0], inside)
            # Whoever may come in as well does so here: all others are told to, and get a slice of the processor.
            for _ in range(200):
                pause.wait(0.0001)
            with lock:
                inside -= 1

    pause = threading.Event()
    walking.run(walk, lambda: None)
    return seen[0]


def test_many_threads_take_turns() -> None:
    assert most_at_once(8) == 1


def test_two_threads_do_not() -> None:
    assert most_at_once(2) == 2
