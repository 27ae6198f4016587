"""One DAG per district, made from a list of districts that is known without asking anybody."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

import pendulum
from airflow.sdk import DAG, Param, TriggerRule
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from airflow_provider_clever.attendance.values import CleverId, Text
from airflow_provider_clever.compat import CronTriggerTimetable
from airflow_provider_clever.dates import zone_named
from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.hooks import arguments
from airflow_provider_clever.operators.attendance import (
    LONGEST_SPAN_DAYS,
    MOST_CONCURRENCY,
    CleverAttendanceOperator,
)
from airflow_provider_clever.operators.coverage import CleverAttendanceCoverageOperator
from airflow_provider_clever.operators.plan import CleverAttendancePlanOperator
from airflow_provider_clever.sensors.clever import CleverAttendanceSyncSensor
from airflow_provider_clever.storage.destination_url import check_before_rendering
from airflow_provider_clever.windows import LONGEST_LOOKBACK_DAYS

Weekday: TypeAlias = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]

LONGEST_WAIT_HOURS: Final = 7 * 24
"""A run that waits holds back the next one, and with it everything that is due."""

_NIGHT: Final = re.compile(r"^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)$")

_RETRIES: Final[dict[str, Any]] = {
    "retries": 3,
    "retry_delay": timedelta(minutes=5),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(hours=1),
}

_SINCE: Final = "{{ '' if dag_run.run_type == 'scheduled' else '1970-01-01T00:00:00Z' }}"
"""The sensor's baseline: a scheduled run waits for what the watermark does not know; any other one goes on at once."""

_LISTED_AT: Final = "{{ (ti.xcom_pull(task_ids='plan', key='summary') or {}).get('planned_at', '') }}"
"""When the plan fetched the list of schools, so that the pull need not fetch it again before it marks rows."""

_TASK_NAME: Final = "{{ task.date_range_start }} to {{ task.date_range_end }}, {{ task.school_ids | length }} schools"

_DOC: Final = """\
Attendance of district `{district_id}` to `{destination}`: work out what is due, pull it, record what is covered.

A run that failed needs nothing but its cause mended: the next night asks again for whatever is missing.

To pull certain days, trigger the DAG with both dates, or backfill it (the last date is the day after the last day):
`airflow backfill create --dag-id {dag_id} --from-date … --to-date …`
"""


def _zone(name: str) -> str:
    try:
        zone_named(name)
    except CleverSettingsError as error:
        raise ValueError(str(error).rstrip(".")) from None
    return name


def _place(text: str) -> str:
    try:
        check_before_rendering(text)
    except CleverSettingsError as error:
        raise ValueError(str(error).rstrip(".")) from None
    return text


def _schedule(cron: str) -> str:
    if cron:
        from croniter import CroniterBadDateError, croniter  # type: ignore[import-untyped]  # Airflow's own, without types

        try:
            CronTriggerTimetable(cron, timezone="UTC").validate()
        except Exception as error:  # noqa: BLE001 - Airflow's kinds for this differ from version to version
            raise ValueError(f"{cron!r} is no cron expression such as '0 3 * * *' ({type(error).__name__})") from None
        try:
            if not cron.startswith("@"):
                croniter(cron).get_next()  # Airflow takes 30 February, and its scheduler then finds no such day
        except CroniterBadDateError:
            raise ValueError(f"{cron!r} names a day that never comes") from None
    return cron


def _name(text: str) -> str:
    # Airflow keeps it in a database, which takes no NUL, and shows it on pages.
    if problem := arguments.optional_text(text):
        raise ValueError(problem)
    return text


def _id(text: str) -> str:
    if problem := arguments.text(text):
        raise ValueError(problem)
    return text


