"""Six months of a large district, 9.6 million rows, as the planner cuts them, at 40 requests a second.

The time is held to the limit, so let the machine do nothing else meanwhile. ``CLEVER_LARGE_SCHOOLS`` makes the
district smaller; default 40.
"""

import logging
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from airflow_provider_clever.lake.store import Destination
from airflow_provider_clever.sandbox.testing import Sandbox, running_sandbox
from tests.integration.ledger.nights import Nights

log = logging.getLogger(__name__)

SCHOOLS = int(os.environ.get("CLEVER_LARGE_SCHOOLS", "40"))
REQUESTS_PER_SECOND = 40
WINDOW_SECONDS = 60

KEYS_THAT_STAND_TWICE = """
    SELECT count(*) FROM (
        SELECT 1 FROM landed
        GROUP BY attendance_date, school_id, student_id, attendance_type, section_id HAVING count(*) > 1
    )
"""
BY_STATUS = """
    SELECT school_id, CAST(attendance_date AS VARCHAR), attendance_status, count(*) FROM landed GROUP BY 1, 2, 3
"""


@pytest.fixture(scope="module")
def world() -> Iterator[Sandbox]:
    options = {"districts": "large", "large_schools": SCHOOLS, "today": "2026-11-23"}
    limit = {"rate_limit": REQUESTS_PER_SECOND * WINDOW_SECONDS, "window_seconds": WINDOW_SECONDS}
    with running_sandbox(**options, **limit) as running:
        yield running


class ParquetNights(Nights):
    """The same nights, landing what the operator lands by default."""

    def lands(self, district_id: str) -> Destination:
        return Destination(self.objects.fs, self.objects.root, district_id=district_id, file_format="parquet")


def test_six_months_take_what_the_limit_allows(world: Sandbox, tmp_path: Path) -> None:
    nights = ParquetNights(world, tmp_path / "lake", "large")
    starts: list[float] = []
    began = time.monotonic()
    found = nights.night(before_each_pull=lambda: starts.append(time.monotonic()))
    seconds = time.monotonic() - began

    counted = world.expected_count("large")
    by_school = {
        school: sum(sum(statuses.values()) for statuses in days.values()) for school, days in counted["schools"].items()
    }
    least = sum(math.ceil(rows / 1000) for rows in by_school.values())
    counters = world.counters()
    allowed = least / REQUESTS_PER_SECOND
    log.info(
        "%s rows: %d tasks, %d requests where %d are the least (%+.1f %%); %.1f s where the limit allows %.1f s "
        "(%+.1f %%), %.1f s of them to make the plan; %d refused",
        f"{counted['total']:,}",
        len(found.plan.tasks),
        counters["total"],
        least,
        100 * (counters["total"] / least - 1),
        seconds,
        allowed,
        100 * (seconds / allowed - 1),
        starts[0] - began,
        counters["by_status"].get("429", 0),
    )

    with duckdb.connect() as database:
        database.execute(f"CREATE VIEW landed AS SELECT * FROM '{tmp_path}/lake/attendance/**/*.parquet'")
        landed = {tuple(key): rows for *key, rows in database.sql(BY_STATUS).fetchall()}
        assert database.sql(KEYS_THAT_STAND_TWICE).fetchall() == [(0,)]
    assert landed == {
        (school, day, status): rows
        for school, days in counted["schools"].items()
        for day, statuses in days.items()
        for status, rows in statuses.items()
        if rows
    }
    assert counters["by_status"].get("429", 0) == 0
    assert counters["total"] <= 1.10 * least
    assert seconds <= 1.15 * allowed + (starts[0] - began)
