"""What newer Airflows have and older ones keep elsewhere, or lack: every difference between 3.1, 3.2 and 3.3 is here.

Features are looked for, versions are never compared: an Airflow that somebody patched, or the next one, answers for
itself. Airflow's own ``common.compat`` provider is asked where it knows a name.
"""

from typing import TYPE_CHECKING

from airflow.providers.common.compat.connection import get_async_connection
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowNotFoundException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    conf,
)

if TYPE_CHECKING:
    from airflow.sdk import CronTriggerTimetable
    from airflow.sdk.exceptions import AirflowRescheduleException, TaskDeferralTimeout
    from airflow.triggers.shared_stream import SharedStreamProducer
else:
    try:
        from airflow.sdk.exceptions import AirflowRescheduleException, TaskDeferralTimeout
    except ImportError:  # 3.1
        from airflow.exceptions import AirflowRescheduleException, TaskDeferralTimeout
    try:
        from airflow.sdk import CronTriggerTimetable
    except ImportError:  # 3.1
        from airflow.timetables.trigger import CronTriggerTimetable
    try:
        from airflow.triggers.shared_stream import SharedStreamProducer
    except ImportError:  # 3.1 and 3.2: each trigger polls for itself, and no one calls a producer
        SharedStreamProducer = object

__all__ = [
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowRescheduleException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "CronTriggerTimetable",
    "SharedStreamProducer",
    "TaskDeferralTimeout",
    "conf",
    "get_async_connection",
]