class DistrictDag(BaseModel):
    """How one district is pulled. Each field is a key of the YAML file, too.

    :param district_id: Clever's id of the district.
    :param destination: where attendance lands, such as ``s3://aws_default@my-lake/clever``.
    :param name: shown in the UI. Default: the id.
    :param dag_id: default ``clever_attendance_<district id>``.
    :param clever_conn_id: the connection; default ``clever_default``.
    :param timezone: IANA name of the district's zone; it decides which day it is. Default ``UTC``.
    :param schedule: a cron expression in that zone. Default: daily, at a minute of the night that the district's id
        picks, so that many districts do not start at once.
    :param night: from when to when runs may start, in that zone. Default ``03:00-06:00``, which no clock
        change touches.
    :param lookback_days: for how many days after a day corrections to it are expected. Default 14.
    :param sweep_weekday: when everything that Clever still has is pulled again; default ``sunday``. None: never.
    :param wait_for_sync: wait for the district's upload first, in the triggerer. Default False.
    :param wait_hours: for how long, 168 (a week) at most; then the run goes on without. Default 4.
    :param pool: Airflow pool for the pulling tasks. Default: Airflow's own.
    :param parallel_pulls: pulling tasks of one run at once. Default 2: they share the token's budget.
    :param max_concurrency: requests side by side in each of them, 1 to 256. Default 16.
    :param page_limit: rows of a page, 1 to 1,000. Default 1,000; halved while a gateway gives up on it.
    :param max_span_days: days that one question to Clever may have. Default: no limit; halved while Clever refuses it.
    :param file_format: ``parquet`` (default) or ``jsonl``.
    :param write_changes: also write the correction feed. Default False.
    :param most_missing_percent: how much of a school's landed rows may not come back for that to be taken for a
        deletion. Default 10; more is walked again, and then withheld.
    :param most_missing_percent_of_run: the same for all schools of a pulling task together. Default 5.
    :param most_missing_students: rows of so many students may go whatever part of a school that is. Default 2.
    :param confirm_seconds: how long to wait before a doubtful school is walked again. Default 10.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    district_id: CleverId
    destination: Annotated[Text, AfterValidator(_place)]
    name: Annotated[str, StringConstraints(max_length=200), AfterValidator(_name)] = ""
    dag_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]*$", max_length=250)] = ""
    clever_conn_id: Annotated[str, AfterValidator(_id)] = "clever_default"
    timezone: Annotated[str, AfterValidator(_zone)] = "UTC"
    schedule: Annotated[str, AfterValidator(_schedule)] = ""
    night: Annotated[str, StringConstraints(pattern=_NIGHT.pattern)] = "03:00-06:00"
    lookback_days: Annotated[int, Field(ge=0, le=LONGEST_LOOKBACK_DAYS)] = 14
    sweep_weekday: Weekday | None = "sunday"
    wait_for_sync: bool = False
    wait_hours: Annotated[float, Field(gt=0, le=LONGEST_WAIT_HOURS)] = 4.0
    pool: Annotated[str, AfterValidator(_name)] | None = None
    parallel_pulls: Annotated[int, Field(ge=1)] = 2
    max_concurrency: Annotated[int, Field(ge=1, le=MOST_CONCURRENCY)] = 16
    page_limit: Annotated[int, Field(ge=1, le=1000)] = 1000
    max_span_days: Annotated[int, Field(ge=1, le=LONGEST_SPAN_DAYS)] | None = None
    file_format: Literal["parquet", "jsonl"] = "parquet"
    write_changes: bool = False
    most_missing_percent: Annotated[float, Field(ge=0, le=100, strict=False)] = 10.0
    most_missing_percent_of_run: Annotated[float, Field(ge=0, le=100, strict=False)] = 5.0
    most_missing_students: Annotated[int, Field(ge=0)] = 2
    confirm_seconds: Annotated[float, Field(ge=0, le=3600, strict=False)] = 10.0

    @property
    def id_of_dag(self) -> str:
        """The DAG's id."""
        return self.dag_id or f"clever_attendance_{self.district_id}"

    def cron(self) -> str:
        """When it runs: what was given, else the minute of the night that the id picks, the same in every process."""
        if self.schedule:
            return self.schedule
        from_hour, from_minute, to_hour, to_minute = map(int, _NIGHT.fullmatch(self.night).groups())  # type: ignore[union-attr]  # checked when it was read
        start = from_hour * 60 + from_minute
        length = (to_hour * 60 + to_minute - start) % (24 * 60) or 1
        picked = int.from_bytes(hashlib.sha256(self.district_id.encode()).digest()[:8])
        hour, minute = divmod((start + picked % length) % (24 * 60), 60)
        return f"{minute} {hour} * * *"


