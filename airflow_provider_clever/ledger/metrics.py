"""Defines the metrics that tasks send, in one table, from which the page is made too. No I/O.

``python -m tests.support.metrics_table`` writes it into docs/reference/metrics.md. No metric is about a student.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from airflow_provider_clever.dates import days_to_expiry
from airflow_provider_clever.syncs import sync_moment

Kind: TypeAlias = Literal["counter", "gauge", "timer"]
Task: TypeAlias = Literal["pull", "record"]
"""The pulling operator, or the one that records coverage."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure that a task sends when it ends.

    :param name: without Airflow's own prefix.
    :param kind: a counter adds up, a gauge is a present value, a timer is a duration.
    :param unit: of its values.
    :param task: which task sends it.
    :param meaning: in the user's terms.
    :param value: reads it from the task's summary, at a moment; None: it is not known, and nothing is sent.
    """

    name: str
    kind: Kind
    unit: str
    task: Task
    meaning: str
    value: Callable[[Mapping[str, Any], datetime], float | None]


class Measured(NamedTuple):
    """A metric and its value."""

    metric: Metric
    value: float


def measured(task: Task, summary: Mapping[str, Any], now: datetime) -> Iterator[Measured]:
    """Give the metrics that a task sends.

    :param summary: what the task leaves under the XCom key ``summary``.
    :param now: when it ends.
    """
    for metric in METRICS:
        if metric.task == task and (value := metric.value(summary, now)) is not None:
            yield Measured(metric, value)


def _figure(key: str) -> Callable[[Mapping[str, Any], datetime], float | None]:
    return lambda summary, _: summary.get(key)


def _how_many(key: str) -> Callable[[Mapping[str, Any], datetime], float | None]:
    return lambda summary, _: len(summary.get(key) or ())


def _days_to_expiry(summary: Mapping[str, Any], now: datetime) -> float | None:
    left = summary.get("days_to_expiry")
    return days_to_expiry(now.date(), now.date()) if left is None else left


def _sync_age(summary: Mapping[str, Any], now: datetime) -> float | None:
    last = sync_moment(summary.get("last_sync"))
    return None if last is None else max(0.0, (now - last).total_seconds())


def _behind(summary: Mapping[str, Any], _: datetime) -> float | None:
    last, watermark = sync_moment(summary.get("last_sync")), sync_moment(summary.get("watermark"))
    return None if last is None or watermark is None else max(0.0, (last - watermark).total_seconds())


METRICS: Final = (
    Metric("clever.rows", "counter", "rows", "pull", "landed or returned", _figure("rows")),
    Metric("clever.requests", "counter", "requests", "pull", "sent to Clever, retries among them", _figure("requests")),
    Metric("clever.refused", "counter", "answers", "pull", "429: the token's budget was spent", _figure("refused")),
    Metric(
        "clever.wait_seconds",
        "counter",
        "seconds",
        "pull",
        "in which requests waited for the token's budget; several at the same time count once",
        _figure("wait_seconds"),
    ),
    Metric(
        "clever.quarantined", "counter", "rows", "pull", "set aside because they cannot land", _figure("quarantined")
    ),
    Metric("clever.pull", "timer", "milliseconds", "pull", "from the first request to the receipt", _figure("seconds")),
    Metric(
        "clever.gaps", "gauge", "days", "record", "days of schools not covered, which Clever still has", _figure("gaps")
    ),
    Metric(
        "clever.days_to_expiry",
        "gauge",
        "days",
        "record",
        "until Clever forgets the oldest gap; without a gap, as long as Clever keeps a day of today (about 180)",
        _days_to_expiry,
    ),
    Metric(
        "clever.behind_sync_seconds",
        "gauge",
        "seconds",
        "record",
        "from the sync up to which everything is covered to the district's last; not sent before there is one",
        _behind,
    ),
    Metric("clever.sync_age_seconds", "gauge", "seconds", "record", "since the district's last sync", _sync_age),
    Metric("clever.schools", "gauge", "schools", "record", "that the district shares", _figure("schools")),
    Metric("clever.schools_failing", "gauge", "schools", "record", "whose last pull went wrong", _how_many("failing")),
    Metric(
        "clever.schools_withheld",
        "gauge",
        "schools",
        "record",
        "of which landed rows did not come back, and a person has to say why",
        _how_many("withheld"),
    ),
    Metric(
        "clever.schools_expiring",
        "gauge",
        "schools",
        "record",
        "with a gap that Clever forgets within 14 days",
        _how_many("about_to_be_lost"),
    ),
    Metric(
        "clever.schools_lost",
        "gauge",
        "schools",
        "record",
        "with days that were never covered and that Clever has forgotten",
        _how_many("lost"),
    ),
)
