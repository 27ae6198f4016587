"""How one district is pulled: the keys of a list of districts, and what each may be."""

import hashlib
import re
from collections.abc import Mapping
from datetime import time
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    model_validator,
)

from airflow_provider_clever.alerts.expectation import time_of_day
from airflow_provider_clever.attendance.values import CleverId, Text
from airflow_provider_clever.compat import CronTriggerTimetable
from airflow_provider_clever.dates import Weekday, zone_named
from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.hooks import arguments
from airflow_provider_clever.hooks.notifiers import notifiers_of
from airflow_provider_clever.operators.attendance import LONGEST_SPAN_DAYS, MOST_CONCURRENCY
from airflow_provider_clever.storage.destination_url import check_before_rendering
from airflow_provider_clever.windows import LONGEST_LOOKBACK_DAYS

LONGEST_WAIT_HOURS: Final = 7 * 24
"""A run that waits delays the next one, and everything that is due with it."""

_LONGEST_DAG_ID: Final = 250
"""Airflow's own limit."""

_NIGHT: Final = re.compile(r"^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)$")


def _zone(name: str) -> str:
    try:
        zone_named(name)
    except CleverSettingsError as error:
        raise ValueError(str(error).rstrip(".")) from None
    return name


def _place(text: str, info: ValidationInfo) -> str:
    try:
        check_before_rendering(text, single_writer=info.data.get("single_writer", False))
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


def _time(given: object) -> time | None:
    return None if given is None else time_of_day(given)


def _notifiers(given: object, info: ValidationInfo) -> tuple[Any, ...]:
    try:
        return notifiers_of(given, info.data.get("notifiers"))
    except CleverSettingsError as error:
        raise ValueError(str(error).rstrip(".")) from None


EXPECTED_BY: Final = "_expected_by"
"""How the id of a district's DAG of alerts ends."""


def dag_id_of(district_id: object, dag_id: object) -> str:
    """Give the id of a district's DAG: the one that was given, else one that follows from the district's."""
    return str(dag_id or f"clever_attendance_{district_id}")


class DistrictDag(BaseModel):
    """How one district is pulled. Each field is a key of the YAML file, too.

    :param district_id: Clever's id of the district.
    :param destination: where attendance lands, such as ``s3://aws_default@my-lake/clever``.
    :param name: shown in the UI. Default: the district's id.
    :param dag_id: default ``clever_attendance_<district id>``.
    :param clever_conn_id: the connection; default ``clever_default``.
    :param timezone: IANA name of the district's zone; it decides which day it is. Default ``UTC``.
    :param schedule: a cron expression in that zone. Default: daily, at a minute of the night that the district's id
        picks, so that many districts do not start at once.
    :param night: when runs may start, in that zone. Default ``03:00-06:00``, which no change of the clock touches.
    :param lookback_days: for how many days after a day corrections to it are expected. Default 14.
    :param sweep_weekday: when everything that Clever still has is pulled again; default ``sunday``. None: never.
    :param wait_for_sync: wait for the district's upload first, in the triggerer. Default False.
    :param wait_hours: hours to wait, 168 (a week) at most; then the run goes on without the upload. Default 4.
    :param pool: Airflow pool for the pulling tasks. Default: Airflow's own.
    :param parallel_pulls: pulling tasks of one run at once. Default 2: they share the token's budget.
    :param max_concurrency: requests side by side in each of them, 1 to 256. Default 16.
    :param page_limit: rows of a page, 1 to 1,000. Default 1,000; halved while a gateway gives up on it.
    :param max_span_days: days that one question to Clever may have. Default: no limit; halved while Clever refuses it.
    :param file_format: ``parquet`` (default) or ``jsonl``.
    :param single_writer: promise that no other task writes to the destination at the same time, which allows stores
        that cannot compare and swap. Default False.
    :param fail_on_quarantine: fail a pulling task, after its good rows have landed, when rows were set aside that had
        not been before. Default True.
    :param write_changes: also write the correction feed. Default False.
    :param most_missing_percent: the share of a school's landed rows, in percent, that may be absent from a pull and
        count as deleted. Default 10; if more are absent, the school is walked again, and then withheld.
    :param most_missing_percent_of_run: the same for all schools of a pulling task together, in percent. Default 5.
    :param most_missing_students: rows of this many students may be absent, whatever share they are. Default 2.
    :param confirm_seconds: seconds to wait before a doubtful school is walked again. Default 10.
    :param on_problem: what sends alerts about problems and their end: an Airflow notifier or a list, each an object, a
        name from ``notifiers``, an import path, or ``notifier`` (a path) and ``kwargs``.
    :param notifiers: notifiers by those names.
    :param expected_by: the time of day, ``HH:MM`` in the district's zone, by which the previous school day is to be in;
        needs ``on_problem``. The district then has a second DAG, which starts at that time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    district_id: CleverId
    single_writer: bool = False  # before the destination, whose check depends on it
    destination: Annotated[Text, AfterValidator(_place)]
    name: Annotated[str, StringConstraints(max_length=200), AfterValidator(_name)] = ""
    dag_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]*$", max_length=_LONGEST_DAG_ID)] = ""
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
    fail_on_quarantine: bool = True
    write_changes: bool = False
    most_missing_percent: Annotated[float, Field(ge=0, le=100, strict=False)] = 10.0
    most_missing_percent_of_run: Annotated[float, Field(ge=0, le=100, strict=False)] = 5.0
    most_missing_students: Annotated[int, Field(ge=0)] = 2
    confirm_seconds: Annotated[float, Field(ge=0, le=3600, strict=False)] = 10.0

    notifiers: Mapping[str, Any] = Field(default_factory=dict)  # before on_problem, which looks names up in it
    on_problem: Annotated[tuple[Any, ...], BeforeValidator(_notifiers)] = ()
    expected_by: Annotated[time | None, BeforeValidator(_time)] = None

    @model_validator(mode="after")
    def _check_alerts(self) -> Self:
        if self.expected_by is not None and not self.on_problem:
            raise ValueError("expected_by needs on_problem: else nobody would be told")
        if self.expected_by is not None and len(self.id_of_alert_dag) > _LONGEST_DAG_ID:
            raise ValueError(f"dag_id: with expected_by it may have {_LONGEST_DAG_ID - len(EXPECTED_BY)} characters")
        return self

    @property
    def id_of_alert_dag(self) -> str:
        """The id of the DAG that sends an alert if the district is not in by ``expected_by``."""
        return f"{self.id_of_dag}{EXPECTED_BY}"

    @property
    def dag_ids(self) -> tuple[str, ...]:
        """The ids of its DAGs."""
        return (self.id_of_dag, self.id_of_alert_dag) if self.expected_by is not None else (self.id_of_dag,)

    @property
    def id_of_dag(self) -> str:
        """The DAG's id."""
        return dag_id_of(self.district_id, self.dag_id)

    def cron(self) -> str:
        """The cron expression: the one given, else a minute of the night that the district's id picks."""
        if self.schedule:
            return self.schedule
        from_hour, from_minute, to_hour, to_minute = map(int, _NIGHT.fullmatch(self.night).groups())  # type: ignore[union-attr]  # validated with the field
        start = from_hour * 60 + from_minute
        length = (to_hour * 60 + to_minute - start) % (24 * 60) or 1
        picked = int.from_bytes(hashlib.sha256(self.district_id.encode()).digest()[:8])
        hour, minute = divmod((start + picked % length) % (24 * 60), 60)
        return f"{minute} {hour} * * *"