def attendance_dags(
    districts: str | Path | Sequence[Mapping[str, Any]], *, defaults: Mapping[str, Any] | None = None
) -> dict[str, DAG]:
    """Give one DAG per district, by DAG id: ``globals().update(attendance_dags(...))`` in a DAG file.

    Each: (wait for the sync) -> plan -> pull, mapped -> record. They are scheduled, backfilled and paused one by one.

    :param districts: a YAML file (a list of districts, or ``districts`` beside ``defaults``), or the list itself. The
        keys are the fields of :class:`DistrictDag`.
    :param defaults: what holds for every district that does not say otherwise.
    :raises CleverSettingsError: naming everything that is wrong with the list.
    """
    read, read_defaults = _read_file(Path(districts)) if isinstance(districts, str | Path) else (districts, {})
    if not isinstance(read_defaults, Mapping) or not isinstance(defaults or {}, Mapping):
        raise CleverSettingsError("The list of districts cannot be used. defaults: must be keys and values.")
    settings = _checked(read, {**read_defaults, **(defaults or {})})
    return {dag.dag_id: dag for dag in map(_dag, settings)}


def districts_from_variable(name: str) -> list[dict[str, Any]]:
    """Give the districts that an Airflow Variable lists as JSON, for :func:`attendance_dags`.

    It is looked up each time the DAG file is parsed, which is one call to the metadata database (or secrets backend)
    every 30 seconds; a file costs nothing.

    :param name: of the Variable.
    :raises CleverSettingsError: there is no such Variable, or it is no list.
    """
    from airflow.sdk import Variable

    try:
        found = Variable.get(name, default=None, deserialize_json=True)
    except (ImportError, ValueError, RecursionError):
        # It is no JSON at all, or too deep; or, in the first 3.1s and outside of Airflow's services, there is none.
        found = None
    if not isinstance(found, list):
        raise CleverSettingsError(
            f'The Variable {name} holds no list of districts. Set it: airflow variables set {name} \'[{{"district_id": '
            '"…", "destination": "s3://…"}]\''
        )
    return found


def _read_file(path: Path) -> tuple[object, object]:
    import yaml

    class Loader(yaml.SafeLoader):
        """YAML in which a key that stands twice is a mistake: the first one's districts would be dropped."""

    def mapping(loader: Loader, node: yaml.MappingNode) -> dict[object, object]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        doubled = sorted({str(key) for key in keys if keys.count(key) > 1})
        if doubled:
            raise CleverSettingsError(f"{path} has a key twice in one place: {', '.join(doubled)}.")
        return loader.construct_mapping(node, deep=True)

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        where = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise CleverSettingsError(f"{path} cannot be read as YAML: {error.problem or 'it is broken'}{where}.") from None
    except (OSError, ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        raise CleverSettingsError(f"{path} cannot be read as YAML ({type(error).__name__}).") from None
    if isinstance(found, list):
        return found, {}
    if not isinstance(found, dict):
        raise CleverSettingsError(f"{path} holds neither a list of districts nor `districts:` beside `defaults:`.")
    unknown = sorted(map(str, found.keys() - {"districts", "defaults"}))
    if unknown:
        raise CleverSettingsError(
            f"{path} has keys that mean nothing: {', '.join(unknown)}. On its own level there are `districts:` and "
            "`defaults:` alone; what holds for every district stands below `defaults:`."
        )
    return found.get("districts"), found.get("defaults") or {}


def _checked(districts: object, defaults: Mapping[str, Any]) -> list[DistrictDag]:
    if not isinstance(districts, Sequence) or isinstance(districts, str | bytes):
        raise CleverSettingsError("The list of districts cannot be used. districts: must be a list.")
    if not districts:
        raise CleverSettingsError("The list of districts is empty, so there is no DAG. Name at least one district.")
    problems: list[str] = []
    settings: dict[str, DistrictDag] = {}
    for number, given in enumerate(districts, start=1):
        if not isinstance(given, Mapping):
            problems.append(f"district {number}: must be keys and values, such as `district_id: 65e0…`")
            continue
        try:
            one = DistrictDag.model_validate({**defaults, **given})
        except ValidationError as error:
            found = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_input=False))
            problems += [f"district {number}: {text}" for text in found]
        else:
            problems += [f"district {number}: {one.id_of_dag} stands in the list already"] * (one.id_of_dag in settings)
            settings[one.id_of_dag] = one
    if problems:
        raise CleverSettingsError("The list of districts cannot be used. " + "; ".join(problems) + ".")
    return list(settings.values())


