"""Makes one DAG per district from a list of districts, without a request to Clever or Airflow."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from airflow.sdk import DAG, TriggerRule, get_parsing_context

from airflow_provider_clever.compat import CronTriggerTimetable
from airflow_provider_clever.dags.district_dag import DistrictDag
from airflow_provider_clever.dags.district_list import DistrictList
from airflow_provider_clever.dags.every_dag import RETRIES, every_dag
from airflow_provider_clever.dags.run_params import answer_params, range_params
from airflow_provider_clever.operators.alert import CleverAttendanceAlertOperator
from airflow_provider_clever.operators.announcement import CleverAttendanceAnnounceOperator
from airflow_provider_clever.operators.attendance import CleverAttendanceOperator
from airflow_provider_clever.operators.coverage import CleverAttendanceCoverageOperator
from airflow_provider_clever.operators.plan import CleverAttendancePlanOperator
from airflow_provider_clever.sensors.clever import CleverAttendanceSyncSensor

_SINCE: Final = "{{ '' if dag_run.run_type == 'scheduled' else '1970-01-01T00:00:00Z' }}"
"""The sensor's baseline: a scheduled run waits for what the watermark does not know; any other one goes on at once."""

_LISTED_AT: Final = "{{ (ti.xcom_pull(task_ids='plan', key='summary') or {}).get('planned_at', '') }}"
"""When the plan fetched the list of schools, so that the pull need not fetch it again before it marks rows."""

_TASK_NAME: Final = "{{ task.date_range_start }} to {{ task.date_range_end }}, {{ task.school_ids | length }} schools"

_TASK_DOCS: Final = {
    "wait_for_sync": "Waits, in the triggerer, until the district has synced. The run goes on without it in the end.",
    "plan": "Works out which days of which schools are due: its log says why, its XCom `summary` says how many.",
    "pull": "Pulls these schools and days, and lands them. *Receipt* leads to what became of each school.",
    "record": "Records what is covered, and judges the run: red says what is missing, and what to do.",
    "announce": "Announces, whatever became of the pulls, which days they changed: DAGs that wait for it are started.",
    "tell": "Looks at the destination and tells people what is new. It fails if they could not be told.",
}

_DOC: Final = """\
Attendance of district `{district_id}` to `{destination}`: work out what is due, pull it, record what is covered.

A run that failed needs nothing but its cause fixed: the next night asks again for whatever is missing.

To pull certain days, trigger the DAG with both dates, or backfill it (the last date is the day after the last day):
`airflow backfill create --dag-id {dag_id} --from-date … --to-date …`
"""


_ALERT_DOC: Final = """\
Tells people if attendance of district `{district_id}` is not in at `{destination}` by {by:%H:%M}, or about to be lost.

It asks Clever nothing. If `{dag_id}` is paused for a while, pause this one, too.
"""


def attendance_dags(
    districts: str | Path | Sequence[Mapping[str, Any]], *, defaults: Mapping[str, Any] | None = None
) -> dict[str, DAG]:
    """Give a DAG for each district, by DAG id: ``globals().update(attendance_dags(...))`` in a DAG file.

    The tasks of each: (wait for the sync) -> plan -> pull, mapped -> record and, beside it, announce. The DAGs are
    scheduled, backfilled and paused one by one. A district with ``expected_by`` has a second DAG, which sends an alert
    if the district is not in by then.

    Where Airflow parses the file to run a task, the result holds that task's DAG alone, so that a task starts as fast
    with 2,000 districts as with one. Any other DAG is made when it is looked up by its id.

    :param districts: a YAML file (a list of districts, or ``districts`` beside ``defaults``), or the list itself. The
        keys are the fields of :class:`DistrictDag`.
    :param defaults: values for every district that does not have its own.
    :raises CleverSettingsError: naming everything that is wrong with the list.
    """
    listed = DistrictList(districts, defaults)
    wanted = get_parsing_context().dag_id
    if wanted is None:
        return {dag_id: _dag(one, dag_id) for one in listed.all() for dag_id in one.dag_ids}
    dags = _DagsOnDemand(listed)
    dags.make(wanted)
    return dags


class _DagsOnDemand(dict[str, DAG]):
    """The DAGs of a list, each made when it is first looked up."""

    def __init__(self, listed: DistrictList) -> None:
        super().__init__()
        self._listed = listed

    def make(self, dag_id: str) -> None:
        """Make a DAG, if its district is in the list."""
        if (settings := self._listed.of_dag(dag_id)) is not None:
            self[dag_id] = _dag(settings, dag_id)

    def __missing__(self, dag_id: str) -> DAG:
        self.make(dag_id)
        if dag_id not in self:
            raise KeyError(dag_id)
        return self[dag_id]


def _dag(settings: DistrictDag, dag_id: str) -> DAG:
    return _alert_dag(settings) if dag_id == settings.id_of_alert_dag else _district_dag(settings)


