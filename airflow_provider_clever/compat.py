"""Every difference between Airflow 3.1, 3.2 and 3.3 that matters here: what older versions lack or keep elsewhere.

Features are detected, versions are never compared, so that a patched or a future Airflow works too. Names that
Airflow's own ``common.compat`` provider has come from there. The rest is imported on first use, so that a DAG file with
just an operator does not pay for what sensors and triggers need.
"""

import asyncio
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from airflow.providers.common.compat import connection as _connection
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowNotFoundException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    conf,
)

if TYPE_CHECKING:
    from datetime import tzinfo

    from airflow.sdk import Connection, CronTriggerTimetable, RetryDecision, RetryPolicy
    from airflow.sdk.exceptions import AirflowRescheduleException, TaskDeferralTimeout
    from airflow.sdk.observability.stats import Stats
    from airflow.triggers.shared_stream import SharedStreamProducer

__all__ = [
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowRescheduleException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "CronTriggerTimetable",
    "RetryDecision",
    "RetryPolicy",
    "SharedStreamProducer",
    "Stats",
    "TaskDeferralTimeout",
    "conf",
    "get_async_connection",
    "get_connection",
    "timetable_zone",
]

_SUPERVISOR: Final = "airflow.sdk.execution_time.task_runner"


def get_connection(conn_id: str) -> "Connection":
    """Look a connection up.

    :param conn_id: the connection.
    :raises AirflowNotFoundException: Airflow finds none of this name, or none that it can read.
    """
    from airflow.sdk import BaseHook

    try:
        return BaseHook.get_connection(conn_id)
    except ImportError as error:
        if error.name != _SUPERVISOR:
            raise
        # The first 3.1s: what is in no secrets backend they ask of the supervisor, which there is only in a task.
        raise AirflowNotFoundException(f"The conn_id `{conn_id}` isn't defined") from None


async def get_async_connection(conn_id: str) -> "Connection":
    """Look a connection up from an event loop, in the way of each Airflow.

    :param conn_id: the connection.
    """
    try:
        return await _connection.get_async_connection(conn_id)
    except ImportError:  # the first 3.1s: outside of a task they look no further than for the supervisor
        return await asyncio.to_thread(get_connection, conn_id)


def timetable_zone(timetable: object) -> "str | tzinfo | None":
    """Give the zone that a timetable names, or the first timetable of those that it is made of.

    :param timetable: a DAG's ``timetable``.
    """
    zone: str | tzinfo | None = _first(timetable, "timezone", "_timezone")  # the second: 3.1
    parts = _first(timetable, "timetable", "timetables", "_timetables")  # the third: 3.1
    if zone is not None or not parts:
        return zone
    return timetable_zone(parts[0] if isinstance(parts, list) else parts)


def _first(thing: object, *names: str) -> Any:
    return next((found for name in names if (found := getattr(thing, name, None)) is not None), None)


_HOMES: Final = {
    "AirflowRescheduleException": ("airflow.sdk.exceptions", "airflow.exceptions"),  # the second: 3.1
    "CronTriggerTimetable": ("airflow.sdk", "airflow.timetables.trigger"),  # the second: 3.1
    "RetryDecision": ("airflow.sdk",),  # from 3.3 on
    "RetryPolicy": ("airflow.sdk",),  # from 3.3 on
    "SharedStreamProducer": ("airflow.triggers.shared_stream",),  # from 3.3 on
    "Stats": ("airflow.sdk.observability.stats", "airflow.stats"),  # the second: 3.1
    "TaskDeferralTimeout": ("airflow.sdk.exceptions", "airflow.exceptions"),  # the second: 3.1
}
# Each trigger polls for itself, and no one calls a producer; tasks keep their retry_delay, and no one asks a policy.
_WITHOUT: Final = {"RetryDecision": None, "RetryPolicy": object, "SharedStreamProducer": object}


def __getattr__(name: str) -> Any:
    for home in _HOMES.get(name, ()):
        with suppress(ImportError, AttributeError):
            return getattr(import_module(home), name)
    try:
        return _WITHOUT[name]
    except KeyError:
        raise AttributeError(f"Neither the provider nor this Airflow has {name}.") from None
