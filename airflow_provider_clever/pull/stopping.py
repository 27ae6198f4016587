"""How soon waiting threads of a pull notice the stop flag, and the error for a stopped pull."""

from typing import Final

from airflow_provider_clever.exceptions import CleverStoppedError

LOOK_SECONDS: Final = 0.2
"""How soon a waiting thread notices the stop flag."""


def stopped() -> CleverStoppedError:
    """The error for a pull whose stop flag was set."""
    return CleverStoppedError("The pull was told to stop. What had landed is intact; the next try goes on.")
