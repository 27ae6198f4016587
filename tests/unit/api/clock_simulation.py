"""A rate-limited server and processes with threads, on a clock that only the simulation moves."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import partial

from airflow_provider_clever.api.throttle import Budget

WALL_START = 1_800_000_000.37


@dataclass
class Server:
    """Clever's limiter (clever-api.md 4): a fixed window that its first request opens; a refused one costs nothing."""

    limit: int = 1200
    window_seconds: float = 60.0
    skew_seconds: float = 0.0
    with_headers: bool = True
    with_date: bool = True
    opened_at: float = -math.inf
    used: int = 0
    refused: int = 0
    windows: list[int] = field(default_factory=list)

    def ask(self, now: float) -> tuple[int, dict[str, str]]:
        """Count a request that arrives now."""
        if now >= self.opened_at + self.window_seconds:
            self.opened_at, self.used = now, 0
            self.windows.append(0)
        status = 200
        if self.used >= self.limit:
            self.refused += 1
            status = 429
        else:
            self.used += 1
            self.windows[-1] = self.used
        wall = WALL_START + self.skew_seconds
        headers = {
            "date": formatdate(math.floor(wall + now), usegmt=True),
            "x-ratelimit-limit": str(self.limit),
            "x-ratelimit-remaining": str(self.limit - self.used),
            "x-ratelimit-reset": str(math.floor(wall + self.opened_at + self.window_seconds)),
        }
        if not self.with_date:
            del headers["date"]
        return status, headers if self.with_headers else {}


@dataclass
class Process:
    """One task: some threads under one budget, with so many pages to get."""

    budget: Budget
    threads: int
    pages_left: int
    latency_seconds: Callable[[], float]
    idle: int = 0
    wake_at: float = math.inf


@dataclass
class Outcome:
    """What a simulation came to."""

    windows: list[int]
    refused: int
    sent: int
    seconds: float


class _Simulation:
    """The events still to come, in order."""

    def __init__(self, server: Server) -> None:
        self.server, self.now, self.sent = server, 0.0, 0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._made = 0

    def at(self, moment: float, act: Callable[[], None]) -> None:
        self._made += 1
        heapq.heappush(self._events, (moment, self._made, act))

    def run(self, most_seconds: float) -> None:
        while self._events:
            self.now, _, act = heapq.heappop(self._events)
            assert self.now <= most_seconds, "the simulation does not end"
            act()

    def go_on(self, process: Process) -> None:
        """Let a process send whatever it may send now."""
        while process.idle and process.pages_left > 0:
            seconds = process.budget.decide(self.now).seconds
            if seconds > 0:
                self._wake_later(process, seconds)
                return
            self._send(process)

    def _wake_later(self, process: Process, seconds: float) -> None:
        if seconds < math.inf and not self.now < process.wake_at <= self.now + seconds:
            process.wake_at = self.now + seconds
            self.at(process.wake_at + 1e-6, lambda: self.go_on(process))

    def _send(self, process: Process) -> None:
        self.sent += 1
        process.idle -= 1
        process.pages_left -= 1
        is_probe = process.budget.sent(self.now)
        latency = process.latency_seconds()

        def arrive() -> None:
            status, headers = self.server.ask(self.now)
            self.at(self.now + latency / 2, lambda: come_back(status, headers))

        def come_back(status: int, headers: dict[str, str]) -> None:
            process.budget.answered(status, headers, self.now, WALL_START + self.now, is_probe=is_probe)
            process.budget.came_back(is_probe=is_probe)
            process.pages_left += status == 429
            process.idle += 1
            self.go_on(process)

        self.at(self.now + latency / 2, arrive)


def simulate(server: Server, processes: list[Process], most_seconds: float = 3600.0) -> Outcome:
    """Let all processes get all their pages."""
    simulation = _Simulation(server)
    for number, process in enumerate(processes):
        process.idle = process.threads
        simulation.at(number * 0.01, partial(simulation.go_on, process))
    simulation.run(most_seconds)
    assert all(process.pages_left == 0 for process in processes)
    return Outcome(server.windows, server.refused, simulation.sent, simulation.now)


def process(
    *, share: float = 1.0, threads: int = 16, pages: int = 3600, seed: int = 1, latency_seconds: float = 0.3
) -> Process:
    """Make a process whose answers take about so long."""
    chance = random.Random(seed)
    budget = Budget(share, jitter=chance.random)
    return Process(budget, threads, pages, lambda: latency_seconds * chance.uniform(0.8, 1.2))
