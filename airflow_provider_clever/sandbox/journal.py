"""The log of requests received, for tests that count requests, connections and windows."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import asdict, dataclass

ENTRIES_KEPT = 20_000


@dataclass(slots=True)
class Entry:
    """One request as it was received and answered.

    :param status: 0 if no answer was sent at all.
    """

    method: str
    path: str
    query: str
    family: str
    token: str
    connection: int
    received: float
    status: int = 0
    fault: str = ""
    sent_bytes: int = 0
    seconds: float = 0.0
    in_flight: int = 0


class Journal:
    """Keeps the newest requests, and running counters for all."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.clear()

    def clear(self) -> None:
        """Forget everything that was logged."""
        self.entries: deque[Entry] = deque(maxlen=ENTRIES_KEPT)
        self.total = 0
        self.by_status: Counter[int] = Counter()
        self.by_family: Counter[str] = Counter()
        self.by_token: Counter[str] = Counter()
        self.by_fault: Counter[str] = Counter()
        self.connections: set[int] = set()
        self.max_in_flight = self.in_flight
        self.since = time.time()

    def begin(self, entry: Entry) -> None:
        """Note that a request has arrived."""
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        entry.in_flight = self.in_flight

    def end(self, entry: Entry) -> None:
        """Note how a request was answered."""
        self.in_flight -= 1
        entry.seconds = time.time() - entry.received
        self.entries.append(entry)
        self.total += 1
        self.by_status[entry.status] += 1
        self.by_family[entry.family] += 1
        self.by_token[entry.token] += 1
        self.connections.add(entry.connection)
        if entry.fault:
            self.by_fault[entry.fault] += 1

    def counters(self) -> dict[str, object]:
        """Give the running counters; they have no bound, unlike the log itself."""
        return {
            "total": self.total,
            "by_status": {str(status): count for status, count in self.by_status.items()},
            "by_family": dict(self.by_family),
            "by_token": dict(self.by_token),
            "by_fault": dict(self.by_fault),
            "connections": len(self.connections),
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
            "since": self.since,
        }

    def log(self) -> list[dict[str, object]]:
        """Give the newest requests, oldest first."""
        return [asdict(entry) for entry in self.entries]
