"""One school's absences through XCom, and a task that uses them. For trying out, not for keeping.

The rows lie in Airflow's metadata database for as long as the run does, and attendance is an education record. Use
this to look at the data or for a small report; to keep attendance, give the operator a ``destination``, as
``clever_attendance_nightly.py`` does.

Needs a connection ``clever_default`` of type *Clever*. The trigger form asks for the school and the dates.
"""

import logging
from collections import Counter

from airflow.sdk import DAG, Param, task

from airflow_provider_clever.operators.clever import CleverAttendanceOperator

with DAG(
    dag_id="clever_absences_in_xcom",
    description="For trying out: one school's absences per day",
    doc_md=__doc__,
    schedule=None,
    params={
        "school_id": Param(type="string", title="School", description="Clever's id of the school"),
        "date_range_start": Param(None, type=["null", "string"], format="date", title="First day"),
        "date_range_end": Param(None, type=["null", "string"], format="date", title="Last day"),
    },
    tags=["clever", "attendance", "try-out"],
):
    # Without dates: the day of the run and the 14 days before it.
    absences = CleverAttendanceOperator(
        task_id="pull_absences",
        doc_md="Pulls one school's absences; its XCom holds the rows.",
        school_ids="{{ params.school_id }}",
        attendance_status="absent",
    )

    @task
    def count_absent_students(rows: list[dict[str, str]]) -> dict[str, int]:
        """Count, per day, the students with at least one absence."""
        student_days = {(row["attendance_date"], row["student_id"]) for row in rows}
        absent = Counter(day for day, _ in sorted(student_days))
        for day, students in absent.items():
            logging.getLogger(__name__).info("%s: %d students absent", day, students)
        return dict(absent)

    count_absent_students(absences.output)