def _alert_dag(settings: DistrictDag) -> DAG:
    """Make the DAG of alerts. It is separate, because at that time the district's own may hang, wait or be paused."""
    by = settings.expected_by
    if by is None:  # for the type checker: only then a district has this DAG
        raise AssertionError
    with DAG(
        dag_id=settings.id_of_alert_dag,
        dag_display_name=f"Clever attendance: is {settings.name or settings.district_id} in by {by:%H:%M}?",
        doc_md=_ALERT_DOC.format(
            district_id=settings.district_id, destination=settings.destination, dag_id=settings.id_of_dag, by=by
        ),
        schedule=CronTriggerTimetable(f"{by.minute} {by.hour} * * *", timezone=settings.timezone),
        default_args=RETRIES,
        tags=["clever", "alerts"],
        **every_dag(settings.timezone),
    ) as dag:
        CleverAttendanceAlertOperator(
            task_id="tell", doc_md=_TASK_DOCS["tell"], **_ledger(settings), **_alerting(settings)
        )
    return dag


def _alerting(settings: DistrictDag) -> dict[str, Any]:
    return {
        "on_problem": settings.on_problem,
        "expected_by": settings.expected_by,
        "district_name": settings.name,
    }


def _ledger(settings: DistrictDag) -> dict[str, Any]:
    return {
        "destination": settings.destination,
        "district_id": settings.district_id,
        "clever_conn_id": settings.clever_conn_id,
        "lookback_days": settings.lookback_days,
        "timezone": settings.timezone,
        "single_writer": settings.single_writer,
    }


def _district_dag(settings: DistrictDag) -> DAG:
    ledger = _ledger(settings)
    with DAG(
        dag_id=settings.id_of_dag,
        dag_display_name=f"Clever attendance: {settings.name or settings.district_id}",
        doc_md=_DOC.format(
            district_id=settings.district_id, destination=settings.destination, dag_id=settings.id_of_dag
        ),
        # A trigger timetable: the run of a day is named after that day, and its data interval is that instant, so a
        # backfill run asks for one day. The interval of a data-interval timetable at 03:17 would touch two.
        schedule=CronTriggerTimetable(settings.cron(), timezone=settings.timezone),
        default_args=RETRIES,
        tags=["clever", "attendance"],
        **every_dag(settings.timezone),
    ) as dag:
        plan = CleverAttendancePlanOperator(
            task_id="plan",
            doc_md=_TASK_DOCS["plan"],
            sweep_weekday=settings.sweep_weekday,
            # A night without a sync still has gaps, sweeps and last chances to pull.
            trigger_rule=TriggerRule.ALL_DONE,
            **ledger,
        )
        pull = CleverAttendanceOperator.partial(
            task_id="pull",
            doc_md=_TASK_DOCS["pull"],
            district_id=settings.district_id,
            clever_conn_id=settings.clever_conn_id,
            destination=settings.destination,
            file_format=settings.file_format,
            write_changes=settings.write_changes,
            announce=False,
            max_concurrency=settings.max_concurrency,
            page_limit=settings.page_limit,
            max_span_days=settings.max_span_days,
            most_missing_percent=settings.most_missing_percent,
            most_missing_percent_of_run=settings.most_missing_percent_of_run,
            most_missing_students=settings.most_missing_students,
            confirm_seconds=settings.confirm_seconds,
            fail_on_quarantine=settings.fail_on_quarantine,
            single_writer=settings.single_writer,
            # The recording task reports what is withheld: when it is new or has grown, and not every night again.
            fail_on_withheld=False,
            listed_at=_LISTED_AT,
            max_active_tis_per_dagrun=settings.parallel_pulls,
            map_index_template=_TASK_NAME,
            **({"pool": settings.pool} if settings.pool else {}),
        ).expand_kwargs(plan.output)
        pull >> CleverAttendanceCoverageOperator(
            task_id="record", doc_md=_TASK_DOCS["record"], **ledger, **_alerting(settings)
        )
        # Beside the recording task, not after it: the last tasks decide the state of a run.
        pull >> CleverAttendanceAnnounceOperator(
            task_id="announce",
            doc_md=_TASK_DOCS["announce"],
            destination=settings.destination,
            district_id=settings.district_id,
        )
        if settings.wait_for_sync:
            _wait(settings) >> plan
    # Added last and unvalidated, which saves two thirds of the cost of a parse: each class of each task copies the
    # params that the DAG has by then, and DAG() validates their schemas. A test validates them once.
    dag.params.update(range_params() | answer_params())
    return dag


def _wait(settings: DistrictDag) -> CleverAttendanceSyncSensor:
    return CleverAttendanceSyncSensor(
        task_id="wait_for_sync",
        doc_md=_TASK_DOCS["wait_for_sync"],
        district_id=settings.district_id,
        clever_conn_id=settings.clever_conn_id,
        destination=settings.destination,
        since=_SINCE,
        deferrable=True,
        poke_interval=600,
        timeout=settings.wait_hours * 3600,
        soft_fail=True,
        on_paused="skip",
    )
