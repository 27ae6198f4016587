"""Forgetting a student, and a night with the key at hand, as processes of their own: to be killed."""

import os
from datetime import UTC, datetime
from multiprocessing.connection import Connection

from airflow_provider_clever.forget.requests import Forgetting
from tests.lake import lander
from tests.lake.builders import DISTRICT
from tests.lake.emulators import Store

SECRET = "a made-up key that is long enough to be one"


def forgetter(store: Store, file_format: str, student: str, is_later: bool, started: Connection) -> None:
    """Forget one student; the main function of a process."""
    os.environ["CLEVER_FORGET_SECRET"] = SECRET
    objects = lander.destination_at(store, file_format).objects
    clock = (lambda: datetime(2099, 1, 1, tzinfo=UTC)) if is_later else (lambda: datetime.now(UTC))
    started.send("started")
    Forgetting(objects, DISTRICT, clock=clock).students([student])
    started.send("done")


def night(store: Store, file_format: str, version: int, folder: str, started: Connection) -> None:
    """Land a version with the key at hand; the main function of a process."""
    os.environ["CLEVER_FORGET_SECRET"] = SECRET
    lander.lander(store, file_format, version, folder, started)
