"""Defines how triggers retry polls, and spreads the polls of many triggers over an interval."""

import hashlib
from typing import Final

from airflow_provider_clever.api.exchange import RetryPolicy

POLL_POLICY: Final = RetryPolicy(attempts=1, unreadable_attempts=2)
"""A failed poll is not repeated: the next poll is its retry. After a 429, the trigger waits as the headers say."""


def share_of(district_id: str) -> float:
    """Give the part of an interval, 0 to 1, after which a trigger polls that knows of no others.

    Such triggers would otherwise all poll when the triggerer has started. The district's id decides, so that restarts
    and further triggerers change nothing.
    """
    return int.from_bytes(hashlib.sha256(district_id.encode()).digest()[:8]) / 2**64


def phase(number: int) -> float:
    """Give a part of an interval, 0 to 1, such that any run of consecutive numbers is spread evenly over it.

    Multiples of the golden ratio are, without knowing how many there will be. Polls that were all sent at once would
    hold the event loop for as long as it takes to handle all their answers.
    """
    return number * 0.6180339887498949 % 1.0
