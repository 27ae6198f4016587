"""A table of everything that has landed: one Parquet file for each month of a district, swapped whole.

The DAG starts by itself when the DAGs of ``clever_districts.py`` (or any other pull of this provider) have landed
something new, waits a quarter of an hour for what else lands, and makes the months again in which a file has changed.
Read it with ``SELECT * FROM read_parquet('…/attendance_by_month/*/*.parquet')``; docs/how-to/analyse.md has more.

Set the Variable ``clever_destination`` to where the pulls land, such as ``s3://aws_default@my-lake/clever``.
"""

from airflow_provider_clever.dags import attendance_table_dag

dag = attendance_table_dag("{{ var.value.get('clever_destination', 'file:///tmp/clever-attendance') }}")
