"""Updates of an Iceberg table as processes of their own, to be killed or to be raced."""

import random
import time
from collections.abc import Collection
from multiprocessing.connection import Connection

from tests.lake.emulators import Store
from tests.support.forked import processes
from tests.table.iceberg_lakes import bring_up_to_date, embedded


def update(store: Store, districts: Collection[str], seed: int, orphan_hours: float, done: Connection) -> None:
    """Bring the table up to date, after a moment that follows from the seed."""
    chance = random.Random(seed)
    done.send("started")
    time.sleep(chance.uniform(0, 0.3))
    bring_up_to_date(store, embedded(store, orphan_hours=orphan_hours), districts)
    done.send("done")


def sweep(store: Store, district: str, seed: int, done: Connection) -> None:
    """Remove a few times whatever is not of the table's present state, as forgetting does."""
    chance = random.Random(seed)
    done.send("started")
    table = embedded(store)
    for _ in range(3):
        time.sleep(chance.uniform(0, 0.3))
        said = table.forget_past(district)
        assert said == [], said
    done.send("done")


class Running:
    """A process that was started."""

    def __init__(self, work: object, *arguments: object) -> None:
        self._here, there = processes.Pipe(duplex=False)
        self._process = processes.Process(target=work, args=(*arguments, there))  # type: ignore[arg-type]
        self._process.start()
        there.close()
        assert self._here.poll(60)
        assert self._here.recv() == "started"

    def has_ended(self, within_seconds: float) -> bool:
        """Whether it ends by itself within this time."""
        try:
            return self._here.poll(within_seconds) and self._here.recv() == "done"
        except EOFError:
            return False

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.join(30)
