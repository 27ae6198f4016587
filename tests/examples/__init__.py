"""The examples, parsed and run."""

from datetime import date, timedelta
from typing import Any


def fifteen_days(summary: dict[str, Any]) -> dict[str, str]:
    """The days that a pull was about, which have to be a day and the fourteen before it."""
    days = {name: str(summary[name]) for name in ("date_range_start", "date_range_end")}
    first, last = map(date.fromisoformat, days.values())
    assert last - first == timedelta(days=14)
    return days
