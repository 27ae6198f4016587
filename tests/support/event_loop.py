"""How long an event loop was kept from running anything else."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


def runqueue_seconds() -> float:
    """Give how long this thread has been ready to run while other programs had the processors."""
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9


@asynccontextmanager
async def largest_gap() -> AsyncIterator[list[float]]:
    """Measure, by a ticker of 2 ms, the times in which the loop ran nothing else.

    What other programs take does not count, and neither does collecting the garbage of all that was imported before.
    """
    gaps: list[float] = []

    def now() -> float:
        return time.perf_counter() - runqueue_seconds()

    async def tick() -> None:
        last = now()
        while True:
            await asyncio.sleep(0.002)
            gaps.append(now() - last - 0.002)
            last = now()

    gc.collect()
    gc.freeze()
    ticker = asyncio.create_task(tick())
    yield gaps
    ticker.cancel()
    gc.unfreeze()
