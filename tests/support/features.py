"""Which of Airflow's newer features this environment has, found as the provider finds them: by looking."""

import importlib
from contextlib import suppress
from importlib.resources import files
from typing import Any, Final


def found(name: str, *homes: str) -> Any:
    """Give a name from the first module that has it; None: no module does."""
    for home in homes:
        with suppress(ImportError, AttributeError):
            return getattr(importlib.import_module(home), name)
    return None


CronDataIntervalTimetable: Final = found("CronDataIntervalTimetable", "airflow.sdk", "airflow.timetables.interval")
CronPartitionTimetable: Final = found("CronPartitionTimetable", "airflow.sdk")
PartitionedAtRuntime: Final = found("PartitionedAtRuntime", "airflow.sdk")
ExceptionRetryPolicy: Final = found("ExceptionRetryPolicy", "airflow.sdk")
RetryAction: Final = found("RetryAction", "airflow.sdk")
RetryRule: Final = found("RetryRule", "airflow.sdk")

READS_FORM_FROM_METADATA: Final = (
    "conn-fields" in files("airflow").joinpath("provider.yaml.schema.json").read_text()  # from 3.2 on
)
SHOWS_FORM_WITHOUT_HOOK: Final = hasattr(
    found("ProvidersManager", "airflow.providers_manager"), "iter_connection_type_hook_ui_metadata"
)
HAS_ASSET_STATE: Final = found("AssetStateStoreAccessors", "airflow.sdk.execution_time.context") is not None
HAS_ASSET_PARTITIONS: Final = hasattr(
    found("OutletEventAccessor", "airflow.sdk.execution_time.context"), "add_partitions"
)
HAS_CONNECTION_TESTS_ON_WORKERS: Final = found("ConnectionTestRequest", "airflow.models.connection_test") is not None
FLUSHES_METRICS: Final = found(  # of OpenTelemetry, before a task's process ends
    "atexit_register_metrics_flush",
    "airflow.sdk._shared.observability.metrics.otel_logger",
    "airflow.metrics.otel_logger",
)
RETRIES_KILLED_TASKS: Final = hasattr(
    found("ActivitySubprocess", "airflow.sdk.execution_time.supervisor"), "_should_retry"
)
HAS_SHARED_STREAMS: Final = found("SharedStreamProducer", "airflow.triggers.shared_stream") is not None
HAS_TASK_STATE: Final = found("TaskStateStoreAccessor", "airflow.sdk.execution_time.context") is not None


def features() -> dict[str, bool]:
    """Tell of each feature in the table of docs/reference/compatibility.md whether this Airflow has it."""
    return {
        "form from the metadata": READS_FORM_FROM_METADATA,
        "form without the hook": SHOWS_FORM_WITHOUT_HOOK,
        "partitions by cron": CronPartitionTimetable is not None,
        "partitions at run time": PartitionedAtRuntime is not None,
        "shared streams": HAS_SHARED_STREAMS,
        "asset state store": HAS_ASSET_STATE,
        "task state store": HAS_TASK_STATE,
        "start from trigger": hasattr(found("TaskInstance", "airflow.models.taskinstance"), "defer_task"),
        "retry policies": ExceptionRetryPolicy is not None,
        "connection tests on workers": HAS_CONNECTION_TESTS_ON_WORKERS,
    }
