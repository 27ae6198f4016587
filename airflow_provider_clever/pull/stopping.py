"""How whatever waits in a pull sees that it should stop, and what it then says."""

from typing import Final

from airflow_provider_clever.exceptions import CleverStoppedError

LOOK_SECONDS: Final = 0.2
"""How soon a waiting thread sees that it should stop."""


def stopped() -> CleverStoppedError:
    """The error for a pull whose stop flag was set."""
    return CleverStoppedError("The pull was told to stop. What had landed is intact; the next try goes on.")
