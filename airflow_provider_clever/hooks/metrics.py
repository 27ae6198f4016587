"""Sends metrics through Airflow's own statistics, to StatsD, Datadog or OpenTelemetry, as it is configured."""

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from airflow_provider_clever.compat import conf
from airflow_provider_clever.ledger.metrics import Kind, Task, measured

log = logging.getLogger(__name__)


def send_metrics(task: Task, summary: Mapping[str, Any]) -> None:
    """Send a task's metrics, tagged with its district. An error is logged, and never fails the task.

    Plain StatsD has no tags, and districts would overwrite each other's gauges: there the district's id ends the name.

    :param task: which of the tasks in :data:`~airflow_provider_clever.ledger.metrics.METRICS`.
    :param summary: what it leaves under the XCom key ``summary``.
    """
    try:
        from airflow_provider_clever.compat import Stats

        district_id = str(summary["district_id"])
        ending, tags = (f".{district_id}", {}) if _drops_tags() else ("", {"district_id": district_id})
        for metric, value in measured(task, summary, datetime.now(UTC)):
            _SENDERS[metric.kind](Stats, f"{metric.name}{ending}", value, tags)
    except Exception as error:  # noqa: BLE001 - whatever a backend raises, attendance has landed
        log.warning("Metrics were not sent (%s). Look at Airflow's section [metrics].", type(error).__name__)


def _drops_tags() -> bool:
    """Whether Airflow sends to plain StatsD. Datadog's goes before it; InfluxDB's form of it has tags."""
    if _is_on("statsd_datadog_enabled"):
        return not _is_on("statsd_datadog_metrics_tags", otherwise=True)
    return _is_on("statsd_on") and not _is_on("statsd_influxdb_enabled")


def _is_on(option: str, *, otherwise: bool = False) -> bool:
    return bool(conf.getboolean("metrics", option, fallback=otherwise))


_SENDERS: Final[dict[Kind, Callable[[Any, str, float, dict[str, str]], object]]] = {
    "counter": lambda stats, name, value, tags: stats.incr(name, value, tags=tags),
    "gauge": lambda stats, name, value, tags: stats.gauge(name, value, tags=tags),
    "timer": lambda stats, name, value, tags: stats.timing(name, timedelta(seconds=value), tags=tags),
}
