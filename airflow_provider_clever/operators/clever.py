"""The operators: list schools, plan, pull, record, announce; and forget."""

from airflow_provider_clever.operators.announcement import CleverAttendanceAnnounceOperator
from airflow_provider_clever.operators.attendance import CleverAttendanceOperator
from airflow_provider_clever.operators.coverage import CleverAttendanceCoverageOperator
from airflow_provider_clever.operators.forget import CleverAttendanceForgetOperator
from airflow_provider_clever.operators.plan import CleverAttendancePlanOperator
from airflow_provider_clever.operators.schools import CleverListSchoolsOperator

__all__ = [
    "CleverAttendanceAnnounceOperator",
    "CleverAttendanceCoverageOperator",
    "CleverAttendanceForgetOperator",
    "CleverAttendanceOperator",
    "CleverAttendancePlanOperator",
    "CleverListSchoolsOperator",
]
