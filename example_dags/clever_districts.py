"""One DAG per district, from the list in ``clever_districts.yaml`` beside this file, which explains its keys.

Needs a connection ``clever_default`` of type *Clever* and, for the destination, whatever its URL names.
"""

from pathlib import Path

from airflow_provider_clever.dags import attendance_dags

globals().update(attendance_dags(Path(__file__).with_suffix(".yaml")))
