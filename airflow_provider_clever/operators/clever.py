"""The operators: list schools, plan, pull, record, announce, alert; make a table of what landed; and forget."""

from airflow_provider_clever.operators.alert import CleverAttendanceAlertOperator
from airflow_provider_clever.operators.announcement import CleverAttendanceAnnounceOperator
from airflow_provider_clever.operators.attendance import CleverAttendanceOperator
from airflow_provider_clever.operators.coverage import CleverAttendanceCoverageOperator
from airflow_provider_clever.operators.forget import CleverAttendanceForgetOperator
from airflow_provider_clever.operators.plan import CleverAttendancePlanOperator
from airflow_provider_clever.operators.schools import CleverListSchoolsOperator
from airflow_provider_clever.operators.table import CleverAttendanceTableOperator
from airflow_provider_clever.operators.table_announcement import CleverAttendanceTableAnnounceOperator

__all__ = [
    "CleverAttendanceAlertOperator",
    "CleverAttendanceAnnounceOperator",
    "CleverAttendanceCoverageOperator",
    "CleverAttendanceForgetOperator",
    "CleverAttendanceOperator",
    "CleverAttendancePlanOperator",
    "CleverAttendanceTableAnnounceOperator",
    "CleverAttendanceTableOperator",
    "CleverListSchoolsOperator",
]
