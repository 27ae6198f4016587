"""The outlet events in the context of a task that a test executes without Airflow's task runner."""

from collections import defaultdict
from types import SimpleNamespace
from typing import Any


class OutletEvents(defaultdict[Any, SimpleNamespace]):
    """Accepts an event of any outlet, and keeps none."""

    def __init__(self) -> None:
        super().__init__(lambda: SimpleNamespace(add=lambda *_, **__: None))
