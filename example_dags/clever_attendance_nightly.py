"""Every night, every school of a district: attendance to object storage, the last 14 days once more, and no others.

This is for who knows what they do: it never fetches the months before its first run, and an outage of 15 days or more
leaves days out for good. ``clever_districts.py`` makes DAGs that see to both by themselves; start with that one.

Districts upload late and correct what they uploaded, so each night asks for the day and the 14 days before it.
What has not changed is not written again. Drop this file into your DAGs folder; it needs

* a connection ``clever_default`` of type *Clever*: a client id and secret, or one district's token as the password;
* a Variable ``clever_destination`` such as ``s3://aws_default@my-lake/clever`` (without it, files land in /tmp).

One file per school and day: ``attendance/district=<id>/date=YYYY-MM-DD/school-<id>.parquet``.
"""

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from airflow_provider_clever.operators.clever import (
    CleverAttendanceAnnounceOperator,
    CleverAttendanceOperator,
    CleverListSchoolsOperator,
)

DESTINATION = "{{ var.value.get('clever_destination', 'file:///tmp/clever-attendance') }}"

with DAG(
    dag_id="clever_attendance_nightly",
    description="Land a district's last 15 days, night by night; heals no gap (see clever_districts.py)",
    doc_md=__doc__,
    # The zone decides which calendar day a run is about: give the district's. At 20:00 the day itself is included.
    start_date=pendulum.datetime(2026, 8, 1, tz="America/Chicago"),
    schedule="0 20 * * *",
    catchup=False,
    max_active_runs=1,
    default_args={
        "retries": 3,
        "retry_delay": timedelta(minutes=5),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(hours=1),
    },
    tags=["clever", "attendance"],
):
    # One task pulls ten schools: few enough tasks to be quick, small enough to repeat when one of them fails.
    schools = CleverListSchoolsOperator(
        task_id="list_schools", doc_md="Lists the district's schools, ten in a batch.", batch_size=10
    )

    land = CleverAttendanceOperator.partial(
        task_id="land_attendance",
        doc_md="Lands the last 15 days of one batch of schools.",
        lookback_days=14,
        destination=DESTINATION,
        file_format="parquet",
        announce=False,
        # All tasks share the token's budget of requests; more of them at once would only wait for each other.
        max_active_tis_per_dagrun=4,
    ).expand(school_ids=schools.output)

    # One event a night, whatever became of the pulls. A teardown, so that a night whose pulls failed is red.
    announce = CleverAttendanceAnnounceOperator(
        task_id="announce",
        doc_md="Starts the DAGs that wait for the days that changed.",
        destination=DESTINATION,
        plan_task_id=None,
        pull_task_id="land_attendance",
    )
    land >> announce.as_teardown()
