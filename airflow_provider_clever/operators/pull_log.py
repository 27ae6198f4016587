"""Writes what a pull has to say to its task's log."""

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_clever.dates import zone_named
from airflow_provider_clever.exceptions import CleverLandingError, CleverSettingsError

if TYPE_CHECKING:
    from airflow_provider_clever.ledger.coverage import Coverage
    from airflow_provider_clever.storage.objects import Objects

log = logging.getLogger(__name__)

NOT_WATCHED: Final = (
    "This task pulls its own days alone. Days that a run has left out, because it failed or because there was no run, "
    "are not asked for again; dags.attendance_dags makes DAGs that watch over that."
)


def summary_line(summary: dict[str, Any]) -> str:
    """Give a pull's summary in one line."""
    parts = [
        f"{summary['received']:,} rows received",
        f"{summary['requests']:,} requests",
        f"{summary['seconds']:,.1f} s",
    ]
    if "written" in summary:
        parts.insert(1, f"{summary['written']:,} partitions written, {summary['unchanged']:,} unchanged")
    counted = ("added", "changed", "stale", "missing", "returned", "expired", "quarantined", "conflicts")
    parts += [f"{summary[name]:,} {name}" for name in counted if summary.get(name)]
    states = ("failed", "gone", "empty", "withheld", "unsettled")
    parts += [f"schools {name}: {len(summary[f'schools_{name}'])}" for name in states]
    return ", ".join(parts)


def readable_coverage(objects: "Objects", district_id: str) -> "Coverage | None":
    """Give the district's coverage at a destination; None, with a warning, if it cannot be read."""
    from airflow_provider_clever.ledger.coverage_store import read_coverage

    try:
        return read_coverage(objects, district_id).coverage
    except CleverLandingError as error:
        log.warning("What the ledger at the destination knows cannot be told: %s", error)
        return None


def warn_of_days_at_risk(coverage: "Coverage") -> None:
    """Warn of days that Clever is about to forget and no pull has covered, if the destination's coverage has any."""
    from airflow_provider_clever.ledger.reporting import at_risk, named

    try:
        zone = zone_named(coverage.timezone)
    except CleverSettingsError:
        zone = UTC  # a pull that has landed must not fail because of a zone that only decides between two days
    if found := at_risk(coverage, datetime.now(zone).date()):
        log.warning(
            "Days are about to be lost, and this task does not see to them: %s. The ledger at the destination says "
            "that no pull has covered them, and Clever forgets each day six months after its date. Trigger the "
            "district's DAG from dags.attendance_dags, or give this task these days with date_range_start and "
            "date_range_end",
            named(found),
        )
