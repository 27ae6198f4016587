"""Every day: wait until the district has synced attendance, then land it. Holds no worker slot while it waits.

Districts upload once a day at their own hour, or not at all in summer. This run waits up to 20 hours for a sync that is
newer than the one its last run found, and is skipped if there is none: that is no failure, and the next run goes on
from the same point.

It pulls the day and the 14 days before it and no others: for a district's whole history, and for gaps that heal by
themselves, start with ``clever_districts.py`` and its ``wait_for_sync``. Drop this file into your DAGs folder; it needs

* a running triggerer;
* a connection ``clever_default`` of type *Clever*: a client id and secret, or one district's token as the password;
* a Variable ``clever_destination`` such as ``s3://aws_default@my-lake/clever`` (without it, files land in /tmp).
"""

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from airflow_provider_clever.operators.clever import CleverAttendanceOperator
from airflow_provider_clever.sensors.clever import CleverAttendanceSyncSensor

with DAG(
    dag_id="clever_wait_then_land",
    description="Wait for a district's attendance sync, then land it",
    doc_md=__doc__,
    # The zone decides which calendar day a run is about: give the district's.
    start_date=pendulum.datetime(2026, 8, 1, tz="America/Chicago"),
    schedule="0 1 * * *",
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["clever", "attendance"],
):
    synced = CleverAttendanceSyncSensor(
        task_id="wait_for_sync",
        doc_md="Waits in the triggerer for a sync; skipped if there is none.",
        deferrable=True,
        poke_interval=timedelta(minutes=5),
        timeout=timedelta(hours=20),
        soft_fail=True,
        # In summer districts are paused for weeks; "wait" would only wait for the timeout.
        on_paused="skip",
    )

    land = CleverAttendanceOperator(
        task_id="land_attendance",
        doc_md="Lands the run's day and the 14 days before it.",
        lookback_days=14,
        destination="{{ var.value.get('clever_destination', 'file:///tmp/clever-attendance') }}",
    )

    synced >> land
