"""Pull certain days of a district, when somebody asks: the trigger form has a district and two dates.

For a backlog of one district, or days that were corrected long after. Schools that need the same days are pulled
together, in the fewest requests; what has not changed is not written again. It needs

* a connection ``clever_default`` of type *Clever*;
* a Variable ``clever_destination`` such as ``s3://aws_default@my-lake/clever`` (without it, files land in /tmp).
"""

from airflow.sdk import DAG, Param

from airflow_provider_clever.dags import range_params
from airflow_provider_clever.operators.clever import (
    CleverAttendanceAnnounceOperator,
    CleverAttendanceCoverageOperator,
    CleverAttendanceOperator,
    CleverAttendancePlanOperator,
)

DESTINATION = "{{ var.value.get('clever_destination', 'file:///tmp/clever-attendance') }}"
DISTRICT = "{{ params.district_id }}"

with DAG(
    dag_id="clever_date_range",
    description="Pull a range of days of one district",
    doc_md=__doc__,
    schedule=None,
    params={
        "district_id": Param(type="string", title="District", description="Clever's id of the district"),
        **range_params(),
    },
    default_args={"retries": 3},
    tags=["clever", "attendance"],
):
    # Without dates: whatever is due.
    plan = CleverAttendancePlanOperator(
        task_id="plan", doc_md="Groups schools that need the same days.", destination=DESTINATION, district_id=DISTRICT
    )

    pull = CleverAttendanceOperator.partial(
        task_id="pull",
        doc_md="Lands the days of one group of schools.",
        destination=DESTINATION,
        district_id=DISTRICT,
        announce=False,
        max_active_tis_per_dagrun=2,
    ).expand_kwargs(plan.output)

    pull >> CleverAttendanceCoverageOperator(
        task_id="record",
        doc_md="Records what is covered, and fails if days are missing.",
        destination=DESTINATION,
        district_id=DISTRICT,
    )
    pull >> CleverAttendanceAnnounceOperator(
        task_id="announce",
        doc_md="Starts the DAGs that wait for these days, whatever became of the pulls.",
        destination=DESTINATION,
        district_id=DISTRICT,
    )
