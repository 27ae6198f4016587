"""The DAG that brings a table up to date, started by what landed."""

from collections.abc import Sequence
from typing import Any, Final

from airflow.sdk import DAG, AssetAny

from airflow_provider_clever.assets import landed_alias, landed_asset
from airflow_provider_clever.dags.every_dag import RETRIES, every_dag
from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.hooks import arguments
from airflow_provider_clever.operators.table import CleverAttendanceTableOperator
from airflow_provider_clever.operators.table_announcement import CleverAttendanceTableAnnounceOperator
from airflow_provider_clever.sensors.gathering import GatheringSensor
from airflow_provider_clever.storage.destination_url import check_before_rendering

_MOST_MINUTES: Final = 24 * 60

_DOC: Final = """\
Brings the table ({table}) that is made of the attendance at `{destination}` up to date.

A run starts when something has landed, waits {minutes:g} minutes for what lands meanwhile, and then makes each month
again in which a file has changed, of all districts in one task. What lands during a run starts the next one. To make
everything again: `clever-attendance table {destination} --table {table} --rebuild`.
"""


def attendance_table_dag(
    destination: str,
    *,
    district_ids: Sequence[str] | None = None,
    table: str = "parquet",
    schedule: Any = None,
    gather_minutes: float = 15.0,
    dag_id: str = "clever_attendance_table",
    catalog_conn_id: str | None = None,
    table_name: str | None = None,
    clever_conn_id: str = "clever_default",
    single_writer: bool = False,
) -> DAG:
    """Give the DAG of a table: assign it to a name in a DAG file, and it runs whenever attendance has landed.

    A run first waits ``gather_minutes``, without a worker slot, so that there is one run, and one commit, for all
    districts that land in that time.

    :param destination: where attendance lands, such as ``s3://aws_default@my-lake/clever``; no template.
    :param district_ids: the districts of the table, whose landing starts a run. Default: every one that has landed at
        the destination; then whatever lands anywhere starts a run.
    :param table: the kind of table. Default ``parquet``.
    :param schedule: start runs by this, such as a cron expression, and not by what lands.
    :param gather_minutes: for how long a run waits for what else lands. Default 15; a run by ``schedule``, or one that
        a person triggers, waits for nothing.
    :param dag_id: default ``clever_attendance_table``; give one if there are several.
    :param catalog_conn_id: the Airflow connection of the table's catalog, for kinds that have one. Default: none.
    :param table_name: the table's name in its catalog. Default: as the kind has it.
    :param clever_conn_id: the connection that may hold the key of what is forgotten. Default ``clever_default``.
    :param single_writer: as the pulls of this destination have it. Default False.
    :raises CleverSettingsError: the destination does not name one place, an id is none, or the minutes are no number.
    """
    if problem := arguments.number(0, _MOST_MINUTES)(gather_minutes):
        raise CleverSettingsError(f"gather_minutes {problem}.")
    if isinstance(district_ids, str):
        raise CleverSettingsError("district_ids is one text, and must be a list of ids.")
    check_before_rendering(destination, single_writer=single_writer)
    landed = [landed_asset(destination, district_id) for district_id in district_ids or ()]
    with DAG(
        dag_id=dag_id,
        dag_display_name=f"Clever attendance: {table} table",
        doc_md=_DOC.format(destination=destination, table=table, minutes=gather_minutes),
        schedule=schedule if schedule is not None else AssetAny(*landed) if landed else [landed_alias()],
        default_args=RETRIES,
        tags=["clever", "attendance"],
        # One run at a time: what lands during a run is kept for the next one, so that no two runs do the same.
        **every_dag("UTC"),
    ) as dag:
        gather = GatheringSensor(
            task_id="gather",
            doc_md="Waits, without a worker slot, for what else lands, so that one run takes it all in.",
            mode="reschedule",
            poke_interval=gather_minutes * 60,
            timeout=gather_minutes * 60 + 86_400,
        )
        update = CleverAttendanceTableOperator(
            task_id="table",
            doc_md="Makes the months again in which a landed file has changed; its XCom `summary` says how many.",
            destination=destination,
            table=table,
            district_ids=list(district_ids) if district_ids is not None else None,
            catalog_conn_id=catalog_conn_id,
            table_name=table_name,
            clever_conn_id=clever_conn_id,
            single_writer=single_writer,
            announce=False,
        )
        announce = CleverAttendanceTableAnnounceOperator(
            task_id="announce",
            doc_md="Starts the DAGs that wait for the table, also if it could not be updated for every district.",
            destination=destination,
            table=table,
        )
        # A teardown, so that the task before it decides the state of a run.
        gather >> update >> announce.as_teardown()
    return dag
