"""DAGs for lists of districts and for tables, and the params of their trigger forms."""

from airflow_provider_clever.dags.district_dag import DistrictDag
from airflow_provider_clever.dags.district_list import districts_from_variable
from airflow_provider_clever.dags.factory import attendance_dags
from airflow_provider_clever.dags.run_params import answer_params, range_params
from airflow_provider_clever.dags.table_dag import attendance_table_dag

__all__ = [
    "DistrictDag",
    "answer_params",
    "attendance_dags",
    "attendance_table_dag",
    "districts_from_variable",
    "range_params",
]
