"""When days of a district have changed: count who was there on those days, and on no others.

Nothing is scheduled: the pulls announce which days they have changed, and a run of this DAG handles all that were
announced since its last one. A night in which nothing changed starts no run.

Copy this file and ``attendance_views.sql`` into your DAGs folder, and put your district's Clever id and your
destination below. It needs

* DAGs that land the district, such as those of ``clever_districts.py``, with the same destination;
* the Python package ``duckdb``.
"""

import logging
import os
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, ObjectStoragePath, task

from airflow_provider_clever.assets import landed_asset, landed_days

# An asset has to be known when this file is parsed, so neither can be a template.
DISTRICT_ID = "65e000000000000000000001"  # the sandbox's
DESTINATION = os.environ.get("CLEVER_DESTINATION", "file:///tmp/clever-attendance")
LANDED = landed_asset(DESTINATION, DISTRICT_ID)

SCHOOLS = "SELECT DISTINCT district_id, school_id, NULL AS name, CAST(NULL AS DATE) AS last_seen FROM attendance"
# Counts alone: whether a school sends exceptions only, and so has no rate, does not show on a few days.
COUNTS = """
SELECT school_id, CAST(attendance_date AS VARCHAR), students_there, students_tardy, students_absent
FROM attendance_rates ORDER BY ALL
"""

with DAG(
    dag_id="clever_after_landing",
    description="Count who was there on the days that have changed",
    doc_md=__doc__,
    schedule=[LANDED],
    catchup=False,
    max_active_runs=1,
    tags=["clever", "attendance"],
):

    @task
    def changed_days(triggering_asset_events: Any = None) -> list[str]:
        """Give the days that were announced; none, if somebody has triggered the run."""
        return [str(day) for day in landed_days(triggering_asset_events[LANDED])]

    @task
    def count_students(days: list[str]) -> list[list[Any]]:
        """Count, by school and day, the students who were there, late and absent."""
        import duckdb
        import pyarrow.dataset as ds

        district = ObjectStoragePath(f"{DESTINATION}/attendance/district={DISTRICT_ID}")
        folders = [folder for day in days if (folder := district / f"date={day}").exists()]
        files = [file.path for folder in folders for file in folder.iterdir() if file.name.endswith(".parquet")]
        if not files:
            return []
        with duckdb.connect() as database:
            database.register("attendance", ds.dataset(files, filesystem=district.fs, format="parquet").to_table())
            database.execute(f"CREATE VIEW schools AS {SCHOOLS}")
            database.execute(Path(__file__).with_name("attendance_views.sql").read_text())
            counts = [list(one) for one in database.execute(COUNTS).fetchall()]
        logging.getLogger(__name__).info("%d days of %d files: %d counts", len(folders), len(files), len(counts))
        return counts

    count_students(changed_days())
