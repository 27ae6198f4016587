"""Whenever a district syncs attendance: land it. The run is started by an asset event; nothing is scheduled.

A watcher in the triggerer looks at each district every five minutes, one small request each. A sync that is newer than
the last one known becomes one asset event, and so one run of that district's DAG, which lands the days from the
previous sync to the new one and the 14 days before them. Needs Airflow 3.3 to lose no sync in an outage of the
triggerer; on 3.1 and 3.2 it watches from each start of the triggerer on.

It pulls these days and no others: for a district's whole history, and for gaps that heal
by themselves, start with ``clever_districts.py``.

Copy this file into your DAGs folder and put your districts' Clever ids into ``DISTRICT_IDS``. It needs

* a running triggerer;
* a connection ``clever_default`` of type *Clever* with a client id and secret;
* a Variable ``clever_destination`` such as ``s3://aws_default@my-lake/clever`` (without it, files land in /tmp).
"""

from datetime import timedelta

from airflow.sdk import DAG, Asset, AssetWatcher

from airflow_provider_clever.operators.clever import CleverAttendanceOperator
from airflow_provider_clever.triggers.clever import CleverAttendanceSyncEventTrigger

# Known when this file is parsed: asking Clever for it here would ask with every parsing. This is the sandbox's.
DISTRICT_IDS = ["65e000000000000000000001"]

for district_id in DISTRICT_IDS:
    watcher = AssetWatcher(
        name=f"clever_sync_of_{district_id}",
        trigger=CleverAttendanceSyncEventTrigger(district_id=district_id, poll_seconds=300),
    )
    synced = Asset(f"clever_attendance_sync_{district_id}", watchers=[watcher])

    with DAG(
        dag_id=f"clever_on_sync_event_{district_id}",
        description="Land a district's attendance whenever it has synced",
        doc_md=__doc__,
        schedule=[synced],
        catchup=False,
        max_active_runs=1,
        default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
        tags=["clever", "attendance"],
    ):
        CleverAttendanceOperator(
            task_id="land_attendance",
            doc_md="Lands the days from the previous sync to the new one, and the 14 days before them.",
            district_id=district_id,
            lookback_days=14,
            destination="{{ var.value.get('clever_destination', 'file:///tmp/clever-attendance') }}",
        )
