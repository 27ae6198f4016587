"""What metrics are made of, and the page that names them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_clever.dates import days_to_expiry
from airflow_provider_clever.ledger.metrics import METRICS, Task, measured
from tests.support import metrics_table

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
REPORT: dict[str, Any] = {
    "schools": 5,
    "last_sync": "2026-11-26T06:00:00Z",
    "watermark": "2026-11-25T06:00:00Z",
    "gaps": 3,
    "days_to_expiry": 9,
    "failing": [{}],
    "withheld": [],
    "about_to_be_lost": [{}, {}],
    "lost": [],
}


def values(task: Task, summary: dict[str, Any]) -> dict[str, float]:
    return {metric.name.removeprefix("clever."): value for metric, value in measured(task, summary, NOW)}


def test_a_districts_report_becomes_gauges() -> None:
    assert values("record", REPORT) == {
        "gaps": 3,
        "days_to_expiry": 9,
        "behind_sync_seconds": 86_400,
        "sync_age_seconds": 21_600,
        "schools": 5,
        "schools_failing": 1,
        "schools_withheld": 0,
        "schools_expiring": 2,
        "schools_lost": 0,
    }


@pytest.mark.parametrize(
    ("known", "name", "expected"),
    [
        ({"days_to_expiry": None, "gaps": 0}, "days_to_expiry", days_to_expiry(NOW.date(), NOW.date())),
        ({"watermark": "2026-11-27T06:00:00Z"}, "behind_sync_seconds", 0),
        ({"watermark": None}, "behind_sync_seconds", None),
        ({"last_sync": None}, "sync_age_seconds", None),
        ({"last_sync": "2026-11-26T13:00:00Z"}, "sync_age_seconds", 0),
    ],
    ids=["no gap is far from expiry", "never ahead of the sync", "nothing covered", "never synced", "a clock ahead"],
)
def test_what_is_not_known_is_not_sent_and_nothing_is_below_zero(
    known: dict[str, Any], name: str, expected: float | None
) -> None:
    assert values("record", REPORT | known).get(name) == expected


def test_a_pull_that_did_not_get_to_an_end_sends_what_it_knows() -> None:
    assert values("pull", {"rows": 7, "seconds": 1.5}) == {"rows": 7, "pull": 1.5}


def test_every_name_with_a_districts_id_at_its_end_is_one_that_airflow_allows() -> None:
    names = [metric.name for metric in METRICS]
    assert len({*names}) == len(names)
    assert all(
        len(f"airflow.{name}.{'x' * 64}") <= 250 and name.replace(".", "").replace("_", "").isalpha() for name in names
    )


def test_the_page_names_every_metric() -> None:
    assert metrics_table.in_page() == metrics_table.table(), "run python -m tests.support.metrics_table"
