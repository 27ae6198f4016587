"""Start here: one DAG per district, from the list in ``clever_districts.yaml`` beside this file, which explains it.

Each asks every night for whatever is due. Its first run fetches all that Clever still has; after an outage, a failure,
or for a school that was shared late, the next run fetches what is missing, and a run is red while something is.

Needs a connection ``clever_default`` of type *Clever* and, for the destination, whatever its URL names.
"""

from pathlib import Path

from airflow_provider_clever.dags import attendance_dags

globals().update(attendance_dags(Path(__file__).with_suffix(".yaml")))
