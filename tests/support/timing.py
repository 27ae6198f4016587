"""Tests that hold something to a time: strict in ``make timing``, and free of the machine's speed everywhere else."""

from __future__ import annotations

import os
from typing import Final

STRICT: Final = os.environ.get("CLEVER_TIMING") == "1"
"""Whether this is ``make timing``, which runs nothing beside a test."""


def at_most(seconds: float, *, guard: float = 120.0) -> float:
    """Give the bound for what a test has timed.

    :param seconds: what it takes on a machine that has nothing else to do, generously.
    :param guard: the bound outside ``make timing``: far below what it would take if the thing tested were broken, and
        far above what a busy machine needs.
    """
    return seconds if STRICT else guard
