"""What all DAGs that this package makes have in common."""

from datetime import timedelta
from typing import Any, Final

import pendulum

RETRIES: Final[dict[str, Any]] = {
    "retries": 3,
    "retry_delay": timedelta(minutes=5),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(hours=1),
}
"""Default arguments of the tasks."""


def every_dag(timezone: str) -> dict[str, Any]:
    """Give the arguments of ``DAG`` that are the same for all of them.

    :param timezone: IANA name of the zone in which the DAG's days begin.
    """
    return {
        # Long ago: runs of a schedule, and backfills, start after it. Without catchup it starts nothing by itself.
        "start_date": pendulum.datetime(2020, 1, 1, tz=timezone),
        "catchup": False,
        "max_active_runs": 1,
    }