def _dag(settings: DistrictDag) -> DAG:
    ledger: dict[str, Any] = {
        "destination": settings.destination,
        "district_id": settings.district_id,
        "clever_conn_id": settings.clever_conn_id,
        "lookback_days": settings.lookback_days,
        "timezone": settings.timezone,
    }
    with DAG(
        dag_id=settings.id_of_dag,
        dag_display_name=f"Clever attendance: {settings.name or settings.district_id}",
        doc_md=_DOC.format(
            district_id=settings.district_id, destination=settings.destination, dag_id=settings.id_of_dag
        ),
        # A trigger timetable: the run of a day is named after that day, and its data interval is that instant, so a
        # backfill run asks for one day. A data-interval timetable at 03:17 would touch two.
        schedule=CronTriggerTimetable(settings.cron(), timezone=settings.timezone),
        # Long ago, because nothing older can be backfilled; without catchup it starts nothing.
        start_date=pendulum.datetime(2020, 1, 1, tz=settings.timezone),
        catchup=False,
        max_active_runs=1,
        default_args=_RETRIES,
        params=range_params() | answer_params(),
        tags=["clever", "attendance"],
    ) as dag:
        plan = CleverAttendancePlanOperator(
            task_id="plan",
            sweep_weekday=settings.sweep_weekday,
            # A night without a sync still has gaps, sweeps and last chances to see to.
            trigger_rule=TriggerRule.ALL_DONE,
            **ledger,
        )
        pull = CleverAttendanceOperator.partial(
            task_id="pull",
            district_id=settings.district_id,
            clever_conn_id=settings.clever_conn_id,
            destination=settings.destination,
            file_format=settings.file_format,
            write_changes=settings.write_changes,
            max_concurrency=settings.max_concurrency,
            page_limit=settings.page_limit,
            max_span_days=settings.max_span_days,
            most_missing_percent=settings.most_missing_percent,
            most_missing_percent_of_run=settings.most_missing_percent_of_run,
            most_missing_students=settings.most_missing_students,
            confirm_seconds=settings.confirm_seconds,
            # The recording task tells what is withheld: when it is new or has grown, and not every night again.
            fail_on_withheld=False,
            listed_at=_LISTED_AT,
            max_active_tis_per_dagrun=settings.parallel_pulls,
            map_index_template=_TASK_NAME,
            **({"pool": settings.pool} if settings.pool else {}),
        ).expand_kwargs(plan.output)
        pull >> CleverAttendanceCoverageOperator(task_id="record", **ledger)
        if settings.wait_for_sync:
            _wait(settings) >> plan
    return dag


def range_params() -> dict[str, Param]:
    """Give the two params of a DAG whose trigger form asks for a range of days; both may stay empty."""
    return {
        "date_range_start": Param(None, type=["null", "string"], format="date", title="First day"),
        "date_range_end": Param(None, type=["null", "string"], format="date", title="Last day"),
    }


def answer_params() -> dict[str, Param]:
    """Give the param by which the person who triggers a run says what has become of rows that did not come back.

    It is about all schools that wait for a word, unless the run's conf names some: ``missing_rows_school_ids``. That is
    no param of the form, because each costs half a millisecond of every parse of every district's DAG.
    """
    words = [None, "deleted", "kept", "unshared"]
    return {"missing_rows": Param(None, type=["null", "string"], enum=words, title="Rows that did not come back are")}


def _wait(settings: DistrictDag) -> CleverAttendanceSyncSensor:
    return CleverAttendanceSyncSensor(
        task_id="wait_for_sync",
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
